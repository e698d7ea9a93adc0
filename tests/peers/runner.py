"""Plays a peer's case on the engine and says what came of it, in the terms in which the case was written down."""

from collections.abc import Mapping
from dataclasses import dataclass

from monitors.evaluator.model.bounds import Bounds, Operator, bounds
from monitors.evaluator.model.evaluation import Evaluation
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.reading import Occurrence
from monitors.evaluator.model.recovery import resume
from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, Level, RuleSpec, Severity
from tests.evaluator.engine.restarts import OpenAlerts, saved, taken_up
from tests.evaluator.engine.scene import SECOND, START, at, level_of, points, status_of
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
_NAMES = {0: "OK", **{int(severity): name for name, severity in SEVERITIES.items()}}


def to_spec(rule: PeerRule, interval: float) -> RuleSpec:
    """A peer's rule as ours, evaluated at the multiples of the interval only."""
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
        every_point=False,
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


def to_series(names: Mapping[str, Samples]) -> list[Series]:
    """Series by `field/series`, or by the series alone if the field is `v`."""
    found = []
    for index, name in enumerate(names):
        field, _, series = name.rpartition("/")
        tags = (("series", series),) if series else ()
        found.append(Series(index, SeriesKey("t", "m", "peer", field or "v", tags), FieldType.FLOAT))
    return found


@dataclass
class Played:
    """What the engine did: the states that were asked for, and everything that it told."""

    states: dict[tuple[str, float], str]
    levels: dict[float, str]
    transitions: list[Transition]


def play(case: Case) -> Played:
    """Runs a case."""
    actor = _Actor(case)
    for second in actor.agenda():
        actor.go_to(second)
    return actor.played


class _Actor:
    def __init__(self, case: Case) -> None:
        self.case = case
        self.played = Played({}, {}, [])
        self._alerts = OpenAlerts()
        self._stored = points([])
        self._rules = case.rules if case.before is None else case.before
        self._names = dict(case.series if case.series_before is None else case.series_before)
        self._died: float | None = None
        self.evaluation = Evaluation(START - 1)
        self.evaluation.add_series(to_series(self._names))
        for rule in self._rules:
            fill, _ = self.evaluation.put_rule(to_spec(rule, case.interval), START - 1)
            self.evaluation.filled(fill, [False] * len(self._names))
            self.evaluation.activate([to_spec(rule, case.interval).key], at_once=False)

    def agenda(self) -> list[float]:
        """The seconds at which something comes in or is looked at."""
        samples = {second for one in (*self.case.series.values(), *self._names.values()) for second, _ in one}
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
        arrived = points(rows)
        self._stored = self._stored.then(arrived)
        self._note(self.evaluation.advance(arrived, at(second)))
        self._look(second)

    def _come_back(self, second: float) -> None:
        state = saved(self.evaluation)
        known = self._names
        self._rules, self._names = self.case.rules, dict(self.case.series)
        specs = [to_spec(rule, self.case.interval) for rule in self._rules]
        # With other series the stored points are others' too.
        stored = [self._stored] if list(known) == list(self._names) else []
        self.evaluation, told = taken_up(state, to_series(self._names), specs, stored, self._alerts.listed())
        self._note(told)
        resume(self.evaluation, at(second))

    def _note(self, transitions: list[Transition]) -> None:
        self._alerts.record(transitions)
        self.played.transitions += transitions

    def _look(self, second: float) -> None:
        for rule in self._rules:
            for name in self._names:
                field, _, series = name.rpartition("/")
                if rule.field != (field or "v"):
                    continue
                key = InstanceKey("t", rule.name, "m", (("series", series),) if series else ())
                self.played.states[f"{rule.name}/{series}", second] = status_of(self.evaluation, key).name.lower()
                self.played.levels[second] = _NAMES[level_of(self.evaluation, key)]


def observe(played: Played, expected: Expected) -> Expected:
    """What was seen of that about which something is expected."""
    messages = [_message(one) for one in played.transitions]
    begun = {
        instance: [
            (one.episode - START) / SECOND
            for one in played.transitions
            if one.kind is TransitionKind.FIRING and _message(one).instance == instance
        ]
        for instance in expected.begun
    }
    return Expected(
        states={
            instance: [(second, played.states[instance, second]) for second, _ in wanted]
            for instance, wanted in expected.states.items()
        },
        levels=[(second, played.levels[second]) for second, _ in expected.levels],
        messages=messages if expected.messages is not None else None,
        begun=begun,
    )


def _message(one: Transition) -> Message:
    series = ",".join(value for _, value in one.key.tags)
    return Message((one.time - START) / SECOND, one.kind.name.lower(), f"{one.key.rule_id}/{series}")


def plainly(expected: Expected) -> tuple[object, ...]:
    """An expectation with lists for whatever sequences it was written with, to be compared."""
    messages = None if expected.messages is None else sorted(expected.messages)
    return (
        {name: list(states) for name, states in expected.states.items()},
        list(expected.levels),
        messages,
        {name: list(begun) for name, begun in expected.begun.items()},
    )
