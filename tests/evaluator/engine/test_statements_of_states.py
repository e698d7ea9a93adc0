"""The statements about an alert's life (S) and about edits of its rule (E), each by name."""

from monitors.evaluator.model.evaluation import Capacity, Evaluation
from monitors.evaluator.model.instances import Limits
from monitors.evaluator.model.reading import TagFilter
from monitors.evaluator.model.ring_rows import MOST_CELLS
from monitors.evaluator.model.state import Status
from tests.evaluator.engine.scene import START, Scene, at, points, series, threshold, told


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


def test_e6_beyond_the_limit_the_first_series_stay_and_the_rest_are_reported() -> None:
    evaluation = Evaluation(START, capacity=Capacity(Limits(per_rule=2), MOST_CELLS))
    known = [series(index, core=str(index)) for index in range(4)]
    evaluation.add_series(known[:3])
    fill, _ = evaluation.put_rule(threshold(), START)
    evaluation.filled(fill, [False] * 3)
    evaluation.activate([threshold().key])
    evaluation.add_series(known[3:])
    rows = [(index, 1, 20.0) for index in range(4)]
    assert told(evaluation.advance(points(rows), at(1))) == [("firing", 1, "0"), ("firing", 1, "1")]
    (problem,) = evaluation.plan.problems.values()
    assert "2 of its series are not evaluated" in problem
