"""The stored points, as the evaluation needs them."""

from collections.abc import AsyncIterator, Collection
from typing import Protocol

from monitors.evaluator.model.series import Batch, Series


class History(Protocol):
    """What an engine reads of the stored points."""

    async def series(self) -> list[Series]:
        """All series, by index."""

    async def newest_batch(self) -> int:
        """The number of the last batch, 0 if there is none."""

    def batches_after(self, number: int) -> AsyncIterator[Batch]:
        """All batches later than `number`, in order."""

    def read_window(
        self, oldest: int, newest_batch: int, series: Collection[int] | None = None
    ) -> AsyncIterator[Batch]:
        """The points of time `oldest` and later from the batches up to `newest_batch`, in order of arrival.

        Only those of the series with these indexes, if they're given.
        """
