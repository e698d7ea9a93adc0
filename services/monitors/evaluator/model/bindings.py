"""What the formulas of rules are bound to on each monitor: rows of their programs, and what isn't joined yet."""

from collections.abc import Container, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

from monitors.evaluator.model.arrays import Links
from monitors.evaluator.model.joins import Binding, Known
from monitors.evaluator.model.programs import Program, Taken
from monitors.evaluator.model.reading import Tags
from monitors.evaluator.model.spec import RuleSpec


class Member(NamedTuple):
    """An instance that a formula has on a monitor: its tags, its row in the program, and its series, ascending."""

    tags: Tags
    row: int
    inputs: list[int]
    carrier: int
    """The first of its series, or if it's expected without having any, any one of the monitor's."""


@dataclass(frozen=True)
class _Scope:
    program: Program
    taken: Taken
    profile: int
    spare: list[int] = field(default_factory=list)


class Bindings:
    """The bound formulas by scope. `spare` links series that a rule reads without an instance that uses them, as long
    as nothing goes with them, to the profile of that rule: their points are kept for when something does."""

    def __init__(self) -> None:
        self.tags: dict[int, Tags] = {}
        """Of the instances of formulas, by place."""
        self.bare: set[int] = set()
        """The places of instances that are expected and have no series yet."""
        self.spare = Links()
        self._scopes: dict[int, _Scope] = {}

    def with_copies(self, places: Iterable[tuple[int, int]]) -> "Bindings":
        """The same, with the instances at the first of each pair of places at the second, too."""
        bindings = copy(self)
        pairs = list(places)
        bindings.bare = self.bare | {new for old, new in pairs if old in self.bare}
        bindings.tags = {**self.tags, **{new: self.tags[old] for old, new in pairs if old in self.tags}}
        return bindings

    def bind(
        self,
        scope: int,
        profile: int,
        program: Program,
        spec: RuleSpec,
        known: Known,
        existing: Container[Tags],
        most_inputs: int,
    ) -> tuple[list[Member], list[str]]:
        """Binds a rule's formula anew to a monitor's series. Gives its instances, by tags, and what is wrong.

        Those that are existing come first, if there are more than may have so many inputs together.
        """
        self.release(scope)
        binding = Binding(program.nodes, known)
        taken, numbers = program.bind(binding, spec.numbers)
        rows: dict[Tags, int] = {}
        problems = list(binding.problems)
        for key, row in binding.keys:
            tags = tuple(pair for pair in key if pair[0] in spec.group_by) if spec.group_by else key
            if rows.setdefault(tags, row) != row:
                problems.append(_collision(tags))
        members: dict[Tags, Member] = {}
        for tags, row in sorted(rows.items(), key=lambda item: item[0] not in existing):
            inputs = binding.inputs(row)
            most_inputs -= len(inputs)
            if most_inputs < 0:
                problems.insert(0, EXPLOSION)
                break
            members[tags] = Member(tags, int(numbers[row]), inputs, (inputs or [known[0].index])[0])
        used = {index for member in members.values() for index in member.inputs}
        readings, unused = spec.readings, (one for one in known if one.index not in used)
        spare = [one.index for one in unused if any(reading.matches(one) for reading in readings)]
        for index in spare:
            self.spare.add(index, profile)
        self._scopes[scope] = _Scope(program, taken, profile, spare)
        return list(members.values()), problems

    def release(self, scope: int) -> Sequence[int]:
        """Forgets what a scope is bound to, if it is. Gives the series that were spare."""
        bound = self._scopes.pop(scope, None)
        if bound is None:
            return ()
        bound.program.release(bound.taken)
        for index in bound.spare:
            self.spare.remove(index, bound.profile)
        return bound.spare

    def spare_of(self, scope: int) -> Sequence[int]:
        """The series that are kept for a scope without being used."""
        return self._scopes[scope].spare if scope in self._scopes else ()


EXPLOSION = (
    "its instances take too many inputs together, so that only the first ones are evaluated; join on more tags, group "
    "by fewer, or narrow the tags"
)


def _collision(tags: Tags) -> str:
    which = ", ".join(f"{name}={value!r}" for name, value in tags[:3]) or "no tags"
    return (
        f"several results of the condition have the same tags for this rule ({which}); only the first is evaluated. "
        "Group by more tags, or make one number of them, as `max by (host) (…)`"
    )
