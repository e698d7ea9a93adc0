"""What a rule reads, and what it would have done, as structured data."""

from typing import ClassVar

from monitors.bridge.output import Output, Value


class Series(Output):
    """A series that a rule's condition reads now."""

    monitor: str
    field: str
    tags: dict[str, str] | None = None
    last_value: Value | None = None
    last_time: str | None = None


class FiringInterval(Output):
    """A time in which a rule would have fired; `ended` is left out while it still would."""

    monitor: str
    group: dict[str, str] | None = None
    fired: str
    ended: str | None = None
    value: Value | None = None


class ThresholdSuggestion(Output):
    """A threshold, and about how many alerts a day it would have given."""

    threshold: Value
    alerts_per_day: float


class Curve(Output):
    """What the condition of one instance compared, in at most 24 steps of equal length, oldest first."""

    kept: ClassVar[tuple[str, ...]] = ("values",)

    monitor: str
    group: dict[str, str] | None = None
    start: str
    end: str
    least: Value
    greatest: Value
    sparkline: str
    """A character a step, from the least value to the greatest; a dot where nothing is known."""
    values: list[Value | None]
    """Of each step the value that is farthest from the median, to four digits; null where nothing is known."""


class Backtest(Output):
    """What a rule would have done."""

    oldest_first: ClassVar[tuple[str, ...]] = ("intervals",)

    window: str
    alerts: int
    alerts_per_day: float | None = None
    """Left out where there were none, or less than a day's data, which says nothing about a day."""
    firing_total: str
    firing_longest: str
    unit: str | None = None
    """What all values and thresholds are in, if that isn't the field's own unit."""
    value_now: Value | None = None
    intervals: list[FiringInterval]
    """The latest ones, oldest first."""
    suggestions: list[ThresholdSuggestion] | None = None
    curves: list[Curve] | None = None
    """Of the first instances, those that fired first; there are none for texts."""
    warnings: list[str] | None = None
