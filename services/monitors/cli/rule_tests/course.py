"""Runs the rules of a test on its series: what RuleService would store, evaluated by the live evaluator's step."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np

from monitors.cli.choices import word_of
from monitors.cli.durations import format_duration
from monitors.cli.rule_files.fields import name_of
from monitors.cli.rule_files.problems import Problems
from monitors.cli.rule_files.reading import FileRule
from monitors.cli.rule_tests.cases import AlertName, Case, MadeSeries
from monitors.evaluator.conditions import NotEvaluable
from monitors.evaluator.model.evaluation import NO_POINTS, Evaluation
from monitors.evaluator.model.explanation import explain
from monitors.evaluator.model.machine import Transition
from monitors.evaluator.model.outcome import Interval, intervals
from monitors.evaluator.model.points import Points
from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.model.spec import RuleKey, RuleSpec
from monitors.evaluator.translate import to_spec
from monitors.mesh.errors import MeshError
from monitors.mesh.patterns import matches_stars
from monitors.mesh.times import SECOND
from monitors.rules.model import catalogue
from monitors.rules.model.channels import KnownChannel
from monitors.rules.model.drafting import Proposal, Surroundings, propose_new, settle
from monitors.rules.model.rule import changed
from monitors.rules.translate.rules import draft_from_proto, rule_to_proto
from monitors.v1 import mesh_pb2, rule_pb2

TENANT = "test"
MICROSECOND = 1_000
"""What instants are counted in, as people do: `no data for 5m` is true a nanosecond after five minutes."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


@dataclass(frozen=True, slots=True)
class ReadRule:
    """A rule of a file with all that can be told of it without knowing any series."""

    rule: FileRule
    proposal: Proposal

    @property
    def severity(self) -> str:
        """How bad it is, as a word."""
        return word_of(rule_pb2.Severity, int(self.proposal.rule.severity))


def read_rule(rule: FileRule, problems: Problems) -> ReadRule | None:
    """A rule as RuleService reads it; None if it would be refused, which is then among the problems."""
    try:
        proposal = propose_new(draft_from_proto(rule.message()))
    except MeshError as error:
        problems.add(rule.place, f"{rule.key}: {error.message}")
        return None
    for violation in (violation for refusal in proposal.errors for violation in refusal.violations):
        name = name_of(violation.field)
        problems.add(rule.place_of(name), f"{rule.key}: {name}: {violation.description}")
    return None if proposal.errors else ReadRule(rule, proposal)


def spec_for(read: ReadRule, case: Case) -> RuleSpec | str:
    """The rule for the evaluator, with its fields found among the test's series; or why it isn't tried on them."""
    rule = read.proposal.rule
    monitors = sorted({one.monitor for one in case.series if matches_stars(one.monitor, rule.monitor_id)})
    fields = {
        catalogue.Field(one.measurement, one.field, catalogue.FieldType.FLOAT)
        for one in case.series
        if one.monitor in monitors
    }
    around = Surroundings(
        monitors,
        sorted(fields, key=lambda field: field.qualified),
        sorted({one.monitor for one in case.series}),
        {name: KnownChannel(name, "", is_default=False) for name in rule.notify},
    )
    try:
        settled = changed(settle(read.proposal, around), {"id": read.rule.key, "revision": 1})
        return to_spec(mesh_pb2.WatchedRule(tenant_id=TENANT, rule=rule_to_proto(settled), revision=1))
    except MeshError as error:
        return "; ".join(violation.description for violation in error.violations) or error.message
    except NotEvaluable as error:
        return str(error)


