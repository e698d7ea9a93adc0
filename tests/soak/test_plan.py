"""The load is what it's said to be."""

from collections import Counter

import pytest

from tests.soak.plan import BEAT, HIGH, Plan

PLAN = Plan(rules=1000, points=400, transitions=40)


def test_each_series_gets_a_point_once_in_a_round() -> None:
    covered = [number for beat in range(PLAN.turns) for number in range(1000)[PLAN.series(beat)]]
    assert covered == list(range(1000))


def test_as_many_points_come_and_alerts_begin_a_second_as_are_wanted() -> None:
    beats = round(10 / BEAT)
    assert sum(len(PLAN.values(beat)) for beat in range(beats)) == 10 * 400
    assert sum(int((PLAN.values(beat) == HIGH).sum()) for beat in range(beats)) == 10 * 40 / 2


def test_an_alert_ends_before_its_monitors_next_one_begins() -> None:
    for beat in range(200):
        assert not {*PLAN.lifted(beat)} & {*PLAN.lifted(beat + PLAN.turns)}


def test_each_monitor_fires_as_often_as_the_others() -> None:
    beats = PLAN.turns * (PLAN.slice_size // PLAN.fired_a_beat)
    assert set(Counter(name for beat in range(beats) for name in PLAN.lifted(beat)).values()) == {1}


def test_points_that_dont_make_whole_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="1,000 rules aren't a multiple of 150"):
        Plan(rules=1000, points=300)
