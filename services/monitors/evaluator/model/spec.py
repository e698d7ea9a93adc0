"""What a rule asks for, as the evaluator needs it."""

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import NamedTuple

from monitors.evaluator.model.series import SeriesKey
from monitors.mesh.patterns import matches_whole
from monitors.mesh.times import MINUTE, SECOND

LOOK_BACK = 5 * MINUTE
"""How old the newest point may be for `latest` unless the rule says otherwise (T3)."""
LATENESS = 30 * SECOND
"""How much later than others a point may come and still be evaluated exactly as if it had come in time."""

Tags = tuple[tuple[str, str], ...]


class ConditionKind(IntEnum):
    """What a rule looks at."""

    THRESHOLD = 0
    RANGE = 1
    ABSENCE = 2


class Operator(IntEnum):
    """How a value is compared with the threshold; the numbers are those of monitors.v1.ComparisonOperator."""

    GREATER = 1
    GREATER_OR_EQUAL = 2
    LESS = 3
    LESS_OR_EQUAL = 4
    EQUAL = 5
    NOT_EQUAL = 6


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


class MissingPolicy(IntEnum):
    """What an unknown condition is taken for; the numbers are those of monitors.v1.MissingPolicy."""

    OK = 1
    ALERT = 2
    KEEP = 3
    RESOLVE = 4


class Severity(IntEnum):
    """How bad an alert is; the numbers are those of monitors.v1.Severity."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class Occurrence(NamedTuple):
    """How many points of a window must compare true, instead of an aggregate of them.

    Of the `of_last` newest numbers, or with 0 of all of them, `at_least` so many, or with 0 all.
    """

    at_least: int = 0
    of_last: int = 0


class RuleKey(NamedTuple):
    """What identifies a rule."""

    tenant: str
    rule_id: str


class InstanceKey(NamedTuple):
    """What identifies an instance of a rule. `tags` are sorted by name."""

    tenant: str
    rule_id: str
    monitor: str
    tags: Tags

    def fingerprint(self, revision: int) -> int:
        """64 bits of a hash of it in a revision of its rule, the same everywhere and always; never 0."""
        text = "\0".join(
            (str(revision), self.tenant, self.rule_id, self.monitor, *(part for tag in self.tags for part in tag))
        )
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little", signed=True) or 1


class Bounds(NamedTuple):
    """What a value is compared with: true from `low` to `high`, both included, or with `outside` everywhere else.

    Every comparison with numbers can be said like this, exactly, so that all rules are compared in the same way.
    """

    low: float
    high: float
    outside: bool = False

    def hold(self, value: float) -> bool:
        """Whether it's true of a number."""
        return (self.low <= value <= self.high) is not self.outside


def bounds(operator: Operator, threshold: float, tolerance: float = 0.0) -> Bounds:
    """The bounds of a comparison with a finite threshold. The tolerance counts for EQUAL and NOT_EQUAL."""
    match operator:
        case Operator.GREATER:
            return Bounds(math.nextafter(threshold, math.inf), math.inf)
        case Operator.GREATER_OR_EQUAL:
            return Bounds(threshold, math.inf)
        case Operator.LESS:
            return Bounds(-math.inf, math.nextafter(threshold, -math.inf))
        case Operator.LESS_OR_EQUAL:
            return Bounds(-math.inf, threshold)
    outside = operator is Operator.NOT_EQUAL
    if not tolerance:
        return Bounds(threshold, threshold, outside)
    # Downwards is upwards, seen in a mirror.
    return Bounds(-_farthest(-threshold, tolerance), _farthest(threshold, tolerance), outside)


def _farthest(threshold: float, tolerance: float) -> float:
    """The greatest number whose difference from the threshold, as it is rounded, is within the tolerance."""
    near, far = _rank(threshold), _rank(math.inf)
    while far - near > 1:
        middle = (near + far) // 2
        if _of_rank(middle) - threshold <= tolerance:
            near = middle
        else:
            far = middle
    return _of_rank(near)


def _rank(number: float) -> int:
    """The place of a double in the order of all doubles, 0 for zero."""
    bits = int.from_bytes(struct.pack(">d", abs(number)))
    return bits if number > 0 else -bits


def _of_rank(rank: int) -> float:
    (number,) = struct.unpack(">d", abs(rank).to_bytes(8))
    return float(math.copysign(number, rank))


