"""Which instances the rules have on the known series, as columns: one entry for each instance."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Columns, Layout, Links, Places
from monitors.evaluator.model.series import Floats, Int32s, Int64s, Series, SeriesKey
from monitors.evaluator.model.spec import Aggregation, ConditionKind, InstanceKey, RuleKey, RuleSpec, TagFilter, Tags

# What tells rows apart: a series, or for absence the group of series whose newest point counts. With its inputs
# changed a rule gets other groups, so that no point of a former input is left in them.
RowKey = int | tuple[RuleKey, str, str, tuple[TagFilter, ...], str, Tags]


class Instances(Columns):
    """What each instance is evaluated by. Times are nanoseconds."""

    row: Places
    scope: Places
    kind: Int32s
    operator: Int32s
    aggregation: Int32s
    window: Int64s
    low: Floats
    high: Floats
    outside: Booleans
    tolerance: Floats
    absent_for: Int64s
    for_duration: Int64s
    keep_firing_for: Int64s
    interval: Int64s
    no_data: Int32s
    missing_series: Int32s
    every_point: Booleans
    live: Booleans

    LAYOUT: ClassVar[Layout] = {
        "row": (np.intp, -1),
        "scope": (np.intp, -1),
        "kind": (np.int32, ConditionKind.THRESHOLD),
        "operator": (np.int32, 0),
        "aggregation": (np.int32, Aggregation.LATEST),
        "window": (np.int64, 0),
        "low": (np.float64, 0.0),
        "high": (np.float64, 0.0),
        "outside": (np.bool_, False),
        "tolerance": (np.float64, 0.0),
        "absent_for": (np.int64, 0),
        "for_duration": (np.int64, 0),
        "keep_firing_for": (np.int64, 0),
        "interval": (np.int64, 0),
        "no_data": (np.int32, 0),
        "missing_series": (np.int32, 0),
        "every_point": (np.bool_, True),
        "live": (np.bool_, False),
    }


@dataclass
class PlanChange:
    """What a change of the plan did: places of instances, and rows of the window."""

    created: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    rows: set[int] = field(default_factory=set)
    """Rows that are used now and may be new, or reach further back than before."""
    dropped_rows: list[int] = field(default_factory=list)


@dataclass
class _Rule:
    spec: RuleSpec
    instances: dict[tuple[str, Tags], int] = field(default_factory=dict)
    scopes: dict[str, int] = field(default_factory=dict)


class Plan:
    """Rules × series → instances. Every change touches only the rules and series that it names.

    An instance is (rule, monitor, tags) and keeps its place for as long as its rule, in whatever definition, produces
    it. A freed place is used again once `free` was called for it. A scope is one rule on one monitor: the series among
    which "one is missing while others report" is told from "none reports".
    """

    def __init__(self) -> None:
        self.instances = Instances()
        self.keys: list[InstanceKey | None] = []
        self.rules: dict[RuleKey, _Rule] = {}
        self.series: list[Series] = []
        self.rows_of_series = Links()
        self.instances_of_row = Links()
        self.instances_of_scope = Links()
        self.problems: dict[RuleKey, str] = {}
        self._series_of_monitor: dict[tuple[str, str], list[int]] = {}
        self._monitors_of_tenant: dict[str, list[str]] = {}
        self._rules_of_monitor: dict[tuple[str, str], set[RuleKey]] = {}
        self._patterns_of_tenant: dict[str, set[RuleKey]] = {}
        self._rows: dict[RowKey, int] = {}
        self._row_keys: list[RowKey | None] = []
        self._row_series: list[dict[int, None]] = []
        self._free_places: list[int] = []
        self._free_rows: list[int] = []
        self._free_scopes: list[int] = []
        self._scope_count = 0

    @property
    def instance_count(self) -> int:
        """How many instances there are."""
        return len(self.keys) - len(self._free_places)

    @property
    def size(self) -> int:
        """Places are less than this."""
        return len(self.keys)

    def spec_of(self, place: int) -> RuleSpec:
        """The rule of an instance."""
        key = self.key_of(place)
        return self.rules[RuleKey(key.tenant, key.rule_id)].spec

    def key_of(self, place: int) -> InstanceKey:
        """What identifies the instance at a place. Raises LookupError for a free place."""
        key = self.keys[place]
        if key is None:
            raise LookupError(f"no instance has the place {place}")
        return key

    def place_of(self, key: InstanceKey) -> int | None:
        """Where an instance is, None if there is no such."""
        rule = self.rules.get(RuleKey(key.tenant, key.rule_id))
        return rule.instances.get((key.monitor, key.tags)) if rule else None

    def places_of(self, key: RuleKey) -> list[int]:
        """Where a rule's instances are. Raises KeyError if the rule isn't known."""
        return list(self.rules[key].instances.values())

    def has_monitor(self, tenant: str, monitor: str) -> bool:
        """Whether a series of that monitor is known."""
        return (tenant, monitor) in self._series_of_monitor

    def series_of_row(self, row: int) -> list[int]:
        """The series whose points go into a row."""
        return list(self._row_series[row])

    def is_group(self, row: int) -> bool:
        """Whether a row is a group of series whose newest point counts, and not a series."""
        return isinstance(self._row_keys[row], tuple)

    def retention_of(self, row: int) -> int:
        """How far behind its newest point a row must reach, for the rules that use it."""
        return max((self.spec_of(place).retention for place in self.instances_of_row.of(row)), default=0)

    def span_of(self, row: int) -> int:
        """How far before now the points of a row matter."""
        return max((self.spec_of(place).span for place in self.instances_of_row.of(row)), default=0)

    def add_series(self, series: Iterable[Series]) -> PlanChange:
        """Takes series that have become known, in the order of their indexes. Known ones are passed over."""
        change = PlanChange()
        for one in series:
            if one.index < len(self.series):
                continue
            if one.index != len(self.series):
                raise ValueError(f"series {one.index} came before series {len(self.series)}")
            self.series.append(one)
            key = one.key
            siblings = self._series_of_monitor.setdefault((key.tenant, key.monitor), [])
            if not siblings:
                self._monitors_of_tenant.setdefault(key.tenant, []).append(key.monitor)
            siblings.append(one.index)
            named = self._rules_of_monitor.get((key.tenant, key.monitor), set())
            for rule_key in sorted(named | self._patterns_of_tenant.get(key.tenant, set())):
                rule = self.rules[rule_key]
                if rule.spec.matches(key):
                    self._bind(rule, one.index, change, set())
        return change

    def put_rule(self, spec: RuleSpec) -> PlanChange:
        """Adds a rule or gives it a new definition. Instances that it still produces keep their places."""
        change = PlanChange()
        known = self.rules.get(spec.key)
        self.problems.pop(spec.key, None)
        left: dict[tuple[str, Tags], int] = {}
        if known:
            self._unregister(known.spec)
            left = dict(known.instances)
        rule = known or _Rule(spec)
        rule.spec = spec
        self.rules[spec.key] = rule
        self._register(spec)
        stale = set(left.values())
        for place in stale:
            self._detach(place, change)
        for index in self._candidates(spec):
            if spec.matches(self.series[index].key):
                self._bind(rule, index, change, stale)
        for identity, place in left.items():
            if place in stale:
                del rule.instances[identity]
                change.removed.append(place)
        self._settle_rows(change)
        return change

    def remove_rule(self, key: RuleKey) -> PlanChange:
        """Takes a rule away, with all of its instances."""
        change = PlanChange()
        rule = self.rules.get(key)
        if rule is None:
            return change
        self._unregister(rule.spec)
        self.problems.pop(key, None)
        for place in rule.instances.values():
            self._detach(place, change)
            change.removed.append(place)
        del self.rules[key]
        self._settle_rows(change)
        return change

    def free(self, places: Iterable[int]) -> None:
        """Gives removed places back."""
        for place in places:
            self.keys[place] = None
            self.instances.clear(place)
            self._free_places.append(place)

    def _register(self, spec: RuleSpec) -> None:
        if spec.is_pattern:
            self._patterns_of_tenant.setdefault(spec.tenant, set()).add(spec.key)
        else:
            self._rules_of_monitor.setdefault((spec.tenant, spec.monitor), set()).add(spec.key)

    def _unregister(self, spec: RuleSpec) -> None:
        if spec.is_pattern:
            self._patterns_of_tenant[spec.tenant].discard(spec.key)
        else:
            self._rules_of_monitor[spec.tenant, spec.monitor].discard(spec.key)

    def _candidates(self, spec: RuleSpec) -> list[int]:
        if not spec.is_pattern:
            return self._series_of_monitor.get((spec.tenant, spec.monitor), [])
        monitors = self._monitors_of_tenant.get(spec.tenant, [])
        found = (self._series_of_monitor[spec.tenant, one] for one in monitors if spec.matches_monitor(one))
        return [index for indexes in found for index in indexes]

    def _bind(self, rule: _Rule, index: int, change: PlanChange, stale: set[int]) -> None:
        """Makes a matching series an input: of its instance, or of a new one. `stale` are places to be taken up."""
        spec, key = rule.spec, self.series[index].key
        tags = spec.instance_tags(key)
        place = rule.instances.get((key.monitor, tags))
        grouped = spec.kind is ConditionKind.ABSENCE
        group = (spec.key, spec.measurement, spec.field, spec.filters, key.monitor, tags)
        row_key: RowKey = group if grouped else index
        if place is None or place in stale:
            row = self._row(row_key, change)
            if place is None:
                place = self._take_place(InstanceKey(spec.tenant, spec.rule_id, key.monitor, tags))
                rule.instances[key.monitor, tags] = place
                change.created.append(place)
            else:
                stale.discard(place)
                change.kept.append(place)
            self._attach(rule, place, row, key)
        elif not grouped:
            self._report_collision(rule, key, int(self.instances.row[place]))
            return
        else:
            row = self._row(row_key, change)
        if index not in self._row_series[row]:
            self._row_series[row][index] = None
            self.rows_of_series.add(index, row)
        change.rows.add(row)

    def _report_collision(self, rule: _Rule, key: SeriesKey, row: int) -> None:
        other = self.series[next(iter(self._row_series[row]))].key
        self.problems[rule.spec.key] = (
            f"several series of {key.monitor!r} have the same tags for this rule, such as "
            f"{other.measurement}.{other.field} and {key.measurement}.{key.field}; only the first is evaluated. "
            "Name the measurement, filter by a tag, or group by all tags"
        )

    def _take_place(self, key: InstanceKey) -> int:
        if self._free_places:
            place = self._free_places.pop()
            self.keys[place] = key
        else:
            place = len(self.keys)
            self.keys.append(key)
            self.instances.reserve(place + 1)
        return place

    def _attach(self, rule: _Rule, place: int, row: int, key: SeriesKey) -> None:
        scope = rule.scopes.get(key.monitor)
        if scope is None:
            scope = self._free_scopes.pop() if self._free_scopes else self._scope_count
            self._scope_count = max(self._scope_count, scope + 1)
            rule.scopes[key.monitor] = scope
        self.instances_of_row.add(row, place)
        self.instances_of_scope.add(scope, place)
        columns, spec = self.instances, rule.spec
        columns.row[place], columns.scope[place] = row, scope
        columns.kind[place], columns.operator[place] = spec.kind, spec.operator
        columns.aggregation[place], columns.window[place] = spec.aggregation, spec.window
        columns.low[place], columns.high[place] = spec.low, spec.high
        columns.outside[place], columns.tolerance[place] = spec.outside, spec.tolerance
        columns.absent_for[place] = spec.absent_for
        columns.for_duration[place], columns.keep_firing_for[place] = spec.for_duration, spec.keep_firing_for
        columns.interval[place], columns.every_point[place] = spec.interval, spec.every_point
        columns.no_data[place], columns.missing_series[place] = spec.no_data, spec.missing_series

    def _detach(self, place: int, change: PlanChange) -> None:
        columns = self.instances
        row, scope = int(columns.row[place]), int(columns.scope[place])
        self.instances_of_row.remove(row, place)
        self.instances_of_scope.remove(scope, place)
        columns.live[place] = False
        change.rows.add(row)
        key = self.key_of(place)
        rule = self.rules[RuleKey(key.tenant, key.rule_id)]
        if key.monitor in rule.scopes and not self.instances_of_scope.of(scope):
            del rule.scopes[key.monitor]
            self._free_scopes.append(scope)

    def _row(self, key: RowKey, change: PlanChange) -> int:
        row = self._rows.get(key)
        if row is None:
            if self._free_rows:
                row = self._free_rows.pop()
                self._row_keys[row] = key
            else:
                row = len(self._row_keys)
                self._row_keys.append(key)
                self._row_series.append({})
            self._rows[key] = row
        change.rows.add(row)
        return row

    def _settle_rows(self, change: PlanChange) -> None:
        """Drops the rows that nobody uses any more."""
        for row in sorted(change.rows):
            key = self._row_keys[row]
            if key is None or self.instances_of_row.of(row):
                continue
            for index in self._row_series[row]:
                self.rows_of_series.remove(index, row)
            self._row_series[row].clear()
            del self._rows[key]
            self._row_keys[row] = None
            self._free_rows.append(row)
            change.rows.discard(row)
            change.dropped_rows.append(row)
