"""The clock as a port, so that hours of retries can be tried in a moment."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from monitors.mesh.times import SECOND, now_nanos


class Clock(Protocol):
    """Tells the time and waits for it."""

    def now(self) -> int:
        """Nanoseconds since 1970."""

    async def until(self, nanos: int) -> None:
        """Returns once that time has come."""


class WallClock:
    """The machine's clock, or another that `now` reads."""

    def __init__(self, now: Callable[[], int] = now_nanos) -> None:
        self.now = now
        """Nanoseconds since 1970."""

    async def until(self, nanos: int) -> None:
        """Sleeps until then."""
        await asyncio.sleep(max(0, nanos - self.now()) / SECOND)