class Level(NamedTuple):
    """A severity with the bounds that enter it. It's left downwards only once `reset` holds, if there is one."""

    severity: Severity
    bounds: Bounds
    reset: Bounds | None = None


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


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A rule, ready for evaluation. Durations are nanoseconds.

    `monitor` may hold `*` for any run of characters. An empty `measurement` is any; an empty `field` (absence only)
    is any. `low` is the threshold, or with RANGE the lower bound; both bounds belong to the inside. With `recover` a
    firing alert ends only once those bounds hold. With `occurrence` the window's points are compared one by one, and
    the value is the newest of them. `levels` are further severities, distinct and without that of the condition itself,
    which is `severity` then, and whose reset is `recover`.
    """

    tenant: str
    rule_id: str
    monitor: str
    kind: ConditionKind
    revision: int = 0
    measurement: str = ""
    field: str = ""
    filters: tuple[TagFilter, ...] = ()
    function: Function = Function.VALUE
    aggregation: Aggregation = Aggregation.LATEST
    window: int = LOOK_BACK
    offset: int = 0
    """How long before the instant the window ends."""
    quantile: float = 0.0
    ahead: int = 0
    """With FORECAST: how far after the window's end."""
    since: int = 0
    """With CHANGE: how long ago the older value was."""
    operator: Operator = Operator.GREATER
    low: float = 0.0
    high: float = 0.0
    outside: bool = False
    tolerance: float = 0.0
    recover: Bounds | None = None
    occurrence: Occurrence | None = None
    severity: Severity | None = None
    """With levels: the condition's own. What has no levels needs none."""
    levels: tuple[Level, ...] = ()
    absent_for: int = 0
    """With ABSENCE: true once the newest point is older than this."""
    for_duration: int = 0
    keep_firing_for: int = 0
    interval: int = 30 * SECOND
    no_data: MissingPolicy = MissingPolicy.KEEP
    missing_series: MissingPolicy = MissingPolicy.RESOLVE
    every_point: bool = True
    """False: evaluated at multiples of the interval only."""
    group_by: tuple[str, ...] = ()
    """The tags that make an instance; none means all."""

    @property
    def key(self) -> RuleKey:
        """What identifies the rule."""
        return RuleKey(self.tenant, self.rule_id)

    @property
    def is_pattern(self) -> bool:
        """Whether it may name several monitors."""
        return "*" in self.monitor

    def bounds(self, low: float, high: float) -> Bounds:
        """What the value is compared with by a rule like this one that has these thresholds."""
        if self.kind is ConditionKind.RANGE:
            return Bounds(low, high, self.outside)
        return bounds(self.operator, low, self.tolerance)

    @property
    def shape(self) -> tuple[object, ...]:
        """What rules that differ only in their identity, plain monitor and threshold have in common."""
        return (self.monitor if self.is_pattern else "", *_shape(self))

    @property
    def template(self) -> "RuleSpec":
        """A rule of the same shape that has nothing else."""
        monitor = self.monitor if self.is_pattern else ""
        return replace(self, rule_id="", monitor=monitor, revision=0, low=0.0, high=0.0)

    @property
    def retention(self) -> int:
        """How far behind a series' newest point its window must reach, beyond the one point that came before that.

        An evaluation may be late by the allowance, of another series that asks whether this one reported then.
        """
        if self.kind is ConditionKind.ABSENCE:
            return LATENESS
        # The newest point is there, however old it is.
        alone = self.aggregation is Aggregation.LATEST and self.occurrence is None
        return self.offset + self.reach_back + LATENESS + (0 if alone else self.window)

    @property
    def span(self) -> int:
        """How far before now points matter, which is how far a window is back-filled."""
        return self.absent_for if self.kind is ConditionKind.ABSENCE else self.window + self.offset + self.reach_back

    @property
    def reach_back(self) -> int:
        """How far before the window there is another one."""
        return self.since if self.function in (Function.CHANGE, Function.PERCENT_CHANGE) else 0

    def matches_monitor(self, monitor: str) -> bool:
        """Whether the rule watches that monitor."""
        if self.is_pattern:
            return _expression(self.monitor).fullmatch(monitor) is not None
        return monitor == self.monitor

    def matches(self, key: SeriesKey) -> bool:
        """Whether a series is an input of the rule. A field may be qualified by its measurement: `mem.used`."""
        return key.tenant == self.tenant and self.matches_monitor(key.monitor) and self.matches_input(key)

    def matches_input(self, key: SeriesKey) -> bool:
        """Whether a series of a monitor that the rule watches is an input of it."""
        if self.measurement and key.measurement != self.measurement:
            return False
        qualified = not self.measurement and f"{key.measurement}.{key.field}" == self.field
        if self.field and key.field != self.field and not qualified:
            return False
        if not self.filters:
            return True
        tags = dict(key.tags)
        return all(one.passes(tags) for one in self.filters)

    def instance_tags(self, key: SeriesKey) -> Tags:
        """The tags of the instance that a series belongs to. Absence of any field is one instance per monitor."""
        if self.group_by:
            return tuple(pair for pair in key.tags if pair[0] in self.group_by)
        return () if self.kind is ConditionKind.ABSENCE and not self.field else key.tags


@lru_cache(maxsize=4_096)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


_shape = attrgetter(
    *(field.name for field in fields(RuleSpec) if field.name not in {"rule_id", "monitor", "revision", "low", "high"})
)
