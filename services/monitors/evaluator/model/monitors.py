"""The known monitors with their series, by number."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import Links
from monitors.evaluator.model.identities import Identities
from monitors.evaluator.model.series import Int32s, Series
from monitors.evaluator.model.shards import shard_of

Number = TypeVar("Number", np.int32, np.uint8)


class Monitors:
    """Monitors that have series, or that rules name. `shards` holds each one's shard."""

    def __init__(self) -> None:
        self.series: list[Series] = []
        self.shards: NDArray[np.uint8] = np.zeros(16, dtype=np.uint8)
        self._ids = Identities()
        self._series = Links()
        self._of_series: Int32s = np.zeros(16, dtype=np.int32)
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
        return int(self._of_series[index])

    def series_of(self, number: int) -> list[int]:
        """A monitor's series."""
        return self._series.of(number)

    def shards_of_series(self, indexes: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The shards of series."""
        return np.asarray(self.shards[self._of_series[indexes]])

    def add_series(self, one: Series) -> int | None:
        """Takes the next series and gives its monitor, None if the series is known. Raises ValueError out of turn."""
        if one.index < len(self.series):
            return None
        if one.index != len(self.series):
            raise ValueError(f"series {one.index} came before series {len(self.series)}")
        self.series.append(one)
        number = self.number(one.key.tenant, one.key.monitor)
        if not self._series.has(number):
            self._of_tenant[one.key.tenant].append(number)
        self._series.add(number, one.index)
        self._of_series = _reserved(self._of_series, one.index)
        self._of_series[one.index] = number
        return number


def _reserved(array: NDArray[Number], place: int) -> NDArray[Number]:
    if place < len(array):
        return array
    larger = np.zeros(place + 1 + len(array) // 2, dtype=array.dtype)
    larger[: len(array)] = array
    return larger
