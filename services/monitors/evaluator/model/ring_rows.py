"""Rows of points in rings of memory: where each row's points lie, and how much room they have."""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.aggregates import FEW
from monitors.evaluator.model.arrays import CHUNK, UNSET, Booleans, Columns, Layout, Places, chunks, selection
from monitors.evaluator.model.rings import CAPACITIES, MOST_LANES, Rings
from monitors.evaluator.model.series import Floats, Int32s, Int64s

NOWHERE = -1
NOT_KEPT = -1
MOST_CELLS = 1 << 40

CAPACITY_OF: Int64s = np.append(CAPACITIES, 0)
"""By kind of ring; the last entry is what NOWHERE finds."""


class _Rows(Columns):
    ring: NDArray[np.int16]
    """Which of CAPACITIES the row's ring has."""
    base: Int64s
    head: Int32s
    """The position of the next point."""
    length: Int32s
    retention: Int64s
    newest: Int64s
    newest_value: Floats

    LAYOUT: ClassVar[Layout] = {
        "ring": (np.int16, NOWHERE),
        "base": (np.int64, 0),
        "head": (np.int32, 0),
        "length": (np.int32, 0),
        "retention": (np.int64, NOT_KEPT),
        "newest": (np.int64, UNSET),
        "newest_value": (np.float64, np.nan),
    }


