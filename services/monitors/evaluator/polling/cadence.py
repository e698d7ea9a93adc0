"""How series usually report, so that one that comes back after a silence is told from one that reports seldom."""

import numpy as np

from monitors.evaluator.model.arrays import UNSET
from monitors.evaluator.model.series import Int32s, Int64s
from monitors.mesh.times import MINUTE

SILENCE = MINUTE
"""A pause is a silence if it's longer than this and than three times the pause before."""


class Cadence:
    """The newest point of each series that was read in order, and how long it was after the one before."""

    def __init__(self) -> None:
        self._newest: Int64s = np.full(1_024, UNSET, np.int64)
        self._pause: Int64s = np.zeros(1_024, np.int64)

    def returned(self, series: Int32s, times: Int64s) -> tuple[Int32s, Int64s]:
        """Which of these points' series had been silent, and since when: their senders may have written more."""
        series, first, _ = _spans(series, times)
        self._reserve(series)
        before = self._newest[series]
        silent = first - before > np.maximum(SILENCE, 3 * self._pause[series])
        back = (before != UNSET) & silent
        return series[back], before[back]

    def newest(self, series: Int32s) -> Int64s:
        """The time of each one's newest point, UNSET if there was none."""
        self._reserve(series)
        return self._newest[series]

    def note(self, series: Int32s, times: Int64s) -> None:
        """Remembers points that have been read."""
        series, first, last = _spans(series, times)
        self._reserve(series)
        before = self._newest[series]
        known = before != UNSET
        self._pause[series[known]] = np.maximum(first[known] - before[known], 0)
        self._newest[series] = np.maximum(before, last)

    def _reserve(self, series: Int32s) -> None:
        count = int(series.max(initial=-1)) + 1
        if count > len(self._newest):
            more = max(count, 2 * len(self._newest)) - len(self._newest)
            self._newest = np.append(self._newest, np.full(more, UNSET, np.int64))
            self._pause = np.append(self._pause, np.zeros(more, np.int64))


def _spans(series: Int32s, times: Int64s) -> tuple[Int32s, Int64s, Int64s]:
    """Each series with the times of its oldest and newest point."""
    order = np.lexsort((times, series))
    series, times = series[order], times[order]
    begins = np.append(True, series[1:] != series[:-1]) if len(series) else np.empty(0, np.bool_)
    ends = np.append(begins[1:], True) if len(series) else begins
    return series[begins], times[begins], times[ends]
