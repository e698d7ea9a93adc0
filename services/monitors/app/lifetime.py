"""What every process of ours does the same: end on a signal, and tell a wrong setting from a fault."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable

from monitors.app.home import HomeUnusable
from monitors.mesh.config import BadSetting
from monitors.mesh.database import DatabaseUnusable, storage_error
from monitors.mesh.master_keys import KeyUnusable
from monitors.mesh.server import PortTaken

EXPECTED = (BadSetting, HomeUnusable, DatabaseUnusable, KeyUnusable, PortTaken)
"""What an operator can mend. The message says how, so no traceback is shown."""
YOUNG_OBJECTS = 5_000


def run_until_closed(main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Runs `main` with an event that SIGINT and SIGTERM set. Returns the exit code."""
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(_with_signals(main))
    except BaseExceptionGroup as group:
        expected, rest = group.split(_is_expected)
        if rest is not None or expected is None:
            raise
        return explain(_first(expected))
    except Exception as error:
        if not _is_expected(error):
            raise
        return explain(error)
    return 0


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop on libuv, which takes less for each thing that comes and goes through a socket; where it isn't
    installed, as where it can't be built, the standard library's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _is_expected(error: BaseException) -> bool:
    return isinstance(error, EXPECTED) or storage_error(error) is not None


def settle() -> None:
    """To be called once everything is loaded: the garbage collector never looks at any of it again.

    Without this a full collection, which stops every thread, takes some 80 ms; afterwards a few. And it looks at what
    is new less often than Python's own 700 new objects: a message or a row makes dozens, all gone before it finds them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def explain(error: BaseException) -> int:
    """Tells what is wrong and how to mend it. Returns the exit code."""
    # A database's own error has a note that is written for people.
    notes = getattr(error, "__notes__", [])
    print(f"monitors: {notes[0] if notes else error}", file=sys.stderr)  # noqa: T201
    return 1


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _with_signals(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    closing = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, closing.set)
    await main(closing)
