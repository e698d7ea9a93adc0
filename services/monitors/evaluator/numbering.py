"""Numbers for what is named over and over, and compact indexes of what such numbers and names stand together for."""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_FREE = -1


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


class _Table(ABC):
    """A hash table of places: 4 bytes a slot, at least half of them free. What a place stands for is kept elsewhere.

    One thread may add while others look: a place is entered last, and a grown table takes the old one's place at once.
    """

    def __init__(self) -> None:
        self._slots = array("i", [_FREE]) * 1_024
        self._count = 0

    def add(self, place: int, key: tuple[object, ...]) -> None:
        """Enters a place whose columns are filled with `key`, which isn't there yet."""
        if 2 * (self._count + 1) > len(self._slots):
            self._grow()
        slots = self._slots
        mask = len(slots) - 1
        slot = hash(key) & mask
        while slots[slot] != _FREE:
            slot = (slot + 1) & mask
        slots[slot] = place
        self._count += 1

    def add_all(self, places: Iterable[int]) -> None:
        """Enters places whose columns are filled, none of which is there yet."""
        known = np.frombuffer(self._slots, np.int32)
        entered = np.append(known[known != _FREE], np.fromiter(places, np.int32))
        size = len(self._slots)
        while size < 2 * len(entered):
            size *= 2
        self._enter(entered, size)
        self._count = len(entered)

    def _grow(self) -> None:
        places = np.frombuffer(self._slots, np.int32)
        self._enter(places[places != _FREE], 2 * len(self._slots))

    def _enter(self, places: NDArray[np.int32], size: int) -> None:
        hashes = np.fromiter(map(hash, self._keys(places)), np.int64, len(places))
        self._slots = array("i", _filled(hashes & (size - 1), places, size).tobytes())

    @abstractmethod
    def _keys(self, places: NDArray[np.int32]) -> Iterable[tuple[object, ...]]:
        """What each of some places stands for."""


class TupleIndex(_Table):
    """Finds a place by up to three integers, which `columns` hold; they grow in step."""

    def __init__(self, *columns: "array[int]") -> None:
        super().__init__()
        self._columns = columns

    def find(self, *key: int) -> int:
        """The place whose columns hold `key`; -1 if there is none."""
        slots, columns = self._slots, self._columns
        mask = len(slots) - 1
        slot = hash(key) & mask
        while (place := slots[slot]) != _FREE:
            for column, part in zip(columns, key, strict=True):
                if column[place] != part:
                    break
            else:
                return place
            slot = (slot + 1) & mask
        return _FREE

    def _keys(self, places: NDArray[np.int32]) -> Iterable[tuple[object, ...]]:
        return zip(*(np.frombuffer(column, np.int32)[places].tolist() for column in self._columns), strict=True)


class NameIndex(_Table):
    """Finds a place by a number, which `owners` holds, and a name, which `names` does; they grow in step."""

    def __init__(self, owners: "array[int]", names: list[str]) -> None:
        super().__init__()
        self._owners, self._names = owners, names

    def find(self, owner: int, name: str) -> int:
        """The place that holds both; -1 if there is none."""
        slots, owners, names = self._slots, self._owners, self._names
        mask = len(slots) - 1
        slot = hash((owner, name)) & mask
        while (place := slots[slot]) != _FREE:
            if names[place] == name and owners[place] == owner:
                return place
            slot = (slot + 1) & mask
        return _FREE

    def _keys(self, places: NDArray[np.int32]) -> Iterable[tuple[object, ...]]:
        return ((self._owners[place], self._names[place]) for place in places.tolist())


def _filled(wanted: NDArray[np.int64], places: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """Every place in the first free slot from the one it wants on: all at once, and again for those that met."""
    table = np.full(size, _FREE, np.int32)
    while len(places):
        free = table[wanted] == _FREE
        table[wanted[free]] = places[free]
        left = table[wanted] != places
        wanted, places = (wanted[left] + 1) & (size - 1), places[left]
    return table
