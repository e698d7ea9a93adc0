"""Windows in the order of their values: quantiles, and the distances from a centre.

Windows of about equal length are the rows of one matrix, since sorting a matrix row by row is many times as fast as
sorting all values of all windows by two keys.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Places
from monitors.evaluator.model.rings import Rings, Runs
from monitors.evaluator.model.series import Floats, Int64s

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]

AT_ONCE = 1 << 21
"""How many values are sorted together."""
WIDE = 256
"""With so many values on average, parts of the rings are copied one by one, instead of value by value all at once."""


class Ordered(NamedTuple):
    """The numbers of several windows: those of a window are in its row of `values`, ascending from `starts` on.

    What says something of the numbers themselves wants windows that have any.
    """

    values: Matrix
    starts: Int64s
    counts: Int64s

    @classmethod
    def of(cls, values: Matrix) -> "Ordered":
        """Of windows by rows, padded with NaN. What isn't a number is left out; the rows are sorted in place."""
        values.sort(axis=1)
        counts = np.full(len(values), values.shape[1])
        lacking = np.flatnonzero(np.isnan(values[:, -1]))
        counts[lacking] -= np.isnan(values[lacking]).sum(axis=1)
        return cls(values, np.zeros(len(values), dtype=np.int64), counts)

    def finite(self) -> "Ordered":
        """The same without what is infinite."""
        starts, ends = self.starts.copy(), self.starts + self.counts
        low = np.flatnonzero((self.counts > 0) & (self.values[:, 0] == -np.inf))
        starts[low] = (self.values[low] == -np.inf).sum(axis=1)
        newest = self.at(np.maximum(self.counts - 1, 0))
        high = np.flatnonzero((self.counts > 0) & (newest == np.inf))
        ends[high] -= (self.values[high] == np.inf).sum(axis=1)
        return Ordered(self.values, starts, np.maximum(ends - starts, 0))

    def where(self, some: Places) -> "Ordered":
        """Some of the windows."""
        if len(some) == len(self.counts):
            return self
        return Ordered(self.values[some], self.starts[some], self.counts[some])

    def at(self, places: Int64s) -> Floats:
        """The number at a place in each window's order, from 0 on."""
        return np.asarray(self.values[np.arange(len(self.starts)), self.starts + places])

    @property
    def differ(self) -> Booleans:
        """Whether a window has different numbers."""
        return np.asarray(self.at(self.counts - 1) != self.at(np.zeros_like(self.counts)))

    def quantile(self, share: float) -> Floats:
        """What so large a share of each window's numbers doesn't exceed."""
        below, above, part = _places(self.counts, share)
        return interpolated(self.at(below), self.at(above), part)

    def distance_quantile(self, centres: Floats, share: float) -> Floats:
        """The same of the distances of a window's numbers from its centre."""
        below, above, part = _places(self.counts, share)
        low = self._distance_at(centres, below)
        return interpolated(low, self._distance_at(centres, above), part)

    def _distance_at(self, centres: Floats, places: Int64s) -> Floats:
        """The distance at a place in the order of distances: of the parts of so many neighbours and one more, it's the
        least that the farther end of a part is away. That end is bisected for, all windows at once."""
        low, high = np.zeros(len(places), dtype=np.int64), self.counts - places
        while (low < high).any():
            middle = (low + high) // 2
            inside = np.minimum(middle, self.counts - places - 1)
            passed = (low < high) & (self.at(inside + places) - centres < centres - self.at(inside))
            low = np.where(passed, middle + 1, low)
            high = np.where(passed, high, np.minimum(middle, high))
        # From `low` on the upper end is the farther one, before it the lower.
        inside = np.minimum(low, self.counts - places - 1)
        upper = np.where(low < self.counts - places, self.at(inside + places) - centres, np.inf)
        lower = np.where(low > 0, centres - self.at(np.maximum(low - 1, 0)), np.inf)
        return np.minimum(upper, lower)


def _places(counts: Int64s, share: float) -> tuple[Int64s, Int64s, Floats]:
    """Between which places in the order a quantile lies, and how far from the first of them."""
    place = share * (counts - 1)
    below = np.floor(place).astype(np.int64)
    return below, np.minimum(below + 1, counts - 1), place - below


def interpolated(low: Floats, high: Floats, part: Floats) -> Floats:
    """What lies so large a part of the way between numbers."""
    # Between two infinities, or between one and itself, there is nothing to interpolate.
    return np.asarray(np.where((part == 0) | (low == high), low, low + (high - low) * part), dtype=np.float64)


def batches(counts: Int64s) -> Iterator[Places]:
    """Which of windows with so many values make one matrix: none more than twice as long as another, none empty."""
    some = np.flatnonzero(counts > 0)
    lengths = counts[some]
    if len(some) and int(lengths.min()) != int(lengths.max()):
        some = some[np.argsort(lengths, kind="stable")]
        lengths = counts[some]
    start = 0
    while start < len(some):
        longest = int(np.searchsorted(lengths, 2 * lengths[start], side="right"))
        end = min(longest, start + max(1, AT_ONCE // int(lengths[longest - 1])))
        yield some[start:end]
        start = end


def in_order(rings: Rings, window: Runs) -> Iterator[tuple[Places, Ordered]]:
    """The windows that have any points: which ones, and their numbers."""
    for some in batches(window.counts):
        yield some, Ordered.of(_matrix(rings, window.at(some)))


def _matrix(rings: Rings, window: Runs) -> Matrix:
    """The values of windows, a row for each, in no order but that of the rings; NaN behind those of a shorter one."""
    bases, position, counts = window
    matrix = np.empty((len(counts), int(counts.max())))
    alike = (np.diff(bases) == 1) & (np.diff(position) == 0) & (np.diff(counts) == 0)
    borders = np.flatnonzero(~alike) + 1
    if (len(borders) + 1) * WIDE > matrix.size:
        return _gathered(matrix, rings, window)
    for start, end in pairwise((0, *borders.tolist(), len(counts))):
        count, filled = int(counts[start]), 0
        for values in rings.block(int(bases[start]), end - start, int(position[start]), count):
            matrix[start:end, filled : filled + len(values)] = values.T
            filled += len(values)
        matrix[start:end, count:] = np.nan
    return matrix


def _gathered(matrix: Matrix, rings: Rings, window: Runs) -> Matrix:
    ranks = np.arange(matrix.shape[1])
    position = window.position[:, None] + ranks
    np.subtract(position, rings.capacity, out=position, where=position >= rings.capacity)
    position *= rings.stride
    position += window.bases[:, None]
    np.take(rings.values, position, out=matrix)
    if int(window.counts.min()) != len(ranks):
        matrix[ranks >= window.counts[:, None]] = np.nan
    return matrix


def ordered(values: Floats, starts: Places, counts: Int64s) -> Iterator[tuple[Places, Ordered]]:
    """The same for windows whose values follow one another, each window's from `starts` on."""
    for some in batches(counts):
        lengths = counts[some]
        width = int(lengths.max())
        if int(lengths.min()) == width and len(some) * width == len(values):
            yield some, Ordered.of(values.reshape(-1, width).copy())
            continue
        ranks = np.arange(width)
        cells = np.minimum(starts[some][:, None] + ranks, len(values) - 1)
        matrix: Matrix = values[cells]
        matrix[ranks >= lengths[:, None]] = np.nan
        yield some, Ordered.of(matrix)