class Course:
    """An evaluation of a test, whose points come as their time does. Times are nanoseconds after the test's start."""

    def __init__(self, case: Case, specs: Sequence[RuleSpec], names: Mapping[str, str]) -> None:
        """`names` are what the test calls the rules, by their keys."""
        self._case, self._names = case, names
        # The start itself is an instant at which rules are evaluated.
        begin = case.start - 1
        self._evaluation = Evaluation(begin)
        fill, _ = self._evaluation.put_rules(specs, begin)
        self._evaluation.filled(fill, [])
        self._evaluation.activate(at_once=False)
        self._transitions: list[Transition] = []
        self._numbers: dict[MadeSeries, int] = {}
        self._coming = _in_order(case.series)
        self._next = next(self._coming, None)

    def advance(self, time: int) -> None:
        """Evaluates up to the end of a time's microsecond."""
        time += MICROSECOND - 1
        while self._next is not None and self._next[0] <= time:
            at, points = self._next
            self._transitions += self._evaluation.advance(self._points(at, points), self._case.start + at)
            self._next = next(self._coming, None)
        self._transitions += self._evaluation.advance(NO_POINTS, self._case.start + time)

    def firing(self) -> dict[AlertName, str]:
        """Who fires now, and at which severity if its rule has levels; otherwise empty."""
        # The last transition of what fires is its beginning or a change of its level.
        levels = {one.key: one.level for one in self._transitions}
        found = {}
        for one in self._open():
            level = levels[one.key]
            name = self._name(one.key.rule_id, one.key.monitor, one.key.tags)
            found[name] = word_of(rule_pb2.Severity, level) if level else ""
        return found

    def spans(self) -> dict[AlertName, list[tuple[int, int | None, float | None]]]:
        """When each alert began, was over, and with which value it began, so far."""
        found: dict[AlertName, list[tuple[int, int | None, float | None]]] = {}
        for one in intervals(self._transitions):
            name = self._name(one.key.rule_id, one.key.monitor, one.key.tags)
            end = None if one.end is None else self._time(one.end)
            found.setdefault(name, []).append((self._time(one.start), end, one.value))
        return found

    def explanation(self, name: AlertName) -> str:
        """Why an alert fires now, or doesn't."""
        key = next((key for key, own in self._names.items() if own == name.rule), "")
        found = explain(self._evaluation, RuleKey(TENANT, key), [name.monitor])
        own = next((one for one in found if one.key.tags == name.tags), None)
        if own is not None:
            return _MOMENT.sub(lambda moment: self._after(moment[0]), own.text)
        others = [self._name(key, one.key.monitor, one.key.tags).text(self._case.monitor) for one in found[:3]]
        return f"there is no such instance; there is {', '.join(others)}" if others else "it has no series yet"

    def _after(self, moment: str) -> str:
        seconds, _, fraction = moment.removesuffix("Z").partition(".")
        nanos = int(datetime.fromisoformat(f"{seconds}Z").timestamp()) * SECOND + int(fraction.ljust(9, "0") or 0)
        return format_duration(self._time(nanos))

    def _time(self, moment: int) -> int:
        return (moment - self._case.start) // MICROSECOND * MICROSECOND

    def _open(self) -> Iterator[Interval]:
        return (one for one in intervals(self._transitions) if one.end is None)

    def _name(self, key: str, monitor: str, tags: tuple[tuple[str, str], ...]) -> AlertName:
        return AlertName(self._names[key], monitor, tags)

    def _points(self, time: int, points: Sequence[tuple[MadeSeries, float]]) -> Points:
        """The points of one time. A series becomes known with its first one."""
        new = [one for one, _ in points if one not in self._numbers]
        first = len(self._numbers)
        self._numbers |= {one: first + number for number, one in enumerate(new)}
        self._evaluation.add_series(
            Series(
                self._numbers[one],
                SeriesKey(TENANT, one.monitor, one.measurement, one.field, one.tags),
                FieldType.FLOAT,
            )
            for one in new
        )
        return Points(
            np.array([self._numbers[one] for one, _ in points], dtype=np.int32),
            np.full(len(points), self._case.start + time, dtype=np.int64),
            np.array([value for _, value in points], dtype=np.float64),
        )


def _in_order(series: Iterable[MadeSeries]) -> Iterator[tuple[int, list[tuple[MadeSeries, float]]]]:
    points = sorted(
        ((time, one, value) for one in series for time, value in one.points), key=lambda point: point[0]
    )  # fmt: skip
    for time, group in groupby(points, key=lambda point: point[0]):
        yield time, [(one, value) for _, one, value in group]
