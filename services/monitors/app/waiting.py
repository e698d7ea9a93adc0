"""Waits for a database that can't be reached yet, as services do that an orchestrator starts in any order."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import TypeVar

from monitors.mesh.database import DatabaseAway
from monitors.mesh.errors import MeshError, StorageUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

PAUSE_SECONDS = 1.0
TOLD_SECONDS = 30.0
"""How often the log says that it's still being waited for."""


async def opened_in_time(
    stack: AsyncExitStack,
    opening: Callable[[], AbstractAsyncContextManager[T]],
    name: str,
    closing: asyncio.Event,
    answering: Callable[[str, MeshError], AbstractAsyncContextManager[None]],
) -> T | None:
    """Opens, for as long as the stack is, what needs a database, however long that takes to come; None if `closing` is
    set before. Meanwhile `answering` is open, with the service's name and the reason for which it doesn't serve.

    Whatever else is wrong is raised at once.
    """
    is_answered, told = False, float("-inf")
    async with AsyncExitStack() as meanwhile:
        while not closing.is_set():
            try:
                return await stack.enter_async_context(opening())
            except DatabaseAway as away:
                if not is_answered:
                    is_answered = True
                    reason = StorageUnavailable("the service waits for its database, which can't be reached")
                    await meanwhile.enter_async_context(answering(name, reason))
                if time.monotonic() - told >= TOLD_SECONDS:
                    told = time.monotonic()
                    log.warning("%s; waiting for it", away)
            with suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), PAUSE_SECONDS)
    return None
