"""The known monitors with their series, by number."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from copy import deepcopy
from itertools import compress
from typing import NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import Links, Places
from monitors.evaluator.model.identities import NONE, Identities
from monitors.evaluator.model.series import FieldType, Int32s, Series, SeriesKey
from monitors.evaluator.model.shards import shard_of

Number = TypeVar("Number", np.int32, np.uint8)


class _Shape(NamedTuple):
    measurement: str
    field: str
    tags: tuple[tuple[str, str], ...]
    type: FieldType


class SeriesTable(Sequence[Series]):
    """All series by index, kept as two numbers each: its monitor's, and that of what series of many monitors share."""

    def __init__(self, monitors: Identities) -> None:
        self._monitors = monitors
        self._monitor: Int32s = np.zeros(16, dtype=np.int32)
        self._shape: Int32s = np.zeros(16, dtype=np.int32)
        self._shapes: list[_Shape] = []
        self._numbers: dict[_Shape, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Series: ...
    @overload
    def __getitem__(self, index: slice) -> list[Series]: ...
    def __getitem__(self, index: int | slice) -> Series | list[Series]:
        """A series, or some of them. Raises IndexError."""
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(f"there is no series {index}; there are {self._count:,}")
        tenant, monitor = self._monitors[int(self._monitor[index])]
        measurement, field, tags, kind = self._shapes[self._shape[index]]
        return Series(int(index), SeriesKey(tenant, monitor, measurement, field, tags), kind)

    def append(self, series: Sequence[Series], monitors: Int32s) -> None:
        """Takes the next series, of the monitors with those numbers."""
        self._count += len(series)
        self._monitor, self._shape = _reserved(self._monitor, self._count), _reserved(self._shape, self._count)
        self._monitor[self._count - len(series) : self._count] = monitors
        self._shape[self._count - len(series) : self._count] = [self._number_of_shape(one) for one in series]

    def _number_of_shape(self, one: Series) -> int:
        key = one.key
        shape = _Shape(key.measurement, key.field, key.tags, one.type)
        number = self._numbers.get(shape)
        if number is None:
            number = self._numbers[shape] = len(self._shapes)
            self._shapes.append(shape)
        return number

    def shapes(self, indexes: Places) -> Int32s:
        """Numbers of what series have in common with others but for the monitor."""
        return self._shape[indexes]

    def monitors(self, indexes: Places) -> Int32s:
        """The numbers of series' monitors."""
        return self._monitor[indexes]


class Monitors:
    """Monitors that have series, or that rules name. `shards` holds each one's shard."""

    def __init__(self) -> None:
        self.shards: NDArray[np.uint8] = np.zeros(16, dtype=np.uint8)
        self._ids = Identities()
        self.series = SeriesTable(self._ids)
        self._series = Links()
        self._of_tenant: dict[str, array[int]] = defaultdict(lambda: array("i"))

    def copy(self) -> "Monitors":
        """The same, on its own from now on. To add all series anew takes hundreds of times as long."""
        return deepcopy(self)

    def find(self, tenant: str, monitor: str) -> int | None:
        """A monitor's number, None if it's unheard of."""
        return self._ids.find(tenant, monitor)

    def numbers(self, tenants: Sequence[str], monitors: Sequence[str]) -> Int32s:
        """Monitors' numbers, new ones for those that are unheard of."""
        found = self._ids.find_all(tenants, monitors)
        unheard = list(dict.fromkeys((tenants[at], monitors[at]) for at in np.flatnonzero(found == NONE).tolist()))
        if unheard:
            new = self._ids.add_all([tenant for tenant, _ in unheard], [monitor for _, monitor in unheard])
            self.shards = _reserved(self.shards, int(new.max()) + 1)
            self.shards[new] = [shard_of(*one) for one in unheard]
            found = self._ids.find_all(tenants, monitors)
        return found

    def name(self, number: int) -> str:
        """A monitor's id."""
        return self._ids[number][1]

    def names_of_series(self, indexes: Places) -> list[str]:
        """The ids of series' monitors."""
        return [name for _, name in self._ids.of_all(self.series.monitors(indexes))]

    def of_tenant(self, tenant: str) -> Sequence[int]:
        """A tenant's monitors that have series."""
        return self._of_tenant.get(tenant, ())

    def of_series(self, index: int) -> int:
        """The monitor of a series."""
        return int(self.series.monitors(np.array([index]))[0])

    def series_of(self, number: int) -> list[int]:
        """A monitor's series."""
        return self._series.of(number)

    def series_of_all(self, numbers: Places) -> tuple[Places | slice, Places]:
        """The series of monitors: positions in `numbers`, and the series that go with them."""
        return self._series.follow(numbers)

    def shards_of_series(self, indexes: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The shards of series."""
        return np.asarray(self.shards[self.series.monitors(indexes)])

    def add_series(self, series: Iterable[Series]) -> int:
        """Takes series that aren't known yet, in turn, and tells how many. Raises ValueError for one out of turn."""
        known = len(self.series)
        new = [one for one in series if one.index >= known]
        for index, one in enumerate(new, known):
            if one.index != index:
                raise ValueError(f"series {one.index} came before series {index}")
        tenants = [one.key.tenant for one in new]
        numbers = self.numbers(tenants, [one.key.monitor for one in new])
        self.series.append(new, numbers)
        unheard = ~self._series.have(numbers)
        for number, tenant in dict(zip(numbers[unheard].tolist(), compress(tenants, unheard), strict=True)).items():
            self._of_tenant[tenant].append(number)
        self._series.add_all(numbers, np.arange(known, known + len(new)))
        return len(new)


def _reserved(known: NDArray[Number], size: int) -> NDArray[Number]:
    if size <= len(known):
        return known
    larger = np.zeros(max(size, len(known) + len(known) // 8), dtype=known.dtype)
    larger[: len(known)] = known
    return larger
