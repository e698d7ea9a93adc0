"""How many instances rules and tenants have, and may have; what is wrong with rules on the series that there are."""

from collections import defaultdict

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Places
from monitors.evaluator.model.formula import groups, readings_of
from monitors.evaluator.model.instances import Limits
from monitors.evaluator.model.rule_book import RuleBook
from monitors.evaluator.model.series import SeriesKey
from monitors.evaluator.model.spec import RuleKey


class Quotas:
    """Counts instances by rule and tenant. `problems` says by rule what isn't evaluated, and what to do about it."""

    def __init__(self, book: RuleBook, limits: Limits) -> None:
        self.problems: dict[RuleKey, str] = {}
        self.limits = limits
        self._book = book
        self._count_of_tenant: dict[int, int] = defaultdict(int)
        """By the number of the tenant."""
        self._left_out: dict[int, int] = {}

    def count(self, rule: int, more: int) -> None:
        """Says that a rule has so many instances more."""
        self._book.columns.instances[rule] += more
        self._count_of_tenant[self._book.ids.tenant(rule)] += more

    def count_first(self, rules: Places) -> None:
        """Says that each of some distinct rules has its first instance."""
        self._book.columns.instances[rules] = 1
        numbers, counts = np.unique(self._book.ids.tenants(rules), return_counts=True)
        for tenant, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            self._count_of_tenant[tenant] += count

    def forget(self, rule: int) -> None:
        """Says that what was wrong with a rule is so no more."""
        self.problems.pop(self._book.key(rule), None)
        self._left_out.pop(rule, None)

    def leave_room(self, rules: Places) -> Booleans:
        """Which of the rules may have one instance more each, all together."""
        tenants = self._book.ids.tenants(rules)
        room: Booleans = np.full(len(rules), self.limits.per_rule > 0)
        numbers, counts = np.unique(tenants, return_counts=True)
        for tenant, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            if self._count_of_tenant[tenant] + count > self.limits.per_tenant:
                room[tenants == tenant] = False
        return room

    def is_full(self, rule: int) -> bool:
        """Whether a rule may have no more instances; it keeps those that it has, and says so."""
        limits, count = self.limits, int(self._book.columns.instances[rule])
        full = count >= limits.per_rule
        if not full and self._count_of_tenant[self._book.ids.tenant(rule)] < limits.per_tenant:
            return False
        self._left_out[rule] = self._left_out.get(rule, 0) + 1
        most = f"a rule's limit of {limits.per_rule:,}" if full else f"the tenant's limit of {limits.per_tenant:,}"
        self.report(
            rule,
            f"{self._left_out[rule]:,} of its series are not evaluated, since {most} instances is reached; the first "
            f"{count:,} are. Narrow the monitor or the tags, or make several rules",
        )
        return True

    def within_limit(self, rule: int, series: Places) -> Places:
        """A formula's series on a monitor if it may take so many, the first ones, or none if it takes them together."""
        formula = self._book.template(rule).formula
        limit = self.limits.per_rule * (len(set(readings_of(formula))) if formula else 1)
        if len(series) <= limit:
            return series
        if formula and groups(formula):
            # What is computed of a part of them would be wrong.
            self.report(
                rule,
                f"it isn't evaluated, since it would make one number of {len(series):,} series, of which it may take "
                f"{limit:,}; narrow the tags, or make several rules",
            )
            return series[:0]
        self.report(
            rule,
            f"{len(series) - limit:,} of its series are not evaluated, since a rule's limit of {limit:,} is reached; "
            "the first ones are. Narrow the tags, or make several rules",
        )
        return series[:limit]

    def report(self, rule: int, problem: str) -> None:
        """Says what is wrong with a rule."""
        self.problems[self._book.key(rule)] = problem

    def report_collision(self, rule: int, one: SeriesKey, other: SeriesKey) -> None:
        """Says that two series would be one instance."""
        self.report(
            rule,
            f"several series of {one.monitor!r} have the same tags for this rule, such as "
            f"{other.measurement}.{other.field} and {one.measurement}.{one.field}; only the first is evaluated. "
            "Name the measurement, filter by a tag, or group by all tags",
        )
