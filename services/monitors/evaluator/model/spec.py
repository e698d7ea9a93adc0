"""What a rule asks for, as the evaluator needs it."""

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

from monitors.evaluator.model.series import SeriesKey
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

    A point that isn't a number doesn't take part in AVERAGE, MINIMUM, MAXIMUM and SUM. LATEST doesn't reach back past
    it: its value is then unknown. COUNT counts every point, whatever it holds.
    """

    LATEST = 1
    AVERAGE = 3
    MINIMUM = 4
    MAXIMUM = 5
    SUM = 6
    COUNT = 7


class MissingPolicy(IntEnum):
    """What an unknown condition is taken for; the numbers are those of monitors.v1.MissingPolicy."""

    OK = 1
    ALERT = 2
    KEEP = 3
    RESOLVE = 4


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


@dataclass(frozen=True)
class TagFilter:
    """A tag's value must be, or with `negated` mustn't be, `value`. A missing tag equals the empty text."""

    tag: str
    value: str
    negated: bool = False


@dataclass(frozen=True)
class RuleSpec:
    """A rule, ready for evaluation. Durations are nanoseconds.

    `monitor` may hold `*` for any run of characters. An empty `measurement` is any; an empty `field` (absence only)
    is any. `low` is the threshold, or with RANGE the lower bound; both bounds belong to the inside.
    """

    tenant: str
    rule_id: str
    monitor: str
    kind: ConditionKind
    revision: int = 0
    measurement: str = ""
    field: str = ""
    filters: tuple[TagFilter, ...] = ()
    aggregation: Aggregation = Aggregation.LATEST
    window: int = LOOK_BACK
    operator: Operator = Operator.GREATER
    low: float = 0.0
    high: float = 0.0
    outside: bool = False
    tolerance: float = 0.0
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

    @cached_property
    def _monitor_expression(self) -> re.Pattern[str]:
        return re.compile(".*".join(re.escape(part) for part in self.monitor.split("*")), re.DOTALL)

    @property
    def retention(self) -> int:
        """How far behind a series' newest point its window must reach, beyond the one point that came before that.

        An evaluation may be late by the allowance, of another series that asks whether this one reported then.
        """
        alone = self.kind is ConditionKind.ABSENCE or self.aggregation is Aggregation.LATEST
        return LATENESS if alone else self.window + LATENESS

    @property
    def span(self) -> int:
        """How far before now points matter, which is how far a window is back-filled."""
        return self.absent_for if self.kind is ConditionKind.ABSENCE else self.window

    def matches_monitor(self, monitor: str) -> bool:
        """Whether the rule watches that monitor."""
        if self.is_pattern:
            return self._monitor_expression.fullmatch(monitor) is not None
        return monitor == self.monitor

    def matches(self, key: SeriesKey) -> bool:
        """Whether a series is an input of the rule. A field may be qualified by its measurement: `mem.used`."""
        if key.tenant != self.tenant or not self.matches_monitor(key.monitor):
            return False
        if self.measurement and key.measurement != self.measurement:
            return False
        qualified = not self.measurement and f"{key.measurement}.{key.field}" == self.field
        if self.field and key.field != self.field and not qualified:
            return False
        if not self.filters:
            return True
        tags = dict(key.tags)
        return all((tags.get(one.tag, "") == one.value) is not one.negated for one in self.filters)

    def instance_tags(self, key: SeriesKey) -> Tags:
        """The tags of the instance that a series belongs to. Absence of any field is one instance per monitor."""
        if self.group_by:
            return tuple(pair for pair in key.tags if pair[0] in self.group_by)
        return () if self.kind is ConditionKind.ABSENCE and not self.field else key.tags
