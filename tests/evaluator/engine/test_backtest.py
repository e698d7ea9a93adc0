"""A backtest tells exactly what the live evaluator does on the same points, however they come in time."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.model.backtest import Backtest
from monitors.evaluator.model.evaluation import Evaluation, Points
from monitors.evaluator.model.machine import TransitionKind
from monitors.evaluator.model.reading import Aggregation, Function
from monitors.evaluator.model.spec import ConditionKind, MissingPolicy, RuleSpec
from tests.evaluator.engine.comparing import by_time, plainly
from tests.evaluator.engine.scene import START, at
from tests.evaluator.engine.strategies import KNOWN, points, rules, rules_of_numbers
from tests.fuzzing import share

Rows = list[tuple[int, float, float]]
"""(series, seconds, value)."""
EARLIEST = -100


@st.composite
def histories(draw: st.DrawFn) -> Rows:
    """Points in the order of time, some from before the start, without two of one series and time."""
    seconds = st.one_of(st.integers(2 * EARLIEST, 0), st.integers(1, 160), st.integers(1, 160)).map(lambda n: n / 2)
    drawn = draw(st.lists(points(seconds), max_size=60, unique_by=lambda one: (one[0], one[1])))
    return sorted(drawn, key=lambda one: one[1])


def as_points(rows: Rows) -> Points:
    return Points(
        np.array([row[0] for row in rows], dtype=np.int32),
        np.array([at(row[1]) for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float64),
    )


def seen(rows: Rows) -> list[bool]:
    return [any(row[0] == index and row[1] <= 0 for row in rows) for index in range(len(KNOWN))]


def live(spec: RuleSpec, rows: Rows) -> Evaluation:
    """An evaluation that has the rule from the start on, and gets the points in batches."""
    evaluation = Evaluation(START)
    evaluation.add_series(KNOWN)
    fill, _ = evaluation.put_rule(spec, START)
    evaluation.fill(fill, as_points([row for row in rows if row[1] <= 0]))
    evaluation.filled(fill, seen(rows))
    evaluation.activate([spec.key], at_once=False)
    return evaluation


@share(600)
@given(rules(), histories(), st.data())
def test_a_backtest_tells_what_the_live_evaluator_tells(spec: RuleSpec, rows: Rows, data: st.DataObject) -> None:
    until = at(data.draw(st.integers(1, 130), label="until"))
    evaluation, told, coming = live(spec, rows), [], [row for row in rows if row[1] > 0 and at(row[1]) <= until]
    while coming:
        count = data.draw(st.integers(1, len(coming)), label="points of a batch")
        while count < len(coming) and coming[count][1] == coming[count - 1][1]:
            count += 1
        told += evaluation.advance(as_points(coming[:count]), at(coming[count - 1][1]))
        coming = coming[count:]
    told += evaluation.advance(as_points([]), until)
    found = Backtest(spec, KNOWN, as_points(rows), seen(rows), START, until).transitions()
    assert by_time([plainly(one) for one in found]) == by_time([plainly(one) for one in told])


@st.composite
def thresholds(draw: st.DrawFn) -> RuleSpec:
    """A rule with a threshold, half of which alert at once and forget at once."""
    spec = replace(
        draw(rules_of_numbers([ConditionKind.THRESHOLD])),
        kind=ConditionKind.THRESHOLD, monitor="*", field="cpu", filters=(), occurrence=None, formula=None, numbers=(),
    )  # fmt: skip
    plain: dict[str, Any] = {
        "for_duration": 0,
        "keep_firing_for": 0,
        "recover": None,
        "offset": 0,
        "no_data": MissingPolicy.KEEP,
        "missing_series": draw(st.sampled_from([MissingPolicy.KEEP, MissingPolicy.RESOLVE])),
        "function": Function.VALUE,
        "aggregation": draw(st.sampled_from([Aggregation.LATEST, Aggregation.SUM])),
    }
    return replace(spec, **plain) if draw(st.booleans()) else spec


@share(300)
@given(thresholds(), histories(), st.sampled_from([0.0, 0.5, 1.0, 5.0]))
def test_as_many_alerts_are_counted_with_another_threshold_as_a_rule_with_it_has(
    spec: RuleSpec, rows: Rows, threshold: float
) -> None:
    backtest = Backtest(spec, KNOWN, as_points(rows), seen(rows), START, at(100))
    low, high, outside = spec.bounds(threshold, threshold)
    other = Backtest(replace(spec, low=threshold), KNOWN, as_points(rows), seen(rows), START, at(100))
    expected = sum(one.kind is TransitionKind.FIRING for one in other.transitions())
    assert backtest.firing_count(low, high, outside=outside) == expected
