"""Which tenants there are, and their tiers, as they were within the last half minute."""

import time

from monitors.mesh.audit import BY_ITSELF, OURSELVES, Change, events_of
from monitors.mesh.audit_table import append
from monitors.mesh.database import Database, Session
from monitors.mesh.identity import CACHE_SECONDS
from monitors.mesh.tenancy import of_tenant
from monitors.rules.store import keys
from monitors.rules.store.tables import audit

MOST_KNOWN = 10_000


def put_tenant(session: Session, tenant: str, tier: str, now: int) -> list[Change]:
    """Makes a tenant unless it's there, and gives it the tier. Returns that for the audit."""
    before = keys.tier_of(session, tenant)
    keys.add_tenant(session, tenant, now, tier)
    return [Change("tenant", tenant, None if before is None else {"tier": before}, {"tier": tier})]


def keep_changes(session: Session, tenant: str, user: str, now: int, changes: list[Change]) -> None:
    """Keeps the audit of what no call has asked for: the operator has, or somebody came for the first time."""
    for number, change in enumerate(changes):
        append(session, audit, events_of(tenant, user, OURSELVES, _name_of(change), now + number, [change]))


def _name_of(change: Change) -> str:
    if change.kind == "key":
        return "CreateKey"
    return "AddTenant" if change.before is None else "ChangeTenant"


class Tenants:
    """Tenants, remembered for 30 seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, str]] = {}

    async def tier_of(self, tenant: str) -> str | None:
        """A tenant's tier, empty if it has none of its own; None if there is no such tenant."""
        now = time.monotonic()
        known = self._known.get(tenant)
        if known and now < known[0]:
            return known[1]

        def look(session: Session) -> str | None:
            with of_tenant(session, tenant):
                return keys.tier_of(session, tenant)

        tier = await self._database.read(look)
        if tier is not None:
            self._remember(tenant, tier, now)
        return tier

    async def ensure(self, tenant: str, tier: str) -> None:
        """Makes a tenant unless it's there, and gives it the tier."""
        if await self.tier_of(tenant) == tier:
            return
        now = time.monotonic()

        def make(session: Session) -> None:
            with of_tenant(session, tenant):
                stamp = self._database.now()
                keep_changes(session, tenant, BY_ITSELF, stamp, put_tenant(session, tenant, tier, stamp))

        await self._database.write(make, repeatable=True)
        self._remember(tenant, tier, now)

    def _remember(self, tenant: str, tier: str, now: float) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[tenant] = (now + CACHE_SECONDS, tier)
