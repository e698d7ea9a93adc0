"""What a rule asks for, as the evaluator needs it."""

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from hashlib import blake2b
from operator import attrgetter
from typing import NamedTuple

from monitors.evaluator.model.bounds import Bounds, Operator, bounds
from monitors.evaluator.model.formula import Formula, expects, readings_of, retention_of, span_of, waits
from monitors.evaluator.model.reading import (
    LATENESS,
    LOOK_BACK,
    Aggregation,
    Function,
    Occurrence,
    Reading,
    Season,
    TagFilter,
    Tags,
)
from monitors.evaluator.model.series import Series, SeriesKey
from monitors.mesh.patterns import matches_stars
from monitors.mesh.times import SECOND


class ConditionKind(IntEnum):
    """What a rule looks at."""

    THRESHOLD = 0
    RANGE = 1
    ABSENCE = 2
    FORMULA = 3
    """What a formula says of several inputs."""


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


class Level(NamedTuple):
    """A severity with the bounds that enter it. It's left downwards only once `reset` holds, if there is one."""

    severity: Severity
    bounds: Bounds
    reset: Bounds | None = None


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
    """With CHANGE: how long ago the older value was. With ANOMALY: how much past it is compared with."""
    season: Season = Season.NONE
    operator: Operator = Operator.GREATER
    low: float = 0.0
    high: float = 0.0
    outside: bool = False
    tolerance: float = 0.0
    of_text: bool = False
    """Whether it compares texts. Its bounds are then of their codes, which are equal or not and mean nothing else."""
    texts: tuple[str, ...] = ()
    """The texts that it compares with, for words about it."""
    recover: Bounds | None = None
    occurrence: Occurrence | None = None
    formula: Formula | None = None
    """What is compared, or with FORMULA what must hold, if that takes several inputs; the fields above say nothing."""
    numbers: tuple[float, ...] = ()
    """What is in the slots of the formula."""
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
        """What rules that differ only in their identity, plain monitor and numbers have in common."""
        return (self.monitor if self.is_pattern else "", *_shape(self))

    @property
    def template(self) -> "RuleSpec":
        """A rule of the same shape that has nothing else."""
        monitor = self.monitor if self.is_pattern else ""
        return replace(self, rule_id="", monitor=monitor, revision=0, low=0.0, high=0.0, numbers=(), texts=())

    @property
    def reading(self) -> Reading:
        """What a rule without a formula reads. For absence all points count, whatever they hold."""
        if self.kind is ConditionKind.ABSENCE:
            return Reading(self.measurement, self.field, self.filters, aggregation=Aggregation.COUNT)
        return Reading(
            self.measurement, self.field, self.filters, self.of_text, self.function, self.aggregation, self.window,
            self.offset, self.quantile, self.ahead, self.since, self.season, self.occurrence,
        )  # fmt: skip

    @property
    def readings(self) -> tuple[Reading, ...]:
        """All that the rule reads."""
        return (self.reading,) if self.formula is None else tuple(readings_of(self.formula))

    @property
    def waits(self) -> bool:
        """Whether the condition may change with the passing of time alone."""
        return self.kind is ConditionKind.ABSENCE if self.formula is None else waits(self.formula)

    @property
    def retention(self) -> int:
        """How far behind its newest point the window of a series must reach, beyond the one point before that."""
        if self.formula is not None:
            return retention_of(self.formula)
        return LATENESS if self.kind is ConditionKind.ABSENCE else self.reading.retention

    @property
    def span(self) -> int:
        """How far before now points matter, which is how far a window is back-filled."""
        if self.formula is not None:
            return span_of(self.formula)
        return self.absent_for if self.kind is ConditionKind.ABSENCE else self.reading.span

    def matches_monitor(self, monitor: str) -> bool:
        """Whether the rule watches that monitor."""
        return matches_stars(monitor, self.monitor)

    def matches(self, series: Series) -> bool:
        """Whether a series is an input of the rule. A field may be qualified by its measurement: `mem.used`."""
        key = series.key
        return key.tenant == self.tenant and self.matches_monitor(key.monitor) and self.matches_input(series)

    def matches_input(self, series: Series) -> bool:
        """Whether a series of a monitor that the rule watches makes it look at that monitor: its inputs do, or any one
        does if it expects some that may never come."""
        return self.reads(series) or (self.formula is not None and expects(self.formula))

    def reads(self, series: Series) -> bool:
        """Whether a series of a monitor that the rule watches is an input of it."""
        return any(reading.matches(series) for reading in self.readings)

    def instance_tags(self, key: SeriesKey) -> Tags:
        """The tags of the instance that a series belongs to. Absence of any field is one instance per monitor."""
        if self.group_by:
            return tuple(pair for pair in key.tags if pair[0] in self.group_by)
        return () if self.kind is ConditionKind.ABSENCE and not self.field else key.tags


_OWN = {"rule_id", "monitor", "revision", "low", "high", "numbers", "texts"}
_shape = attrgetter(*(field.name for field in fields(RuleSpec) if field.name not in _OWN))
