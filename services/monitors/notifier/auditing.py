"""The notifier's audit: events are kept in the transaction of the change that they tell of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from monitors.mesh.audit import BY_ITSELF, OURSELVES, Change, Event, Source, events_of, tell
from monitors.mesh.audit_table import append
from monitors.mesh.database import Database, Session
from monitors.mesh.identity import current_principal, current_source, current_tenant
from monitors.mesh.tenancy import of_tenant
from monitors.notifier.store.tables import audit

T = TypeVar("T")


@dataclass(frozen=True)
class Actor:
    """Who changes something, and through which program."""

    tenant: str
    user: str = BY_ITSELF
    source: Source = field(default=OURSELVES)
    tier: str = ""
    """The tenant's, as far as the caller's credential says it."""


def caller() -> Actor:
    """The caller of the RPC that is being served. To be called on the event loop."""
    return Actor(current_tenant(), current_principal().user, current_source(), current_principal().tier)


async def audited(
    database: Database, actor: Actor, method: str, now: int, work: Callable[[Session], tuple[T, Sequence[Change]]]
) -> T:
    """Runs `work` in one transaction, together with the audit of the changes that it returns beside its answer."""

    def transaction(session: Session) -> tuple[T, list[Event]]:
        # The page for channels and the first start have no caller whose tenant this would be.
        with of_tenant(session, actor.tenant):
            answer, changes = work(session)
            events = events_of(actor.tenant, actor.user, actor.source, method, now, changes)
            append(session, audit, events)
        return answer, events

    answer, events = await database.write(transaction)
    tell(events)
    return answer
