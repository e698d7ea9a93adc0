"""The rows of a formula's nodes as columns, which are taken and given back as rules and series come and go."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from monitors.evaluator.model.arrays import Columns, Layout, Places, runs
from monitors.evaluator.model.series import Floats, Int32s, Int64s


class RowColumns(Columns):
    """What each row is made of; see joins.Rows."""

    first: Int32s
    second: Int32s
    low: Floats
    """Of Bounded the lower bound, of Constant the number."""
    high: Floats

    LAYOUT: ClassVar[Layout] = {
        "first": (np.int32, 0),
        "second": (np.int32, 0),
        "low": (np.float64, 0.0),
        "high": (np.float64, 0.0),
    }


class ListColumns(Columns):
    """Where each list of members is."""

    start: Int64s
    count: Int32s

    LAYOUT: ClassVar[Layout] = {"start": (np.int64, 0), "count": (np.int32, 0)}


class Numbers:
    """Numbers that are taken and given back."""

    def __init__(self, columns: Columns) -> None:
        self._columns, self._size = columns, 0
        self._free: list[int] = []

    def take(self, count: int) -> Int64s:
        """So many that nobody has."""
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        fresh = np.arange(self._size, self._size + count - len(reused))
        self._size += len(fresh)
        self._columns.reserve(self._size)
        return np.append(np.array(reused, dtype=np.int64), fresh)

    def give_back(self, numbers: Int64s) -> None:
        """Takes some back."""
        self._free += numbers.tolist()


class NodeTable:
    """The rows of one node, and its lists of members."""

    def __init__(self) -> None:
        self.rows, self.lists = RowColumns(), ListColumns()
        self.row_numbers, self.list_numbers = Numbers(self.rows), Numbers(self.lists)
        self._members: Int32s = np.empty(16, dtype=np.int32)
        self._used = 0

    def members_of(self, lists: Places) -> tuple[Int64s, Int32s]:
        """The members of lists, one list after the other, and how many each has."""
        counts = self.lists.count[lists].astype(np.int64)
        return counts, self._members[runs(self.lists.start[lists], counts)]

    def add_lists(self, numbers: Int64s, members: Sequence[Int32s]) -> None:
        """Sets the members of new lists."""
        flat = np.concatenate(members) if members else np.empty(0, dtype=np.int32)
        if self._used + len(flat) > len(self._members):
            self._make_room(len(flat))
        counts = np.array([len(one) for one in members], dtype=np.int64)
        self.lists.start[numbers] = self._used + np.cumsum(counts) - counts
        self.lists.count[numbers] = counts
        self._members[self._used : self._used + len(flat)] = flat
        self._used += len(flat)

    def remove_lists(self, numbers: Int64s) -> None:
        """Forgets lists."""
        self.lists.count[numbers] = 0
        self.list_numbers.give_back(numbers)

    def _make_room(self, count: int) -> None:
        """Drops the members of forgotten lists, and grows if need be."""
        living = np.flatnonzero(self.lists.count)
        counts, members = self.members_of(living)
        self._members = np.empty(max(2 * (len(members) + count), 16), dtype=np.int32)
        self._members[: len(members)] = members
        self.lists.start[living] = np.cumsum(counts) - counts
        self._used = len(members)
