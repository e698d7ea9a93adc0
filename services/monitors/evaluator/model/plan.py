"""Which instances the rules have on the known series, as columns: one entry for each instance."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import Booleans, Columns, Layout, Links, Places
from monitors.evaluator.model.identities import Identities
from monitors.evaluator.model.monitors import Monitors, SeriesTable
from monitors.evaluator.model.profiles import Profiles
from monitors.evaluator.model.series import Floats, Int32s, Int64s, Series
from monitors.evaluator.model.shards import ALL_SHARDS, SHARD_COUNT
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, RuleKey, RuleSpec, Tags

NONE = -1


@dataclass(frozen=True)
class Limits:
    """How many instances a rule, and all rules of a tenant together, may have."""

    per_rule: int = 10_000
    per_tenant: int = 2_000_000


class Instances(Columns):
    """What each instance is evaluated by."""

    series: Int32s
    """Its input, or the first of several."""
    rule: Int32s
    profile: Int32s
    scope: Int32s
    low: Floats
    high: Floats
    outside: Booleans
    live: Booleans

    LAYOUT: ClassVar[Layout] = {
        "series": (np.int32, NONE),
        "rule": (np.int32, NONE),
        "profile": (np.int32, 0),
        "scope": (np.int32, NONE),
        "low": (np.float64, 0.0),
        "high": (np.float64, 0.0),
        "outside": (np.bool_, False),
        "live": (np.bool_, False),
    }


class _Rules(Columns):
    profile: Int32s
    monitor: Int32s
    """NONE for a pattern."""
    instances: Int32s
    revision: Int64s
    low: Floats
    high: Floats

    LAYOUT: ClassVar[Layout] = {
        "profile": (np.int32, NONE),
        "monitor": (np.int32, NONE),
        "instances": (np.int32, 0),
        "revision": (np.int64, 0),
        "low": (np.float64, 0.0),
        "high": (np.float64, 0.0),
    }


@dataclass
class PlanChange:
    """What a change of the plan did: places of instances, and series."""

    created: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    removed: dict[int, InstanceKey] = field(default_factory=dict)
    series: set[int] = field(default_factory=set)
    """Series that are inputs now and may be new as such, or reach further back than before."""
    dropped: list[int] = field(default_factory=list)
    """Series that are no rule's input any more."""


_Left = dict[tuple[int, Tags], int]


