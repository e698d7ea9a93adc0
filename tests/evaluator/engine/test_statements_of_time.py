"""The statements about instants, windows and gaps (T), each by name."""

import pytest

from monitors.evaluator.model.bounds import Operator
from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.recovery import resume
from monitors.evaluator.model.spec import MissingPolicy
from monitors.evaluator.model.state import Status
from tests.evaluator.engine.scene import NAN, Scene, at, threshold


def test_t1_slots_are_the_multiples_of_the_interval_whenever_the_evaluation_began() -> None:
    scene = Scene(threshold(every_point=False))
    scene.until(33)
    resume(scene.evaluation, at(47.5))
    assert scene.feed((0, 48, 20), now=49.9) == []
    assert scene.until(50) == [("firing", 50, "")]


def test_t2_windows_are_closed_at_both_ends() -> None:
    scene = Scene(threshold(aggregation=Aggregation.COUNT, window=10, low=2))
    assert scene.feed((0, 1, 0), (0, 5, 0), (0, 11, 0), now=11) == [("firing", 11, "")]
    earlier = Scene(threshold(aggregation=Aggregation.COUNT, window=10, low=2))
    assert earlier.feed((0, 1 - 1e-9, 0), (0, 5, 0), (0, 11, 0), now=11) == []


def test_t3_latest_looks_back_five_minutes_and_no_further() -> None:
    scene = Scene(threshold(no_data=MissingPolicy.OK, interval=1))
    assert scene.feed((0, 1, 20), now=301) == [("firing", 1, "")]
    assert scene.until(302) == [("missing_series", 302, "")]


def test_t4_a_gap_shorter_than_the_look_back_has_no_effect() -> None:
    assert Scene(threshold(for_duration=290)).feed((0, 1, 20), (0, 300, 20), now=300) == [("firing", 291, "")]


def test_t4_a_gap_longer_than_the_look_back_stops_the_clock_of_for() -> None:
    scene = Scene(threshold(for_duration=400))
    # Unknown from the slot at 310 on, known again at 500: of the time until then 309 s count.
    assert scene.feed((0, 1, 20), (0, 500, 20), now=590) == []
    assert scene.until(591) == [("firing", 591, "")]


def test_t5_a_gap_longer_than_the_interval_starts_nothing_over_in_one_go_as_it_does_not_live() -> None:
    spec = threshold(for_duration=60, every_point=False)
    assert Scene(spec).feed((0, 5, 20), (0, 65, 20), now=80) == [("firing", 70, "")]
    live = Scene(spec)
    assert live.feed((0, 5, 20), now=64) == []
    assert live.feed((0, 65, 20), now=80) == [("firing", 70, "")]


def test_t6_nothing_waits_for_late_points_which_only_enter_later_windows() -> None:
    scene = Scene(threshold())
    scene.feed((0, 5, 5), now=5)
    assert scene.feed((0, 4, 20), now=6) == []
    wide = Scene(threshold(aggregation=Aggregation.MAXIMUM, window=60))
    wide.feed((0, 5, 5), now=5)
    assert wide.feed((0, 4, 20), now=6) == []
    assert wide.until(10) == [("firing", 10, "")]


@pytest.mark.parametrize("operator", list(Operator))
def test_t7_what_is_not_a_number_is_unknown_for_every_operator(operator: Operator) -> None:
    scene = Scene(threshold(operator=operator))
    assert scene.feed((0, 1, NAN), now=9) == []
    assert scene.status() is Status.INACTIVE


def test_t7_infinity_compares_as_a_number() -> None:
    assert Scene(threshold()).feed((0, 1, float("inf")), now=1) == [("firing", 1, "")]
    assert Scene(threshold(operator=Operator.LESS)).feed((0, 1, float("-inf")), now=1) == [("firing", 1, "")]


def test_t7_aggregates_leave_out_what_is_not_a_number_and_latest_does_not_reach_past_it() -> None:
    average = Scene(threshold(aggregation=Aggregation.AVERAGE, window=60))
    assert average.feed((0, 1, 5), (0, 2, NAN), (0, 3, 25), now=3) == [("firing", 3, "")]
    latest = Scene(threshold(no_data=MissingPolicy.OK))
    assert latest.feed((0, 1, 20), (0, 2, NAN), now=2) == [("firing", 1, ""), ("missing_series", 2, "")]


@pytest.mark.parametrize(("aggregation", "number"), [(Aggregation.RATE, 6), (Aggregation.INCREASE, 18)])
def test_t8_a_counter_rises_by_its_rises_alone_and_a_fall_is_a_start_from_zero(
    aggregation: Aggregation, number: float
) -> None:
    # It rises by 10, then by 3 from 0, then by 5: 18 within 3 s, and nothing is added for the edges of the window.
    counter = [(0, 1, 0), (0, 2, 10), (0, 3, 3), (0, 4, 8)]
    scene = Scene(threshold(number, aggregation=aggregation, window=60, operator=Operator.EQUAL))
    assert scene.feed(*counter, now=4) == [("firing", 4, "")]