class RingRows:
    """Rows of points, ascending in time and unique within a row, each in a ring as large as it needs.

    A row for which no retention is set keeps nothing. `limit` bounds the cells of all rings together: what would exceed
    it makes a row forget its oldest points. `lanes` is how many rows are laid side by side at most.
    """

    def __init__(self, limit: int = MOST_CELLS, lanes: int = MOST_LANES) -> None:
        self._lanes = lanes
        self._rows = _Rows()
        self._rings: dict[int, Rings] = {}
        self._limit = limit
        self.shortened: set[int] = set()
        """Rows that had to forget points which a rule asks for."""

    @property
    def newest(self) -> Int64s:
        """The time of each row's newest point, UNSET for an empty row."""
        return self._rows.newest

    @property
    def point_count(self) -> int:
        """How many points are held."""
        return int(self._rows.length.sum())

    @property
    def cell_count(self) -> int:
        """How many points there is room for."""
        return sum(ring.cell_count for ring in self._rings.values())

    def reserve(self, size: int) -> None:
        """Makes rows below `size` known."""
        self._rows.reserve(size)

    def set_retention(self, rows: Places, retention: Int64s | int) -> None:
        """Makes rows keep points, or changes how many nanoseconds behind its newest point each reaches."""
        self._rows.reserve(int(rows.max(initial=-1)) + 1)
        self._rows.retention[rows] = retention

    def retention(self, rows: Places) -> Int64s:
        """How far behind its newest point each row reaches; negative if it keeps nothing."""
        return np.asarray(self._rows.retention[rows])

    def keeps(self, rows: Places) -> Booleans:
        """Which rows keep points."""
        return np.asarray(self._rows.retention[selection(rows)] >= 0)

    def release(self, row: int) -> None:
        """Forgets a row and its points."""
        ring = int(self._rows.ring[row])
        if ring != NOWHERE:
            self._rings[ring].give_back(self._rows.base[row : row + 1].copy())
        self._rows.clear(row)
        self.shortened.discard(row)

    def points(self, row: int) -> tuple[Int64s, Floats]:
        """A row's points, ascending in time."""
        count = int(self._rows.length[row])
        if not count:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
        return self._points_at(np.full(count, row), np.arange(count))

    # --- where points are ---

    def _cells(self, rows: Places, places: Places | Int64s, ring: int) -> Places:
        """The cells of the points of rows in one kind of ring, counted from each row's oldest."""
        table, rings = self._rows, self._rings[ring]
        tail = self._tail(rows, table.length[rows], rings.capacity)
        return np.asarray(table.base[rows] + wrapped(tail + places, rings.capacity) * rings.stride)

    def _tail(self, rows: Places, length: Int64s | Int32s, capacity: int) -> Int64s:
        """The positions of the rows' oldest points."""
        tail = self._rows.head[rows].astype(np.int64) - length
        np.add(tail, capacity, out=tail, where=tail < 0)
        return tail

    def _by_ring(self, rows: Places) -> list[tuple[int, Places | slice]]:
        """The rows' kinds of rings, and which of the rows have each."""
        kinds = self._rows.ring[rows]
        if len(kinds) and (kinds == kinds[0]).all():
            return [(int(kinds[0]), slice(None))]
        return [(int(ring), np.flatnonzero(kinds == ring)) for ring in np.unique(kinds)]

    def _points_at(self, rows: Places, places: Places | Int64s | Int32s) -> tuple[Int64s, Floats]:
        times = np.empty(len(rows), dtype=np.int64)
        values = np.empty(len(rows), dtype=np.float64)
        for ring, some in self._by_ring(rows):
            cells = self._cells(rows[some], places[some], ring)
            times[some], values[some] = self._rings[ring].times[cells], self._rings[ring].values[cells]
        return times, values

    def _times_at(self, rows: Places, places: Places | Int64s) -> Int64s:
        times = np.empty(len(rows), dtype=np.int64)
        for ring, some in self._by_ring(rows):
            times[some] = self._rings[ring].times[self._cells(rows[some], places[some], ring)]
        return times

    def _count_before(self, rows: Places, bounds: Int64s, *, inclusive: bool) -> Int64s:
        """How many points of each row are older than its bound, or with `inclusive` no younger. Bisects all at once."""
        low = np.zeros(len(rows), dtype=np.int64)
        for part in chunks(len(rows)):
            for ring, some in self._by_ring(rows[part]):
                if ring != NOWHERE:
                    low[part][some] = self._bisect(rows[part][some], bounds[part][some], ring, inclusive)
        return low

    def _bisect(self, rows: Places, bounds: Int64s, ring: int, inclusive: bool) -> Int64s:
        if len(rows) >= FEW and (rows == rows[0]).all():
            # A backtest asks for one row at many times.
            side: Literal["left", "right"] = "right" if inclusive else "left"
            return np.searchsorted(self.points(int(rows[0]))[0], bounds, side)
        table, rings = self._rows, self._rings[ring]
        length = table.length[rows].astype(np.int64)
        tail = self._tail(rows, length, rings.capacity)
        base = table.base[rows]
        low = np.zeros(len(rows), dtype=np.int64)
        # Halving steps, all rows alike: what lies beyond a row's points counts as later than any bound.
        step = 1 << int(length.max(initial=0)).bit_length() >> 1
        while step:
            probe = low + (step - 1)
            inside = probe < length
            position = wrapped(tail + np.where(inside, probe, 0), rings.capacity)
            time = rings.times[base + position * rings.stride]
            before = time <= bounds if inclusive else time < bounds
            low += step * (before & inside)
            step >>= 1
        return low

    # --- room ---

    def _make_room(self, rows: Places, counts: Int64s) -> None:
        """Gives each of the distinct rows room for that many more points, after dropping what has become too old.

        That is told by the newest point so far: the step that adds points still evaluates at each of them.
        """
        table = self._rows
        bounds = table.newest[rows] - table.retention[rows]
        drop = np.zeros(len(rows), dtype=np.int64)
        long = np.flatnonzero(table.length[rows] > counts)
        if len(long):
            # Usually as many have become too old as come.
            enough = self._times_at(rows[long], counts[long]) < bounds[long]
            drop[long[enough]] = counts[long[enough]]
        rest = np.flatnonzero((drop == 0) & (table.length[rows] > 0))
        if len(rest):
            before = self._count_before(rows[rest], bounds[rest], inclusive=False)
            drop[rest] = np.maximum(before - 1, 0)
        table.length[rows] -= drop
        needed = table.length[rows] + counts
        short = np.flatnonzero(needed > CAPACITY_OF[table.ring[rows]])
        if len(short):
            self._give_ring(rows[short], needed[short], self._foreseen(rows[short], needed[short]))

    def _foreseen(self, rows: Places, needed: Int64s) -> Int64s:
        """How many points rows will have once they reach back as far as they must, if more come as the latter half did:
        the first one is often much older than what followed once somebody watched."""
        length = self._rows.length[rows].astype(np.int64)
        some = np.flatnonzero(length > 1)
        middle = length[some] // 2 - (length[some] == 2)
        span = self._rows.newest[rows[some]] - self._times_at(rows[some], middle)
        full = self._rows.retention[rows[some]] / span * (length[some] - 1 - middle) + 3
        foreseen = needed.copy()
        foreseen[some] = np.clip(full, needed[some], 8 * needed[some]).astype(np.int64)
        return foreseen

    def _give_ring(self, rows: Places, needed: Int64s, foreseen: Int64s) -> None:
        """Moves rows into rings of the foreseen size, or as large a one as the limit leaves."""
        wanted = np.searchsorted(CAPACITIES, foreseen)
        for kind in np.unique(wanted[wanted > self._rows.ring[rows]]):
            some = np.flatnonzero(wanted == kind)
            if self.cell_count + int(CAPACITIES[kind]) * len(some) > self._limit:
                self._shorten(rows[some], needed[some])
            else:
                self._move(rows[some], int(kind))

    def _shorten(self, rows: Places, needed: Int64s) -> None:
        """Makes rows that may not grow forget their oldest points."""
        table = self._rows
        homeless = rows[table.ring[rows] == NOWHERE]
        if len(homeless):
            self._move(homeless, 0)
        over = needed - CAPACITY_OF[table.ring[rows]]
        table.length[rows] = np.maximum(table.length[rows] - over, 0)
        self.shortened.update(rows.tolist())

    def _move(self, rows: Places, kind: int) -> None:
        table = self._rows
        if kind not in self._rings:
            self._rings[kind] = Rings(int(CAPACITIES[kind]), self._lanes)
        rings = self._rings[kind]
        kinds = self._by_ring(rows)
        # A whole chunk of rows is seldom the only one that moves.
        many = len(rows) == CHUNK and not rings.count
        bases = rings.take(len(rows), sum(self._count_in(ring) for ring, _ in kinds) if many else 0)
        for ring, some in kinds:
            if ring == NOWHERE:
                continue
            old, chosen = self._rings[ring], rows[some]
            for part in chunks(len(chosen)):
                self._copy(chosen[part], old, rings, bases[some][part])
            old.give_back(table.base[chosen])
        table.ring[rows], table.base[rows] = kind, bases
        table.head[rows] = table.length[rows]

    def _count_in(self, ring: int) -> int:
        """How many rows have that kind of ring: those that are likely to move together."""
        return self._rings[ring].count if ring != NOWHERE else int((self._rows.retention >= 0).sum())

    def _copy(self, rows: Places, old: Rings, new: Rings, target: Places) -> None:
        """Copies the rows' points to the beginnings of other rings."""
        length = self._rows.length[rows]
        source = self._rows.base[rows] + self._tail(rows, length, old.capacity) * old.stride
        end = self._rows.base[rows] + old.span
        least = int(length.min(initial=0))
        for rank in range(int(length.max(initial=0))):
            some = slice(None) if rank < least else np.flatnonzero(rank < length)
            new.write(target[some] + rank * new.stride, old.times[source[some]], old.values[source[some]])
            source += old.stride
            np.subtract(source, old.span, out=source, where=source >= end)


def wrapped(positions: Int64s, capacity: int) -> Int64s:
    """Positions that may be past a ring's end by less than its length, brought back into it."""
    return np.subtract(positions, capacity, out=positions, where=positions >= capacity)
