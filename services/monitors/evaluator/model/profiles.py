"""What many rules have in common, kept once: everything but identity, monitor and threshold."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from monitors.evaluator.model.arrays import NEVER, Booleans, Columns, Layout, Places
from monitors.evaluator.model.formula import Formula
from monitors.evaluator.model.ladders import Ladders
from monitors.evaluator.model.programs import Program
from monitors.evaluator.model.reading import Term
from monitors.evaluator.model.series import Floats, Int32s, Int64s
from monitors.evaluator.model.spec import ConditionKind, MissingPolicy, RuleSpec

Computed = Term | Program | None
"""What is computed of an instance's input, or of its inputs; None: how old its newest point is."""


class Profiles(Columns):
    """Templates of rules by number, as columns. Times are nanoseconds. Those that nobody uses are given up."""

    kind: Int32s
    absent_for: Int64s
    for_duration: Int64s
    keep_firing_for: Int64s
    interval: Int64s
    no_data: Int32s
    missing_series: Int32s
    waits: Booleans
    """Whether time alone may make it true or false."""
    joins: Booleans
    """Whether it has a formula."""
    alerting: Booleans
    """Whether unknown may mean true."""
    every_point: Booleans
    of_text: Booleans
    recovers: Booleans
    """Whether a recover clause, and nothing else, says when firing ends."""
    recover_low: Floats
    recover_high: Floats
    recover_outside: Booleans
    has_levels: Booleans
    """Whether `ladders` says when firing begins, ends and changes its severity."""
    retention: Int64s
    span: Int64s
    term: Int32s
    """What is computed for it, in `terms`."""
    next_slot: Int64s
    """The next multiple of the interval that isn't evaluated yet; NEVER before the first rule that uses it is live."""
    users: Int64s

    LAYOUT: ClassVar[Layout] = {
        "kind": (np.int32, ConditionKind.THRESHOLD),
        "absent_for": (np.int64, 0),
        "for_duration": (np.int64, 0),
        "keep_firing_for": (np.int64, 0),
        "interval": (np.int64, 1),
        "no_data": (np.int32, 0),
        "missing_series": (np.int32, 0),
        "waits": (np.bool_, False),
        "joins": (np.bool_, False),
        "alerting": (np.bool_, False),
        "every_point": (np.bool_, True),
        "of_text": (np.bool_, False),
        "recovers": (np.bool_, False),
        "recover_low": (np.float64, 0.0),
        "recover_high": (np.float64, 0.0),
        "recover_outside": (np.bool_, False),
        "has_levels": (np.bool_, False),
        "retention": (np.int64, 0),
        "span": (np.int64, 0),
        "term": (np.int32, 0),
        "next_slot": (np.int64, NEVER),
        "users": (np.int64, 0),
    }

    def __init__(self) -> None:
        super().__init__()
        self.templates: list[RuleSpec | None] = []
        self.terms: list[Computed] = []
        self.ladders = Ladders()
        self.waiting_count = self.alerting_count = self.outside_count = self.formula_count = self.level_count = 0
        """How many profiles wait, may take unknown for true, ask for the outside, have a formula, have levels."""
        self._numbers: dict[tuple[object, ...], int] = {}
        self._terms: dict[Term | Formula | None, int] = {}
        self._free: list[int] = []

    @property
    def all_every_point(self) -> bool:
        """Whether no profile is for slots only."""
        return bool(self.every_point.all())

    def template(self, number: int) -> RuleSpec:
        """A template. Raises LookupError for a number that isn't used."""
        found = self.templates[number]
        if found is None:
            raise LookupError(f"no profile has the number {number}")
        return found

    def used(self) -> list[int]:
        """The numbers in use."""
        return sorted(self._numbers.values())

    def take(self, specs: Sequence[RuleSpec]) -> Int32s:
        """The numbers of rules' templates, which have one user more for each."""
        numbers = np.array([self._number(spec) for spec in specs], dtype=np.int32)
        self.users += np.bincount(numbers, minlength=self.capacity)
        return numbers

    def _number(self, spec: RuleSpec) -> int:
        shape = spec.shape
        number = self._numbers.get(shape)
        if number is None:
            number = self._numbers[shape] = self._add(spec.template)
        return number

    def give_up(self, number: int) -> None:
        """Says that there is one user less."""
        self.users[number] -= 1
        if not self.users[number]:
            template = self.template(number)
            self._count(number, -1)
            del self._numbers[template.shape]
            self.templates[number] = None
            self.clear(number)
            self.ladders.clear(number)
            self._free.append(number)

    def _add(self, template: RuleSpec) -> int:
        if self._free:
            number = self._free.pop()
            self.templates[number] = template
        else:
            number = len(self.templates)
            self.templates.append(template)
            self.reserve(number + 1)
        for name in ("kind", "absent_for", "for_duration", "keep_firing_for", "interval",
                     "no_data", "missing_series", "every_point", "of_text", "retention", "span", "waits"):  # fmt: skip
            getattr(self, name)[number] = getattr(template, name)
        if template.levels:
            self.has_levels[number] = True
            self.ladders.put(number, template)
        elif template.recover:
            self.recovers[number] = True
            self.recover_low[number], self.recover_high[number], self.recover_outside[number] = template.recover
        self.term[number] = self._number_of_term(template)
        self.joins[number] = template.formula is not None
        self.alerting[number] = MissingPolicy.ALERT in (template.no_data, template.missing_series)
        self._count(number, 1)
        return number

    def _count(self, number: int, one: int) -> None:
        template = self.template(number)
        self.waiting_count += one * template.waits
        self.formula_count += one * (template.formula is not None)
        self.alerting_count += one * bool(self.alerting[number])
        self.outside_count += one * template.bounds(0.0, 0.0).outside
        self.level_count += one * bool(template.levels)

    def _number_of_term(self, template: RuleSpec) -> int:
        what: Term | Formula | None = template.formula
        if what is None and template.kind is not ConditionKind.ABSENCE:
            what = template.reading.term
        if what not in self._terms:
            self._terms[what] = len(self.terms)
            self.terms.append(what if what is None or isinstance(what, Term) else Program(what))
        return self._terms[what]

    def program(self, number: int) -> Program:
        """What evaluates the formula of a template. Raises TypeError for one without."""
        found = self.terms[self.term[number]]
        if not isinstance(found, Program):
            raise TypeError(f"the profile {number} has no formula")
        return found

    def by_term(self, profiles: Int32s) -> Iterator[tuple[Computed, Places | slice]]:
        """What is computed for many instances' profiles, and for which of the instances each."""
        if len(self.terms) == 1:
            yield self.terms[0], slice(None)
            return
        numbers = self.term[profiles]
        counts = np.bincount(numbers, minlength=len(self.terms))
        for number in np.flatnonzero(counts).tolist():
            whole = int(counts[number]) == len(numbers)
            yield self.terms[number], slice(None) if whole else np.flatnonzero(numbers == number)
