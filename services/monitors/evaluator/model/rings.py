"""Where the window keeps its points: rings of one capacity side by side, so that all of them are read as columns."""

from typing import NamedTuple

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Places, runs
from monitors.evaluator.model.series import Floats, Int64s

PAGE_CELLS = 1 << 18
MOST_LANES = 1 << 12

SMALL_CAPACITIES = range(4, 40, 4)
CAPACITIES: Int64s = np.array(
    [*SMALL_CAPACITIES, *(quarter << shift for shift in range(3, 40) for quarter in (5, 6, 7, 8))], dtype=np.int64
)
"""Steps of a quarter at most, so that a ring wastes little."""


class Rings:
    """Rings of `capacity` cells. The cell at position p of a ring is `base + p * stride`, in `times` and in `values`.

    Rings lie in pages of `stride` lanes: the cells of one position are neighbours, so that a step which writes or adds
    up one position of all rings goes through memory in order. A ring is named by its base.
    """

    def __init__(self, capacity: int, lanes: int = MOST_LANES) -> None:
        self.capacity = capacity
        self.stride = min(lanes, 1 << max(0, (PAGE_CELLS // capacity).bit_length() - 1))
        self.span = capacity * self.stride
        """From a ring's first cell to the one after its last; also the cells of a page."""
        self._clear()

    def _clear(self) -> None:
        self.times: Int64s = np.empty(0, dtype=np.int64)
        self.values: Floats = np.empty(0, dtype=np.float64)
        self._holes: Booleans = np.zeros(0, dtype=np.bool_)
        self._used = 0
        self._free: list[Places] = []
        self._free_count = 0

    @property
    def count(self) -> int:
        """How many rings were taken."""
        return self._used - self._free_count

    @property
    def cell_count(self) -> int:
        """How many cells the rings that were taken have."""
        return self.count * self.capacity

    def take(self, count: int, expected: int = 0) -> Places:
        """Bases of `count` rings, ascending where they are new. Their cells hold anything.

        `expected` rings in all are made room for, if there is none yet. What isn't written to takes no memory.
        """
        taken: list[Places] = []
        while count and self._free:
            free = self._free.pop()
            if len(free) > count:
                self._free.append(free[count:])
                free = free[:count]
            taken.append(free)
            count -= len(free)
            self._free_count -= len(free)
        if count:
            lanes = np.arange(self._used, self._used + count)
            self._used += count
            self._reserve(-(-self._used // self.stride), -(-expected // self.stride))
            taken.append(lanes + lanes // self.stride * (self.span - self.stride))
        return np.concatenate(taken) if len(taken) != 1 else taken[0]

    def give_back(self, bases: Places) -> None:
        """Takes rings back."""
        self._free.append(bases)
        self._free_count += len(bases)
        if self._free_count == self._used:
            self._clear()

    def _reserve(self, pages: int, expected: int) -> None:
        known = len(self._holes)
        if pages <= known:
            return
        if known:
            # In place, where the system can; which writes zeros, so that more than is needed would take memory.
            pages = max(pages, known + known // 16)
            self.times.resize(pages * self.span, refcheck=False)
            self.values.resize(pages * self.span, refcheck=False)
        else:
            pages = max(pages, expected)
            self.times = np.empty(pages * self.span, dtype=np.int64)
            self.values = np.empty(pages * self.span, dtype=np.float64)
        self._holes = np.append(self._holes, np.zeros(pages - known, dtype=np.bool_))

    def lanes(self, base: int, part: slice, position: int) -> slice:
        """The cells at a position of as many neighbours as a part has entries, from the ring at `base` on."""
        start = base + position * self.stride
        return slice(start, start + part.stop - part.start)

    def block(self, base: int, count: int, position: int, length: int) -> list[Floats]:
        """The values from a position on, `length` of them, of so many neighbours from the ring at `base` on: views with
        a row for each position, two if they go around the end."""
        lane = base % self.span
        page = self.values[base - lane : base - lane + self.span].reshape(self.capacity, self.stride)
        over = position + length - self.capacity
        parts = [page[position : position + length, lane : lane + count]]
        return [*parts, page[:over, lane : lane + count]] if over > 0 else parts

    def write(self, cells: Places | slice, times: Int64s, values: Floats) -> None:
        """Writes points into cells."""
        self.times[cells] = times
        self.values[cells] = values
        holes = np.isnan(values)
        if holes.any():
            numbers = np.arange(cells.start, cells.stop) if isinstance(cells, slice) else cells
            self._holes[numbers[holes] // self.span] = True

    def may_hold_nan(self, bases: Places) -> bool:
        """Whether any of these rings may hold a value that isn't a number; False is certain."""
        return bool(self._holes[bases // self.span].any())


class Runs(NamedTuple):
    """Points in rings of one kind: from `position` on, `counts` of each ring, around its end if need be."""

    bases: Places
    position: Int64s
    counts: Int64s

    def at(self, some: Places) -> "Runs":
        """Those of some of the rings."""
        return Runs(self.bases[some], self.position[some], self.counts[some])

    def cells(self, rings: Rings) -> Places:
        """The cells of all points, ring by ring, each from the oldest to the newest."""
        position = runs(self.position, self.counts) % rings.capacity
        return np.repeat(self.bases, self.counts) + position * rings.stride

    def are_parallel(self) -> bool:
        """Whether the rings are neighbours and the same positions of each are meant."""
        bases, position, counts = self
        return bool((position == position[0]).all() and (counts == counts[0]).all() and (np.diff(bases) == 1).all())
