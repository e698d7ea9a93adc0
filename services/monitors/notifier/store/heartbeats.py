"""Which channels are due for a heartbeat. Each is told by a delivery of its own, of which the log keeps an hour."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, select, update
from sqlalchemy.orm import Session

from monitors.mesh.tenancy import crosses_tenants
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import UNFINISHED, Arrival, Planned, State
from monitors.notifier.model.heartbeats import KEPT, MISSED
from monitors.notifier.model.message import Kind
from monitors.notifier.store import arriving
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.tables import ChannelRow, attempts, deliveries

Compose = Callable[[Channel], Arrival]
MOST = 100

_FIRST = select(func.min(ChannelRow.heartbeat_at)).where(ChannelRow.heartbeat_at > 0)
# What another notifier is about to tell is passed over.
_DUE = (
    select(ChannelRow)
    .where(ChannelRow.heartbeat_at > 0, ChannelRow.heartbeat_at <= bindparam("now"))
    .order_by(ChannelRow.heartbeat_at)
    .limit(MOST)
    .with_for_update(skip_locked=True)
)
_IS_HEARTBEAT = (
    deliveries.c.tenant_id == bindparam("tenant"),
    # What is about no alert: by its index few rows are read.
    deliveries.c.alert_id == "",
    deliveries.c.channel_id == bindparam("channel"),
    deliveries.c.kind == int(Kind.HEARTBEAT),
)
_OLD = select(deliveries.c.id).where(
    *_IS_HEARTBEAT,
    deliveries.c.state.not_in(list(map(int, UNFINISHED))),
    deliveries.c.created_at < bindparam("before"),
)
_SUPERSEDE = (
    update(deliveries)
    .where(*_IS_HEARTBEAT, deliveries.c.state == int(State.PENDING))
    .values(state=int(State.SUPERSEDED), detail=MISSED, updated_at=bindparam("now"))
)


class Heartbeats:
    """Tells channels that the mesh is alive."""

    def __init__(self, channels: ChannelStore) -> None:
        self._channels = channels

    @crosses_tenants("heartbeats of all tenants are sent by one loop")
    def first_due(self, session: Session) -> int | None:
        """When the next heartbeat is due, which may have been; None if no channel wants any."""
        found: int | None = session.scalar(_FIRST)
        return found

    @crosses_tenants("heartbeats of all tenants are sent by one loop")
    def take_due(self, session: Session, now: int, compose: Compose) -> int:
        """Lets the channels that are due be told, some of them at a time. One that waits still is told only the newer
        one. Returns how many were due."""
        rows = session.scalars(_DUE, {"now": now}).all()
        for row in rows:
            values = {"tenant": row.tenant_id, "channel": row.id, "now": now, "before": now - KEPT}
            session.execute(_SUPERSEDE, values)
            _forget(session, session.execute(_OLD, values).all(), row.tenant_id)
            channel = self._channels.to_channel(row)
            if not channel.unusable_reason:
                planned = [Planned(channel.name, channel, State.PENDING)]
                arriving.insert_once(session, compose(channel), planned, now)
            # Counted from now: those that were missed are not made up for.
            row.heartbeat_at = now + channel.heartbeat_interval
        return len(rows)


def _forget(session: Session, old: list[Row[Any]] | Any, tenant: str) -> None:
    ids = [row.id for row in old]
    if ids:
        session.execute(delete(attempts).where(attempts.c.tenant_id == tenant, attempts.c.delivery_id.in_(ids)))
        session.execute(delete(deliveries).where(deliveries.c.tenant_id == tenant, deliveries.c.id.in_(ids)))
