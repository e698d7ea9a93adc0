"""The rules that there are, by number, and which monitors each watches."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Links, Places
from monitors.evaluator.model.identities import NONE, Identities
from monitors.evaluator.model.instances import Rules
from monitors.evaluator.model.monitors import Monitors
from monitors.evaluator.model.profiles import Profiles
from monitors.evaluator.model.spec import RuleKey, RuleSpec


class RuleBook:
    """Rules by number, as columns and profiles.

    A scope is one rule on one monitor; its number is that of the rule, or for a pattern one of its own among those of
    the rules.
    """

    def __init__(self, monitors: Monitors) -> None:
        self.columns = Rules()
        self.ids = Identities()
        self.profiles = Profiles()
        self.count = 0
        self.rules_of_monitor = Links()
        """Those that name a monitor."""
        self._monitors = monitors
        self._patterns_of_tenant: dict[str, set[int]] = defaultdict(set)
        self._scopes_of_pattern: dict[int, set[int]] = {}
        self._numbers: dict[int, tuple[float, ...]] = {}
        """What is in the slots of the rules' formulas."""
        self._texts: dict[int, tuple[str, ...]] = {}
        """What rules of text compare with."""

    def __iter__(self) -> Iterator[RuleKey]:
        return (RuleKey(*identity) for identity in self.ids if "\0" not in identity[1])

    def __contains__(self, key: RuleKey) -> bool:
        return self.ids.find(*key) is not None

    @property
    def has_patterns(self) -> bool:
        """Whether any rule names its monitors by a pattern."""
        return bool(self._scopes_of_pattern)

    def key(self, number: int) -> RuleKey:
        """What identifies a rule."""
        return RuleKey(*self.ids[number])

    def template(self, number: int) -> RuleSpec:
        """What a rule shares with others."""
        return self.profiles.template(int(self.columns.profile[number]))

    def spec(self, key: RuleKey) -> RuleSpec:
        """A rule as it was put. Raises KeyError if it isn't known."""
        number = self.ids.find(*key)
        if number is None:
            raise KeyError(key)
        rules, template = self.columns, self.template(number)
        monitor = template.monitor or self._monitors.name(int(rules.monitor[number]))
        return replace(
            template, rule_id=key.rule_id, monitor=monitor, revision=int(rules.revision[number]),
            low=float(rules.low[number]), high=float(rules.high[number]), numbers=self._numbers.get(number, ()),
            texts=self._texts.get(number, ()),
        )  # fmt: skip

    # --- changes ---

    def add(self, specs: Sequence[RuleSpec]) -> Places:
        """Adds rules that aren't known, and returns their numbers."""
        numbers = self.ids.add_all([spec.tenant for spec in specs], [spec.rule_id for spec in specs])
        self.columns.reserve(int(numbers.max()) + 1)
        self.count += len(specs)
        self._register(numbers, specs)
        return numbers

    def change(self, number: int, spec: RuleSpec) -> None:
        """Gives a rule another definition."""
        self._unregister(number)
        self._register(np.array([number]), [spec])

    def remove(self, number: int) -> None:
        """Forgets a rule."""
        self._unregister(number)
        self.columns.clear(number)
        self.ids.remove(number)
        self.count -= 1

    def _register(self, numbers: Places, specs: Sequence[RuleSpec]) -> None:
        rules = self.columns
        rules.profile[numbers] = self.profiles.take(specs)
        rules.revision[numbers] = [spec.revision for spec in specs]
        rules.low[numbers], high = [spec.low for spec in specs], np.array([spec.high for spec in specs])
        # Few rules have one; where none has, the column takes no memory as long as nothing is written.
        if (high != rules.high[numbers]).any():
            rules.high[numbers] = high
        plain = [not spec.is_pattern for spec in specs]
        for number, spec in zip(numbers.tolist(), specs, strict=True):
            if spec.numbers:
                self._numbers[number] = spec.numbers
            if spec.is_pattern:
                self._patterns_of_tenant[spec.tenant].add(number)
                self._scopes_of_pattern[number] = set()
            if spec.texts:
                self._texts[number] = spec.texts
        named, some = list(compress(specs, plain)), numbers[np.array(plain, dtype=np.bool_)]
        monitors = self._monitors.numbers([spec.tenant for spec in named], [spec.monitor for spec in named])
        rules.monitor[some] = monitors
        self.rules_of_monitor.add_all(monitors, some)

    def _unregister(self, number: int) -> None:
        monitor = int(self.columns.monitor[number])
        if monitor == NONE:
            self._patterns_of_tenant[self.ids[number][0]].discard(number)
            for scope in self._scopes_of_pattern.pop(number):
                self.ids.remove(scope)
        else:
            self.rules_of_monitor.remove(monitor, number)
            self.columns.monitor[number] = NONE
        self.profiles.give_up(int(self.columns.profile[number]))
        self._numbers.pop(number, None)
        self._texts.pop(number, None)

    # --- monitors ---

    def watched(self, numbers: Places, held: Booleans) -> tuple[Places, Places]:
        """The series that rules watch on monitors of held shards, each with its rule, by rule and series."""
        monitors = self.columns.monitor[numbers]
        rules, watched = [numbers[monitors != NONE]], [monitors[monitors != NONE]]
        for number in numbers[monitors == NONE].tolist():
            template = self.template(number)
            known = self._monitors.of_tenant(template.tenant)
            found = [one for one in known if template.matches_monitor(self._monitors.name(one))]
            rules.append(np.full(len(found), number))
            watched.append(np.array(found, dtype=np.int32))
        rule, monitor = np.concatenate(rules), np.concatenate(watched)
        ours = held[self._monitors.shards[monitor]]
        rule, monitor = rule[ours], monitor[ours]
        positions, series = self._monitors.series_of_all(monitor)
        order = np.lexsort((series, rule[positions]))
        return rule[positions][order], series[order]

    def keys_on(self, held: Booleans) -> list[RuleKey]:
        """The rules on monitors of held shards, and those with a pattern, which may be."""
        monitors = self.columns.monitor
        numbers = np.flatnonzero(monitors != NONE)
        numbers = numbers[held[self._monitors.shards[monitors[numbers]]]]
        return [self.key(number) for number in [*numbers.tolist(), *sorted(self._scopes_of_pattern)]]

    def patterns_on(self, index: int) -> list[int]:
        """The rules whose pattern names the monitor of a series."""
        key = self._monitors.series[index].key
        patterns = self._patterns_of_tenant.get(key.tenant, ())
        return [rule for rule in patterns if self.template(rule).matches_monitor(key.monitor)]

    def matches(self, rules: Places, series: Places) -> Booleans:
        """Whether each series, of a monitor that its rule watches, is an input of it."""
        # Rules of one profile say the same of series that differ in their monitors only.
        codes = self.columns.profile[rules].astype(np.int64) << 32 | self._monitors.series.shapes(series)
        _, some, which = np.unique(codes, return_index=True, return_inverse=True)
        pairs = zip(rules[some].tolist(), series[some].tolist(), strict=True)
        found = [self.template(rule).matches_input(self._monitors.series[index]) for rule, index in pairs]
        return np.array(found, dtype=np.bool_)[which]

    # --- scopes ---

    def scopes(self, rule: int) -> Sequence[int]:
        """The scopes of a rule."""
        return sorted(self._scopes_of_pattern[rule]) if rule in self._scopes_of_pattern else (rule,)

    def scope(self, rule: int, monitor: int) -> int | None:
        """The scope of a rule on a monitor, None if it has never had one there."""
        if rule in self._scopes_of_pattern:
            tenant, rule_id = self.ids[rule]
            return self.ids.find(tenant, f"{rule_id}\0{self._monitors.name(monitor)}")
        return rule if self.columns.monitor[rule] == monitor else None

    def make_scope(self, rule: int, monitor: int) -> int:
        """The same, a new one if there is none."""
        if rule not in self._scopes_of_pattern:
            return rule
        scope = self.scope(rule, monitor)
        if scope is None:
            tenant, rule_id = self.ids[rule]
            scope = self.ids.add(tenant, f"{rule_id}\0{self._monitors.name(monitor)}")
            self.columns.reserve(scope + 1)
            self._scopes_of_pattern[rule].add(scope)
        return scope
