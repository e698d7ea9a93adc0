"""Small tools for columns: arrays that grow together, ragged runs, and linked lists that are followed many at once."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.series import Int32s, Int64s

Places = NDArray[np.integer[Any]]
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
        self.reserve(32)

    def reserve(self, size: int) -> None:
        """Makes room for at least `size` entries; new ones hold the defaults."""
        if size <= self.capacity:
            return
        capacity = max(size, self.capacity + self.capacity // 8)
        for name, (kind, default) in self.LAYOUT.items():
            # Zeros that the system hands out take no memory before they are written to.
            column = np.full(capacity, default, dtype=kind) if default else np.zeros(capacity, dtype=kind)
            if self.capacity and (default or getattr(self, name).any()):
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


def are_distinct(numbers: NDArray[Any]) -> bool:
    """Whether no number comes twice."""
    if bool((numbers[1:] > numbers[:-1]).all()):
        return True
    ordered = np.sort(numbers)
    return bool((ordered[1:] != ordered[:-1]).all())


def distinct_pairs(numbers: Places, times: Int64s) -> tuple[Places, Int64s, Places | slice]:
    """The distinct pairs of numbers and times, and which of them each pair is."""
    if len(numbers) < 2 or are_distinct(numbers):
        return numbers, times, slice(None)
    following = (numbers[1:] > numbers[:-1]) | ((numbers[1:] == numbers[:-1]) & (times[1:] > times[:-1]))
    if following.all():
        return numbers, times, slice(None)
    order = np.lexsort((times, numbers))
    ordered, at = numbers[order], times[order]
    begins = np.ones(len(order), dtype=np.bool_)
    begins[1:] = (ordered[1:] != ordered[:-1]) | (at[1:] != at[:-1])
    which = np.empty(len(order), dtype=np.intp)
    which[order] = np.cumsum(begins) - 1
    return ordered[begins], at[begins], which


CHUNK = 8_192
"""How many entries of columns are worked on at once, so that what comes of it stays in the processor's cache."""


def chunks(count: int, size: int = CHUNK) -> Iterator[slice]:
    """Slices of at most `size` that make up `count` entries."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def selection(numbers: NDArray[Any]) -> Places | slice:
    """Numbers to index columns with: as a slice if they follow one another, which spares the copies.

    What is read by a slice is a view, which changes with the column.
    """
    count = len(numbers)
    if count > 1 and int(numbers[-1]) - int(numbers[0]) == count - 1 and bool((numbers[1:] > numbers[:-1]).all()):
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers.astype(np.intp, copy=False)


def pieces(values: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Where each run of equal entries begins and ends."""
    if not len(values):
        return iter(())
    borders = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1], [True])))
    return pairwise(borders.tolist())


