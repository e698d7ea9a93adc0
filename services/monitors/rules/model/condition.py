"""A condition as a tree of values, the same whichever spelling it came in."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from monitors.mesh.patterns import matches_whole
from monitors.mesh.times import DAY, MINUTE, SECOND

LOOK_BACK = 5 * MINUTE
"""How old the newest point may be for `latest`, and the window of an aggregation that names none."""
LONGEST_WINDOW = 31 * DAY
SHORTEST_ABSENCE = SECOND
LONGEST_NAME = 1024


class Aggregation(StrEnum):
    """How the points of a window become one number; the value is its canonical spelling."""

    LATEST = "latest"
    FIRST = "first"
    AVERAGE = "avg"
    MINIMUM = "min"
    MAXIMUM = "max"
    SUM = "sum"
    COUNT = "count"
    MEDIAN = "median"
    QUANTILE = "quantile"
    """Which one is the input's `quantile`; its canonical spelling is `p95`."""
    STANDARD_DEVIATION = "stddev"
    SPREAD = "spread"
    RATE = "rate"
    INCREASE = "increase"
    DELTA = "delta"
    DERIVATIVE = "deriv"
    CHANGES = "changes"
    RESETS = "resets"


class Operator(StrEnum):
    """How two values are compared; the value is its canonical spelling."""

    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    EQUAL = "=="
    NOT_EQUAL = "!="
    IN = "in"
    """One of several texts."""


class JunctionOperator(StrEnum):
    """How conditions are joined; the value is its canonical spelling."""

    AND = "and"
    OR = "or"
    UNLESS = "unless"
    """The first holds and the second doesn't."""


class ArithmeticOperator(StrEnum):
    """What is computed of two numbers; the value is its canonical spelling."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"


class Season(StrEnum):
    """Which part of the past is comparable; the value is its canonical spelling."""

    NONE = ""
    DAILY = "daily"
    """The same hour of other days."""
    WEEKLY = "weekly"
    """The same hour and weekday of other weeks."""


class TagOperator(StrEnum):
    """How a tag is matched; the value is its canonical spelling."""

    EQUAL = "="
    NOT_EQUAL = "!="
    MATCH = "=~"
    NOT_MATCH = "!~"


@dataclass(frozen=True, slots=True)
class TagFilter:
    """A tag's value against a text, or a regular expression that it must match as a whole. A missing tag is empty."""

    tag: str
    operator: TagOperator
    value: str

    @property
    def is_pattern(self) -> bool:
        """Whether the value is a regular expression."""
        return self.operator in (TagOperator.MATCH, TagOperator.NOT_MATCH)

    def passes(self, tags: Mapping[str, str]) -> bool:
        """Whether something with these tags is meant."""
        seen = tags.get(self.tag, "")
        found = matches_whole(self.value, seen) if self.is_pattern else seen == self.value
        return found is (self.operator in (TagOperator.EQUAL, TagOperator.MATCH))


@dataclass(frozen=True, slots=True)
class Target:
    """A field of the rule's monitor. `measurement` is empty while it isn't known or needn't be."""

    field: str
    measurement: str = ""
    filters: tuple[TagFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True, slots=True)
class Input:
    """A field aggregated over the closed window [t − offset − window, t − offset]; times in nanoseconds."""

    target: Target
    aggregation: Aggregation = Aggregation.LATEST
    window: int = LOOK_BACK
    offset: int = 0
    quantile: float = 0.0
    """With QUANTILE: which one, greater than 0 and less than 1."""

    @property
    def is_bare(self) -> bool:
        """Whether it's the newest value, as a field's name and nothing more says it."""
        return self == Input(self.target)


@dataclass(frozen=True, slots=True)
class Change:
    """A value less what it was `since` nanoseconds ago, or with `percent` that in percent of the older one's size."""

    input: Input
    since: int
    percent: bool = False


@dataclass(frozen=True, slots=True)
class Age:
    """How many seconds ago the time is that a field holds, in seconds since 1970."""

    input: Input


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where the line through a window's points will be; all times in nanoseconds. The window ends `offset` ago."""

    target: Target
    window: int
    ahead: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Anomaly:
    """How unusual a value is: its robust z-score against the same series' own `past`, in nanoseconds."""

    input: Input
    past: int
    season: Season = Season.NONE


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two expressions joined on equal tags, those of `on` or all that both sides have, and computed."""

    left: "Expression"
    operator: ArithmeticOperator
    right: "Expression"
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupAggregate:
    """One number of the series of each group: of those with equal tags `by`, or all tags but `without`. If both are
    empty, all series are one group."""

    aggregation: Aggregation
    expression: "Expression"
    by: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    quantile: float = 0.0


Expression = Number | Input | Change | Age | Forecast | Anomaly | Arithmetic | GroupAggregate

GROUPINGS = (
    Aggregation.AVERAGE, Aggregation.MINIMUM, Aggregation.MAXIMUM, Aggregation.SUM, Aggregation.COUNT,
    Aggregation.MEDIAN, Aggregation.QUANTILE, Aggregation.STANDARD_DEVIATION,
)  # fmt: skip
"""What can make one number of many series."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Against a number or another expression. `tolerance` belongs to EQUAL and NOT_EQUAL."""

    operator: Operator
    right: Expression
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Range:
    """Inside or outside of two bounds, both of which belong to the inside."""

    low: float
    high: float
    outside: bool


@dataclass(frozen=True, slots=True)
class TextTest:
    """Against one text (EQUAL, NOT_EQUAL) or several (IN)."""

    operator: Operator
    texts: tuple[str, ...]


Test = Threshold | Range | TextTest


@dataclass(frozen=True, slots=True)
class Occurrence:
    """How many of a window's points must pass the test, one by one: `at_least` (0: all) of the `of_last` newest (0: of
    all)."""

    at_least: int = 0
    of_last: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """A value that is put to a test. With `recover` an alert ends only once that other test holds."""

    left: Expression
    test: Test
    recover: Test | None = None
    occurrence: Occurrence | None = None


Tags = tuple[tuple[str, str], ...]
"""Tag names and values, sorted."""


@dataclass(frozen=True, slots=True)
class Absence:
    """No point for longer than `duration` nanoseconds; without a target: no point of any field of the monitor. The
    tag sets in `expected` must report even if they were never seen."""

    duration: int
    target: Target | None = None
    expected: tuple[Tags, ...] = ()


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined on equal tags, those of `on` or all that both sides have: at least two, for UNLESS exactly
    two."""

    operator: JunctionOperator
    conditions: tuple["Condition", ...]
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Negation:
    """The opposite of a condition."""

    condition: "Condition"


Condition = Comparison | Absence | Junction | Negation
