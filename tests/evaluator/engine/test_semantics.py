"""The statements of an alert's life, each by name: state machine (S), time (T), missing data (M), edits (E)."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.evaluator.model.spec import Aggregation, ConditionKind, MissingPolicy, Operator, TagFilter, bounds
from monitors.evaluator.model.state import Status
from tests.evaluator.engine.scene import NAN, START, Scene, absence, at, in_seconds, points, series, threshold


def test_s1_the_episode_begins_when_the_condition_becomes_true() -> None:
    scene = Scene(threshold(for_duration=20))
    scene.feed((0, 1, 20), (0, 15, 30), now=15)
    (firing,) = scene.evaluation.advance(points([(0, 22, 40)]), at(22))
    assert (firing.episode, firing.time) == (at(1), at(21))


def test_s2_without_for_it_fires_at_its_first_true_instant() -> None:
    assert Scene(threshold()).feed((0, 1, 9), (0, 2, 11), now=2) == [("firing", 2, "")]


def test_s3_for_is_reached_inclusively_and_not_a_nanosecond_earlier() -> None:
    scene = Scene(threshold(for_duration=120))
    assert scene.feed((0, 1, 20), now=1) == []
    assert scene.until(121 - 1e-9) == []
    assert scene.until(121) == [("firing", 121, "")]


def test_s4_for_is_a_deadline_between_slots_but_waits_for_one_when_evaluated_by_interval() -> None:
    assert Scene(threshold(for_duration=4)).feed((0, 1, 20), now=10) == [("firing", 5, "")]
    by_slot = Scene(threshold(for_duration=4, every_point=False))
    assert by_slot.feed((0, 1, 20), now=19) == []
    assert by_slot.until(20) == [("firing", 20, "")]


def test_s5_false_once_while_pending_ends_it_in_silence() -> None:
    scene = Scene(threshold(for_duration=20))
    assert scene.feed((0, 1, 20), (0, 15, 5), (0, 16, 20), now=35) == []
    assert scene.until(36) == [("firing", 36, "")]


def test_s6_false_resolves_at_once() -> None:
    assert Scene(threshold()).feed((0, 1, 20), (0, 3, 5), now=9) == [("firing", 1, ""), ("condition", 3, "")]


def test_s7_keep_firing_ends_exactly_at_its_time() -> None:
    scene = Scene(threshold(keep_firing_for=60))
    assert scene.feed((0, 1, 20), (0, 3, 5), now=63 - 1e-9) == [("firing", 1, "")]
    assert scene.until(63) == [("condition", 63, "")]


def test_s8_true_again_while_it_keeps_firing_is_the_same_episode() -> None:
    scene = Scene(threshold(keep_firing_for=60))
    assert scene.feed((0, 1, 20), (0, 3, 5), (0, 50, 20), (0, 55, 5), now=114) == [("firing", 1, "")]
    (resolved,) = scene.evaluation.advance(points([]), at(115))
    assert (resolved.time, resolved.episode) == (at(115), at(1))


def test_s8_keep_firing_never_holds_what_is_pending() -> None:
    scene = Scene(threshold(for_duration=10, keep_firing_for=60))
    scene.feed((0, 1, 20), (0, 3, 5), now=3)
    assert scene.status() is Status.INACTIVE


def test_s9_after_resolved_a_new_episode_counts_for_again() -> None:
    scene = Scene(threshold(for_duration=10))
    told = scene.evaluation.advance(points([(0, 1, 20), (0, 12, 5), (0, 13, 20)]), at(23))
    assert [(one.time, one.episode) for one in told] == [(at(11), at(1)), (at(12), at(1)), (at(23), at(13))]


def test_s10_the_value_is_the_one_that_decided_and_no_part_of_the_identity() -> None:
    scene = Scene(threshold(for_duration=10))
    told = scene.evaluation.advance(points([(0, 1, 20), (0, 5, 30), (0, 14, 5)]), at(20))
    assert [one.value for one in told] == [30, 5]
    assert told[0].key == told[1].key


def test_s11_series_that_would_share_an_instance_are_reported_and_the_first_is_evaluated() -> None:
    scene = Scene(threshold(), known=[series(0), series(1, measurement="guest")])
    assert scene.feed((1, 1, 20), (0, 1, 5), now=1) == []
    (problem,) = scene.evaluation.plan.problems.values()
    assert "host.cpu" in problem
    assert "guest.cpu" in problem


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


def test_a_point_before_the_last_instant_only_enters_later_windows() -> None:
    scene = Scene(threshold())
    scene.feed((0, 5, 5), now=5)
    assert scene.feed((0, 4, 20), now=6) == []
    wide = Scene(threshold(aggregation=Aggregation.MAXIMUM, window=60))
    wide.feed((0, 5, 5), now=5)
    assert wide.feed((0, 4, 20), now=6) == []
    assert wide.until(10) == [("firing", 10, "")]


def test_a_slot_at_which_nothing_changed_does_not_shut_out_the_points_before_it() -> None:
    scene = Scene(threshold())
    assert scene.until(10) == []
    assert scene.feed((0, 8, 20), (0, 9, 5), now=11) == [("firing", 8, ""), ("condition", 9, "")]


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


def test_m1_a_missing_series_is_told_from_no_data_at_all() -> None:
    spec = threshold(missing_series=MissingPolicy.OK, no_data=MissingPolicy.KEEP, interval=1)
    scene = Scene(spec, known=[series(0, core="0"), series(1, core="1")])
    scene.feed((0, 1, 20), (1, 1, 20), now=1)
    assert scene.until(400) == []
    # One reports again, so the other is now missing.
    assert scene.feed((0, 401, 20), now=401) == [("missing_series", 401, "1")]


def test_m2_a_missing_series_resolves_after_two_intervals() -> None:
    scene = Scene(threshold(), known=[series(0, core="0"), series(1, core="1")])
    scene.feed((0, 1, 20), (1, 1, 5), now=1)
    rows = [(1, float(second), 5.0) for second in range(10, 400, 10)]
    assert scene.feed(*rows, now=390) == [("missing_series", 330, "0")]
    assert scene.status(core="0") is Status.INACTIVE


def test_m2_the_time_of_a_missing_series_starts_over_when_it_reports() -> None:
    scene = Scene(threshold(), known=[series(0, core="0"), series(1, core="1")])
    scene.feed((0, 1, 20), (1, 1, 5), now=1)
    rows = [(1, float(second), 5.0) for second in range(10, 400, 10)]
    assert scene.feed((0, 325, 20), *rows, now=390) == []


def test_m2_the_two_intervals_are_a_deadline_of_their_own() -> None:
    scene = Scene(threshold(), known=[series(0, core="0"), series(1, core="1")])
    scene.feed((0, 1, 20), (1, 1, 5), (0, 13, NAN), now=33 - 1e-9)
    assert scene.status(core="0") is Status.FIRING
    assert scene.until(33) == [("missing_series", 33, "0")]


def test_m2_a_pending_instance_that_goes_missing_is_forgotten_after_two_intervals() -> None:
    scene = Scene(threshold(for_duration=500), known=[series(0, core="0"), series(1, core="1")])
    scene.feed((0, 1, 20), (1, 1, 5), now=1)
    scene.feed(*[(1, float(second), 5.0) for second in range(10, 340, 10)], now=329)
    assert scene.status(core="0") is Status.PENDING
    scene.until(330)
    assert scene.status(core="0") is Status.INACTIVE


def test_m2_a_series_at_rest_that_goes_missing_has_nothing_to_resolve() -> None:
    # Were a clock of it to run, its deadline would be over from the second interval on, and be due for ever.
    spec = threshold(no_data=MissingPolicy.ALERT, for_duration=60)
    scene = Scene(spec, known=[series(0, core="0"), series(1, core="1")])
    scene.feed((0, 1, 5), (1, 1, 5), (0, 2, NAN), now=2)
    assert scene.feed(*[(1, float(second), 5.0) for second in range(10, 60, 10)], now=59) == []
    assert scene.evaluation.next_wake() == at(60)


def test_m3_no_data_keeps_a_firing_alert_and_lets_nothing_pending_mature() -> None:
    scene = Scene(threshold(), threshold(rule_id="rule_2", for_duration=400))
    assert scene.feed((0, 1, 20), now=3000) == [("firing", 1, "")]
    assert scene.status(rule_id="rule_2") is Status.PENDING


def test_m3_no_data_as_alert_fires_after_for_and_resolves_when_data_comes() -> None:
    scene = Scene(threshold(no_data=MissingPolicy.ALERT, for_duration=60))
    scene.feed((0, 1, 5), now=1)
    assert scene.until(1000) == [("firing", 370, "")]
    assert scene.feed((0, 1001, 5), now=1001) == [("condition", 1001, "")]


def test_m3_no_data_as_ok_resolves() -> None:
    scene = Scene(threshold(no_data=MissingPolicy.OK))
    assert scene.feed((0, 1, 20), now=1000) == [("firing", 1, ""), ("missing_series", 310, "")]


def test_m3_a_frozen_alert_stops_the_clock_of_keep_firing() -> None:
    scene = Scene(threshold(keep_firing_for=400))
    # False from 2 on, unknown from the slot at 310 until 500: of that time 308 s count.
    assert scene.feed((0, 1, 20), (0, 2, 5), (0, 500, 5), now=591) == [("firing", 1, "")]
    assert scene.until(592) == [("condition", 592, "")]


def test_m3_monitors_of_a_pattern_have_policies_of_their_own() -> None:
    spec = threshold(monitor="m*", missing_series=MissingPolicy.OK)
    scene = Scene(spec, known=[series(0, monitor="m1"), series(1, monitor="m2")])
    scene.feed((0, 1, 20), (1, 1, 20), now=1)
    # The other monitor reports, but on this one there is no data at all: it is kept.
    assert scene.feed(*[(1, float(second), 20.0) for second in range(10, 400, 10)], now=400) == []


def test_m8_absence_is_strictly_longer_than_its_duration() -> None:
    scene = Scene(absence(900))
    assert scene.feed((0, 100, 1), now=1000) == []
    (firing,) = scene.evaluation.advance(points([]), at(1001))
    assert firing.time == at(1000) + 1
    assert firing.value is None
    assert scene.feed((0, 1002, 1), now=1002) == [("condition", 1002, "")]


def test_m8_absence_of_any_field_takes_the_newest_point_of_them_all() -> None:
    scene = Scene(absence(60), known=[series(0, core="0"), series(1, field="load")])
    assert scene.feed((0, 1, 1), (1, 50, 1), now=110) == []
    assert scene.until(111) == [("firing", 110 + 1e-9, "")]


def test_m8_absence_of_one_field_is_told_series_by_series() -> None:
    known = [series(0, core="0"), series(1, core="1"), series(2, field="load")]
    scene = Scene(absence(60, field="cpu"), known=known)
    assert scene.feed((0, 1, 1), (1, 50, 1), (2, 60, 1), now=100) == [("firing", 61 + 1e-9, "0")]


def test_m8_what_was_never_seen_is_not_absent() -> None:
    assert Scene(absence(60)).until(4000) == []


def test_e1_an_edit_of_for_or_interval_keeps_the_state() -> None:
    scene = Scene(threshold(for_duration=60))
    scene.feed((0, 1, 20), now=30)
    assert scene.put(threshold(for_duration=40, interval=7), 30) == []
    assert scene.until(60) == [("firing", 41, "")]


def test_e2_an_edited_condition_is_evaluated_at_once_with_the_old_state() -> None:
    scene = Scene(threshold())
    scene.feed((0, 1, 20), now=3)
    scene.put(threshold(low=15), 3)
    assert scene.until(4) == []
    scene.put(threshold(low=25), 4)
    assert scene.until(5) == [("condition", 5, "")]


def test_e2_a_new_rule_is_evaluated_at_once_on_what_is_there() -> None:
    scene = Scene(threshold())
    scene.feed((0, 1, 20), now=3)
    scene.put(threshold(rule_id="rule_2"), 3)
    assert scene.until(4) == [("firing", 4, "")]


def test_e2_instances_that_an_edit_no_longer_produces_resolve_as_updated() -> None:
    scene = Scene(threshold(), known=[series(0, core="0"), series(1, core="1")])
    scene.feed((0, 1, 20), (1, 1, 20), now=3)
    narrowed = threshold(filters=(TagFilter("core", "0"),))
    assert scene.put(narrowed, 4) == [("updated", 4, "1")]
    assert scene.feed((0, 5, 20), (1, 5, 20), now=9) == []
    assert scene.put(threshold(), 9) == []
    assert scene.feed((1, 10, 20), now=10) == [("firing", 10, "1")]


def test_e3_a_longer_for_leaves_what_fires_firing() -> None:
    scene = Scene(threshold())
    scene.feed((0, 1, 20), now=3)
    scene.put(threshold(for_duration=600), 3)
    assert scene.until(100) == []
    assert scene.status() is Status.FIRING


def test_e4_deleting_a_rule_says_nothing_because_its_owner_closes_the_alerts() -> None:
    scene = Scene(threshold())
    scene.feed((0, 1, 20), now=3)
    scene.evaluation.remove_rule(threshold().key)
    assert scene.feed((0, 5, 5), now=9) == []
    assert scene.evaluation.plan.instance_count == 0
    assert scene.put(threshold(), 9) == []
    assert scene.feed((0, 10, 20), now=10) == [("firing", 10, "")]


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
