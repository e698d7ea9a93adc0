"""A condition as a tree of values, the same whichever spelling it came in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
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
    """How two numbers are compared; the value is its canonical spelling."""

    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    EQUAL = "=="
    NOT_EQUAL = "!="


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
class Input:
    """A field aggregated over the closed window [t − offset − window, t − offset]; times in nanoseconds."""

    target: Target
    aggregation: Aggregation = Aggregation.LATEST
    window: int = LOOK_BACK
    offset: int = 0
    quantile: float = 0.0
    """With QUANTILE: which one, greater than 0 and less than 1."""


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
    """Where the line through a window's points will be; `window` and `ahead` in nanoseconds."""

    target: Target
    window: int
    ahead: int


Expression = Input | Change | Age | Forecast


@dataclass(frozen=True, slots=True)
class Threshold:
    """Against a number. `tolerance` belongs to EQUAL and NOT_EQUAL."""

    operator: Operator
    value: float
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Range:
    """Inside or outside of two bounds, both of which belong to the inside."""

    low: float
    high: float
    outside: bool


Test = Threshold | Range


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


@dataclass(frozen=True, slots=True)
class Absence:
    """No point for longer than `duration` nanoseconds; without a target: no point of any field of the monitor."""

    duration: int
    target: Target | None = None


Condition = Comparison | Absence


def target_of(expression: Expression) -> Target:
    """The field that an expression looks at."""
    match expression:
        case Change(input=given) | Age(input=given):
            return given.target
        case Input(target=target) | Forecast(target=target):
            return target


def aggregated(condition: Condition) -> Input | None:
    """What a condition aggregates over a window, None if nothing."""
    left = condition.left if isinstance(condition, Comparison) else None
    return left.input if isinstance(left, Change | Age) else left if isinstance(left, Input) else None


def targets_of(condition: Condition) -> Iterator[Target]:
    """The fields that a condition looks at; none if it's any field."""
    if isinstance(condition, Comparison):
        yield target_of(condition.left)
    elif condition.target is not None:
        yield condition.target


def with_targets(condition: Condition, change: Callable[[Target], Target]) -> Condition:
    """The condition with each of its targets changed."""
    if isinstance(condition, Comparison):
        return replace(condition, left=_with_target(condition.left, change))
    return replace(condition, target=change(condition.target)) if condition.target else condition


def _with_target(expression: Expression, change: Callable[[Target], Target]) -> Expression:
    match expression:
        case Change(input=given) | Age(input=given):
            return replace(expression, input=replace(given, target=change(given.target)))
        case Input() | Forecast():
            return replace(expression, target=change(expression.target))
