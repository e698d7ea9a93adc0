"""How long the audit is kept: the one way in which anything of it goes."""

from sqlalchemy import Table

from monitors.mesh.audit_table import forget_before, tenants_with_old
from monitors.mesh.database import Database
from monitors.mesh.keeping import keep
from monitors.mesh.times import HOUR

PAUSE = 6 * HOUR
# Where the operator lets nobody delete from the table, that is what is told.
PROBLEM = "the audit can't be shortened; MONITORS_AUDIT_DAYS=0 keeps all of it"


async def keep_audit(database: Database, table: Table, kept: int) -> None:
    """Forgets, from time to time, what is older than `kept` nanoseconds; nothing at all if that's 0. Runs until it's
    cancelled."""
    if kept:
        await keep(lambda: forget_old(database, table, database.now() - kept), PAUSE, PROBLEM)


async def forget_old(database: Database, table: Table, time: int) -> None:
    """Forgets the events from before `time`, tenant by tenant, each in a transaction of its own."""
    for tenant in await database.read(lambda session: tenants_with_old(session, table, time)):
        await database.write(lambda session: forget_before(session, table, tenant, time))  # noqa: B023
