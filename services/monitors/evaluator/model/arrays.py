"""Small tools for columns: arrays that grow together, ragged runs, and linked lists that are followed many at once."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.series import Int32s, Int64s

Places = NDArray[np.intp]
Booleans = NDArray[np.bool_]

UNSET = int(np.iinfo(np.int64).min)
"""A time that isn't set."""
NEVER = int(np.iinfo(np.int64).max)
"""A time that doesn't come."""

Layout = dict[str, tuple[type[np.generic], Any]]
"""Column name → type and default."""


class Columns:
    """Arrays of equal length that grow together. A subclass annotates them and gives each its type and default."""

    LAYOUT: ClassVar[Layout] = {}

    def __init__(self) -> None:
        self.capacity = 0
        self.reserve(16)

    def reserve(self, size: int) -> None:
        """Makes room for at least `size` entries; new ones hold the defaults."""
        if size <= self.capacity:
            return
        capacity = max(size, 2 * self.capacity)
        for name, (kind, default) in self.LAYOUT.items():
            column = np.full(capacity, default, dtype=kind)
            if self.capacity:
                column[: self.capacity] = getattr(self, name)
            setattr(self, name, column)
        self.capacity = capacity

    def clear(self, place: int) -> None:
        """Sets one entry to its defaults."""
        for name, (_, default) in self.LAYOUT.items():
            getattr(self, name)[place] = default


def runs(starts: Int64s | Places, lengths: Int64s | Places) -> Places:
    """The numbers start, start + 1, … of each run, one run after the other."""
    total = int(lengths.sum())
    if not total:
        return np.empty(0, dtype=np.intp)
    ends = np.cumsum(lengths)
    shift = np.repeat(starts - (ends - lengths), lengths)
    return np.asarray(shift + np.arange(total), dtype=np.intp)


class Links:
    """Which right numbers belong to which left ones: linked lists in arrays.

    Adding is O(1), removing O(list), and `follow` walks the lists of many left numbers at once.
    """

    def __init__(self) -> None:
        self._first: Int32s = np.full(16, -1, dtype=np.int32)
        self._next: Int32s = np.full(16, -1, dtype=np.int32)
        self._right: Int32s = np.full(16, -1, dtype=np.int32)
        self._used = 0
        self._free: list[int] = []

    def add(self, left: int, right: int) -> None:
        """Links `right` to `left`."""
        self._first = _grown(self._first, left + 1)
        if self._free:
            link = self._free.pop()
        else:
            link = self._used
            self._used += 1
            self._next = _grown(self._next, self._used)
            self._right = _grown(self._right, self._used)
        self._right[link] = right
        self._next[link] = self._first[left]
        self._first[left] = link

    def remove(self, left: int, right: int) -> None:
        """Takes one link away. Raises KeyError if there is none."""
        before, link = -1, self._head(left)
        while link >= 0 and self._right[link] != right:
            before, link = link, int(self._next[link])
        if link < 0:
            raise KeyError((left, right))
        if before < 0:
            self._first[left] = self._next[link]
        else:
            self._next[before] = self._next[link]
        self._free.append(link)

    def of(self, left: int) -> list[int]:
        """What belongs to one left number, newest link first."""
        found, link = [], self._head(left)
        while link >= 0:
            found.append(int(self._right[link]))
            link = int(self._next[link])
        return found

    def _head(self, left: int) -> int:
        return int(self._first[left]) if left < len(self._first) else -1

    def follow(self, lefts: NDArray[Any]) -> tuple[Places, Places]:
        """All that belongs to many left numbers: positions in `lefts`, and the right numbers that go with them."""
        positions: list[Places] = []
        rights: list[Places] = []
        at = np.flatnonzero(lefts < len(self._first))
        link = self._first[lefts[at]]
        while True:
            there = link >= 0
            if not there.all():
                at, link = at[there], link[there]
            if not at.size:
                break
            positions.append(at)
            rights.append(self._right[link].astype(np.intp))
            link = self._next[link]
        if not positions:
            nothing = np.empty(0, dtype=np.intp)
            return nothing, nothing
        return np.concatenate(positions), np.concatenate(rights)


def _grown(array: Int32s, size: int) -> Int32s:
    if size <= len(array):
        return array
    larger = np.full(max(size, 2 * len(array)), -1, dtype=np.int32)
    larger[: len(array)] = array
    return larger
