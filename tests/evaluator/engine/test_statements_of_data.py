"""The statements about missing series, no data and silence (M), each by name."""

from monitors.evaluator.model.spec import MissingPolicy
from monitors.evaluator.model.state import Status
from tests.evaluator.engine.scene import NAN, Scene, absence, at, points, series, threshold


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
