"""The stored points, as the evaluation needs them."""

from collections.abc import AsyncIterator, Callable, Collection
from typing import Protocol

from monitors.evaluator.model.arrays import Booleans
from monitors.evaluator.model.series import Batch, Series
from monitors.evaluator.model.state import Checkpoint

ReadWindow = Callable[[int, int, Collection[int] | None], AsyncIterator[Batch]]
"""What `History.read_window` is."""


class History(Protocol):
    """What an engine reads of the stored points."""

    @property
    def keeps_time(self) -> bool:
        """Whether time passes with its batches alone, whose numbers are the times up to which they hold everything."""

    @property
    def reported(self) -> Callable[[int], Booleans] | None:
        """Tells of the first so many series which are known to have had a point by the time of the newest batch. None
        if a series has one in some batch as soon as it's there."""

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


def goes_on_from(history: History, saved: Checkpoint, newest: int, now: int) -> tuple[int, int]:
    """From which batch and time the evaluation goes on that a saved state is of; `newest` is the last batch now."""
    if history.keeps_time:
        # Also if its own number is another history's, which counted them.
        return min(saved.watermark, newest), min(saved.watermark, newest)
    # A history that is shorter than it was has been replaced; its batches count from the beginning.
    return min(saved.batch_number, newest), min(saved.watermark, now)
