"""The known monitors with their series, by number."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import Links, Places
from monitors.evaluator.model.identities import Identities
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

    def append(self, one: Series, monitor: int) -> None:
        """Takes the next series, of the monitor with that number."""
        key = one.key
        shape = _Shape(key.measurement, key.field, key.tags, one.type)
        number = self._numbers.get(shape)
        if number is None:
            number = self._numbers[shape] = len(self._shapes)
            self._shapes.append(shape)
        self._monitor, self._shape = _reserved(self._monitor, one.index), _reserved(self._shape, one.index)
        self._monitor[one.index], self._shape[one.index] = monitor, number
        self._count += 1

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
        self._of_tenant: dict[str, list[int]] = defaultdict(list)

    def find(self, tenant: str, monitor: str) -> int | None:
        """A monitor's number, None if it's unheard of."""
        return self._ids.find(tenant, monitor)

    def number(self, tenant: str, monitor: str) -> int:
        """A monitor's number, a new one if it's unheard of."""
        number = self._ids.find(tenant, monitor)
        if number is None:
            number = self._ids.add(tenant, monitor)
            self.shards = _reserved(self.shards, number)
            self.shards[number] = shard_of(tenant, monitor)
        return number

    def name(self, number: int) -> str:
        """A monitor's id."""
        return self._ids[number][1]

    def of_tenant(self, tenant: str) -> Sequence[int]:
        """A tenant's monitors that have series."""
        return self._of_tenant.get(tenant, ())

    def of_series(self, index: int) -> int:
        """The monitor of a series."""
        return int(self.series.monitors(np.array([index]))[0])

    def series_of(self, number: int) -> list[int]:
        """A monitor's series."""
        return self._series.of(number)

    def shards_of_series(self, indexes: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The shards of series."""
        return np.asarray(self.shards[self.series.monitors(indexes)])

    def add_series(self, one: Series) -> int | None:
        """Takes the next series and gives its monitor, None if the series is known. Raises ValueError out of turn."""
        if one.index < len(self.series):
            return None
        if one.index != len(self.series):
            raise ValueError(f"series {one.index} came before series {len(self.series)}")
        number = self.number(one.key.tenant, one.key.monitor)
        self.series.append(one, number)
        if not self._series.has(number):
            self._of_tenant[one.key.tenant].append(number)
        self._series.add(number, one.index)
        return number


def _reserved(array: NDArray[Number], place: int) -> NDArray[Number]:
    if place < len(array):
        return array
    larger = np.zeros(place + 1 + len(array) // 4, dtype=array.dtype)
    larger[: len(array)] = array
    return larger
