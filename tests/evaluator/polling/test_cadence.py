"""Which series come back after a silence, and which merely report seldom."""

import numpy as np

from monitors.evaluator.model.arrays import UNSET
from monitors.evaluator.polling.cadence import Cadence
from tests.evaluator.engine.scene import at


def read(cadence: Cadence, *seconds: float, series: int = 0) -> list[tuple[int, int]]:
    """Which series had been silent, and since when; they have been read then."""
    rows, times = np.full(len(seconds), series, np.int32), np.array([at(one) for one in seconds])
    found = cadence.returned(rows, times)
    cadence.note(rows, times)
    return list(zip(*(column.tolist() for column in found), strict=True))


def test_who_reports_on_was_never_silent() -> None:
    cadence = Cadence()
    assert read(cadence, 0, 10, 20) == []
    assert read(cadence, 30) == []
    assert read(cadence, 85, 95) == []


def test_who_comes_back_had_been_silent_since_the_last_point() -> None:
    cadence = Cadence()
    read(cadence, 0, 10)
    assert read(cadence, 400, 410) == [(0, at(10))]
    assert read(cadence, 420) == []


def test_who_reports_seldom_is_not_silent_in_between() -> None:
    cadence = Cadence()
    read(cadence, 0)
    assert read(cadence, 300) == [(0, at(0))]
    assert read(cadence, 600) == []
    assert read(cadence, 900) == []
    assert read(cadence, 3600) == [(0, at(900))]


def test_who_is_new_was_not_silent_and_each_series_is_judged_by_itself() -> None:
    cadence = Cadence()
    read(cadence, 0, series=5_000)
    assert read(cadence, 500, series=1) == []
    assert read(cadence, 500, series=5_000) == [(5_000, at(0))]
    assert cadence.newest(np.array([0, 1, 5_000], np.int32)).tolist() == [UNSET, at(500), at(500)]


def test_points_that_come_late_change_nothing() -> None:
    cadence = Cadence()
    read(cadence, 100)
    assert read(cadence, 50) == []
    assert cadence.newest(np.array([0], np.int32)).tolist() == [at(100)]
