"""Going on after an interruption (R1–R4), the saved state, and clocks that jump (C1, C2)."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.model.arrays import UNSET
from monitors.evaluator.model.bounds import Operator
from monitors.evaluator.model.evaluation import Evaluation
from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.recovery import reanchor, restore, resume
from monitors.evaluator.model.spec import InstanceKey, MissingPolicy, RuleSpec
from monitors.evaluator.model.state import Checkpoint, OpenEpisode, SavedInstance, Status
from tests.evaluator.engine.restarts import saved, taken_up
from tests.evaluator.engine.scene import Scene, absence, at, points, series, threshold, told


def restart(
    scene: Scene,
    *specs: RuleSpec,
    episodes: Sequence[OpenEpisode] = (),
    rows: Sequence[tuple[int, float, float]] = (),
) -> tuple[Scene, list[tuple[str, float, str]]]:
    """Another process takes up what the first one saved; `rows` are the points that were stored before."""
    again = Scene(known=scene.known)
    again.evaluation, transitions = taken_up(
        saved(scene.evaluation), scene.known, specs, [points(rows)], episodes, every_seen=True
    )
    return again, told(transitions)


def episode(begun: float, fired: float, *, rule_id: str = "rule_1", **tags: str) -> OpenEpisode:
    return OpenEpisode(InstanceKey("t", rule_id, "m", tuple(sorted(tags.items()))), at(begun), at(fired))


def test_r1_what_fired_goes_on_firing_and_is_not_told_again() -> None:
    scene = Scene(threshold())
    scene.feed((0, 1, 20), now=5)
    again, transitions = restart(scene, threshold(), episodes=[episode(1, 1)], rows=[(0, 1, 20)])
    assert transitions == []
    resume(again.evaluation, at(600))
    assert again.feed((0, 601, 20), now=1200) == []
    assert again.status() is Status.FIRING
    (resolved,) = again.evaluation.advance(points([(0, 1201, 5)]), at(1201))
    assert resolved.episode == at(1)


def test_r1_an_open_alert_is_taken_up_even_without_a_saved_state() -> None:
    scene, _ = restart(Scene(), threshold(), episodes=[episode(1, 3)])
    assert scene.status() is Status.FIRING
    assert scene.feed((0, 2, 5), now=5) == []
    assert scene.feed((0, 6, 5), now=6) == [("condition", 6, "")]


def test_r1_a_replay_cannot_undo_what_came_after_it() -> None:
    # Saved while firing; afterwards it was resolved at 5 and fired anew at 17, then the process died.
    scene = Scene(threshold())
    scene.feed((0, 1, 20), now=2)
    again, _ = restart(scene, threshold(), episodes=[episode(17, 17)], rows=[(0, 1, 20)])
    assert again.feed((0, 5, 5), now=12) == []
    assert again.feed((0, 17, 30), now=17) == []
    assert again.status() is Status.FIRING


@pytest.mark.parametrize("saved_at", [2, 8])
def test_r1_a_slot_that_was_over_when_a_late_point_came_does_not_end_what_that_began(saved_at: int) -> None:
    # At 12 a point of 3 came and it fired, which was recorded, and the process died.
    scene = Scene(threshold())
    scene.feed((0, 1, 5), now=saved_at)
    again, _ = restart(scene, threshold(), episodes=[episode(3, 3)], rows=[(0, 1, 5)])
    assert again.until(11) == []
    assert again.feed((0, 3, 20), now=12) == []
    assert again.feed((0, 4, 20), now=21) == []
    assert again.status() is Status.FIRING
    assert again.feed((0, 22, 5), now=22) == [("condition", 22, "")]


def test_r1_an_episode_whose_point_never_comes_is_evaluated_at_the_slots_after_the_replay() -> None:
    scene = Scene(threshold())
    scene.feed((0, 1, 5), now=8)
    again, _ = restart(scene, threshold(), episodes=[episode(3, 3)], rows=[(0, 1, 5)])
    assert again.until(11) == []
    again.evaluation.await_no_more(at(11))
    assert again.until(21) == [("condition", 20, "")]


def test_what_was_due_before_points_came_is_evaluated_without_them_however_late_that_is() -> None:
    scene = Scene(threshold(for_duration=2))
    assert told(scene.evaluation.accept(points([(0, 1, 20)]), at(7))) == [("firing", 3, "")]
    assert told(scene.evaluation.accept(points([(0, 2, 5)]), at(8))) == []
    assert told(scene.evaluation.accept(points([(0, 4, 20)]), at(11))) == [("condition", 10, "")]


def test_a_replay_past_a_resolve_that_was_recorded_tells_nothing() -> None:
    # Saved while firing; afterwards it was resolved at 5 and recorded, then the process died.
    scene = Scene(threshold())
    scene.feed((0, 1, 20), now=2)
    again, transitions = restart(scene, threshold(), rows=[(0, 1, 20)])
    assert transitions == []
    assert again.feed((0, 4, 30), now=4) == []
    assert again.feed((0, 5, 5), now=5) == []
    assert again.status() is Status.INACTIVE
    assert again.feed((0, 6, 30), now=6) == [("firing", 6, "")]


def test_an_alert_that_was_resolved_by_hand_stays_so_over_a_restart() -> None:
    scene = Scene(threshold())
    scene.feed((0, 1, 20), now=2)
    again, _ = restart(scene, threshold(), rows=[(0, 1, 20)])
    resume(again.evaluation, at(60))
    assert again.feed((0, 61, 20), now=90) == []


def test_what_fired_under_another_definition_without_an_open_alert_starts_over() -> None:
    scene = Scene(threshold())
    scene.feed((0, 1, 20), now=2)
    again, _ = restart(scene, threshold(revision=2), rows=[(0, 1, 20)])
    assert again.status() is Status.INACTIVE


def test_an_instance_that_an_edit_took_away_meanwhile_resolves_as_updated() -> None:
    scene = Scene(threshold(), known=[series(0, core="0")])
    scene.feed((0, 1, 20), now=2)
    _, transitions = restart(scene, threshold(field="load", revision=2), episodes=[episode(1, 1, core="0")])
    assert transitions == [("updated", 2, "0")]


def test_an_open_alert_whose_monitor_is_not_known_yet_waits_for_it() -> None:
    scene = Evaluation(at(0))
    fill, _ = scene.put_rule(threshold(), at(0))
    scene.filled(fill, [])
    assert restore(scene, None, [episode(-5, -5)], at(0)) == []
    scene.activate([threshold().key], at_once=False)
    scene.add_series([series(0)])
    assert told(scene.advance(points([(0, 1, 20)]), at(1))) == []
    assert told(scene.advance(points([(0, 2, 5)]), at(2))) == [("condition", 2, "")]


def test_a_late_point_is_known_as_such_after_a_restart() -> None:
    scene = Scene(threshold())
    scene.feed((0, 5, 5), now=6)
    again, _ = restart(scene, threshold(), rows=[(0, 5, 5)])
    assert again.feed((0, 4, 20), now=7) == []


def test_what_ended_without_a_point_is_not_reopened_by_an_older_one_after_a_restart() -> None:
    spec = threshold(no_data=MissingPolicy.OK)
    scene = Scene(spec)
    assert scene.feed((0, 1, 20), now=320) == [("firing", 1, ""), ("missing_series", 310, "")]
    again, _ = restart(scene, spec)
    assert again.feed((0, 305, 20), now=319) == []


def test_a_rule_that_looks_further_back_asks_for_what_its_series_lack_and_only_then() -> None:
    evaluation = Scene(threshold()).evaluation
    evaluation.advance(points([(0, 1, 0)]), at(1000))
    wide = threshold(rule_id="rule_2", aggregation=Aggregation.COUNT, window=600, operator=Operator.EQUAL, low=3)
    fill, _ = evaluation.put_rule(wide, at(1000))
    assert (len(fill.rows), fill.oldest) == (1, at(400))
    evaluation.fill(fill, points([(0, 500, 0), (0, 700, 0), (0, 1000, 0), (0, 1001, 0)]))
    evaluation.filled(fill, [True])
    evaluation.activate([wide.key])
    assert told(evaluation.advance(points([]), at(1000))) == [("firing", 1000, "")]
    narrow = threshold(rule_id="rule_3", aggregation=Aggregation.COUNT, window=60)
    assert not evaluation.put_rule(narrow, at(1000))[0].rows.size


def test_r2_the_outage_does_not_count_towards_for() -> None:
    spec = threshold(for_duration=1500)
    scene = Scene(spec)
    scene.feed((0, 1, 20), now=300)
    again, _ = restart(scene, spec, rows=[(0, 1, 20)])
    resume(again.evaluation, at(900))
    rows = [(0, float(second), 20.0) for second in range(901, 2110, 100)]
    assert again.feed(*rows, now=2101 - 1e-9) == []
    (firing,) = again.evaluation.advance(points([]), at(2101))
    assert (firing.time, firing.episode) == (at(2101), at(601))


def test_r2_after_an_outage_of_more_than_an_hour_what_was_pending_starts_over() -> None:
    scene = Scene(threshold(for_duration=600))
    scene.feed((0, 1, 20), now=300)
    resume(scene.evaluation, at(300 + 3601))
    assert scene.status() is Status.INACTIVE


def test_r2_the_outage_does_not_count_towards_keep_firing() -> None:
    scene = Scene(threshold(keep_firing_for=60))
    scene.feed((0, 1, 20), (0, 10, 5), now=30)
    resume(scene.evaluation, at(500))
    assert scene.feed((0, 501, 5), now=540 - 1e-9) == []
    assert scene.until(540) == [("condition", 540, "")]


def test_r2_an_outage_while_the_clocks_stand_still_is_not_counted_twice() -> None:
    scene = Scene(threshold(for_duration=400))
    # Unknown from the slot at 310 on; the outage is part of the time until the next point, at 500.
    scene.feed((0, 1, 20), now=350)
    resume(scene.evaluation, at(450))
    assert scene.feed((0, 500, 20), now=591 - 1e-9) == []
    assert scene.until(591) == [("firing", 591, "")]


def test_r3_what_ended_during_the_outage_resolves_with_the_first_point() -> None:
    scene = Scene(threshold())
    scene.feed((0, 1, 20), now=5)
    resume(scene.evaluation, at(600))
    assert scene.feed((0, 601, 5), now=601) == [("condition", 601, "")]


def test_points_that_were_sent_late_because_of_the_outage_are_evaluated_at_their_own_times() -> None:
    scene = Scene(threshold())
    scene.feed((0, 1, 5), now=5)
    resume(scene.evaluation, at(600))
    assert scene.feed((0, 100, 20), (0, 101, 5), now=601) == [("firing", 100, ""), ("condition", 101, "")]


def test_silence_during_our_outage_is_no_absence() -> None:
    scene = Scene(absence(60))
    scene.feed((0, 1, 1), now=31)
    resume(scene.evaluation, at(1000))
    # Of the minute 30 s had passed before.
    assert scene.until(1030) == []
    assert scene.until(1031) == [("firing", 1030 + 1e-9, "")]


def test_points_from_the_outage_count_as_if_they_came_at_its_end() -> None:
    scene = Scene(absence(60))
    scene.feed((0, 1, 1), now=31)
    resume(scene.evaluation, at(1000))
    assert scene.feed((0, 500, 1), now=1060) == []
    assert scene.until(1061) == [("firing", 1060 + 1e-9, "")]


def test_firing_absence_ends_by_a_point_and_not_by_our_outage() -> None:
    scene = Scene(absence(60))
    scene.feed((0, 1, 1), now=100)
    assert scene.status() is Status.FIRING
    resume(scene.evaluation, at(1000))
    assert scene.until(1020) == []
    assert scene.feed((0, 1021, 1), now=1021) == [("condition", 1021, "")]


def test_absence_is_known_of_a_series_whose_points_are_older_than_its_window() -> None:
    again, _ = restart(Scene(), absence(60), rows=[(0, -500, 1)])
    assert again.until(10) == [("firing", 1e-9, "")]


def test_a_series_whose_first_points_are_still_to_come_is_not_absent() -> None:
    evaluation = Scene().evaluation
    evaluation.advance(points([(0, 90, 1)]), at(1))
    fill, _ = evaluation.put_rule(absence(60), at(1))
    evaluation.filled(fill, [True])
    evaluation.activate([absence(60).key])
    assert told(evaluation.advance(points([]), at(150))) == []
    assert told(evaluation.advance(points([]), at(151))) == [("firing", 150 + 1e-9, "")]


def test_no_series_is_missing_before_a_look_back_has_passed_after_an_outage() -> None:
    known = [series(0, core="0"), series(1, core="1")]
    scene = Scene(threshold(), known=known)
    scene.feed((0, 1, 20), (1, 1, 5), now=5)
    resume(scene.evaluation, at(1000))
    rows = [(1, float(second), 5.0) for second in range(1010, 1400, 10)]
    assert scene.feed(*rows, now=1400) == [("missing_series", 1320, "0")]


def test_no_data_is_not_alerted_before_a_look_back_has_passed_after_an_outage() -> None:
    scene = Scene(threshold(no_data=MissingPolicy.ALERT))
    scene.feed((0, 1, 5), now=5)
    resume(scene.evaluation, at(1000))
    assert scene.until(1299) == []
    assert scene.until(1300) == [("firing", 1300, "")]


def test_c1_slots_of_an_outage_are_skipped_and_counted() -> None:
    scene = Scene(threshold(every_point=False))
    scene.until(35)
    resume(scene.evaluation, at(95))
    assert scene.evaluation.state.missed_slots == 6
    assert scene.feed((0, 36, 20), now=99) == []
    assert scene.until(100) == [("firing", 100, "")]


def test_c2_a_clock_that_was_set_back_is_followed_without_negative_ages() -> None:
    scene = Scene(threshold(for_duration=60), threshold(rule_id="rule_2"))
    assert scene.feed((0, 1000, 20), now=1000) == [("firing", 1000, "")]
    reanchor(scene.evaluation, at(400))
    assert scene.feed((0, 401, 20), now=459) == []
    assert scene.until(460) == [("firing", 460, "")]
    assert scene.feed((0, 461, 5), now=461) == [("condition", 461, ""), ("condition", 461, "")]


def test_c2_what_fired_by_a_clock_that_was_ahead_ends_after_a_restart_as_by_the_present_clock() -> None:
    scene = Scene(threshold())
    assert scene.feed((0, 1000, 20), now=1000) == [("firing", 1000, "")]
    reanchor(scene.evaluation, at(400))
    again, _ = restart(scene, threshold(), episodes=[episode(1000, 1000)])
    again.evaluation.await_no_more(at(400))
    assert again.feed((0, 401, 5), now=401) == [("condition", 401, "")]


def test_a_damaged_or_foreign_state_is_refused() -> None:
    data = Checkpoint(3, 5).to_bytes()
    for damaged in (b"", b"MES0" + data[4:], data[:-3], data[:6] + b"x" + data[7:]):
        with pytest.raises(ValueError, match="state"):
            Checkpoint.from_bytes(damaged)


TEXTS = st.text(max_size=5)
TIMES = st.one_of(st.just(UNSET), st.integers(-(2**62), 2**62))
INSTANCES = st.builds(SavedInstance, TIMES, st.sampled_from(Status), TIMES, TIMES, TIMES, TIMES, TIMES, TIMES)
KEYS = st.builds(InstanceKey, TEXTS, TEXTS, TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple))


@given(TIMES, TIMES, TIMES, st.lists(st.tuples(TIMES, TIMES), max_size=3), st.dictionaries(KEYS, INSTANCES, max_size=5))
def test_what_is_saved_is_read_back_exactly(
    batch: int, watermark: int, resumed: int, gaps: list[tuple[int, int]], saved: dict[InstanceKey, SavedInstance]
) -> None:
    state = Checkpoint(batch, watermark, resumed, tuple(gaps), saved)
    assert Checkpoint.from_bytes(state.to_bytes()) == state
