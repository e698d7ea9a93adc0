"""What of the queue can be sent now."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select
from sqlalchemy.orm import Session

from monitors.notifier.model.delivery import UNFINISHED, State
from monitors.notifier.store.tables import STANDING, ChannelRow, deliveries

# The rest of a row is for the log.
COLUMNS = (
    *STANDING, deliveries.c.channel_id, deliveries.c.payload, deliveries.c.sequence, deliveries.c.group_key,
    deliveries.c.lease_until,
)  # fmt: skip


def sendable(session: Session) -> Iterator[tuple[Select[Any], int]]:
    """The queries for what can be sent, in order, each with its severity: first what was claimed and never finished.

    It's a query for each severity, so that an index gives what waits in order, however much that is. Parameters: `now`,
    `severity`, at most how many are `wanted`, and the channels that are `full` and get no more.
    """
    yield _EXPIRED, 0
    severity = session.scalar(_HIGHEST, {"severity": _ABOVE_ALL})
    while severity is not None:
        yield _PENDING, severity
        severity = session.scalar(_HIGHEST, {"severity": severity})


def nothing_earlier() -> ColumnElement[bool]:
    """That no earlier message of the same stream is on its way."""
    earlier = deliveries.alias()
    return ~(
        select(earlier.c.id)
        # Left to choose, MariaDB reads all rows of a tenant for each that is due.
        .with_hint(earlier, "FORCE INDEX (ix_deliveries_stream)", "mysql")
        .where(
            earlier.c.tenant_id == deliveries.c.tenant_id,
            earlier.c.stream_key == deliveries.c.stream_key,
            earlier.c.sequence < deliveries.c.sequence,
            earlier.c.state.in_(list(map(int, UNFINISHED))),
        )
        .exists()
    )


def _sendable(due: ColumnElement[bool]) -> Select[Any]:
    """Of what is due, what nothing holds up. What another notifier is about to claim is passed over."""
    # Not joined: it would be locked along with the delivery, and hold up what others claim for the same channel.
    is_quiet = (
        select(ChannelRow.id)
        .where(
            ChannelRow.tenant_id == deliveries.c.tenant_id,
            ChannelRow.id == deliveries.c.channel_id,
            ChannelRow.quiet_until > bindparam("now"),
        )
        .exists()
    )
    return (
        select(*COLUMNS)
        .where(due, ~is_quiet, deliveries.c.channel_id.not_in(bindparam("full", expanding=True)), nothing_earlier())
        .order_by(deliveries.c.next_at, deliveries.c.sequence)
        .limit(bindparam("wanted"))
        .with_for_update(skip_locked=True)
    )


_IS_PENDING = deliveries.c.state == int(State.PENDING)
# Made once, as a step of the delivery loop asks several times.
_EXPIRED = _sendable(and_(deliveries.c.state == int(State.IN_FLIGHT), deliveries.c.lease_until <= bindparam("now")))
_PENDING = _sendable(
    and_(_IS_PENDING, deliveries.c.severity == bindparam("severity"), deliveries.c.next_at <= bindparam("now"))
)
_HIGHEST = select(func.max(deliveries.c.severity)).where(_IS_PENDING, deliveries.c.severity < bindparam("severity"))
_ABOVE_ALL = 1000
