"""The instances that rules have, by place: how they are found, what they are of, and what they read."""

from collections.abc import Collection, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import Booleans, Links, Places
from monitors.evaluator.model.bindings import Bindings
from monitors.evaluator.model.identities import NONE
from monitors.evaluator.model.instances import Instances, Limits
from monitors.evaluator.model.monitors import Monitors, SeriesTable
from monitors.evaluator.model.profiles import Profiles
from monitors.evaluator.model.quotas import Quotas
from monitors.evaluator.model.reading import Tags
from monitors.evaluator.model.rule_book import RuleBook
from monitors.evaluator.model.series import Int64s
from monitors.evaluator.model.shards import ALL_SHARDS, SHARD_COUNT
from monitors.evaluator.model.spec import InstanceKey, RuleKey, RuleSpec


class Roster:
    """Which instances there are. An instance is (rule, monitor, tags) and keeps its place.

    A freed place is used again once `free` was called for it. A scope is one rule on one monitor: the series among
    which "one is missing while others report" is told from "none reports"; its number is that of the rule, or for a
    pattern one of its own.
    """

    def __init__(
        self, shards: Iterable[int] = ALL_SHARDS, limits: Limits | None = None, monitors: Monitors | None = None
    ) -> None:
        self.instances = Instances()
        self.monitors = monitors or Monitors()
        self.instances_of_series = Links()
        self.instances_of_scope = Links()
        self.bindings = Bindings()
        self.size = 0
        """Places are less than this."""
        self.further_inputs = Links()
        """The series of an instance beyond its first."""
        self._book = RuleBook(self.monitors)
        self._quotas = Quotas(self._book, limits or Limits())
        self._held: Booleans = np.zeros(SHARD_COUNT, dtype=np.bool_)
        self._held[list(shards)] = True
        self._by_tags: dict[int, dict[Tags, int]] = {}
        """The instances of scopes that have several."""
        self._free_places: list[int] = []

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

    @property
    def profiles(self) -> Profiles:
        """What rules share."""
        return self._book.profiles

    @property
    def problems(self) -> dict[RuleKey, str]:
        """By rule what isn't evaluated, and what to do about it."""
        return self._quotas.problems

    @property
    def rule_count(self) -> int:
        """How many rules there are."""
        return self._book.count

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants that have rules, or had some."""
        return self._book.ids.tenant_names

    def rules(self) -> Iterator[RuleKey]:
        """The keys of all rules."""
        return iter(self._book)

    def rules_on(self, shards: Iterable[int]) -> list[RuleKey]:
        """The keys of the rules that can have instances on monitors of these shards."""
        held: Booleans = np.zeros(SHARD_COUNT, dtype=np.bool_)
        held[list(shards)] = True
        return self._book.keys_on(held)

    def __contains__(self, key: RuleKey) -> bool:
        return key in self._book

    def spec(self, key: RuleKey) -> RuleSpec:
        """A rule as it was put. Raises KeyError if it isn't known."""
        return self._book.spec(key)

    def revision_of(self, place: int) -> int:
        """The revision of an instance's rule."""
        return int(self._book.columns.revision[self.instances.rule[place]])

    def revisions_of(self, places: Places) -> list[int]:
        """The revisions of instances' rules."""
        revisions: list[int] = self._book.columns.revision[self.instances.rule[places]].tolist()
        return revisions

    def key_of(self, place: int) -> InstanceKey:
        """What identifies the instance at a place. Raises LookupError for a free place."""
        return self.keys_of(np.array([place]))[0]

    def keys_of(self, places: Places) -> list[InstanceKey]:
        """What identifies the instances at places. Raises LookupError if one of them is free."""
        columns = self.instances
        rules, series, profiles = columns.rule[places], columns.series[places], columns.profile[places]
        free = np.flatnonzero(rules == NONE)
        if len(free):
            raise LookupError(f"no instance has the place {places[free[0]]}")
        owners, monitors = self._book.ids.of_all(rules), self.monitors.names_of_series(series)
        # Series of one shape have the same tags, and instances of one profile make the same of them.
        shapes = self.series.shapes(series)
        if self.profiles.formula_count:
            joined = self.profiles.joins[profiles]
            profiles, shapes = np.where(joined, NONE, profiles), np.where(joined, places, shapes)
        kinds = list(zip(profiles.tolist(), shapes.tolist(), strict=True))
        tags = {kind: self._tags(place) for kind, place in dict(zip(kinds, places.tolist(), strict=True)).items()}
        return [
            InstanceKey(tenant, rule, monitor, tags[kind])
            for (tenant, rule), monitor, kind in zip(owners, monitors, kinds, strict=True)
        ]

    def place_of(self, key: InstanceKey) -> int | None:
        """Where an instance is, None if there is no such."""
        rule, monitor = self._book.ids.find(key.tenant, key.rule_id), self.monitors.find(key.tenant, key.monitor)
        if rule is None or monitor is None:
            return None
        scope = self._book.scope(rule, monitor)
        return None if scope is None else self._find(scope, key.tags)

    def places(self) -> Places:
        """Where instances are."""
        return np.flatnonzero(self.instances.rule[: self.size] != NONE)

    def places_of(self, keys: Collection[RuleKey]) -> Places:
        """Where the instances of rules are; nowhere for a rule that isn't known."""
        rules = self._book.ids.find_all([key.tenant for key in keys], [key.rule_id for key in keys])
        rules = rules[rules != NONE]
        patterns = rules[self._book.columns.monitor[rules] == NONE].tolist()
        of_patterns = [scope for rule in patterns for scope in self._book.scopes(rule)]
        scopes = np.append(rules, np.array(of_patterns, dtype=np.int32))
        return self.instances_of_scope.follow(scopes)[1].astype(np.intp)

    def has_monitor(self, tenant: str, monitor: str) -> bool:
        """Whether a series of that monitor is known and its shard is held."""
        number = self.monitors.find(tenant, monitor)
        return number is not None and self._holds(number) and bool(self.monitors.series_of(number))

    def shards_at(self, places: Places) -> NDArray[np.uint8]:
        """The shards of instances."""
        return self.monitors.shards_of_series(self.instances.series[places])

    def inputs_of(self, place: int) -> list[int]:
        """The series of an instance."""
        if place in self.bindings.bare:
            return []
        return [int(self.instances.series[place]), *self.further_inputs.of(place)]

    def reach_of(self, series: Places) -> tuple[Int64s, Int64s]:
        """How far behind its newest point each series' row must reach, and how far before now its points matter."""
        positions, places = self.instances_of_series.follow(series)
        which, profile = np.arange(len(series))[positions], self.instances.profile[places]
        if self.bindings.spare:
            positions, spare = self.bindings.spare.follow(series)
            which, profile = np.append(which, np.arange(len(series))[positions]), np.append(profile, spare)
        retention, span = np.zeros((2, len(series)), dtype=np.int64)
        np.maximum.at(retention, which, self.profiles.retention[profile])
        np.maximum.at(span, which, self.profiles.span[profile])
        return retention, span

    def live_counts(self) -> Int64s:
        """How many instances of each profile are evaluated."""
        columns = self.instances
        live = columns.profile[: self.size][columns.live[: self.size]]
        return np.bincount(live, minlength=self.profiles.capacity)

    def _tags(self, place: int) -> Tags:
        if place in self.bindings.tags:
            return self.bindings.tags[place]
        template = self.profiles.template(int(self.instances.profile[place]))
        return template.instance_tags(self.series[self.instances.series[place]].key)

    def _holds(self, monitor: int) -> bool:
        return bool(self._held[self.monitors.shards[monitor]])

    def free(self, places: Iterable[int]) -> None:
        """Gives removed places back."""
        for place in places:
            self.instances.clear(place)
            self.bindings.tags.pop(place, None)
            self.bindings.bare.discard(place)
            self._free_places.append(place)

    def _find(self, scope: int, tags: Tags) -> int | None:
        if scope in self._by_tags:
            return self._by_tags[scope].get(tags)
        for place in self.instances_of_scope.of(scope):
            if self._tags(place) == tags:
                return place
        return None

    def _take_place(self) -> int:
        if self._free_places:
            return self._free_places.pop()
        self.size += 1
        self.instances.reserve(self.size)
        return self.size - 1
