"""The statements about levels of severity (L1–L3), and what they leave to the alert's life and to edits of its rule."""

from dataclasses import replace

from monitors.evaluator.model.backtest import Backtest
from monitors.evaluator.model.bounds import Bounds, Operator, bounds
from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.spec import InstanceKey, Level, MissingPolicy, RuleSpec, Severity
from monitors.evaluator.model.state import Checkpoint, OpenEpisode, SavedInstance, Status
from tests.evaluator.engine.restarts import saved, taken_up
from tests.evaluator.engine.scene import START, Scene, at, level_of, points, series, threshold

KEY = InstanceKey("t", "rule_1", "m", ())
LOW, HIGH, CRITICAL = Severity.LOW, Severity.HIGH, Severity.CRITICAL


def above(low: float) -> Bounds:
    return bounds(Operator.GREATER, low)


def below(high: float) -> Bounds:
    return bounds(Operator.LESS, high)


def leveled(**changes: object) -> RuleSpec:
    """`> 60 recover < 50`, `high: > 70 recover < 60`, `critical: > 80 recover < 70`."""
    levels = (Level(HIGH, above(70), below(60)), Level(CRITICAL, above(80), below(70)))
    return threshold(**{"low": 60.0, "severity": LOW, "recover": below(50), "levels": levels, **changes})  # type: ignore[arg-type]


def course(scene: Scene, *values: float) -> list[tuple[str, float, int]]:
    """What is told while values come every second: what, when, and at which level."""
    return [
        (one.kind.name.lower(), (one.time - at(0)) / 10**9, one.level)
        for second, value in enumerate(values, 1)
        for one in scene.evaluation.advance(points([(0, second, value)]), at(second))
    ]


def test_l1_to_l3_each_change_of_level_is_told_once_with_its_severity() -> None:
    scene = Scene(leveled())
    assert course(scene, 61, 73, 64, 85, 62, 56, 47) == [
        ("firing", 1, LOW), ("severity_changed", 2, HIGH), ("severity_changed", 4, CRITICAL),
        ("severity_changed", 5, LOW), ("resolved", 7, 0),
    ]  # fmt: skip
    assert scene.status() is Status.INACTIVE


def test_l1_the_condition_itself_may_be_the_highest_level() -> None:
    spec = threshold(low=80.0, severity=CRITICAL, levels=(Level(LOW, above(60)),))
    assert course(Scene(spec), 90, 70, 50) == [
        ("firing", 1, CRITICAL),
        ("severity_changed", 2, LOW),
        ("resolved", 3, 0),
    ]


def test_for_is_about_firing_at_all_and_a_rise_while_it_fires_is_told_at_once() -> None:
    scene = Scene(leveled(for_duration=3))
    assert course(scene, 61, 75, 61, 65, 85) == [("firing", 4, LOW), ("severity_changed", 5, CRITICAL)]


def test_keep_firing_for_is_about_leaving_altogether() -> None:
    scene = Scene(leveled(keep_firing_for=2))
    told = course(scene, 85, 62, 40, 40, 40)
    assert told == [("firing", 1, CRITICAL), ("severity_changed", 2, LOW), ("resolved", 5, 0)]


def test_what_is_unknown_leaves_the_level_and_if_it_alerts_begins_at_the_conditions_own() -> None:
    nan = float("nan")
    assert course(Scene(leveled()), 85, nan, 85) == [("firing", 1, CRITICAL)]
    alerting = leveled(no_data=MissingPolicy.ALERT)
    assert course(Scene(alerting), nan, 85, nan) == [("firing", 1, LOW), ("severity_changed", 2, CRITICAL)]


def test_what_somebody_resolved_changes_its_level_in_silence() -> None:
    scene = Scene(leveled())
    course(scene, 61)
    scene.evaluation.silence(KEY, at(1))
    assert scene.feed((0, 2, 85), now=2) == []
    assert level_of(scene.evaluation, KEY) == CRITICAL


def test_an_edit_that_takes_the_level_away_goes_on_at_the_conditions_own() -> None:
    scene = Scene(leveled())
    course(scene, 85)
    scene.put(leveled(levels=(Level(HIGH, above(70)),), revision=2), 2)
    assert (scene.status(), level_of(scene.evaluation, KEY)) == (Status.FIRING, LOW)
    assert scene.feed((0, 3, 65), now=3) == []
    scene.put(replace(leveled(), levels=(), severity=None, revision=3), 4)
    assert level_of(scene.evaluation, KEY) == 0


