"""The recent points of every series that a rule needs, on raw nanosecond timestamps."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from monitors.evaluator.model.aggregates import FEW, Measure, laid_out, reduce
from monitors.evaluator.model.arrays import (
    CHUNK,
    UNSET,
    Booleans,
    Places,
    are_distinct,
    chunks,
    pieces,
    runs,
    selection,
)
from monitors.evaluator.model.ordered import Ordered, in_order
from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.ring_rows import CAPACITY_OF, NOWHERE, RingRows, wrapped
from monitors.evaluator.model.rings import CAPACITIES, Rings, Runs
from monitors.evaluator.model.series import Floats, Int32s, Int64s
from monitors.evaluator.model.statistics import Laid


class Window(RingRows):
    """Points by row (the index of their series): takes them as they come, and measures them.

    A row keeps the points that are no older than its newest one less its retention, and the one before them; nothing
    looks further back.
    """

    def cut(self, newest: int) -> None:
        """Forgets all points later than `newest`."""
        table = self._rows
        rows = np.flatnonzero((table.length > 0) & (table.newest > newest))
        if not len(rows):
            return
        kept = self._count_before(rows, np.full(len(rows), newest, dtype=np.int64), inclusive=True)
        capacity = CAPACITIES[table.ring[rows]]
        table.head[rows] = (table.head[rows] - table.length[rows] + kept) % capacity
        table.length[rows] = kept
        table.newest[rows], table.newest_value[rows] = UNSET, np.nan
        left = rows[kept > 0]
        table.newest[left], table.newest_value[left] = self._points_at(left, table.length[left] - 1)

    def points_of(self, rows: Places) -> tuple[Int32s, Int64s, Floats]:
        """The points of distinct rows: row, time and value of each, row by row and ascending in time."""
        lengths = self._rows.length[rows].astype(np.int64)
        repeated = np.repeat(rows.astype(np.int32), lengths)
        return (repeated, *self._points_at(repeated, runs(np.zeros(len(rows), dtype=np.int64), lengths)))

    # --- taking points ---

    def insert_past(self, rows: Places, times: Int64s, values: Floats) -> None:
        """Takes points, in order of arrival, that came before those that the rows have by now."""
        newest = self._rows.newest.copy()
        np.maximum.at(newest, rows, times)
        useful = times >= newest[rows] - self._rows.retention[rows]
        before = np.full(len(newest), UNSET, dtype=np.int64)
        np.maximum.at(before, rows[~useful], times[~useful])
        useful |= times == before[rows]
        self._insert_sorted(rows[useful], times[useful], values[useful], replace=False)

    def insert(self, rows: Places, times: Int64s, values: Floats) -> Booleans:
        """Takes points in order of arrival, of rows that keep any; tells for each whether it is new.

        Of several points of one row and time the last one stays and counts as the new one. If the row has one of that
        time already, its value is replaced and the point isn't new. Points before what the row retains are passed over.
        """
        fresh = np.ones(len(rows), dtype=np.bool_)
        where = selection(rows)
        newest = self._rows.newest[where]
        if (isinstance(where, slice) or are_distinct(rows)) and (times > newest).all():
            self._append(rows, where, times, values)
            return fresh
        useful = (newest == UNSET) | (times >= newest - self._rows.retention[rows])
        fresh[:] = False
        some = np.flatnonzero(useful)
        fresh[some] = self._insert_sorted(rows[some], times[some], values[some], replace=True)
        return fresh

    def _insert_sorted(self, rows: Places, times: Int64s, values: Floats, *, replace: bool) -> Booleans:
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
            self._append_runs(rows, times, values)
        return fresh

    def _append(self, rows: Places, where: Places | slice, times: Int64s, values: Floats) -> None:
        """Appends one point to each of the distinct rows, whose selection `where` is."""
        if isinstance(where, slice) and self._append_in_step(where, times, values):
            return
        for part in chunks(len(rows)):
            for ring, some in self._by_ring(rows[part]):
                self._append_to(rows[part][some], times[part][some], values[part][some], ring)

    def _append_in_step(self, where: slice, times: Int64s, values: Floats) -> bool:
        """The same for rows whose rings lie side by side and are written to at one position, as regular points make
        them, without a look at each ring. False, and nothing is done, if the rings differ or lack room."""
        table, first = self._rows, where.start
        kind, head, length = int(table.ring[first]), int(table.head[first]), int(table.length[first])
        columns = ((table.ring, kind), (table.head, head), (table.length, length))
        if kind == NOWHERE or not all((column[where] == one).all() for column, one in columns):
            return False
        rings, borders = self._rings[kind], _borders(table.base[where])
        if len(borders) * FEW > len(times):
            return False
        parts = [slice(*ends) for ends in pairwise((0, *borders.tolist(), len(times)))]
        bases = table.base[where][[part.start for part in parts]].tolist()
        following = (head + 1) % rings.capacity
        if length == rings.capacity:
            # As in `_append_to`.
            bounds = table.newest[where] - table.retention[where]
            for part, base in zip(parts, bases, strict=True):
                if not (rings.times[rings.lanes(base, part, following)] < bounds[part]).all():
                    return False
        for part, base in zip(parts, bases, strict=True):
            rings.write(rings.lanes(base, part, head), times[part], values[part])
        table.head[where], table.length[where] = following, min(length + 1, rings.capacity)
        table.newest[where], table.newest_value[where] = times, values
        return True

    def _append_to(self, rows: Places, times: Int64s, values: Floats, ring: int) -> None:
        if ring == NOWHERE:
            self._make_room(rows, np.ones(len(rows), dtype=np.int64))
            self._append(rows, selection(rows), times, values)
            return
        table, rings, some = self._rows, self._rings[ring], selection(rows)
        head, length, base = table.head[some].astype(np.int64), table.length[some], table.base[some]
        following = wrapped(head + 1, rings.capacity)
        full = length == rings.capacity
        if full.any():
            # A full ring's head is its oldest point, which may be written over if the next one is too old as well.
            too_old = rings.times[base + following * rings.stride] < table.newest[some] - table.retention[some]
            if not (too_old | ~full).all():
                stuck = rows[full & ~too_old]
                self._make_room(stuck, np.ones(len(stuck), dtype=np.int64))
                self._append(rows, some, times, values)
                return
        rings.write(base + head * rings.stride, times, values)
        table.head[some] = following.astype(np.int32)
        table.length[some] = length + ~full
        table.newest[some], table.newest_value[some] = times, values

    def _append_runs(self, rows: Places, times: Int64s, values: Floats) -> None:
        """Appends points that are sorted by row and time, later than what the rows have."""
        table = self._rows
        first = np.flatnonzero(np.append(True, rows[1:] != rows[:-1]))
        if len(first) == len(rows):
            self._append(rows, selection(rows), times, values)
            return
        counts = np.diff(np.append(first, len(rows)))
        heads, last = rows[first], first + counts - 1
        full = table.length[heads] + counts > CAPACITY_OF[table.ring[heads]]
        if full.any():
            self._make_room(heads[full], counts[full])
            room = CAPACITY_OF[table.ring[heads]] - table.length[heads]
            if (room < counts).any():
                # The limit left no more: the newest points of each run stay.
                fits = np.arange(len(rows)) - np.repeat(first, counts) >= np.repeat(counts - room, counts)
                self._append_runs(rows[fits], times[fits], values[fits])
                return
        rank = np.arange(len(rows)) - np.repeat(first, counts)
        for ring, some in self._by_ring(rows):
            rings, chosen = self._rings[ring], rows[some]
            position = (table.head[chosen].astype(np.int64) + rank[some]) % rings.capacity
            rings.write(table.base[chosen] + position * rings.stride, times[some], values[some])
        table.head[heads] = (table.head[heads] + counts) % CAPACITY_OF[table.ring[heads]]
        table.length[heads] += counts
        table.newest[heads], table.newest_value[heads] = times[last], values[last]

    def _insert_late(self, rows: Places, times: Int64s, values: Floats, replace: bool) -> Booleans:
        """Takes points, sorted and distinct, that aren't later than their rows' newest ones."""
        table = self._rows
        at = self._count_before(rows, times, inclusive=False)
        # None is newer than the newest, so that `at` is always inside.
        same = self._times_at(rows, at) == times
        if replace and same.any():
            some = np.flatnonzero(same)
            for ring, part in self._by_ring(rows[some]):
                chosen = some[part]
                cells = self._cells(rows[chosen], at[chosen], ring)
                self._rings[ring].write(cells, times[chosen], values[chosen])
            newest = some[times[some] == table.newest[rows[some]]]
            table.newest_value[rows[newest]] = values[newest]
        fresh: Booleans = ~same
        left = np.flatnonzero(fresh)
        for low, high in pieces(rows[left]):
            self._insert_between(int(rows[left[low]]), times[left[low:high]], values[left[low:high]])
        return fresh

    def _insert_between(self, row: int, times: Int64s, values: Floats) -> None:
        known_times, known_values = self.points(row)
        at = np.searchsorted(known_times, times)
        merged_times, merged_values = np.insert(known_times, at, times), np.insert(known_values, at, values)
        table, one = self._rows, np.array([row])
        table.length[row] = 0
        needed = np.array([len(merged_times)])
        self._give_ring(one, needed, needed)
        rings = self._rings[int(table.ring[row])]
        count = min(len(merged_times), rings.capacity)
        cells = table.base[row] + np.arange(count) * rings.stride
        rings.write(cells, merged_times[-count:], merged_values[-count:])
        table.head[row], table.length[row] = count % rings.capacity, count

    # --- looking ---

    def _count_until(self, rows: Places, times: Int64s) -> Int64s:
        """How many points of each row are no younger than its time."""
        counts = self._rows.length[rows].astype(np.int64)
        # Nearly always everything has happened already, so that there is nothing to search.
        search = np.flatnonzero(self._rows.newest[rows] > times)
        if len(search):
            counts[search] = self._count_before(rows[search], times[search], inclusive=True)
        return counts

    def newest_until(self, rows: Places, times: Int64s) -> Int64s:
        """The time of each row's newest point at or before its `times` entry, UNSET if there is none."""
        return self.newest_points(rows, times)[0]

    def newest_points(self, rows: Places, times: Int64s) -> tuple[Int64s, Floats]:
        """The same with its value, which isn't a number where the point only stands for what is older than was read."""
        some = selection(rows)
        newest, values = np.array(self._rows.newest[some]), np.array(self._rows.newest_value[some])
        late = np.flatnonzero(newest > times)
        if len(late):
            counts = self._count_before(rows[late], times[late], inclusive=True)
            newest[late], values[late] = UNSET, np.nan
            some = late[counts > 0]
            newest[some], values[some] = self._points_at(rows[some], counts[counts > 0] - 1)
        return newest, values

    def aggregate(self, rows: Places, measure: Measure, spans: Int64s | int, times: Int64s) -> Floats:
        """For each entry what is measured of the closed window [t − span, t]; NaN where that is unknown."""
        since = times - spans
        if measure.aggregation == Aggregation.LATEST:
            newest, values = self.newest_points(rows, times)
            values[newest < since] = np.nan
            return values
        result = np.full(len(rows), np.nan)
        for ring, some in self._by_ring(rows):
            if ring != NOWHERE:
                result[some] = self._reduce(rows[some], measure, since[some], times[some], ring)
        return result

    def laid_out(self, rows: Places, spans: Int64s | int, times: Int64s) -> Iterator[tuple[Places, Laid]]:
        """The points of the closed windows [t − span, t] that have any: which entries, and their points."""
        for chosen, rings, found in self._runs(rows, times - spans, times):
            yield from ((chosen[part], laid) for part, laid in laid_out(rings, found))

    def in_order(self, rows: Places, since: Int64s, until: Int64s) -> Iterator[tuple[Places, Ordered]]:
        """The numbers of the windows from `since` to `until`, both included, that have any points: which entries, and
        their numbers in order."""
        for chosen, rings, found in self._runs(rows, since, until):
            yield from ((chosen[part], numbers) for part, numbers in in_order(rings, found))

    def _runs(self, rows: Places, since: Int64s, until: Int64s) -> Iterator[tuple[Places, Rings, Runs]]:
        for ring, some in self._by_ring(rows):
            if ring != NOWHERE:
                chosen = np.arange(len(rows))[some]
                yield chosen, self._rings[ring], self._run_of(rows[chosen], since[chosen], until[chosen], ring)

    def _reduce(self, rows: Places, measure: Measure, since: Int64s, until: Int64s, ring: int) -> Floats:
        result = np.empty(len(rows))
        for part in _neighbours(self._rows.base[rows]):
            runs = self._run_of(rows[part], since[part], until[part], ring)
            result[part] = reduce(measure, self._rings[ring], runs, until[part])
        return result

    def _run_of(self, rows: Places, since: Int64s, until: Int64s, ring: int) -> Runs:
        table, rings = self._rows, self._rings[ring]
        skipped = self._bisect(rows, since, ring, inclusive=False)
        counts = self._count_until(rows, until) - skipped
        tail = self._tail(rows, table.length[rows], rings.capacity)
        return Runs(table.base[rows], wrapped(tail + skipped, rings.capacity), counts)


def _neighbours(bases: Int64s) -> list[slice]:
    """Parts of at most CHUNK rings; of neighbours only, if they come mostly in long rows of such."""
    borders = _borders(bases)
    if len(borders) * CHUNK > 4 * len(bases):
        borders = borders[:0]
    ends = [0, *borders.tolist(), len(bases)]
    return [slice(at, min(at + CHUNK, end)) for start, end in pairwise(ends) for at in range(start, end, CHUNK)]


def _borders(bases: Int64s) -> Places:
    """Where rings begin that aren't neighbours of those before them."""
    return np.flatnonzero(np.diff(bases) != 1) + 1
