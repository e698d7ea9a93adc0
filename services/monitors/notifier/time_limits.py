"""Ends what takes too long.

All that a `TimeLimits` watches has the same time, so that it runs out in the order in which it began: a queue and one
timer do for thousands at once, of which hardly any ever needs to be ended.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")


class Limit:
    """The time of one thing. Whoever began it sets `is_over` when it has ended; so does the limit when it runs out."""

    __slots__ = ("ends_at", "expire", "is_over")

    def __init__(self, ends_at: float, expire: Callable[[], object]) -> None:
        self.ends_at = ends_at
        self.expire = expire
        self.is_over = False


class TimeLimits:
    """Gives each thing so many seconds. To be used on one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: deque[Limit] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, expire: Callable[[], object]) -> Limit:
        """Watches something from now on. `expire` is called once its time has run out, unless it's over by then."""
        loop = asyncio.get_running_loop()
        limit = Limit(loop.time() + self._seconds, expire)
        self._forget()
        self._running.append(limit)
        if self._timer is None:
            self._timer = loop.call_at(limit.ends_at, self._look)
        return limit

    async def run(self, work: Awaitable[T]) -> T:
        """Does something within the time. Raises TimeoutError if it takes longer."""
        task = cast("asyncio.Task[T]", asyncio.current_task())
        limit = self.begin(task.cancel)
        try:
            return await work
        except asyncio.CancelledError:
            if not limit.is_over:
                raise
            task.uncancel()
            raise TimeoutError from None
        finally:
            limit.is_over = True

    def close(self) -> None:
        """Ends nothing any more."""
        self._running.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget(self) -> None:
        while self._running and self._running[0].is_over:
            self._running.popleft()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        self._forget()
        while self._running and self._running[0].ends_at <= loop.time():
            limit = self._running.popleft()
            limit.is_over = True
            limit.expire()
            self._forget()
        if self._running and self._timer is None:
            self._timer = loop.call_at(self._running[0].ends_at, self._look)
