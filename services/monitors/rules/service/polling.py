"""Sees what other processes have changed, whoever failed to tell."""

import asyncio
import logging
from contextlib import suppress

from monitors.mesh.database import storage_error
from monitors.rules.service.base import Core
from monitors.rules.store import counters

log = logging.getLogger(__name__)


async def follow_others(core: Core, seconds: float) -> None:
    """Looks every so many seconds whether the counters have moved, and wakes those who wait, until the server closes.

    One look serves all streams of the process, however many they are.
    """
    revision = sequence = -1
    is_failing = False
    while not core.closing.is_set():
        try:
            seen = await core.database.read(counters.newest)
        except Exception as error:
            # What is wrong with the database is told to whoever calls.
            if storage_error(error) is None and not is_failing:
                log.exception("changes of other processes can't be looked for; trying again")
            is_failing = True
        else:
            if seen[0] != revision:
                core.rules_changed.wake()
            if seen[1] != sequence:
                core.alerts_changed.wake()
                core.outbox_changed.wake()
            revision, sequence = seen
            is_failing = False
        with suppress(TimeoutError):
            await asyncio.wait_for(core.closing.wait(), seconds)
