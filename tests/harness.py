"""Runs real servers for tests: an event loop in a thread of its own, on which services are opened and closed."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread. Tests are plain synchronous code, like the clients of an internal team."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="test-loop")
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Starts a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float = 60) -> T:
        """Runs a coroutine on the loop and waits for its answer."""
        return self.submit(coroutine).result(timeout)

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Has something done on the loop after so many seconds."""
        self._loop.call_soon_threadsafe(lambda: self._loop.call_later(seconds, work))

    @contextmanager
    def opened(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Keeps an async context manager open. It is entered and left by one task, as task groups demand."""
        entered: Future[T] = Future()
        leave = asyncio.Event()

        async def hold() -> None:
            try:
                async with manager as value:
                    entered.set_result(value)
                    await leave.wait()
            except BaseException as error:
                if not entered.done():
                    entered.set_exception(error)
                raise

        holding = self.submit(hold())
        try:
            yield entered.result(60)
        finally:
            self._loop.call_soon_threadsafe(leave.set)
            holding.result(60)

    def close(self) -> None:
        """Ends what still runs, and stops the loop."""

        async def end_the_rest() -> None:
            rest = asyncio.all_tasks() - {asyncio.current_task()}
            for task in rest:
                task.cancel()
            if rest:
                await asyncio.wait(rest, timeout=10)

        self.run(end_the_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
