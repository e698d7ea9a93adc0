"""What a text says before its clauses are put together."""

from dataclasses import dataclass

from monitors.rules.conditions.amounts import StatedTest
from monitors.rules.model.condition import Condition


@dataclass(frozen=True)
class Sentence:
    """A condition and what follows it: for how many nanoseconds it must hold, and when it recovers."""

    condition: Condition
    durations: tuple[int, ...] = ()
    recoveries: tuple[StatedTest, ...] = ()