class Links:
    """Which right numbers belong to which left ones: the first in an array, the further ones in linked lists.

    Adding is O(1), removing O(list), and `follow` walks the lists of many left numbers at once.
    """

    def __init__(self) -> None:
        self._first: Int32s = np.full(16, -1, dtype=np.int32)
        self._chain: Int32s = np.full(16, -1, dtype=np.int32)
        self._next: Int32s = np.full(16, -1, dtype=np.int32)
        self._right: Int32s = np.full(16, -1, dtype=np.int32)
        self._used = 0
        self._free: list[int] = []
        self._any = False

    def add(self, left: int, right: int) -> None:
        """Links `right` to `left`."""
        self._any = True
        if left >= len(self._first):
            self._first = _grown(self._first, left + 1)
        if self._first[left] < 0:
            self._first[left] = right
            return
        if left >= len(self._chain):
            self._chain = _grown(self._chain, len(self._first))
        if self._free:
            link = self._free.pop()
        else:
            link = self._used
            self._used += 1
            self._next = _grown(self._next, self._used)
            self._right = _grown(self._right, self._used)
        self._right[link] = right
        self._next[link] = self._chain[left]
        self._chain[left] = link

    def add_all(self, lefts: NDArray[Any], rights: NDArray[Any]) -> None:
        """Links each of `rights` to its entry of `lefts`."""
        if not len(lefts):
            return
        self._any = True
        self._first = _grown(self._first, int(lefts.max()) + 1)
        begins = self._first[lefts] < 0
        if not are_distinct(lefts):
            once = np.zeros(len(lefts), dtype=np.bool_)
            once[np.unique(lefts, return_index=True)[1]] = True
            begins &= once
        self._first[lefts[begins]] = rights[begins]
        for left, right in zip(lefts[~begins].tolist(), rights[~begins].tolist(), strict=True):
            self.add(left, right)

    def remove(self, left: int, right: int) -> None:
        """Takes one link away. Raises KeyError if there is none."""
        if left >= len(self._first) or self._first[left] < 0:
            raise KeyError((left, right))
        before, link = -1, self._chain_of(left)
        if self._first[left] == right:
            self._first[left] = -1
            if link >= 0:
                self._first[left] = self._right[link]
                self._chain[left] = self._next[link]
                self._free.append(link)
            return
        while link >= 0 and self._right[link] != right:
            before, link = link, int(self._next[link])
        if link < 0:
            raise KeyError((left, right))
        if before < 0:
            self._chain[left] = self._next[link]
        else:
            self._next[before] = self._next[link]
        self._free.append(link)

    def clear(self, left: int) -> None:
        """Takes all links of one left number away."""
        if left >= len(self._first):
            return
        link = self._chain_of(left)
        if link >= 0:
            self._chain[left] = -1
        while link >= 0:
            self._free.append(link)
            link = int(self._next[link])
        self._first[left] = -1

    def __bool__(self) -> bool:
        """Whether there may be any link."""
        return self._any

    def has(self, left: int) -> bool:
        """Whether anything belongs to a left number."""
        return left < len(self._first) and bool(self._first[left] >= 0)

    def have(self, lefts: NDArray[Any]) -> Booleans:
        """Whether anything belongs to each of many left numbers."""
        inside = lefts < len(self._first)
        return np.asarray(inside & (self._first[np.where(inside, lefts, 0)] >= 0))

    def of(self, left: int) -> list[int]:
        """What belongs to one left number."""
        if left >= len(self._first) or self._first[left] < 0:
            return []
        found, link = [int(self._first[left])], self._chain_of(left)
        while link >= 0:
            found.append(int(self._right[link]))
            link = int(self._next[link])
        return found

    def follow(self, lefts: NDArray[Any]) -> tuple[Places | slice, Places]:
        """All that belongs to many left numbers: positions in `lefts`, and the right numbers that go with them.

        The positions of all, once each and in order, are given as a slice.
        """
        known = lefts < len(self._first)
        inside = slice(None) if known.all() else np.flatnonzero(known)
        heads = lefts[inside]
        # A copy, also of a slice, since links may change.
        rights = np.array(self._first[selection(heads)])
        there = rights >= 0
        if there.all():
            positions: Places | slice = inside
        else:
            at = np.flatnonzero(there)
            positions, rights, heads = (at if isinstance(inside, slice) else inside[at]), rights[at], heads[at]
        if self._used == len(self._free):
            return positions, rights
        return self._follow_chains(positions, rights, heads)

    def _chain_of(self, left: int) -> int:
        # Where nothing has a second link, there are no chains to take memory.
        return int(self._chain[left]) if left < len(self._chain) else -1

    def _follow_chains(self, positions: Places | slice, rights: Places, heads: Places) -> tuple[Places | slice, Places]:
        self._chain = _grown(self._chain, len(self._first))
        link = self._chain[heads]
        at = np.flatnonzero(link >= 0)
        if not at.size:
            return positions, rights
        places = np.arange(len(rights)) if isinstance(positions, slice) else positions
        found, lists = [places], [rights]
        while at.size:
            link = link[at] if len(link) != len(at) else link
            found.append(places[at])
            lists.append(self._right[link])
            link = self._next[link]
            further = np.flatnonzero(link >= 0)
            at, link = at[further], link[further]
        return np.concatenate(found), np.concatenate(lists)


def _grown(array: Int32s, size: int) -> Int32s:
    if size <= len(array):
        return array
    larger = np.full(max(size, len(array) + len(array) // 8), -1, dtype=np.int32)
    larger[: len(array)] = array
    return larger
