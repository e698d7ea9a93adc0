"""Sees what other processes have changed, whoever failed to tell."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from monitors.mesh.database import Session, storage_error
from monitors.mesh.events import first_of
from monitors.rules.service.base import Core
from monitors.rules.service.pump import give_back_abandoned
from monitors.rules.store import counters
from monitors.rules.store.alerts import newest_sequence, tenants_since

log = logging.getLogger(__name__)

LONGEST_SLEEP = 3600.0
"""Whoever changes alerts says so, or `follow_others` does."""


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
            if core.abandoned:
                # A database that is read may still refuse to be written: then the next look tries again.
                with suppress(Exception):
                    await give_back_abandoned(core)
        with suppress(TimeoutError):
            await asyncio.wait_for(core.closing.wait(), seconds)


async def wake_watchers(core: Core) -> None:
    """Wakes those who watch alerts when something has happened to theirs, until the server closes.

    Whoever says that alerts have changed, here or through Redis, needn't know whose: one look finds that out for all
    who watch, so a tenant's change costs nothing for the streams of others.
    """
    while not core.closing.is_set():
        upcoming = core.alerts_changed.upcoming
        try:
            changed = await _changed(core)
        except Exception as error:
            # All who watch look by themselves, and are told what is wrong with the database.
            if storage_error(error) is None:
                log.exception("it can't be found out whose alerts have changed; trying again")
            changed = core.watched_alerts.keys
        core.watched_alerts.wake(changed)
        await first_of(upcoming, core.closing, within=LONGEST_SLEEP)


async def _changed(core: Core) -> Sequence[str]:
    """Of those who are watched, whose alerts have changed since the last look. Nothing is read while nobody watches."""
    watched = core.watched_alerts
    since = watched.seen
    if not watched.keys:
        watched.seen = None
        return ()

    def work(session: Session) -> tuple[int, Sequence[str]]:
        newest = newest_sequence(session)
        # Only now: whoever begins to watch after this has looked at what is there up to it.
        tenants = watched.keys
        return newest, tenants if since is None else tenants_since(session, tenants, since)

    watched.seen, changed = await core.database.read(work)
    return changed
