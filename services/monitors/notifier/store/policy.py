"""The policy of a tenant as a whole, read anew only when it has changed."""

import secrets
from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from monitors.mesh.rows import change_rows, read_value
from monitors.mesh.times import SECOND
from monitors.notifier.model.muting import Muting
from monitors.notifier.model.policy import Policy
from monitors.notifier.store import escalation_policies, inhibitions, routes, silences, timings
from monitors.notifier.store.tables import policy_versions

FRESH = 5 * SECOND
"""For how long it's taken as it was read. A notifier of the former version, beside which this one may run for a while,
changes silences and mute timings and doesn't say so."""
MOST_KEPT = 10_000
# Locked, so that who changes a policy finds all that was muted by it as it was.
_VERSION = (
    select(policy_versions.c.version)
    .where(policy_versions.c.tenant_id == bindparam("tenant"))
    .with_for_update(read=True)
)
_CHANGE = (
    update(policy_versions)
    .where(policy_versions.c.tenant_id == bindparam("tenant"))
    .values(version=bindparam("version"))
)


def note_change(session: Session, tenant: str) -> None:
    """Says that a tenant's policy has changed, in the transaction of the change. The version is random, so that one of
    a transaction that was undone never comes again."""
    version = secrets.token_hex(8)
    if not change_rows(session, _CHANGE, {"tenant": tenant, "version": version}):
        session.execute(insert(policy_versions).values(tenant_id=tenant, version=version))


@dataclass(frozen=True)
class _Kept:
    version: str | None
    read_at: int
    policy: Policy


class PolicyStore:
    """Reads policies, and keeps them as they were read last."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def of(self, session: Session, tenant: str, now: int) -> Policy:
        """A tenant's policy. Of silences it has those that aren't over, also if they are still to begin."""
        version: str | None = read_value(session, _VERSION, {"tenant": tenant})
        kept = self._kept.get(tenant)
        if kept is None or kept.version != version or not 0 <= now - kept.read_at < FRESH:
            kept = _Kept(version, now, _read(session, tenant, now))
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[tenant] = kept
        return kept.policy


def _read(session: Session, tenant: str, now: int) -> Policy:
    mutings: list[Muting] = [*silences.ROWS.lasting(session, tenant, now), *timings.ROWS.all_of(session, tenant)]
    inhibiting = tuple(one for one in inhibitions.ROWS.all_of(session, tenant) if one.enabled)
    return Policy(
        tuple(mutings),
        inhibiting,
        tuple(routes.ROWS.all_of(session, tenant)),
        tuple(escalation_policies.ROWS.all_of(session, tenant)),
    )
