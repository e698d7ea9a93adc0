"""When an instance is evaluated, and what its condition says then."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.evaluator.model.bounds import Operator, bounds
from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.spec import ConditionKind, MissingPolicy
from tests.evaluator.engine.scene import START, Scene, absence, at, in_seconds, points, series, threshold


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [
        (Aggregation.LATEST, 4),
        (Aggregation.AVERAGE, 5),
        (Aggregation.MINIMUM, 2),
        (Aggregation.MAXIMUM, 9),
        (Aggregation.SUM, 15),
        (Aggregation.COUNT, 3),
    ],
)
def test_each_aggregation_makes_its_number_of_the_window(aggregation: Aggregation, value: float) -> None:
    spec = threshold(aggregation=aggregation, window=60, operator=Operator.EQUAL, low=value, every_point=False)
    assert Scene(spec).feed((0, 1, 9), (0, 2, 2), (0, 3, 4), now=10) == [("firing", 10, "")]


def test_equality_holds_within_its_tolerance_inclusively() -> None:
    near = threshold(operator=Operator.EQUAL, low=5, tolerance=0.25)
    assert Scene(near).feed((0, 1, 5.25), (0, 2, 5.5), now=2) == [("firing", 1, ""), ("condition", 2, "")]
    far = replace(near, operator=Operator.NOT_EQUAL)
    assert Scene(far).feed((0, 1, 5.25), (0, 2, 5.5), now=2) == [("firing", 2, "")]


def test_the_bounds_of_a_range_belong_to_its_inside() -> None:
    outside = threshold(kind=ConditionKind.RANGE, low=20, high=400, outside=True)
    values = [(0, 1, 20), (0, 2, 400), (0, 3, 401), (0, 4, 19)]
    assert Scene(outside).feed(*values, now=4) == [("firing", 3, "")]
    inside = replace(outside, outside=False)
    assert Scene(inside).feed(*values, now=4) == [("firing", 1, ""), ("condition", 3, "")]


def test_a_spike_between_two_slots_is_seen() -> None:
    assert Scene(threshold()).feed((0, 1, 5), (0, 2, 20), (0, 3, 5), now=3) == [("firing", 2, ""), ("condition", 3, "")]


def test_evaluated_by_interval_only_the_slots_count() -> None:
    scene = Scene(threshold(every_point=False))
    assert scene.feed((0, 1, 20), (0, 3, 5), (0, 12, 20), now=29) == [("firing", 20, "")]


def test_a_slot_at_which_nothing_changed_does_not_shut_out_the_points_before_it() -> None:
    scene = Scene(threshold())
    assert scene.until(10) == []
    assert scene.feed((0, 8, 20), (0, 9, 5), now=11) == [("firing", 8, ""), ("condition", 9, "")]


def test_a_rule_on_several_series_is_not_evaluated_before_what_they_had_when_it_was_made() -> None:
    scene = Scene(threshold(), known=[series(0, core="0"), series(1, core="1")])
    assert scene.feed((0, 10, 5), now=10) == []
    scene.put(absence(1, group_by=()), 10)
    assert scene.feed((1, 8, 5), now=10) == []


def test_a_point_of_the_very_last_instant_is_evaluated_too() -> None:
    scene = Scene(threshold(window=5, no_data=MissingPolicy.OK))
    assert scene.feed((0, 4, 20), now=10) == [("firing", 4, ""), ("missing_series", 10, "")]
    assert scene.feed((0, 10, 20), now=11) == [("firing", 10, "")]


def test_a_repeated_point_replaces_the_value_without_another_evaluation() -> None:
    scene = Scene(threshold())
    scene.feed((0, 5, 5), now=5)
    assert scene.feed((0, 5, 20), now=6) == []
    assert scene.until(10) == [("firing", 10, "")]


def test_of_two_points_of_one_time_in_a_batch_the_last_one_counts() -> None:
    assert Scene(threshold()).feed((0, 5, 20), (0, 5, 5), now=5) == []
    assert Scene(threshold()).feed((0, 5, 5), (0, 5, 20), now=5) == [("firing", 5, "")]


def test_a_point_from_the_future_waits_until_its_time_has_come() -> None:
    scene = Scene(threshold())
    assert scene.feed((0, 8, 20), now=3) == []
    assert scene.evaluation.next_wake() == at(8)
    assert scene.until(8) == [("firing", 8, "")]


def test_what_is_caught_up_with_is_evaluated_for_one_hour_back() -> None:
    scene = Scene(threshold())
    scene.until(3700)
    assert scene.feed((0, 101, 20), (0, 102, 5), now=3701) == [("firing", 101, ""), ("condition", 102, "")]
    scene = Scene(threshold())
    scene.until(3700)
    assert scene.feed((0, 99, 20), (0, 98, 5), now=3701) == []


def test_the_delay_says_how_late_it_was_decided() -> None:
    (firing,) = Scene(threshold()).evaluation.advance(points([(0, 100, 20)]), at(130))
    assert firing.delay == at(30) - START


def test_the_look_back_of_a_rule_can_be_its_own() -> None:
    scene = Scene(in_seconds(threshold(no_data=MissingPolicy.OK, interval=1), {"window": 20}))
    assert scene.feed((0, 1, 20), now=30) == [("firing", 1, ""), ("missing_series", 22, "")]


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=500)
@given(st.sampled_from(Operator), FINITE, st.one_of(st.just(0.0), st.floats(0, 1e6), st.floats(0, 1.7e308)),
       st.floats(allow_nan=False), st.integers(-3, 3))  # fmt: skip
def test_every_comparison_is_one_with_bounds_to_the_last_bit(
    operator: Operator, threshold: float, tolerance: float, value: float, steps: int
) -> None:
    near = [value, threshold, threshold + tolerance, threshold - tolerance]
    for number in near:
        for _ in range(abs(steps)):
            number = math.nextafter(number, math.copysign(math.inf, steps))
        close = abs(number - threshold) <= tolerance
        expected = {
            Operator.GREATER: number > threshold,
            Operator.GREATER_OR_EQUAL: number >= threshold,
            Operator.LESS: number < threshold,
            Operator.LESS_OR_EQUAL: number <= threshold,
            Operator.EQUAL: close,
            Operator.NOT_EQUAL: not close,
        }[operator]
        assert bounds(operator, threshold, tolerance).hold(number) is expected


def test_with_a_recover_clause_firing_ends_only_once_that_holds() -> None:
    scene = Scene(threshold(low=90, recover=bounds(Operator.LESS, 75)))
    rows = [(0, 1, 95.0), (0, 2, 80.0), (0, 3, 75.0), (0, 4, 74.9), (0, 5, 80.0), (0, 6, 90.0), (0, 7, 90.1)]
    assert scene.feed(*rows, now=7) == [("firing", 1, ""), ("condition", 4, ""), ("firing", 7, "")]
