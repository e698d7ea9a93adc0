"""Ends what takes too long.

All tasks that a `TimeLimits` watches have the same time, so that it runs out in the order in which they began: a queue
and one timer do for thousands at once, of which hardly any ever needs to be ended.
"""

import asyncio
from collections.abc import Iterable
from typing import Any


class TimeLimits:
    """Gives each task so many seconds. To be used on one event loop."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[asyncio.Task[Any], float] = {}
        """Until when, the earliest first."""
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Watches tasks from now on, until `end` is called of each. What takes too long is cancelled."""
        loop = asyncio.get_running_loop()
        self._running |= dict.fromkeys(tasks, loop.time() + self._seconds)
        self._set_timer(loop)

    def end(self, task: asyncio.Task[Any]) -> None:
        """A task has ended."""
        self._running.pop(task, None)

    def has_run_out(self) -> bool:
        """Asked by a task that is cancelled: whether that is because of its time. Then it isn't cancelled any more."""
        task = asyncio.current_task()
        if task is None or task in self._running:
            return False
        task.uncancel()
        return True

    def close(self) -> None:
        """Ends nothing any more."""
        self._running.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._running and self._timer is None:
            self._timer = loop.call_at(next(iter(self._running.values())), self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        late = [task for task, until in self._running.items() if until <= now]
        for task in late:
            del self._running[task]
            task.cancel()
        self._set_timer(loop)
