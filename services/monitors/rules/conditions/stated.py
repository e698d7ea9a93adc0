"""What a spelling of a condition states."""

from dataclasses import dataclass

from monitors.rules.model.condition import Condition


@dataclass(frozen=True, slots=True)
class Stated:
    """A condition and, if it was said along with it, for how many nanoseconds it must hold."""

    condition: Condition
    for_duration: int | None = None
