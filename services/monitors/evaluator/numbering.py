"""Numbers for what is named over and over: names as small integers, and a compact index of tuples of such integers."""

from array import array
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_FREE = -1
# Odd and of many bits, so that neighbouring numbers land far from each other.
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
_BITS_64 = 2**64 - 1


class Numbers(Generic[T]):
    """Gives each distinct value a number: 0, 1, 2 and so on."""

    def __init__(self) -> None:
        self._numbers: dict[T, int] = {}
        self._values: list[T] = []

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, number: int) -> T:
        return self._values[number]

    def find(self, value: T) -> int:
        """The value's number; -1 if it has none."""
        return self._numbers.get(value, _FREE)

    def number(self, value: T) -> int:
        """The value's number, a new one if it had none."""
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self._values)
            self._values.append(value)
        return found


class TupleIndex:
    """Finds a place by up to three integers that are kept in columns elsewhere: a hash table of 4 bytes a slot.

    `columns` grow in step; an entry of the table is a place in them. At least a third of the slots are free. One
    thread may add while others look: a place is entered last, and a grown table takes the old one's place at once.
    """

    def __init__(self, *columns: "array[int]") -> None:
        self._columns = columns
        self._slots = array("i", [_FREE]) * 1_024
        self._count = 0

    def find(self, *key: int) -> int:
        """The place whose columns hold `key`; -1 if there is none."""
        slots, columns = self._slots, self._columns
        mask = len(slots) - 1
        slot = _slot_of(key, mask)
        while (place := slots[slot]) != _FREE:
            for column, part in zip(columns, key, strict=True):
                if column[place] != part:
                    break
            else:
                return place
            slot = (slot + 1) & mask
        return _FREE

    def add(self, place: int) -> None:
        """Enters a place whose columns are filled and whose key isn't there yet."""
        if 3 * (self._count + 1) > 2 * len(self._slots):
            self._grow()
        slots = self._slots
        mask = len(slots) - 1
        slot = _slot_of(tuple(column[place] for column in self._columns), mask)
        while slots[slot] != _FREE:
            slot = (slot + 1) & mask
        slots[slot] = place
        self._count += 1

    def _grow(self) -> None:
        places = np.frombuffer(self._slots, np.int32)
        places = places[places != _FREE]
        size = 2 * len(self._slots)
        keys = [np.frombuffer(column, np.int32)[places] for column in self._columns]
        table = _table(_slots_of(keys, size - 1), places, size)
        self._slots = array("i", table.tobytes())


def _slot_of(key: tuple[int, ...], mask: int) -> int:
    mixed = 0
    for part, factor in zip(key, _FACTORS, strict=False):
        mixed ^= part * factor
    return (mixed & _BITS_64) >> 32 & mask


def _slots_of(keys: list[NDArray[np.int32]], mask: int) -> NDArray[np.int64]:
    mixed = np.zeros(len(keys[0]), np.uint64)
    for part, factor in zip(keys, _FACTORS, strict=False):
        mixed ^= part.astype(np.uint64) * np.uint64(factor)
    return (mixed >> np.uint64(32) & np.uint64(mask)).astype(np.int64)


def _table(wanted: NDArray[np.int64], places: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """Every place in the first free slot from the one it wants on: all at once, and again for those that met."""
    table = np.full(size, _FREE, np.int32)
    while len(places):
        free = table[wanted] == _FREE
        table[wanted[free]] = places[free]
        left = table[wanted] != places
        wanted, places = (wanted[left] + 1) & (size - 1), places[left]
    return table
