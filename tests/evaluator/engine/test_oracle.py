"""The array engine against the oracle, on random rules, data and batches."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.evaluator.model.evaluation import Evaluation, Points
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.spec import (
    LATENESS,
    Aggregation,
    ConditionKind,
    MissingPolicy,
    Operator,
    RuleSpec,
    TagFilter,
)
from tests.evaluator.engine.oracle import Oracle, Told
from tests.evaluator.engine.scene import SECOND, START, at, series

KNOWN = [
    series(0, core="0"),
    series(1, core="1"),
    series(2, monitor="n", core="0"),
    series(3, field="load"),
    series(4, monitor="n", core="1"),
]
VALUES = st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 10.5, float("nan"), float("inf"), float("-inf")])

Arrival = tuple[float, list[tuple[int, float, float]]]


def seconds(*choices: float) -> st.SearchStrategy[int]:
    return st.sampled_from([round(choice * SECOND) for choice in choices])


@st.composite
def rules(draw: st.DrawFn) -> RuleSpec:
    kind = draw(st.sampled_from(ConditionKind))
    any_field = kind is ConditionKind.ABSENCE and draw(st.booleans())
    low = draw(st.sampled_from([0.0, 1.0, 5.0]))
    return RuleSpec(
        "t", "rule_1",
        monitor=draw(st.sampled_from(["m", "n", "*", "m*"])),
        kind=kind,
        field="" if any_field else draw(st.sampled_from(["cpu", "cpu", "host.load"])),
        filters=draw(st.sampled_from([(), (TagFilter("core", "1", negated=True),)])),
        aggregation=draw(st.sampled_from(Aggregation)),
        window=draw(seconds(0, 3, 10, 40)),
        operator=draw(st.sampled_from(Operator)),
        low=low,
        high=low + draw(st.sampled_from([0.0, 4.5])),
        outside=draw(st.booleans()),
        tolerance=draw(st.sampled_from([0.0, 0.5])),
        absent_for=draw(seconds(1, 7, 30)),
        for_duration=draw(seconds(0, 0, 4, 10, 25)),
        keep_firing_for=draw(seconds(0, 0, 5, 20)),
        interval=draw(seconds(2, 4, 10, 30)),
        no_data=draw(st.sampled_from([MissingPolicy.KEEP, MissingPolicy.OK, MissingPolicy.ALERT])),
        missing_series=draw(st.sampled_from(MissingPolicy)),
        every_point=draw(st.integers(0, 4)) > 0,
    )  # fmt: skip


@st.composite
def arrivals(draw: st.DrawFn, oldest: float = 3601) -> list[Arrival]:
    """Batches: when they come, with points from well before to a little after that."""
    now, batches = 0.0, []
    for _ in range(draw(st.integers(1, 6))):
        now += draw(st.sampled_from([0.0, 0.5, 1.0, 5.0, 12.0, 40.0]))
        ages = [0.0, 0.0, 0.25, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 3600.0, 3601.0, -1.0, -7.0]
        age = st.sampled_from([one for one in ages if one <= oldest])
        point = st.tuples(st.sampled_from(range(len(KNOWN))), age.map(lambda old, now=now: now - old), VALUES)  # type: ignore[misc]
        batches.append((now, draw(st.lists(point, max_size=8))))
    return batches


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, float, float]]:
    """Points in the order of time, without two of one series and time."""
    point = st.tuples(st.sampled_from(range(len(KNOWN))), st.integers(1, 160).map(lambda step: step / 2), VALUES)
    drawn = draw(st.lists(point, min_size=1, max_size=40, unique_by=lambda one: (one[0], one[1])))
    return sorted(drawn, key=lambda one: one[1])


def start_evaluation(spec: RuleSpec) -> Evaluation:
    evaluation = Evaluation(START)
    evaluation.add_series(KNOWN)
    fill, _ = evaluation.put_rule(spec, START)
    evaluation.filled(fill, [False] * len(KNOWN))
    evaluation.activate([spec.key], at_once=False)
    return evaluation


def as_points(rows: list[tuple[int, int, float]]) -> Points:
    return Points(
        np.array([row[0] for row in rows], dtype=np.int32),
        np.array([row[1] for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float64),
    )


def plainly(one: Transition) -> Told:
    kind = "firing" if one.kind is TransitionKind.FIRING else "resolved"
    return (kind, one.key.monitor, one.key.tags, one.time, one.episode, one.value, one.reason)


def by_time(told: list[Told]) -> list[Any]:
    # Instances that change at the same instant have no order among themselves, the changes of one have.
    return sorted(told, key=lambda one: (one[3], one[1], one[2]))


def in_nanos(rows: list[tuple[int, float, float]]) -> list[tuple[int, int, float]]:
    return [(index, at(time), value) for index, time, value in rows]


@settings(max_examples=400, deadline=None)
@given(rules(), st.data())
def test_the_engine_agrees_with_the_oracle(spec: RuleSpec, data: st.DataObject) -> None:
    # Whether other series reported at an instant is remembered for as long as points may be late.
    alone = spec.no_data == spec.missing_series
    batches = data.draw(arrivals() if alone else arrivals(oldest=LATENESS / SECOND))
    evaluation, oracle = start_evaluation(spec), Oracle(spec, KNOWN, START)
    for now, rows in batches:
        expected = oracle.feed(in_nanos(rows), at(now))
        told = [plainly(one) for one in evaluation.advance(as_points(in_nanos(rows)), at(now))]
        assert by_time(told) == by_time(expected)


@settings(max_examples=100, deadline=None)
@given(rules(), histories(), st.data())
def test_the_same_data_in_other_batches_gives_the_same_alerts(
    spec: RuleSpec, history: list[tuple[int, float, float]], data: st.DataObject
) -> None:
    last = history[-1][1] + 50
    whole = start_evaluation(spec).advance(as_points(in_nanos(history)), at(last))
    evaluation, pieces, start = start_evaluation(spec), [], 0
    while start < len(history):
        end = data.draw(st.integers(start + 1, len(history)), label="end of the batch")
        while end < len(history) and history[end][1] == history[end - 1][1]:
            end += 1
        pieces += evaluation.advance(as_points(in_nanos(history[start:end])), at(history[end - 1][1]))
        start = end
    pieces += evaluation.advance(as_points([]), at(last))
    assert by_time([plainly(one) for one in pieces]) == by_time([plainly(one) for one in whole])


@settings(max_examples=40, deadline=None)
@given(st.lists(rules(), min_size=2, max_size=6), arrivals(oldest=LATENESS / SECOND))
def test_rules_do_not_disturb_each_other(specs: list[RuleSpec], batches: list[Arrival]) -> None:
    specs = [replace(spec, rule_id=f"rule_{number}") for number, spec in enumerate(specs)]
    together = Evaluation(START)
    together.add_series(KNOWN)
    for spec in specs:
        fill, _ = together.put_rule(spec, START)
        together.filled(fill, [False] * len(KNOWN))
    together.activate([spec.key for spec in specs], at_once=False)
    alone = [start_evaluation(spec) for spec in specs]
    for now, rows in batches:
        arrived = as_points(in_nanos(rows))
        told = together.advance(arrived, at(now))
        expected = [one for evaluation in alone for one in evaluation.advance(arrived, at(now))]
        for spec in specs:
            mine = [plainly(one) for one in told if one.key.rule_id == spec.rule_id]
            assert by_time(mine) == by_time([plainly(one) for one in expected if one.key.rule_id == spec.rule_id])
