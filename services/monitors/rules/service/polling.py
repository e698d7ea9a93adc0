"""Sees what other processes have changed, whoever failed to tell."""

import asyncio
import logging
from contextlib import suppress

from monitors.rules.service.base import Core
from monitors.rules.store import counters

log = logging.getLogger(__name__)


async def follow_others(core: Core, seconds: float) -> None:
    """Looks every so many seconds whether the counters have moved, and wakes those who wait, until the server closes.

    One look serves all streams of the process, however many they are.
    """
    revision = sequence = -1
    while not core.closing.is_set():
        try:
            seen = await core.database.read(counters.newest)
        except Exception as error:
            # What is wrong with the database is told to whoever calls.
            log.debug("changes of others couldn't be looked for: %s", type(error).__name__)
        else:
            if seen[0] != revision:
                core.rules_changed.wake()
            if seen[1] != sequence:
                core.alerts_changed.wake()
                core.outbox_changed.wake()
            revision, sequence = seen
        with suppress(TimeoutError):
            await asyncio.wait_for(core.closing.wait(), seconds)
