"""Plays a peer's case on the engine and says what came of it, in the terms in which the case was written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from monitors.evaluator.model.bounds import Bounds, Operator, bounds
from monitors.evaluator.model.evaluation import Evaluation
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.reading import Occurrence, Tags
from monitors.evaluator.model.recovery import resume
from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.model.spec import ConditionKind, Level, RuleSpec, Severity
from monitors.evaluator.model.state import Status
from monitors.evaluator.translate import to_spec as from_message
from monitors.mesh.times import to_duration
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.translate.conditions import condition_to_proto
from monitors.v1 import mesh_pb2, rule_pb2
from tests.evaluator.engine.restarts import OpenAlerts, saved, taken_up
from tests.evaluator.engine.scene import SECOND, START, at, points
from tests.peers.cases import Case, Expected, Message, PeerRule, Samples

OPERATORS = {
    ">": Operator.GREATER,
    ">=": Operator.GREATER_OR_EQUAL,
    "<": Operator.LESS,
    "<=": Operator.LESS_OR_EQUAL,
    "==": Operator.EQUAL,
    "!=": Operator.NOT_EQUAL,
}
SEVERITIES = {"INFO": Severity.LOW, "WARN": Severity.HIGH, "CRITICAL": Severity.CRITICAL}
_NAMES = {int(severity): name for name, severity in SEVERITIES.items()}


@cache
def to_spec(rule: PeerRule, interval: float, *, every_point: bool = False) -> RuleSpec:
    """A peer's rule as ours, evaluated at the multiples of the interval only, or at every point as well."""
    if rule.condition:
        return _said(rule, interval, every_point=every_point)
    return RuleSpec(
        "t",
        rule.name,
        "m",
        ConditionKind.THRESHOLD,
        field=rule.field,
        operator=OPERATORS[rule.operator],
        low=rule.low,
        aggregation=rule.aggregation,
        window=round(rule.window * SECOND),
        for_duration=round(rule.pending * SECOND),
        keep_firing_for=round(rule.keep * SECOND),
        interval=round(interval * SECOND),
        every_point=every_point,
        occurrence=Occurrence(rule.in_a_row, rule.in_a_row) if rule.in_a_row else None,
        recover=_bounds(rule.recover),
        severity=SEVERITIES[rule.level] if rule.level else None,
        levels=tuple(
            Level(SEVERITIES[one.name], bounds(OPERATORS[rule.operator], one.low), _bounds(one.reset))
            for one in rule.levels
        ),
    )


def _bounds(test: tuple[str, float] | None) -> Bounds | None:
    return bounds(OPERATORS[test[0]], test[1]) if test else None


def _said(rule: PeerRule, interval: float, *, every_point: bool) -> RuleSpec:
    """A rule whose condition is a text, by the way that every rule takes."""
    message = rule_pb2.Rule(
        id=rule.name,
        monitor_id="m",
        condition=condition_to_proto(parse_condition(rule.condition, "condition").condition),
        for_duration=to_duration(round(rule.pending * SECOND)),
        keep_firing_for=to_duration(round(rule.keep * SECOND)),
        interval=to_duration(round(interval * SECOND)),
        evaluation_mode=rule_pb2.EVALUATION_MODE_UNSPECIFIED if every_point else rule_pb2.EVALUATION_MODE_INTERVAL,
    )
    return from_message(mesh_pb2.WatchedRule(tenant_id="t", rule=message))


def to_tags(series: str) -> Tags:
    """The tags of a series: itself as the tag `series`, or what it spells out."""
    if "=" not in series:
        return (("series", series),) if series else ()
    return tuple(sorted((name, value) for name, _, value in (pair.partition("=") for pair in series.split(","))))


def name_of(rule: str, tags: Tags) -> str:
    """An instance by its rule and its tags, sorted by name, as `to_tags` takes them."""
    one = dict(tags)
    return f"{rule}/" + (one["series"] if one.keys() == {"series"} else ",".join(f"{k}={v}" for k, v in one.items()))


def to_series(names: Mapping[str, Samples]) -> list[Series]:
    """Series by `field/series`, or by the series alone if the field is `v`."""
    found = []
    for index, name in enumerate(names):
        field, _, series = name.rpartition("/")
        found.append(Series(index, SeriesKey("t", "m", "peer", field or "v", to_tags(series)), FieldType.FLOAT))
    return found


@dataclass
class Played:
    """What the engine did: the states after each second, and everything that it told."""

    rules: list[str]
    """In the order of their levels."""
    states: dict[tuple[str, float], str]
    levels: dict[float, str]
    transitions: list[Transition]

    def level(self, firing: Mapping[str, int]) -> str:
        """At which of its levels the last of the rules fires that do, or its name if it has none; `OK` if none does."""
        last = next((one for one in reversed(self.rules) if one in firing), None)
        return "OK" if last is None else _NAMES.get(firing[last], last)

    def changes(self, which: str) -> list[tuple[float, str]]:
        """The changes of the level from one to another, of which `which` may name either or none: `any>WARN`."""
        begin, end = which.split(">")
        before, found, firing = "OK", [], dict[str, int]()
        for time, together in groupby(sorted(self.transitions, key=_time), key=_time):
            for one in together:
                if one.kind is TransitionKind.RESOLVED:
                    firing.pop(one.key.rule_id, None)
                else:
                    firing[one.key.rule_id] = one.level
            level = self.level(firing)
            if level != before and begin in ("any", before) and end in ("any", level):
                found.append(((time - START) / SECOND, level))
            before = level
        return found


