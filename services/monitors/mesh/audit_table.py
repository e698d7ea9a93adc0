"""The audit at rest: a table in each service's own database, to which rows are only ever added.

Nothing here changes a row. What is older than the operator wishes is forgotten by `forget_before` alone.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    MetaData,
    Select,
    String,
    Table,
    Text,
    and_,
    delete,
    insert,
    or_,
    select,
)
from sqlalchemy.orm import Session

from monitors.mesh.audit import FILTERS, Event, Query, Source
from monitors.mesh.tenancy import crosses_tenants

COLUMNS = (
    ("tenant_id", String(64), True),
    # What a page is read by comes first in the key, which orders the rows themselves on MariaDB.
    ("time", BigInteger, True),
    ("id", String(40), True),
    ("user", String(100), False),
    ("method", String(64), False),
    ("kind", String(40), False),
    ("resource_id", String(256), False),
    ("client", String(100), False),
    ("client_version", String(100), False),
    ("mcp_client", String(100), False),
    ("tool", String(100), False),
    ("before_state", Text, False),
    ("after_state", Text, False),
)


def audit_table(metadata: MetaData, called: str = "audit") -> Table:
    """The table, as part of a service's schema."""
    columns = [
        Column(name, kind, primary_key=is_key, nullable=False, autoincrement=False) for name, kind, is_key in COLUMNS
    ]
    indexes = [Index(f"ix_audit_{name}", "tenant_id", name, "time", "id") for name in FILTERS]
    return Table(called, metadata, *columns, *indexes)


def append(session: Session, table: Table, events: Sequence[Event]) -> None:
    """Keeps events, in the transaction of the change that they tell of."""
    if events:
        session.execute(insert(table), [_row(event) for event in events])


def list_events(
    session: Session, table: Table, tenant: str, query: Query, after: tuple[int, str] | None, limit: int
) -> list[Event]:
    """At most `limit` of a tenant's events, newest first, after the place `after` (time and id)."""
    found = session.execute(page_of(table, tenant, query, after, limit))
    return [
        Event(
            tenant=row.tenant_id,
            time=row.time,
            id=row.id,
            user=row.user,
            method=row.method,
            kind=row.kind,
            resource_id=row.resource_id,
            before=row.before_state,
            after=row.after_state,
            source=Source(row.client, row.client_version, row.mcp_client, row.tool),
        )
        for row in found
    ]


def page_of(table: Table, tenant: str, query: Query, after: tuple[int, str] | None, limit: int) -> Select[Any]:
    """The statement that reads a page."""
    columns = table.c
    statement: Select[Any] = select(table).where(columns.tenant_id == tenant)
    for name in FILTERS:
        if wanted := getattr(query, name):
            statement = statement.where(columns[name] == wanted)
    if query.start:
        statement = statement.where(columns.time >= query.start)
    if query.end:
        statement = statement.where(columns.time < query.end)
    if after:
        time, event_id = after
        earlier = or_(columns.time < time, and_(columns.time == time, columns.id < event_id))
        # The first of these alone is what an index can begin at.
        statement = statement.where(columns.time <= time, earlier)
    return statement.order_by(columns.time.desc(), columns.id.desc()).limit(limit)


@crosses_tenants("what is old is forgotten of all tenants, tenant by tenant")
def forget_before(session: Session, table: Table, tenant: str, time: int) -> None:
    """Forgets a tenant's events from before `time`."""
    session.execute(delete(table).where(table.c.tenant_id == tenant, table.c.time < time))


@crosses_tenants("what is old is forgotten of all tenants, tenant by tenant")
def tenants_with_old(session: Session, table: Table, time: int) -> Sequence[str]:
    """The tenants that have events from before `time`."""
    return session.scalars(select(table.c.tenant_id).where(table.c.time < time).distinct()).all()


def _row(event: Event) -> dict[str, object]:
    return {
        "tenant_id": event.tenant,
        "time": event.time,
        "id": event.id,
        "user": event.user,
        "method": event.method,
        "kind": event.kind,
        "resource_id": event.resource_id,
        "client": event.source.client,
        "client_version": event.source.version,
        "mcp_client": event.source.mcp_client,
        "tool": event.source.tool,
        "before_state": event.before,
        "after_state": event.after,
    }
