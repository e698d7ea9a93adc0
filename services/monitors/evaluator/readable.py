"""What charts, backtests and exports read: the points of some series, wherever they are kept."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from monitors.evaluator.model.series import Floats
from monitors.evaluator.points import Mask, Points

MAX_READ_POINTS = 10_000_000


class TooManyPoints(Exception):
    """More points were asked for at once than are kept in memory."""

    def __init__(self) -> None:
        super().__init__(f"the range holds more than {MAX_READ_POINTS:,} points of these series")


@dataclass(frozen=True)
class HistorySize:
    """How far back the history goes (None if it's empty), and how many bytes of our own disk it takes."""

    start: int | None
    bytes: int


class Readable(Protocol):
    """Points that can be read again, by the catalogue's indexes."""

    async def read_series(self, indexes: Collection[int], start: int, end: int) -> Points:
        """The points of these series with start <= time <= end; of one series and time the later arrival comes later.

        Raises TooManyPoints, and ServiceUnavailable or its like if they can't be had now.
        """

    def is_text(self, points: Points) -> Mask:
        """Which points hold texts."""

    def numbers(self, points: Points) -> Floats:
        """The points' values as the evaluation compares them: booleans as 0 and 1, texts as their codes."""

    async def size(self) -> HistorySize:
        """How far back the history goes and how many bytes it takes."""
