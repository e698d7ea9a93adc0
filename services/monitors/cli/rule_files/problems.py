"""What is wrong with files, all of it at once, each with its place."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from monitors.cli.failures import ExitCode, Failure
from monitors.cli.output import tell


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Problems:
    """The problems that were found so far, as `file:line: what`."""

    told: list[tuple[Place, str]] = field(default_factory=list)

    def add(self, place: Place, text: str) -> None:
        """Notes one."""
        self.told.append((place, text))

    def unknown(self, place: Place, name: str, known: Sequence[str]) -> None:
        """Notes a name that nobody knows, with the one that may have been meant."""
        close = get_close_matches(name, known, n=1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        self.add(place, f"{name[:60]!r} isn't known here{hint}; there are {', '.join(known)}")

    def fail(self, consequence: str) -> None:
        """Tells all of them and raises Failure, if there are any."""
        if not self.told:
            return
        for place, text in sorted(self.told):
            tell(f"{place}: {text}")
        count = len(self.told)
        raise Failure(f"{count} problem{'' if count == 1 else 's'}; {consequence}", ExitCode.INVALID)