def _time(one: Transition) -> int:
    return one.time


def play(case: Case) -> Played:
    """Runs a case."""
    actor = _Actor(case)
    for second in actor.agenda():
        actor.go_to(second)
    return actor.played


class _Actor:
    def __init__(self, case: Case) -> None:
        self.case = case
        self.played = Played([one.name for one in case.rules], {}, {}, [])
        self._alerts = OpenAlerts()
        self._stored = points([])
        self._rules = case.rules if case.before is None else case.before
        self._names = dict(case.series if case.series_before is None else case.series_before)
        self.evaluation = Evaluation(START - 1)
        self.evaluation.add_series(to_series(self._names))
        for spec in map(self._spec, self._rules):
            fill, _ = self.evaluation.put_rule(spec, START - 1)
            self.evaluation.filled(fill, [False] * len(self._names))
            self.evaluation.activate([spec.key], at_once=False)

    def _spec(self, rule: PeerRule) -> RuleSpec:
        return to_spec(rule, self.case.interval, every_point=bool(self.case.batches))

    def agenda(self) -> list[float]:
        """The seconds at which something comes in or is looked at."""
        samples = {second for one in (*self.case.series.values(), *self._names.values()) for second, _ in one}
        samples |= {second for second, _ in self.case.batches}
        slots = {index * self.case.interval for index in range(int(self.case.last / self.case.interval) + 1)}
        return sorted(samples | slots | set(self.case.outage or ()))

    def go_to(self, second: float) -> None:
        """Takes the samples of that second and evaluates until then, unless the process is down."""
        outage = self.case.outage
        if outage and outage[0] < second < outage[1]:
            return
        if outage and second == outage[1]:
            self._come_back(second)
        rows = [
            (index, when, value)
            for index, samples in enumerate(self._names.values())
            for when, value in samples
            if when == second
        ]
        rows += [(0, *one) for when, batch in self.case.batches if when == second for one in batch]
        arrived = points(rows)
        self._stored = self._stored.then(arrived)
        self._note(self.evaluation.advance(arrived, at(second)))
        self._look(second)

    def _come_back(self, second: float) -> None:
        state = saved(self.evaluation)
        known = self._names
        self._rules, self._names = self.case.rules, dict(self.case.series)
        specs = list(map(self._spec, self._rules))
        # With other series the stored points are others' too.
        stored = [self._stored] if list(known) == list(self._names) else []
        self.evaluation, told = taken_up(state, to_series(self._names), specs, stored, self._alerts.listed())
        self._note(told)
        resume(self.evaluation, at(second))

    def _note(self, transitions: list[Transition]) -> None:
        self._alerts.record(transitions)
        self.played.transitions += transitions

    def _look(self, second: float) -> None:
        plan, instances, firing = self.evaluation.plan, self.evaluation.state.instances, dict[str, int]()
        places = plan.places()
        for place, key in zip(places.tolist(), plan.keys_of(places), strict=True):
            status = Status(int(instances.status[place]))
            self.played.states[name_of(key.rule_id, key.tags), second] = status.name.lower()
            if status is Status.FIRING:
                firing[key.rule_id] = int(instances.level[place])
        self.played.levels[second] = self.played.level(firing)


def observe(played: Played, expected: Expected) -> Expected:
    """What was seen of that about which something is expected."""
    messages = [_message(one) for one in played.transitions]
    return Expected(
        states={
            instance: [(second, played.states.get((instance, second), "absent")) for second, _ in wanted]
            for instance, wanted in expected.states.items()
        },
        levels=[(second, played.levels[second]) for second, _ in expected.levels],
        messages=messages if expected.messages is not None else None,
        begun={
            instance: [(one.episode - START) / SECOND for one in _firings(played, instance)]
            for instance in expected.begun
        },
        values={
            instance: [one.value for one in _firings(played, instance) if one.value is not None]
            for instance in expected.values
        },
        changes={which: played.changes(which) for which in expected.changes},
    )


def _firings(played: Played, instance: str) -> list[Transition]:
    return [
        one for one in played.transitions if one.kind is TransitionKind.FIRING and _message(one).instance == instance
    ]


def _message(one: Transition) -> Message:
    return Message((one.time - START) / SECOND, one.kind.name.lower(), name_of(one.key.rule_id, one.key.tags))


def plainly(expected: Expected) -> tuple[object, ...]:
    """An expectation with lists for whatever sequences it was written with, to be compared; values to 9 digits."""
    messages = None if expected.messages is None else sorted(expected.messages)
    return (
        {name: list(states) for name, states in expected.states.items()},
        list(expected.levels),
        messages,
        {name: list(begun) for name, begun in expected.begun.items()},
        {name: [f"{value:.9g}" for value in values] for name, values in expected.values.items()},
        {which: list(changes) for which, changes in expected.changes.items()},
    )
