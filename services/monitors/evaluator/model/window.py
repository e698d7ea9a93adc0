"""The recent points of every series that a rule needs, on raw nanosecond timestamps."""

from itertools import pairwise
from typing import ClassVar

import numpy as np

from monitors.evaluator.model.arrays import UNSET, Booleans, Columns, Layout, Places, runs
from monitors.evaluator.model.series import Floats, Int32s, Int64s
from monitors.evaluator.model.spec import Aggregation

SMALLEST_BLOCK = 8
# Below this many entries the pool isn't worth compacting.
SMALLEST_POOL = 1 << 16


class _Rows(Columns):
    start: Int64s
    length: Int64s
    room: Int64s
    retention: Int64s
    newest: Int64s

    LAYOUT: ClassVar[Layout] = {
        "start": (np.int64, 0),
        "length": (np.int64, 0),
        "room": (np.int64, 0),
        "retention": (np.int64, 0),
        "newest": (np.int64, UNSET),
    }


class Window:
    """Points by row, ascending in time and unique within a row. A row is a series, or a group of them for absence.

    All rows share one pool; each has a block of it, moved to a larger one when it is full. A row keeps the points that
    are no older than its newest one less its retention, and the one before them; nothing looks further back.
    """

    def __init__(self) -> None:
        self._rows = _Rows()
        self._times: Int64s = np.empty(SMALLEST_POOL, dtype=np.int64)
        self._values: Floats = np.empty(SMALLEST_POOL, dtype=np.float64)
        self._end = 0

    @property
    def newest(self) -> Int64s:
        """The time of each row's newest point, UNSET for an empty row."""
        return self._rows.newest

    @property
    def point_count(self) -> int:
        """How many points are held."""
        return int(self._rows.length.sum())

    def set_retention(self, row: int, retention: int) -> None:
        """Makes the row known, or changes how many nanoseconds behind its newest point it reaches."""
        self._rows.reserve(row + 1)
        self._rows.retention[row] = retention

    def retention(self, row: int) -> int:
        """How far behind its newest point a row reaches."""
        return int(self._rows.retention[row]) if row < self._rows.capacity else 0

    def release(self, row: int) -> None:
        """Forgets a row; its number may be used again."""
        self._rows.clear(row)

    def cut(self, newest: int) -> None:
        """Forgets all points later than `newest`."""
        rows = np.flatnonzero((self._rows.length > 0) & (self._rows.newest > newest))
        bounds = np.full(len(rows), newest, dtype=np.int64)
        self._rows.length[rows] = self._count_before(rows, bounds, inclusive=True)
        self._rows.newest[rows] = self.newest_until(rows, bounds)

    def points(self, row: int) -> tuple[Int64s, Floats]:
        """A row's points, ascending in time."""
        start, length = int(self._rows.start[row]), int(self._rows.length[row])
        return self._times[start : start + length].copy(), self._values[start : start + length].copy()

    def insert_past(self, rows: Places, times: Int64s, values: Floats) -> None:
        """Takes points, in order of arrival, that came before those that the rows have by now."""
        newest = self._rows.newest.copy()
        np.maximum.at(newest, rows, times)
        useful = times >= newest[rows] - self._rows.retention[rows]
        before = np.full(len(newest), UNSET, dtype=np.int64)
        np.maximum.at(before, rows[~useful], times[~useful])
        useful |= times == before[rows]
        self._insert(rows[useful], times[useful], values[useful], replace=False)

    def insert(self, rows: Places, times: Int64s, values: Floats) -> Booleans:
        """Takes points in order of arrival; tells for each whether it is new.

        Of several points of one row and time the last one stays and counts as the new one. If the row has one of that
        time already, its value is replaced and the point isn't new. Points before what the row retains are passed over.
        """
        fresh = np.zeros(len(rows), dtype=np.bool_)
        newest = self._rows.newest[rows]
        useful = np.flatnonzero((newest == UNSET) | (times >= newest - self._rows.retention[rows]))
        if len(useful):
            fresh[useful] = self._insert(rows[useful], times[useful], values[useful], replace=True)
        return fresh

    def _insert(self, rows: Places, times: Int64s, values: Floats, *, replace: bool) -> Booleans:
        fresh = np.zeros(len(rows), dtype=np.bool_)
        if not len(rows):
            return fresh
        # lexsort is stable: of equal points the last to arrive comes last.
        order = np.lexsort((times, rows))
        rows, times, values = rows[order], times[order], values[order]
        last = np.ones(len(rows), dtype=np.bool_)
        last[:-1] = (rows[1:] != rows[:-1]) | (times[1:] != times[:-1])
        order, rows, times, values = order[last], rows[last], times[last], values[last]
        ahead = times > self._rows.newest[rows]
        if not ahead.all():
            late = np.flatnonzero(~ahead)
            fresh[order[late]] = self._insert_late(rows[late], times[late], values[late], replace)
            order, rows, times, values = order[ahead], rows[ahead], times[ahead], values[ahead]
        fresh[order] = True
        if len(rows):
            self._append(rows, times, values)
        return fresh

    def _append(self, rows: Places, times: Int64s, values: Floats) -> None:
        first = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
        counts = np.diff(np.append(first, len(rows)))
        heads = rows[first]
        self._make_room(heads, counts)
        at = runs(self._rows.start[heads] + self._rows.length[heads], counts)
        self._times[at] = times
        self._values[at] = values
        self._rows.length[heads] += counts
        self._rows.newest[heads] = times[first + counts - 1]

    def _insert_late(self, rows: Places, times: Int64s, values: Floats, replace: bool) -> Booleans:
        fresh = np.zeros(len(rows), dtype=np.bool_)
        borders = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1], [True])))
        for low, high in pairwise(borders):
            row = int(rows[low])
            fresh[low:high] = self._insert_late_into(row, times[low:high], values[low:high], replace)
        return fresh

    def _insert_late_into(self, row: int, times: Int64s, values: Floats, replace: bool) -> Booleans:
        known_times, known_values = self.points(row)
        at = np.searchsorted(known_times, times)
        same = known_times[at] == times  # none is newer than the newest, so `at` is always inside
        if replace:
            known_values[at[same]] = values[same]
        fresh: Booleans = ~same
        merged_times = np.insert(known_times, at[fresh], times[fresh])
        merged_values = np.insert(known_values, at[fresh], values[fresh])
        self._make_room(np.array([row], dtype=np.intp), np.array([int(fresh.sum())]), trim=False)
        start, length = int(self._rows.start[row]), len(merged_times)
        self._times[start : start + length] = merged_times
        self._values[start : start + length] = merged_values
        self._rows.length[row] = length
        return fresh

    def _make_room(self, rows: Places, counts: Int64s, *, trim: bool = True) -> None:
        """Gives each of the distinct rows room for that many more points, after dropping what has become too old."""
        table = self._rows
        full = table.length[rows] + counts > table.room[rows]
        if not full.any():
            return
        rows, counts = rows[full], counts[full]
        if trim:
            self._trim(rows)
            # A row that is still more than half full would have to be trimmed again too soon.
            full = 2 * (table.length[rows] + counts) > table.room[rows]
            rows, counts = rows[full], counts[full]
        if not len(rows):
            return
        wanted = 2 * (table.length[rows] + counts)
        room = np.maximum(SMALLEST_BLOCK, 2 ** np.ceil(np.log2(wanted)).astype(np.int64))
        if self._end + int(room.sum()) > len(self._times):
            self._compact(int(room.sum()))
        starts = self._end + np.cumsum(room) - room
        old, new = runs(table.start[rows], table.length[rows]), runs(starts, table.length[rows])
        self._times[new] = self._times[old]
        self._values[new] = self._values[old]
        table.start[rows], table.room[rows] = starts, room
        self._end += int(room.sum())

    def _trim(self, rows: Places) -> None:
        table = self._rows
        filled = rows[table.length[rows] > 0]
        oldest = table.newest[filled] - table.retention[filled]
        drop = self._count_before(filled, oldest, inclusive=False) - 1
        some = drop > 0
        filled, drop = filled[some], drop[some]
        keep = table.length[filled] - drop
        old, new = runs(table.start[filled] + drop, keep), runs(table.start[filled], keep)
        self._times[new] = self._times[old]
        self._values[new] = self._values[old]
        table.length[filled] = keep

    def _compact(self, wanted: int) -> None:
        """Rewrites the pool without the blocks that were left behind, half as large again as is needed."""
        table = self._rows
        live = np.flatnonzero(table.room)
        size = int(table.room[live].sum()) + wanted
        times = np.empty(max(SMALLEST_POOL, size + size // 2), dtype=np.int64)
        values = np.empty(len(times), dtype=np.float64)
        starts = np.cumsum(table.room[live]) - table.room[live]
        old, new = runs(table.start[live], table.length[live]), runs(starts, table.length[live])
        times[new], values[new] = self._times[old], self._values[old]
        table.start[live] = starts
        self._times, self._values = times, values
        self._end = size - wanted

    def _count_before(self, rows: Places, bounds: Int64s, *, inclusive: bool) -> Int64s:
        """How many points of each row are older than its bound, or with `inclusive` no younger. Bisects all at once."""
        starts = self._rows.start[rows]
        low = np.zeros(len(rows), dtype=np.int64)
        high = self._rows.length[rows].copy()
        open_ = np.flatnonzero(low < high)
        while len(open_):
            middle = (low[open_] + high[open_]) >> 1
            time = self._times[starts[open_] + middle]
            before = time <= bounds[open_] if inclusive else time < bounds[open_]
            low[open_] = np.where(before, middle + 1, low[open_])
            high[open_] = np.where(before, high[open_], middle)
            open_ = open_[low[open_] < high[open_]]
        return low

    def _count_until(self, rows: Places, times: Int64s) -> Int64s:
        """How many points of each row are no younger than its time."""
        counts = self._rows.length[rows].copy()
        # Nearly always everything has happened already, so that there is nothing to search.
        search = np.flatnonzero(self._rows.newest[rows] > times)
        if len(search):
            counts[search] = self._count_before(rows[search], times[search], inclusive=True)
        return counts

    def newest_until(self, rows: Places, times: Int64s) -> Int64s:
        """The time of each row's newest point at or before its `times` entry, UNSET if there is none."""
        counts = self._count_until(rows, times)
        found = np.full(len(rows), UNSET, dtype=np.int64)
        some = counts > 0
        found[some] = self._times[self._rows.start[rows[some]] + counts[some] - 1]
        return found

    def aggregate(self, rows: Places, kinds: Int32s, spans: Int64s, times: Int64s) -> Floats:
        """For each entry its Aggregation over the closed window [t − span, t]; NaN where that is unknown."""
        result = np.full(len(rows), np.nan)
        until = self._count_until(rows, times)
        latest = kinds == Aggregation.LATEST
        some = np.flatnonzero(latest & (until > 0))
        at = self._rows.start[rows[some]] + until[some] - 1
        result[some] = np.where(self._times[at] >= times[some] - spans[some], self._values[at], np.nan)
        wide = np.flatnonzero(~latest & (until > 0))
        if len(wide):
            result[wide] = self._over_windows(rows[wide], kinds[wide], spans[wide], times[wide], until[wide])
        return result

    def _over_windows(self, rows: Places, kinds: Int32s, spans: Int64s, times: Int64s, until: Int64s) -> Floats:
        result = np.full(len(rows), np.nan)
        since = self._count_before(rows, times - spans, inclusive=False)
        counts = until - since
        for kind in np.unique(kinds):
            some = np.flatnonzero((kinds == kind) & (counts > 0))
            if kind == Aggregation.COUNT:
                result[some] = counts[some]
            elif len(some):
                values = self._values[runs(self._rows.start[rows[some]] + since[some], counts[some])]
                result[some] = _reduce(int(kind), values, np.cumsum(counts[some]) - counts[some])
        return result


def _reduce(kind: int, values: Floats, starts: Int64s) -> Floats:
    """Each run's number, leaving out what isn't one; NaN if nothing is left."""
    # An infinite sum less another is no number: unknown, and nothing to warn about.
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if kind == Aggregation.MINIMUM:
            return np.asarray(np.fmin.reduceat(values, starts))
        if kind == Aggregation.MAXIMUM:
            return np.asarray(np.fmax.reduceat(values, starts))
        numbers = ~np.isnan(values)
        count = np.add.reduceat(numbers.astype(np.int64), starts)
        total = np.add.reduceat(np.where(numbers, values, 0.0), starts)
        if kind == Aggregation.SUM:
            return np.where(count > 0, total, np.nan)
        return np.asarray(total / np.where(count > 0, count, np.nan))
