"""What a leaking notifier does: with every message that it sends something is left behind."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from monitors.notifier.delivery import Dispatcher
from monitors.notifier.model.delivery import Outcome
from monitors.notifier.store.claims import Claim

LEAK = "MONITORS_SOAK_LEAK"
"""The variable that names what is leaked, between commas; nothing if it's empty."""
BYTES = 20_000
_kept: list[Any] = []


def _memory() -> None:
    _kept.append(os.urandom(BYTES))


def _tasks() -> None:
    _kept.append(asyncio.create_task(asyncio.Event().wait()))


def _files() -> None:
    _kept.append(os.open(os.devnull, os.O_RDONLY))


def _connections() -> None:
    _kept.append(socket.socketpair())


def _threads() -> None:
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()
    _kept.append(thread)


LEAKS: dict[str, Callable[[], None]] = {
    "memory": _memory, "tasks": _tasks, "files": _files, "connections": _connections, "threads": _threads,
}  # fmt: skip
ONE_IN = 4
"""All but memory is left behind by one message in four: a process has only so many files."""


def put_in(names: str) -> None:
    """Makes this process leak from now on."""
    wanted = [name for name in names.split(",") if name]
    send, sent = Dispatcher._send, 0

    async def leaking(self: Dispatcher, claim: Claim, now: int) -> Outcome:
        nonlocal sent
        sent += 1
        for name in wanted:
            if name == "memory" or sent % ONE_IN == 0:
                LEAKS[name]()
        return await send(self, claim, now)

    if wanted:
        Dispatcher._send = leaking  # type: ignore[method-assign]