class Plan:
    """Rules × series → instances. Every change touches only the rules and series that it names.

    An instance is (rule, monitor, tags) and keeps its place for as long as its rule, in whatever definition, produces
    it. A freed place is used again once `free` was called for it. A scope is one rule on one monitor: the series among
    which "one is missing while others report" is told from "none reports"; its number is that of the rule, or for a
    pattern one of its own. Only monitors of held shards have instances.
    """

    def __init__(self, shards: Iterable[int] = ALL_SHARDS, limits: Limits | None = None) -> None:
        self.instances = Instances()
        self.profiles = Profiles()
        self.monitors = Monitors()
        self.instances_of_series = Links()
        self.instances_of_scope = Links()
        self.problems: dict[RuleKey, str] = {}
        self.size = 0
        """Places are less than this."""
        self.rule_count = 0
        self._limits = limits or Limits()
        self._rules = _Rules()
        self._ids = Identities()
        self._held: Booleans = np.zeros(SHARD_COUNT, dtype=np.bool_)
        self._held[list(shards)] = True
        self._rules_of_monitor = Links()
        self._patterns_of_tenant: dict[str, set[int]] = defaultdict(set)
        self._scopes_of_pattern: dict[int, set[int]] = {}
        self.further_inputs = Links()
        """The series of an instance beyond its first."""
        self._by_tags: dict[int, dict[Tags, int]] = {}
        """The instances of scopes that have several."""
        self._count_of_tenant: dict[str, int] = defaultdict(int)
        self._left_out: dict[int, int] = {}
        self._free_places: list[int] = []

    # --- what there is ---

    @property
    def series(self) -> SeriesTable:
        """All series, by index."""
        return self.monitors.series

    @property
    def instance_count(self) -> int:
        """How many instances there are."""
        return self.size - len(self._free_places)

    @property
    def shards(self) -> frozenset[int]:
        """The shards whose monitors have instances here."""
        return frozenset(np.flatnonzero(self._held).tolist())

    def rules(self) -> Iterator[RuleKey]:
        """The keys of all rules."""
        return (RuleKey(*identity) for identity in self._ids if "\0" not in identity[1])

    def __contains__(self, key: RuleKey) -> bool:
        return self._ids.find(*key) is not None

    def spec(self, key: RuleKey) -> RuleSpec:
        """A rule as it was put. Raises KeyError if it isn't known."""
        number = self._number(key)
        rules, template = self._rules, self._template(number)
        monitor = template.monitor or self.monitors.name(int(rules.monitor[number]))
        return replace(
            template, rule_id=key.rule_id, monitor=monitor, revision=int(rules.revision[number]),
            low=float(rules.low[number]), high=float(rules.high[number]),
        )  # fmt: skip

    def revision_of(self, place: int) -> int:
        """The revision of an instance's rule."""
        return int(self._rules.revision[self.instances.rule[place]])

    def key_of(self, place: int) -> InstanceKey:
        """What identifies the instance at a place. Raises LookupError for a free place."""
        rule = int(self.instances.rule[place])
        if rule == NONE:
            raise LookupError(f"no instance has the place {place}")
        monitor = self.series[self.instances.series[place]].key.monitor
        return InstanceKey(*self._ids[rule], monitor, self._tags(place))

    def place_of(self, key: InstanceKey) -> int | None:
        """Where an instance is, None if there is no such."""
        rule, monitor = self._ids.find(key.tenant, key.rule_id), self.monitors.find(key.tenant, key.monitor)
        if rule is None or monitor is None:
            return None
        scope = self._scope(rule, monitor)
        return None if scope is None else self._find(scope, key.tags)

    def places_of(self, key: RuleKey) -> list[int]:
        """Where a rule's instances are; nowhere if the rule isn't known."""
        number = self._ids.find(*key)
        return (
            []
            if number is None
            else [place for scope in self._scopes(number) for place in self.instances_of_scope.of(scope)]
        )

    def has_monitor(self, tenant: str, monitor: str) -> bool:
        """Whether a series of that monitor is known and its shard is held."""
        number = self.monitors.find(tenant, monitor)
        return number is not None and self._holds(number) and bool(self.monitors.series_of(number))

    def shards_at(self, places: Places) -> NDArray[np.uint8]:
        """The shards of instances."""
        return self.monitors.shards_of_series(self.instances.series[places])

    def inputs_of(self, place: int) -> list[int]:
        """The series of an instance."""
        return [int(self.instances.series[place]), *self.further_inputs.of(place)]

    def reach_of(self, series: Places) -> tuple[Int64s, Int64s]:
        """How far behind its newest point each series' row must reach, and how far before now its points matter."""
        positions, places = self.instances_of_series.follow(series)
        which, profile = np.arange(len(series))[positions], self.instances.profile[places]
        retention, span = np.zeros((2, len(series)), dtype=np.int64)
        np.maximum.at(retention, which, self.profiles.retention[profile])
        np.maximum.at(span, which, self.profiles.span[profile])
        return retention, span

    def live_counts(self) -> Int64s:
        """How many instances of each profile are evaluated."""
        columns = self.instances
        live = columns.profile[: self.size][columns.live[: self.size]]
        return np.bincount(live, minlength=self.profiles.capacity)

    def _number(self, key: RuleKey) -> int:
        number = self._ids.find(*key)
        if number is None:
            raise KeyError(key)
        return number

    def _template(self, rule: int) -> RuleSpec:
        return self.profiles.template(int(self._rules.profile[rule]))

    def _tags(self, place: int) -> Tags:
        template = self.profiles.template(int(self.instances.profile[place]))
        return template.instance_tags(self.series[self.instances.series[place]].key)

    def _holds(self, monitor: int) -> bool:
        return bool(self._held[self.monitors.shards[monitor]])

    # --- changes ---

    def add_series(self, series: Iterable[Series]) -> PlanChange:
        """Takes series that have become known, in the order of their indexes. Known ones are passed over."""
        change = PlanChange()
        for one in series:
            monitor = self.monitors.add_series(one)
            if monitor is not None and self._holds(monitor):
                self._bind_series(one.index, monitor, change)
        return change

    def hold(self, shards: Iterable[int]) -> PlanChange:
        """Makes instances for the monitors of these shards, and removes those of all others."""
        change, held = PlanChange(), np.zeros(SHARD_COUNT, dtype=np.bool_)
        held[list(shards)] = True
        gained, lost = held & ~self._held, self._held & ~held
        self._held = held
        if lost.any():
            places = np.flatnonzero(self.instances.rule[: self.size] != NONE)
            places = places[lost[self.shards_at(places)]]
            for scope in np.unique(self.instances.scope[places]).tolist():
                self._remove(self._dissolve([scope], change), change)
            self._settle(change)
        if gained.any():
            shards_of_series = self.monitors.shards_of_series(np.arange(len(self.series)))
            for index in np.flatnonzero(gained[shards_of_series]).tolist():
                self._bind_series(index, self.monitors.of_series(index), change)
        return change

    def put_rule(self, spec: RuleSpec) -> PlanChange:
        """Adds a rule or gives it a new definition. Instances that it still produces keep their places."""
        change, left = PlanChange(), _Left()
        number = self._ids.find(spec.tenant, spec.rule_id)
        if number is None:
            number = self._ids.add(spec.tenant, spec.rule_id)
            self._rules.reserve(number + 1)
            self.rule_count += 1
        else:
            left = self._dissolve(self._scopes(number), change)
            self._unregister(number, spec.key)
        self._register(number, spec)
        for index in self._candidates(number, spec):
            if spec.matches_input(self.series[index].key):
                self._bind(number, index, self.monitors.of_series(index), change, left)
        self._remove(left, change)
        self._settle(change)
        return change

    def remove_rule(self, key: RuleKey) -> PlanChange:
        """Takes a rule away, with all of its instances."""
        change = PlanChange()
        number = self._ids.find(*key)
        if number is not None:
            self._remove(self._dissolve(self._scopes(number), change), change)
            self._settle(change)
            self._unregister(number, key)
            self._rules.clear(number)
            self._ids.remove(number)
            self.rule_count -= 1
        return change

    def free(self, places: Iterable[int]) -> None:
        """Gives removed places back."""
        for place in places:
            self.instances.clear(place)
            self._free_places.append(place)

    def _register(self, number: int, spec: RuleSpec) -> None:
        rules = self._rules
        rules.profile[number] = self.profiles.take(spec)
        rules.revision[number], rules.low[number], rules.high[number] = spec.revision, spec.low, spec.high
        if spec.is_pattern:
            self._patterns_of_tenant[spec.tenant].add(number)
            self._scopes_of_pattern[number] = set()
        else:
            rules.monitor[number] = self.monitors.number(spec.tenant, spec.monitor)
            self._rules_of_monitor.add(int(rules.monitor[number]), number)

    def _unregister(self, number: int, key: RuleKey) -> None:
        monitor = int(self._rules.monitor[number])
        if monitor == NONE:
            self._patterns_of_tenant[key.tenant].discard(number)
            for scope in self._scopes_of_pattern.pop(number):
                self._ids.remove(scope)
        else:
            self._rules_of_monitor.remove(monitor, number)
            self._rules.monitor[number] = NONE
        self.profiles.give_up(int(self._rules.profile[number]))
        self.problems.pop(key, None)
        self._left_out.pop(number, None)

    def _candidates(self, number: int, spec: RuleSpec) -> list[int]:
        if spec.is_pattern:
            known = self.monitors.of_tenant(spec.tenant)
            monitors = [one for one in known if spec.matches_monitor(self.monitors.name(one))]
        else:
            monitors = [int(self._rules.monitor[number])]
        return sorted(index for one in monitors if self._holds(one) for index in self.monitors.series_of(one))

    # --- instances ---

    def _scopes(self, rule: int) -> Sequence[int]:
        return sorted(self._scopes_of_pattern[rule]) if rule in self._scopes_of_pattern else (rule,)

    def _scope(self, rule: int, monitor: int) -> int | None:
        """The scope of a rule on a monitor, None if it has no instance there."""
        if rule in self._scopes_of_pattern:
            tenant, rule_id = self._ids[rule]
            return self._ids.find(tenant, f"{rule_id}\0{self.monitors.name(monitor)}")
        return rule if self._rules.monitor[rule] == monitor and self.instances_of_scope.has(rule) else None

    def _make_scope(self, rule: int, monitor: int) -> int:
        if rule not in self._scopes_of_pattern:
            return rule
        scope = self._scope(rule, monitor)
        if scope is None:
            tenant, rule_id = self._ids[rule]
            scope = self._ids.add(tenant, f"{rule_id}\0{self.monitors.name(monitor)}")
            self._rules.reserve(scope + 1)
            self._scopes_of_pattern[rule].add(scope)
        return scope

    def _find(self, scope: int, tags: Tags) -> int | None:
        if scope in self._by_tags:
            return self._by_tags[scope].get(tags)
        for place in self.instances_of_scope.of(scope):
            if self._tags(place) == tags:
                return place
        return None

    def _bind_series(self, index: int, monitor: int, change: PlanChange) -> None:
        key = self.series[index].key
        rules = self._rules_of_monitor.of(monitor)
        patterns = self._patterns_of_tenant.get(key.tenant, ())
        rules += [rule for rule in patterns if self._template(rule).matches_monitor(key.monitor)]
        for rule in sorted(rules):
            if self._template(rule).matches_input(key):
                self._bind(rule, index, monitor, change, {})

    def _bind(self, rule: int, index: int, monitor: int, change: PlanChange, left: _Left) -> None:
        """Makes a matching series an input: of its instance, or of a new one. `left` are instances to be taken up."""
        template, key = self._template(rule), self.series[index].key
        tags = template.instance_tags(key)
        scope = self._make_scope(rule, monitor)
        place = self._find(scope, tags)
        if place is None:
            place = left.get((monitor, tags))
            if self._is_full(rule, key.tenant):
                return
            if place is not None:
                del left[monitor, tags]
                change.kept.append(place)
            else:
                place = self._take_place()
                change.created.append(place)
            self._count(rule, 1)
            self._attach(place, rule, scope, index, tags)
        elif template.kind is not ConditionKind.ABSENCE:
            self._report_collision(rule, index, place)
            return
        elif index not in self.inputs_of(place):
            self.further_inputs.add(place, index)
        self.instances_of_series.add(index, place)
        change.series.add(index)

    def _attach(self, place: int, rule: int, scope: int, index: int, tags: Tags) -> None:
        columns, profile = self.instances, int(self._rules.profile[rule])
        others = self.instances_of_scope.of(scope) if scope not in self._by_tags else None
        if others:
            self._by_tags[scope] = {self._tags(other): other for other in others}
        columns.series[place], columns.rule[place], columns.scope[place] = index, rule, scope
        columns.profile[place] = profile
        template = self.profiles.template(profile)
        compared = template.bounds(float(self._rules.low[rule]), float(self._rules.high[rule]))
        columns.low[place], columns.high[place], columns.outside[place] = compared
        self.instances_of_scope.add(scope, place)
        if scope in self._by_tags:
            self._by_tags[scope][tags] = place

    def _dissolve(self, scopes: Iterable[int], change: PlanChange) -> _Left:
        """Takes the instances out of scopes and away from their inputs. They keep their places for now."""
        left = _Left()
        for scope in scopes:
            for place in self.instances_of_scope.of(scope):
                series = self.inputs_of(place)
                left[self.monitors.of_series(series[0]), self._tags(place)] = place
                for index in series:
                    self.instances_of_series.remove(index, place)
                change.series.update(series)
                self.further_inputs.clear(place)
                self.instances.live[place] = False
                self._count(int(self.instances.rule[place]), -1)
            self.instances_of_scope.clear(scope)
            self._by_tags.pop(scope, None)
        return left

    def _remove(self, left: _Left, change: PlanChange) -> None:
        for (monitor, tags), place in left.items():
            rule = int(self.instances.rule[place])
            tenant, rule_id = self._ids[rule]
            change.removed[place] = InstanceKey(tenant, rule_id, self.monitors.name(monitor), tags)

    def _settle(self, change: PlanChange) -> None:
        """Tells the series that nobody uses any more from those that are used."""
        change.dropped = sorted(index for index in change.series if not self.instances_of_series.has(index))
        change.series.difference_update(change.dropped)

    def _count(self, rule: int, one: int) -> None:
        self._rules.instances[rule] += one
        self._count_of_tenant[self._ids.tenant(rule)] += one

    def _take_place(self) -> int:
        if self._free_places:
            return self._free_places.pop()
        self.size += 1
        self.instances.reserve(self.size)
        return self.size - 1

    def _is_full(self, rule: int, tenant: str) -> bool:
        """Whether a rule may have no more instances; it keeps those that it has, and says so."""
        limits, key = self._limits, RuleKey(*self._ids[rule])
        full = self._rules.instances[rule] >= limits.per_rule
        if not full and self._count_of_tenant[tenant] < limits.per_tenant:
            return False
        self._left_out[rule] = self._left_out.get(rule, 0) + 1
        most = f"a rule's limit of {limits.per_rule:,}" if full else f"the tenant's limit of {limits.per_tenant:,}"
        self.problems[key] = (
            f"{self._left_out[rule]:,} of its series are not evaluated, since {most} instances is reached; the first "
            f"{int(self._rules.instances[rule]):,} are. Narrow the monitor or the tags, or make several rules"
        )
        return True

    def _report_collision(self, rule: int, index: int, place: int) -> None:
        key, other = self.series[index].key, self.series[self.instances.series[place]].key
        self.problems[RuleKey(*self._ids[rule])] = (
            f"several series of {key.monitor!r} have the same tags for this rule, such as "
            f"{other.measurement}.{other.field} and {key.measurement}.{key.field}; only the first is evaluated. "
            "Name the measurement, filter by a tag, or group by all tags"
        )
