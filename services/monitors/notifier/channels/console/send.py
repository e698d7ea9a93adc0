"""Prints a message."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from monitors.notifier.channels.console import several
from monitors.notifier.channels.console.render import render
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind


class Printer:
    """Prints lines in order, in a thread of its own: a terminal may stand still (Ctrl-S, a pipe that nobody reads),
    and the event loop mustn't stand still with it."""

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self._print_line = print_line
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="console")

    async def print_line(self, line: str) -> None:
        """Returns when the line is printed. Cancelled before its turn has come, it isn't printed."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._print_line, line)

    def print_soon(self, line: str) -> None:
        """Prints the line when its turn comes; nobody waits for it."""
        self._thread.submit(self._print_line, line)

    def close(self) -> None:
        """Prints nothing more, and doesn't wait for a terminal that stands still."""
        self._thread.shutdown(wait=False, cancel_futures=True)


async def send(content: Content, now: int, printer: Printer) -> Outcome:
    """Prints one line for each alert. A terminal that is gone may come back."""
    lines = several.render(content, now) if isinstance(content, Bundle) else [render(content, now)]
    try:
        for line in lines:
            await printer.print_line(line)
    except OSError:
        return Outcome(OutcomeKind.RETRYABLE, "the terminal can't be written to")
    return Outcome(OutcomeKind.OK, "printed")
