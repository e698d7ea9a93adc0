"""Polled batches: evaluated in the data's time, and what is made of the time when the source was away."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.model.arrivals import take
from monitors.evaluator.model.backtest import Backtest
from monitors.evaluator.model.evaluation import Evaluation, Points
from monitors.evaluator.model.explanation import explain
from monitors.evaluator.model.series import Arrival, Batch
from monitors.evaluator.model.spec import MissingPolicy, RuleKey, RuleSpec
from monitors.evaluator.model.state import Status
from monitors.mesh.times import HOUR
from tests.evaluator.engine.comparing import by_time, plainly
from tests.evaluator.engine.restarts import saved, taken_up
from tests.evaluator.engine.scene import SECOND, START, Scene, absence, at, points, series, threshold, told
from tests.evaluator.engine.strategies import VALUES, rules
from tests.evaluator.engine.test_backtest import Rows, as_points, histories, live, seen
from tests.fuzzing import share

Told = list[tuple[str, float, str]]


def batch(found: Points, now: int, arrival: Arrival) -> Batch:
    return Batch(now, now, *found, arrival)


class Polled(Scene):
    """A scene whose points are polled."""

    def poll(self, *rows: tuple[int, float, float], now: float, arrival: Arrival = Arrival.POLLED) -> Told:
        return told(take(self.evaluation, batch(points(rows), at(now), arrival)))

    def after_outage(self, *rows: tuple[int, float, float], now: float) -> Told:
        return self.poll(*rows, now=now, arrival=Arrival.AFTER_OUTAGE)


def test_a_deadline_is_reached_with_the_points_from_before_it() -> None:
    scene = Polled(absence(5), at_once=True)
    assert scene.poll((0, 1, 1), (0, 4, 1), (0, 8, 1), now=10) == []
    assert scene.poll(now=20) == [("firing", 13 + 1e-9, "")]


def test_slots_see_the_points_from_before_them_and_no_later_ones() -> None:
    scene = Polled(threshold(every_point=False))
    assert scene.poll((0, 9, 20), (0, 15, 5), (0, 25, 20), now=40) == [
        ("firing", 10, ""),
        ("condition", 20, ""),
        ("firing", 30, ""),
    ]


def test_m4_what_a_source_that_is_away_has_lost_is_no_silence() -> None:
    scene = Polled(absence(60))
    assert scene.poll((0, 1, 1), now=30) == []
    assert scene.after_outage(now=630) == []
    assert scene.poll(now=660) == []
    assert scene.poll(now=662) == [("firing", 661 + 1e-9, "")]


def test_m4_no_clock_runs_on_a_value_from_before_the_outage() -> None:
    scene = Polled(threshold(for_duration=60))
    assert scene.poll((0, 10, 20), now=30) == []
    assert scene.after_outage(now=230) == []
    assert scene.status() is Status.PENDING
    assert scene.poll((0, 240, 20), now=250) == []
    assert scene.poll((0, 265, 20), now=280) == [("firing", 270, "")]


def test_m4_what_kept_firing_before_the_outage_keeps_it_up_for_as_long_after() -> None:
    scene = Polled(threshold(keep_firing_for=60))
    assert scene.poll((0, 10, 20), (0, 20, 5), now=30) == [("firing", 10, "")]
    assert scene.after_outage(now=230) == []
    assert scene.poll((0, 240, 5), now=270) == []
    assert scene.poll(now=290) == [("condition", 280, "")]


def test_m4_no_policy_for_missing_data_is_asked_about_an_outage() -> None:
    scene = Polled(threshold(window=20, no_data=MissingPolicy.ALERT))
    assert scene.poll((0, 10, 5), now=20) == []
    assert scene.after_outage(now=400) == []
    assert scene.poll((0, 405, 5), now=415) == []
    assert scene.poll(now=440) == [("firing", 430, "")]


def test_what_was_written_meanwhile_is_evaluated_in_its_own_time_and_told_once() -> None:
    scene = Polled(threshold(for_duration=60))
    assert scene.poll((0, 10, 5), now=30) == []
    rows = [(0, second, 20 if 100 <= second < 300 else 5) for second in range(40, 600, 10)]
    assert scene.after_outage(*rows, now=600) == [("firing", 160, ""), ("condition", 300, "")]
    assert scene.poll((0, 610, 5), now=620) == []


def test_what_was_pending_before_is_judged_by_what_was_written_meanwhile() -> None:
    scene = Polled(threshold(for_duration=60))
    assert scene.poll((0, 10, 20), now=30) == []
    rows = [(0, second, 20 if second < 200 else 5) for second in range(40, 600, 10)]
    assert scene.after_outage(*rows, now=600) == [("firing", 70, ""), ("condition", 200, "")]


def test_of_two_series_the_one_that_lost_its_points_stands_still_alone() -> None:
    known = [series(0, core="0"), series(1, core="1")]
    scene = Polled(threshold(for_duration=60), known=known)
    assert scene.poll((0, 10, 20), (1, 10, 20), now=30) == []
    assert scene.after_outage(*[(0, second, 20) for second in range(40, 230, 10)], now=230) == [("firing", 70, "0")]
    assert scene.poll((0, 240, 20), (1, 240, 20), now=280) == [("firing", 270, "1")]


def test_what_a_rule_asks_when_it_is_made_is_asked_of_the_time_before_the_outage() -> None:
    scene = Polled()
    scene.poll((0, 10, 20), now=30)
    scene.put(threshold(), 30)
    scene.evaluation.window.insert(*points([(0, 10, 20)]))
    assert scene.after_outage(now=230) == [("firing", 30, "")]


def test_what_is_too_long_ago_enters_windows_and_is_not_evaluated() -> None:
    scene = Polled(threshold(), threshold(rule_id="rule_2", for_duration=60))
    assert scene.poll((0, 10, 20), now=11) == [("firing", 10, "")]
    end = 11 + 2 * HOUR / SECOND
    assert scene.poll((0, end - 60, 5), (0, end - 10, 20), now=end, arrival=Arrival.SKIPPED) == []
    assert scene.status() is Status.FIRING
    assert scene.status(rule_id="rule_2") is Status.INACTIVE
    assert list(scene.evaluation.window.points(0)[1][-2:]) == [5, 20]
    assert scene.poll((0, end + 5, 5), now=end + 10) == [("condition", end + 5, "")]


def in_stretches(evaluation: Evaluation, rows: Rows, cuts: list[float], until: float, **how: Any) -> list[Any]:
    """What is told of points that are polled in stretches of time."""
    found, start = [], 0.0
    for end in [*sorted({cut for cut in cuts if cut < until}), until]:
        polled = as_points([row for row in rows if start < row[1] <= end])
        found += take(evaluation, batch(polled, at(end), how.get("arrival", Arrival.POLLED)))
        start = end
    return [plainly(one) for one in found]


halves = st.integers(1, 260).map(lambda n: n / 2)


@share(300)
@given(rules(), histories(), st.lists(halves, max_size=8), halves)
def test_polled_in_whatever_stretches_a_backtest_tells_the_same(
    spec: RuleSpec, rows: Rows, cuts: list[float], until: float
) -> None:
    polled = in_stretches(live(spec, rows), rows, cuts, until)
    tried = Backtest(spec, live(spec, rows).plan.series, as_points(rows), seen(rows), START, at(until))
    assert by_time(polled) == by_time([plainly(one) for one in tried.transitions()])


@share(200)
@given(rules(), st.lists(VALUES, min_size=1, max_size=260))
def test_an_outage_in_which_nothing_was_lost_is_as_if_there_had_been_none(spec: RuleSpec, values: list[float]) -> None:
    # One series that everything reads, with points throughout: nothing is silent.
    rows = [(0, (place + 1) / 2, value) for place, value in enumerate(values)]
    spec = replace(spec, monitor="m", field="cpu", of_text=False, filters=(), formula=None, numbers=(),
                   no_data=MissingPolicy.KEEP, missing_series=MissingPolicy.KEEP)  # fmt: skip
    until = len(values) / 2
    calm = in_stretches(live(spec, rows), rows, [], until)
    away = in_stretches(live(spec, rows), rows, [], until, arrival=Arrival.AFTER_OUTAGE)
    assert by_time(away) == by_time(calm)


def one_series(spec: RuleSpec) -> RuleSpec:
    """The same rule on one series alone."""
    return replace(spec, monitor="m", field="cpu", of_text=False, filters=(), formula=None, numbers=())


def test_what_is_pushed_is_evaluated_before_its_time_is_polled_and_its_copy_is_not() -> None:
    scene = Polled(threshold())
    assert scene.poll((0, 1, 5), now=2) == []
    assert scene.poll((0, 20, 20), now=21, arrival=Arrival.AHEAD) == [("firing", 20, "")]
    assert scene.poll((0, 20, 20), now=22) == []
    assert scene.poll((0, 25, 5), now=25, arrival=Arrival.AHEAD) == [("condition", 25, "")]
    assert scene.poll((0, 25, 5), (0, 26, 20), now=27) == [("firing", 26, "")]


def test_what_is_pushed_takes_no_time_from_those_that_are_polled() -> None:
    second = threshold(rule_id="rule_2", monitor="n", for_duration=10)
    scene = Polled(threshold(), second, known=[series(0), series(1, monitor="n")])
    assert scene.poll((1, 5, 20), now=10) == []
    assert scene.poll((0, 40, 20), now=40, arrival=Arrival.AHEAD) == [("firing", 40, "")]
    assert scene.poll((1, 12, 5), now=30) == []
    assert scene.status("n", "rule_2") is Status.INACTIVE


def test_what_was_pushed_is_explained_as_it_is_by_then() -> None:
    scene = Polled(threshold())
    scene.poll((0, 1, 5), now=2)
    scene.poll((0, 20, 20), now=21, arrival=Arrival.AHEAD)
    (found,) = explain(scene.evaluation, RuleKey("t", "rule_1"))
    assert (found.status, found.value, found.time) == (Status.FIRING, 20, at(20))


def test_what_is_pushed_with_a_time_to_come_waits_for_its_poll() -> None:
    scene = Polled(threshold())
    assert scene.poll((0, 50, 20), now=20, arrival=Arrival.AHEAD) == []
    assert scene.poll((0, 50, 20), now=60) == [("firing", 50, "")]


def test_what_was_over_ahead_of_the_polls_does_not_begin_again_for_whoever_takes_it_up() -> None:
    scene, fired = Polled(threshold()), points([(0, 8, 20)])
    assert scene.poll((0, 8, 20), now=8, arrival=Arrival.AHEAD) == [("firing", 8, "")]
    assert scene.poll((0, 8, 20), now=9) == []
    assert scene.poll((0, 12, 5), now=12, arrival=Arrival.AHEAD) == [("condition", 12, "")]
    successor, transitions = taken_up(saved(scene.evaluation), scene.known, [threshold()], [fired])
    transitions += take(successor, batch(points([(0, 12, 5)]), at(25), Arrival.POLLED))
    assert told(transitions) == []
    transitions = take(successor, batch(points([(0, 26, 20)]), at(27), Arrival.POLLED))
    assert told(transitions) == [("firing", 26, "")]


@share(300)
@given(rules(), st.lists(VALUES, min_size=1, max_size=200), st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_pushed_ahead_of_the_polls_everything_is_told_as_it_is_polled(
    spec: RuleSpec, values: list[float], sizes: list[int]
) -> None:
    rows: Rows = [(0, (place + 1) / 2, value) for place, value in enumerate(values)]
    spec = one_series(spec)
    until = len(values) / 2
    calm = in_stretches(live(spec, rows), rows, [], until)
    pushed, found, polled_to = live(spec, rows), list[Any](), 0.0
    coming = list(rows)
    for place in range(len(rows)):
        size = sizes[place % len(sizes)]
        some, coming = coming[:size], coming[size:]
        if not some:
            break
        now = some[-1][1]
        found += take(pushed, batch(as_points(some), at(now), Arrival.AHEAD))
        if place % 3 == 2:
            # Polls lag behind by as much as points may come late.
            copies = [row for row in rows if polled_to < row[1] <= now - 5]
            found += take(pushed, batch(as_points(copies), at(max(now - 5, polled_to)), Arrival.POLLED))
            polled_to = max(now - 5, polled_to)
    found += take(pushed, batch(as_points([row for row in rows if row[1] > polled_to]), at(until), Arrival.POLLED))
    assert by_time([plainly(one) for one in found]) == by_time(calm)
