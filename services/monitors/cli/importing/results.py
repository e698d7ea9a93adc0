"""What became of a row of the first product."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Outcome(StrEnum):
    """What became of a row."""

    TAKEN_OVER = "taken over"
    THERE = "already there"
    LEFT = "left"
    STILL_OPEN = "still open"
    """An alert that isn't over there: there is nothing to mend, it just isn't history yet."""


@dataclass(frozen=True)
class Result(Generic[T]):
    """What became of a row, and why. `new_id` is that of the rule or alert here, empty if there is none."""

    old: T
    outcome: Outcome
    new_id: str = ""
    reason: str = ""
    warnings: tuple[str, ...] = ()
