"""The array engine against the oracle on points that come very late, and against itself on other batches.

Everything else that may happen to rules and points is in the sequences beside this file.
"""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.model.evaluation import Evaluation, Points
from monitors.evaluator.model.spec import RuleSpec
from tests.evaluator.engine.comparing import by_time, plainly
from tests.evaluator.engine.events import Arrive, Put
from tests.evaluator.engine.scene import START, at
from tests.evaluator.engine.sequences import World
from tests.evaluator.engine.strategies import KNOWN, arrivals, points, rules
from tests.fuzzing import share

History = list[tuple[int, float, float]]
"""(series, seconds, value)."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Points in the order of time, without two of one series and time."""
    halves = st.integers(1, 160).map(lambda step: step / 2)
    drawn = draw(st.lists(points(halves), min_size=1, max_size=40, unique_by=lambda one: (one[0], one[1])))
    return sorted(drawn, key=lambda one: one[1])


def start_evaluation(spec: RuleSpec) -> Evaluation:
    evaluation = Evaluation(START)
    evaluation.add_series(KNOWN)
    fill, _ = evaluation.put_rule(spec, START)
    evaluation.filled(fill, [False] * len(KNOWN))
    evaluation.activate([spec.key], at_once=False)
    return evaluation


def as_points(rows: History) -> Points:
    return Points(
        np.array([row[0] for row in rows], dtype=np.int32),
        np.array([at(row[1]) for row in rows], dtype=np.int64),
        np.array([row[2] for row in rows], dtype=np.float64),
    )


@share(200)
@given(rules(), st.lists(arrivals(3601.0), min_size=1, max_size=6))
def test_points_that_are_up_to_an_hour_late(spec: RuleSpec, batches: list[Arrive]) -> None:
    # Whether other series reported at an instant is remembered for as long as points may be late; here nobody asks.
    world = World(KNOWN, len(KNOWN))
    world.play(Put(replace(spec, missing_series=spec.no_data)))
    for batch in batches:
        world.play(batch)


@share(100)
@given(rules(), histories(), st.data())
def test_the_same_data_in_other_batches_gives_the_same_alerts(
    spec: RuleSpec, history: History, data: st.DataObject
) -> None:
    last = history[-1][1] + 50
    whole = start_evaluation(spec).advance(as_points(history), at(last))
    evaluation, pieces, start = start_evaluation(spec), [], 0
    while start < len(history):
        end = data.draw(st.integers(start + 1, len(history)), label="end of the batch")
        while end < len(history) and history[end][1] == history[end - 1][1]:
            end += 1
        pieces += evaluation.advance(as_points(history[start:end]), at(history[end - 1][1]))
        start = end
    pieces += evaluation.advance(as_points([]), at(last))
    assert by_time([plainly(one) for one in pieces]) == by_time([plainly(one) for one in whole])
