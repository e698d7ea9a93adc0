"""What is read of one field: which series are meant, and what is computed of each one's points."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from monitors.evaluator.model.series import FieldType, Series
from monitors.mesh.patterns import matches_whole
from monitors.mesh.times import MINUTE, SECOND

LOOK_BACK = 5 * MINUTE
"""How old the newest point may be for `latest` unless the rule says otherwise (T3)."""
LATENESS = 30 * SECOND
"""How much later than others a point may come and still be evaluated exactly as if it had come in time."""

Tags = tuple[tuple[str, str], ...]


class Aggregation(IntEnum):
    """How the points of a window become one number; the numbers are those of monitors.v1.Aggregation.

    A point that isn't a number takes no part, but in COUNT, which counts it, and LATEST and FIRST, which don't reach
    past it: their value is then unknown. A counter's increase is the sum of its rises, where a fall is a start from 0;
    its rate is that by the seconds between the first and the last point: nothing is added for the window's edges.
    """

    LATEST = 1
    FIRST = 2
    AVERAGE = 3
    MINIMUM = 4
    MAXIMUM = 5
    SUM = 6
    COUNT = 7
    MEDIAN = 8
    QUANTILE = 9
    STANDARD_DEVIATION = 10
    SPREAD = 11
    RATE = 12
    INCREASE = 13
    DELTA = 14
    DERIVATIVE = 15
    CHANGES = 16
    RESETS = 17
    FORECAST = 100
    """Where the regression line is some time after the window's end. Not an aggregation of the contract, but a kind of
    expression."""


class Function(IntEnum):
    """What is made of the aggregate."""

    VALUE = 0
    CHANGE = 1
    """Less what it was some time ago."""
    PERCENT_CHANGE = 2
    """The same in percent of the size of the older value; unknown if that was 0."""
    AGE = 3
    """How many seconds ago the time is that it holds, in seconds since 1970."""
    ANOMALY = 4
    """How far from what it usually is, as a robust z-score against the same series' own past."""


class Season(IntEnum):
    """Which part of the past is comparable; the numbers are those of monitors.v1.Season."""

    NONE = 0
    DAILY = 1
    """The same hour (UTC) of other days."""
    WEEKLY = 2
    """The same hour and weekday of other weeks."""

    @property
    def hours(self) -> int:
        """After how many hours it comes again; 0 if it doesn't."""
        return {Season.NONE: 0, Season.DAILY: 24, Season.WEEKLY: 168}[self]


class Occurrence(NamedTuple):
    """How many points of a window must compare true, instead of an aggregate of them.

    Of the `of_last` newest numbers, or with 0 of all of them, `at_least` so many, or with 0 all.
    """

    at_least: int = 0
    of_last: int = 0


@dataclass(frozen=True, slots=True)
class TagFilter:
    """A tag's value must be, or with `negated` mustn't be, `value`, or with `pattern` match that regular expression.

    A missing tag equals the empty text.
    """

    tag: str
    value: str
    negated: bool = False
    pattern: bool = False

    def passes(self, tags: Mapping[str, str]) -> bool:
        """Whether a series with these tags is meant."""
        seen = tags.get(self.tag, "")
        found = matches_whole(self.value, seen) if self.pattern else seen == self.value
        return found is not self.negated


class Term(NamedTuple):
    """What is computed of one series at an instant, see Reading."""

    function: Function = Function.VALUE
    aggregation: Aggregation = Aggregation.LATEST
    window: int = LOOK_BACK
    offset: int = 0
    quantile: float = 0.0
    ahead: int = 0
    since: int = 0
    season: Season = Season.NONE
    occurrence: Occurrence | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One field of the series that are meant, and what is computed of each one's points. Durations are nanoseconds.

    An empty `measurement` is any, and so is an empty `field`, which may be qualified by its measurement: `mem.used`.
    With `occurrence` the window's points are compared one by one, and the value is the newest of them.
    """

    measurement: str = ""
    field: str = ""
    filters: tuple[TagFilter, ...] = ()
    of_text: bool = False
    """Whether it's texts that are read, as their codes."""
    function: Function = Function.VALUE
    aggregation: Aggregation = Aggregation.LATEST
    window: int = LOOK_BACK
    offset: int = 0
    """How long before the instant the window ends."""
    quantile: float = 0.0
    ahead: int = 0
    """With FORECAST: how far after the window's end."""
    since: int = 0
    """With CHANGE: how long ago the older value was. With ANOMALY: how much past it is compared with."""
    season: Season = Season.NONE
    occurrence: Occurrence | None = None

    @property
    def term(self) -> Term:
        """What is computed, of whichever field."""
        return Term(
            self.function, self.aggregation, self.window, self.offset, self.quantile, self.ahead, self.since,
            self.season, self.occurrence,
        )  # fmt: skip

    @property
    def reach_back(self) -> int:
        """How far before the window there is something else that matters."""
        return 0 if self.function in (Function.VALUE, Function.AGE) else self.since

    @property
    def span(self) -> int:
        """How far before now points matter, which is how far a window is back-filled."""
        return self.window + self.offset + self.reach_back

    @property
    def retention(self) -> int:
        """How far behind a series' newest point its window must reach, beyond the one point that came before that.

        An evaluation may be late by the allowance, of another series that asks whether this one reported then.
        """
        # The newest point is there, however old it is.
        alone = self.aggregation is Aggregation.LATEST and self.occurrence is None
        return self.offset + self.reach_back + LATENESS + (0 if alone else self.window)

    @property
    def counts(self) -> bool:
        """Whether it asks only that points came or changed, whatever they hold."""
        return self.aggregation in (Aggregation.COUNT, Aggregation.CHANGES) and self.occurrence is None

    def matches(self, series: Series) -> bool:
        """Whether a series is meant, by its measurement, field, tags and type."""
        if self.of_text is not (series.type == FieldType.STRING) and not self.counts:
            return False
        key = series.key
        if self.measurement and key.measurement != self.measurement:
            return False
        qualified = not self.measurement and f"{key.measurement}.{key.field}" == self.field
        if self.field and key.field != self.field and not qualified:
            return False
        if not self.filters:
            return True
        tags = dict(key.tags)
        return all(one.passes(tags) for one in self.filters)
