"""What rows of the window lack from before they were needed, and how it comes into them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from monitors.evaluator.model.arrays import NEVER, UNSET, Booleans, Places
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.points import Points
from monitors.evaluator.model.reading import LOOK_BACK
from monitors.evaluator.model.series import Floats, Int64s
from monitors.evaluator.model.state import State
from monitors.evaluator.model.window import Window

_UNFILLED = -1


@dataclass(frozen=True)
class Fill:
    """Rows of the window (by series) that lack points from before they were needed: those no older than `oldest`."""

    rows: Places
    oldest: int

    def wants(self, rows: Places) -> Booleans:
        """Which of `rows` are to be filled."""
        if not len(self.rows):
            return np.zeros(len(rows), dtype=np.bool_)
        at = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.asarray(self.rows[at] == rows)


class Filling:
    """How far back each row of an evaluation's window reaches."""

    def __init__(self, plan: Plan, window: Window, state: State) -> None:
        self._plan, self._window, self._state = plan, window, state
        self._past: list[tuple[Places, Int64s, Floats]] = []
        self._reach: Int64s = np.full(16, _UNFILLED, dtype=np.int64)
        """By row: how far before now its points are complete."""

    def reserve(self, size: int) -> None:
        """Makes room for so many rows."""
        if size > len(self._reach):
            more = max(size, len(self._reach) * 9 // 8) - len(self._reach)
            self._reach = np.append(self._reach, np.full(more, _UNFILLED, dtype=np.int64))

    def release(self, row: int) -> None:
        """A row keeps no points any more."""
        self._reach[row] = _UNFILLED

    def lacks_nothing(self, rows: Places) -> None:
        """Rows of series that had no points before."""
        self._reach[rows] = NEVER

    def lacking(self, series: Iterable[int], now: int) -> Fill:
        """The rows that don't reach as far back as they must by now."""
        rows = np.unique(np.fromiter(series, dtype=np.intp))
        retention, span = self._plan.reach_of(rows)
        lacks = (self._reach[rows] < span) | (self._window.retention(rows) < retention)
        self._window.set_retention(rows, retention)
        # At least a look-back, so that a point that is sent again soon is known as such.
        longest = max(LOOK_BACK, int(span[lacks].max(initial=0)))
        away = sum(gap.end - gap.start for gap in self._state.gaps)
        return Fill(rows[lacks], min(now, self._state.watermark) - longest - away)

    def take(self, fill: Fill, points: Points) -> None:
        """Keeps points of the past for the rows that lack them, until the fill ends."""
        wanted = fill.wants(points.series) & (points.times <= self._state.watermark)
        self._past.append((points.series[wanted], points.times[wanted], points.values[wanted]))

    def end(self, fill: Fill, seen: Sequence[bool] | Booleans, held: Places) -> None:
        """Puts what was taken into its rows. `seen` tells for each series whether it ever had a point; `held` are the
        series that have points whose time is still to come."""
        if self._past:
            rows, times, values = (np.concatenate(column) for column in zip(*self._past, strict=True))
            self._past = []
            self._window.insert_past(rows, times, values)
        rows = fill.rows[self._window.keeps(fill.rows)]
        self._reach[rows] = np.maximum(self._reach[rows], self._plan.reach_of(rows)[1])
        # What has reported once, but longer ago than matters, is absent and not unheard of; nor is what is older new.
        empty = rows[self._window.newest[rows] == UNSET]
        gone = empty[np.asarray(seen, dtype=np.bool_)[empty] & ~np.isin(empty, held)]
        self._window.insert(gone, np.full(len(gone), fill.oldest - 1), np.full(len(gone), np.nan))
