"""How long alerts are kept once they're over: the one way in which they go."""

import asyncio
from collections.abc import Callable, Sequence

from monitors.mesh.database import Database
from monitors.mesh.keeping import REST_SECONDS, keep, within
from monitors.mesh.times import MINUTE
from monitors.rules.store import past

PAUSE = 30 * MINUTE
PROBLEM = "alerts that are over can't be deleted; MONITORS_ALERT_DAYS=0 keeps all of them"
Noted = Sequence[Callable[[int], None]]
"""Are called with how many alerts were deleted."""


async def keep_alerts(database: Database, kept: int, noted: Noted = ()) -> None:
    """Forgets, from time to time, alerts that have been over for more than `kept` nanoseconds; none at all if that's 0.
    Runs until it's cancelled."""
    if kept:
        await keep(lambda: forget_over(database, database.now() - kept, noted), PAUSE, PROBLEM)


async def forget_over(database: Database, time: int, noted: Noted = (), rest: float = REST_SECONDS) -> None:
    """Forgets the alerts that were over before `time`, with all that belongs to them: tenant by tenant, a few in each
    transaction, with rests of so many seconds in between."""
    for tenant in await database.read(past.tenants_with_alerts):
        after = past.FIRST
        while places := await database.read(within(tenant, past.past_alerts, time, after)):
            ids, after = [place.id for place in places], places[-1]
            count = await database.write(within(tenant, past.forget, time, ids), repeatable=True)
            for note in noted:
                note(count)
            await asyncio.sleep(rest)