def test_an_edit_that_adds_levels_keeps_what_its_own_reset_keeps() -> None:
    scene = Scene(replace(leveled(), levels=(), severity=None))
    scene.feed((0, 1, 65), (0, 2, 55), now=2)
    scene.put(leveled(revision=2), 3)
    assert scene.feed((0, 4, 55), now=4) == []
    assert (scene.status(), level_of(scene.evaluation, KEY)) == (Status.FIRING, LOW)


def test_the_level_comes_back_with_the_saved_state_and_rule_service_knows_better() -> None:
    scene = Scene(leveled())
    course(scene, 85, 75)
    state = saved(scene.evaluation)
    assert state.instances[KEY].level == CRITICAL
    opened = OpenEpisode(KEY, at(1), at(1), CRITICAL)
    again, _ = taken_up(state, scene.known, [leveled()], [points([(0, 1, 85), (0, 2, 75)])], [opened])
    assert level_of(again, KEY) == CRITICAL
    lowered = replace(opened, level=int(LOW), leveled_at=at(5))
    again, _ = taken_up(state, scene.known, [leveled()], [points([(0, 1, 85), (0, 2, 75)])], [lowered])
    # A point from before that change can't undo it.
    assert again.advance(points([(0, 4, 90)]), at(6)) == []
    assert level_of(again, KEY) == LOW


def test_a_change_of_level_that_the_saved_state_does_not_know_stops_its_clock() -> None:
    spec = leveled(keep_firing_for=60)
    scene = Scene(spec)
    course(scene, 65, 40)
    # Saved while it was over and kept firing; then it rose to CRITICAL at 5, which was recorded, and the process died.
    opened = OpenEpisode(KEY, at(1), at(1), CRITICAL, at(5))
    again, _ = taken_up(saved(scene.evaluation), scene.known, [spec], [points([(0, 1, 65), (0, 2, 40)])], [opened])
    assert again.advance(points([(0, 5, 85)]), at(5)) == []
    # The clock of 2 would be over at 62; that of 50 isn't.
    assert again.advance(points([(0, 50, 40)]), at(70)) == []
    (resolved,) = again.advance(points([]), at(110))
    assert (resolved.time, resolved.episode) == (at(110), at(1))


def test_a_rule_that_lost_its_levels_meanwhile_goes_on_without_one() -> None:
    scene = Scene(leveled())
    course(scene, 85)
    plain = replace(leveled(), levels=(), severity=None, revision=2)
    opened = OpenEpisode(KEY, at(1), at(1), CRITICAL)
    again, _ = taken_up(saved(scene.evaluation), scene.known, [plain], [points([(0, 1, 85)])], [opened])
    assert level_of(again, KEY) == 0


def test_a_late_point_does_not_undo_what_a_slot_found() -> None:
    scene = Scene(leveled(aggregation=Aggregation.MAXIMUM, window=6))
    assert scene.feed((0, 1, 85), (0, 5, 65), now=10) == [("firing", 1, ""), ("severity_changed", 10, "")]
    assert level_of(scene.evaluation, KEY) == LOW
    assert scene.feed((0, 9, 85), now=11) == []


def test_a_backtest_sees_each_change_of_level() -> None:
    levels = (Level(HIGH, above(70)), Level(CRITICAL, above(80), below(75)))
    # Up while it rests, kept at 78 and let go at 74, although both enter HIGH, and up again.
    values = [61, 62, 73, 74, 85, 86, 78, 77, 74, 71, 85, 62, 63, 55, 47]
    rows = points([(0, second, value) for second, value in enumerate(values, 1)])
    spec = leveled(levels=levels, interval=100)
    told = Backtest(spec, [series(0)], rows, [False], START, at(50)).transitions()
    scene = Scene(spec)
    assert [(one.kind, one.time, one.level) for one in told] == [
        (one.kind, one.time, one.level) for one in scene.evaluation.advance(rows, at(50))
    ]
    assert [one.level for one in told] == [LOW, HIGH, CRITICAL, HIGH, CRITICAL, LOW, 0]


def test_a_state_without_levels_is_read_as_ever() -> None:
    one = SavedInstance(1, Status.PENDING, 2, 3, 4, 5, 6, 7)
    state = Checkpoint(1, 2, instances={KEY: one, KEY._replace(monitor="n"): replace(one, level=3)})
    assert Checkpoint.from_bytes(state.to_bytes()) == state


def test_rules_without_levels_have_none() -> None:
    scene = Scene(leveled(rule_id="rule_2"), threshold(low=60.0))
    told = scene.evaluation.advance(points([(0, 1, 85)]), at(1))
    assert {one.key.rule_id: one.level for one in told} == {"rule_1": 0, "rule_2": CRITICAL}
