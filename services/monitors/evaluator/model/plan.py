"""Which instances the rules have on the known series, as columns: one entry for each instance."""

from collections.abc import Iterable, Sequence

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Places, chunks
from monitors.evaluator.model.bindings import Member
from monitors.evaluator.model.identities import NONE
from monitors.evaluator.model.instances import PlanChange
from monitors.evaluator.model.reading import Tags
from monitors.evaluator.model.roster import Roster
from monitors.evaluator.model.series import Series
from monitors.evaluator.model.shards import SHARD_COUNT
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, RuleKey, RuleSpec

_Left = dict[tuple[int, Tags], int]


class Plan(Roster):
    """Rules × series → instances. Every change touches only the rules and series that it names.

    An instance keeps its place for as long as its rule, in whatever definition, produces it. Only monitors of held
    shards have instances.
    """

    def add_series(self, series: Iterable[Series]) -> PlanChange:
        """Takes series that have become known, in the order of their indexes. Known ones are passed over."""
        change, known = PlanChange(), len(self.series)
        count = self.monitors.add_series(series)
        self._bind_series(np.arange(known, known + count), change)
        return change

    def hold(self, shards: Iterable[int]) -> PlanChange:
        """Makes instances for the monitors of these shards, and removes those of all others."""
        change, held = PlanChange(), np.zeros(SHARD_COUNT, dtype=np.bool_)
        held[list(shards)] = True
        gained, lost = held & ~self._held, self._held & ~held
        self._held = held
        if lost.any():
            places = self.places()
            places = places[lost[self.shards_at(places)]]
            for scope in np.unique(self.instances.scope[places]).tolist():
                self._remove(self._dissolve([scope], change), change)
            self._settle(change)
        if gained.any():
            shards_of_series = self.monitors.shards_of_series(np.arange(len(self.series)))
            self._bind_series(np.flatnonzero(gained[shards_of_series]), change)
        return change

    def put_rule(self, spec: RuleSpec) -> PlanChange:
        """Adds a rule or gives it a new definition; see `put_rules`."""
        return self.put_rules([spec])

    def put_rules(self, specs: Iterable[RuleSpec]) -> PlanChange:
        """Adds rules or gives them new definitions. Instances that they still produce keep their places.

        Of several definitions of one rule the last one counts.
        """
        change = PlanChange()
        latest = list({spec.key: spec for spec in specs}.values())
        for part in chunks(len(latest)):
            page = latest[part]
            numbers = self._book.ids.find_all([spec.tenant for spec in page], [spec.rule_id for spec in page])
            for at in np.flatnonzero(numbers != NONE).tolist():
                self._change_rule(int(numbers[at]), page[at], change)
            new = [page[at] for at in np.flatnonzero(numbers == NONE).tolist()]
            if new:
                self._add_rules(new, change)
        self._settle(change)
        return change

    def _change_rule(self, number: int, spec: RuleSpec, change: PlanChange) -> None:
        left = self._dissolve(self._book.scopes(number), change)
        self._quotas.forget(number)
        self._book.change(number, spec)
        rules, series = self._book.watched(np.array([number]), self._held)
        series = series[self._book.matches(rules, series)]
        if spec.formula is not None:
            for monitor in np.unique(self.monitors.series.monitors(series)).tolist():
                self._bind_formula(number, monitor, change, left)
        else:
            for index in series.tolist():
                self._bind(number, index, self.monitors.of_series(index), change, left)
        self._remove(left, change)

    def _add_rules(self, specs: Sequence[RuleSpec], change: PlanChange) -> None:
        rules, series = self._book.watched(self._book.add(specs), self._held)
        self._bind_all(rules, series, change)

    def remove_rule(self, key: RuleKey) -> PlanChange:
        """Takes a rule away, with all of its instances."""
        change = PlanChange()
        number = self._book.ids.find(*key)
        if number is not None:
            self._remove(self._dissolve(self._book.scopes(number), change), change)
            self._settle(change)
            self._quotas.forget(number)
            self._book.remove(number)
        return change

    # --- instances ---

    def _bind_series(self, indexes: Places, change: PlanChange) -> None:
        """Makes series inputs of the rules that watch their monitors, if those are held."""
        monitors = self.monitors.series.monitors(indexes)
        held = self._held[self.monitors.shards[monitors]]
        indexes, monitors = indexes[held], monitors[held]
        positions, rules = self._book.rules_of_monitor.follow(monitors)
        series = indexes[positions]
        if self._book.has_patterns:
            watched = [(rule, index) for index in indexes.tolist() for rule in self._book.patterns_on(index)]
            pairs = np.array(watched, dtype=np.intp).reshape(-1, 2)
            rules, series = np.append(rules, pairs[:, 0]), np.append(series, pairs[:, 1])
        order = np.lexsort((rules, series))
        self._bind_all(rules[order], series[order], change)

    def _bind_all(self, rules: Places, series: Places, change: PlanChange) -> None:
        """Makes series inputs of the rules that ask for them; they are of monitors that those watch."""
        matching = self._book.matches(rules, series)
        rules, series = rules[matching], series[matching]
        if self.profiles.formula_count:
            joined = self.profiles.joins[self._book.columns.profile[rules]]
            pairs = zip(rules[joined].tolist(), self.monitors.series.monitors(series[joined]).tolist(), strict=True)
            for rule, monitor in dict.fromkeys(pairs):
                self._bind_formula(rule, monitor, change, {})
            rules, series = rules[~joined], series[~joined]
        alone = self._are_alone(rules)
        self._attach_all(rules[alone], series[alone], change)
        for rule, index in zip(rules[~alone].tolist(), series[~alone].tolist(), strict=True):
            self._bind(rule, index, self.monitors.of_series(index), change, {})

    def _are_alone(self, rules: Places) -> Booleans:
        """Which of the rules get one instance, their first and only one, without a limit being near."""
        known = self._book.columns
        _, which, counts = np.unique(rules, return_inverse=True, return_counts=True)
        alone = (counts[which] == 1) & (known.instances[rules] == 0) & (known.monitor[rules] != NONE)
        return np.asarray(alone & self._quotas.leave_room(rules))

    def _attach_all(self, rules: Places, series: Places, change: PlanChange) -> None:
        """Makes an instance of each rule on its series. The rules are distinct and have none yet."""
        columns, known = self.instances, self._book.columns
        places = np.array([self._take_place() for _ in rules], dtype=np.intp)
        columns.series[places], columns.rule[places], columns.scope[places] = series, rules, rules
        columns.profile[places] = profiles = known.profile[rules]
        thresholds = zip(profiles.tolist(), known.low[rules].tolist(), known.high[rules].tolist(), strict=True)
        compared = [self.profiles.template(profile).bounds(low, high) for profile, low, high in thresholds]
        low, high, outside = zip(*compared, strict=True) if compared else ((), (), ())
        columns.low[places], columns.high[places], columns.outside[places] = low, high, outside
        self.instances_of_scope.add_all(rules, places)
        self.instances_of_series.add_all(series, places)
        self._quotas.count_first(rules)
        change.created += places.tolist()
        change.series.update(series.tolist())

    def _bind(self, rule: int, index: int, monitor: int, change: PlanChange, left: _Left) -> None:
        """Makes a matching series an input: of its instance, or of a new one. `left` are instances to be taken up."""
        template, key = self._book.template(rule), self.series[index].key
        tags = template.instance_tags(key)
        scope = self._book.make_scope(rule, monitor)
        place = self._find(scope, tags)
        if place is None:
            place = left.get((monitor, tags))
            if self._quotas.is_full(rule):
                return
            if place is not None:
                del left[monitor, tags]
                change.kept.append(place)
            else:
                place = self._take_place()
                change.created.append(place)
            self._quotas.count(rule, 1)
            self._attach(place, rule, scope, index, tags)
        elif template.kind is not ConditionKind.ABSENCE:
            self._quotas.report_collision(rule, key, self.series[self.instances.series[place]].key)
            return
        else:
            # It isn't one yet: it's new, or its rule is, or the scope was dissolved. Looking would walk them all.
            self.further_inputs.add(place, index)
        self.instances_of_series.add(index, place)
        change.series.add(index)

    def _bind_formula(self, rule: int, monitor: int, change: PlanChange, left: _Left) -> None:
        """Binds a rule's formula to a monitor's series, as they are known by now. `left` are to be taken up."""
        scope, profile = self._book.make_scope(rule, monitor), int(self._book.columns.profile[rule])
        existing = {self._tags(place): place for place in self.instances_of_scope.of(scope)}
        change.series.update(self.bindings.spare_of(scope))
        self._quotas.forget(rule)
        known = self._quotas.within_limit(rule, self._read_by(rule, monitor))
        members, problems = self.bindings.bind(
            scope, profile, self.profiles.program(profile), self._book.spec(self._book.key(rule)),
            [self.series[index] for index in known.tolist()], existing, self._quotas.limits.inputs_per_rule,
        )  # fmt: skip
        change.series.update(self.bindings.spare_of(scope))
        for problem in problems[:1]:
            self._quotas.report(rule, problem)
        self._let_go(scope, {existing[tags] for tags in existing.keys() - {one.tags for one in members}}, change)
        for member in members:
            if member.tags in existing:
                self._rebind(existing[member.tags], member, change)
            elif not self._quotas.is_full(rule):
                if (monitor, member.tags) in left:
                    place = left.pop((monitor, member.tags))
                    change.kept.append(place)
                else:
                    place = self._take_place()
                    change.created.append(place)
                self._attach_member(place, rule, scope, member, change)

    def _read_by(self, rule: int, monitor: int) -> Places:
        """The series of a monitor that a rule reads, or that it needs to look at the monitor."""
        series = np.array(sorted(self.monitors.series_of(monitor)), dtype=np.intp)
        return series[self._book.matches(np.full(len(series), rule), series)]

    def _let_go(self, scope: int, places: set[int], change: PlanChange) -> None:
        """Takes instances of a formula out of their scope and away from their inputs."""
        if not places:
            return
        left = [place for place in self.instances_of_scope.of(scope) if place not in places]
        self.instances_of_scope.clear(scope)
        self.instances_of_scope.add_all(np.full(len(left), scope), np.array(left, dtype=np.intp))
        for place in places:
            change.removed[place] = self.key_of(place)
            if scope in self._by_tags:
                self._by_tags[scope].pop(self._tags(place))
            self._unlink(place, change)
            self._quotas.count(int(self.instances.rule[place]), -1)

    def _rebind(self, place: int, member: Member, change: PlanChange) -> None:
        """Gives an instance of a formula another row, and other inputs if they aren't the same."""
        self.instances.row[place] = member.row
        if sorted(self.inputs_of(place)) != member.inputs:
            self._unlink(place, change)
            self.instances.series[place] = member.carrier
            self._link(place, member, change)

    def _link(self, place: int, member: Member, change: PlanChange) -> None:
        self.bindings.bare.discard(place)
        if not member.inputs:
            self.bindings.bare.add(place)
        for index in member.inputs[1:]:
            self.further_inputs.add(place, index)
        for index in member.inputs:
            self.instances_of_series.add(index, place)
        change.series.update(member.inputs)

    def _unlink(self, place: int, change: PlanChange) -> None:
        series = self.inputs_of(place)
        for index in series:
            self.instances_of_series.remove(index, place)
        change.series.update(series)
        self.further_inputs.clear(place)

    def _attach_member(self, place: int, rule: int, scope: int, member: Member, change: PlanChange) -> None:
        self.bindings.tags[place] = member.tags
        self._attach(place, rule, scope, member.carrier, member.tags)
        self.instances.row[place] = member.row
        self._quotas.count(rule, 1)
        self._link(place, member, change)

    def _attach(self, place: int, rule: int, scope: int, index: int, tags: Tags) -> None:
        columns, rules = self.instances, self._book.columns
        profile = int(rules.profile[rule])
        others = self.instances_of_scope.of(scope) if scope not in self._by_tags else None
        if others:
            self._by_tags[scope] = {self._tags(other): other for other in others}
        columns.series[place], columns.rule[place], columns.scope[place] = index, rule, scope
        columns.profile[place] = profile
        template = self.profiles.template(profile)
        compared = template.bounds(float(rules.low[rule]), float(rules.high[rule]))
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
                monitor = self.monitors.of_series(int(self.instances.series[place]))
                left[monitor, self._tags(place)] = place
                change.former[place] = series
                self._unlink(place, change)
                self.instances.live[place] = False
                self._quotas.count(int(self.instances.rule[place]), -1)
            self.instances_of_scope.clear(scope)
            self._by_tags.pop(scope, None)
            change.series.update(self.bindings.release(scope))
        return left

    def _remove(self, left: _Left, change: PlanChange) -> None:
        for (monitor, tags), place in left.items():
            rule = int(self.instances.rule[place])
            tenant, rule_id = self._book.key(rule)
            change.removed[place] = InstanceKey(tenant, rule_id, self.monitors.name(monitor), tags)

    def _settle(self, change: PlanChange) -> None:
        """Tells the series that nobody uses any more from those that are used."""
        change.dropped = sorted(index for index in change.series if not self._is_read(index))
        change.series.difference_update(change.dropped)

    def _is_read(self, index: int) -> bool:
        return self.instances_of_series.has(index) or self.bindings.spare.has(index)
