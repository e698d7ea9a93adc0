"""What all answers have in common as structured data."""

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

Value = int | float | str
"""A measured value; `Infinity`, `-Infinity` and `NaN` are texts, since JSON has no such numbers."""


class Output(BaseModel):
    """What isn't set is left out."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    kept: ClassVar[tuple[str, ...]] = ()
    """The lists and objects of which nothing is left out to keep an answer short."""
    kept_longest: ClassVar[tuple[str, ...]] = ()
    """Those of which something is left out only when nothing else is left."""
    oldest_first: ClassVar[tuple[str, ...]] = ()
    """The lists of which the first entries are left out."""

    def structured(self) -> dict[str, Any]:
        """As it goes over the wire."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Answer(Output):
    """What a tool answers."""

    narrower: ClassVar[str] = ""
    """How to ask for what was left out."""

    note: str | None = None

    def add_note(self, sentence: str) -> None:
        """Says something more."""
        self.note = f"{self.note} {sentence}" if self.note else sentence


class Page(Answer):
    """An answer with rows in pages."""

    def rows(self) -> Sequence[Output]:
        """The rows of this page."""
        return [one for name in self.kept for one in getattr(self, name)]
