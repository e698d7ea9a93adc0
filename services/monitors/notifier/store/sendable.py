"""What of the queue can be sent now."""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, select, union_all
from sqlalchemy.orm import Session

from monitors.mesh.rows import Query, Row, find_rows, in_parts, read_rows
from monitors.notifier.model.delivery import UNFINISHED, State
from monitors.notifier.model.turns import Lane
from monitors.notifier.store.lanes import MOST_LANES
from monitors.notifier.store.tables import STANDING, deliveries

# The rest of a row is for the log.
COLUMNS = (
    *STANDING, deliveries.c.channel_id, deliveries.c.payload, deliveries.c.sequence, deliveries.c.group_key,
    deliveries.c.lease_until,
)  # fmt: skip
# Of what waits and is the first of its stream, what it takes to send it: it has no lease. To read a value costs the
# driver of a server more than anything else that is done with it.
_HEADS = tuple(
    column for column in COLUMNS if column.name not in ("lease_token", "leased_at", "lease_until", "version")
)
MOST_EXPIRED = 500


def expired(session: Session, now: int) -> Sequence[Row]:
    """What was claimed and never finished, its lease having run out. It's locked."""
    return read_rows(session, _EXPIRED, {"now": now})


def of_lanes(session: Session, shares: Sequence[tuple[Lane, int]], now: int) -> list[Row]:
    """So many of what is due of each lane, what is due for longest first. They are locked; what another notifier is
    about to claim is passed over."""
    rows: list[Row] = []
    for start in range(0, len(shares), MOST_LANES):
        part = shares[start : start + MOST_LANES]
        values: dict[str, Any] = {"now": now}
        for number, (lane, count) in enumerate(part):
            values |= {
                f"severity_{number}": lane.severity,
                f"tenant_{number}": lane.tenant,
                f"channel_{number}": lane.channel_id,
                f"wanted_{number}": count,
            }
        rows += read_rows(session, _of_lanes(len(part), session.get_bind().dialect.name), values)
    return rows


@lru_cache(maxsize=2 * MOST_LANES)
def _of_lanes(count: int, dialect: str) -> Query:
    """Made once for each number of lanes, as it takes longer to put together than to execute."""
    if count == 1:
        return _of_lane(0)
    lanes = [_of_lane(number) for number in range(count)]
    # SQLite takes the limit of a part only within a query of its own, which servers would write to a table first.
    return union_all(*(select(lane.subquery()) for lane in lanes) if dialect == "sqlite" else lanes)


def _of_lane(number: int) -> Select[Any]:
    """What is due of a lane and what nothing holds up."""
    return (
        select(*_HEADS)
        # Left to choose, MariaDB reads all rows of a tenant.
        .with_hint(deliveries, "FORCE INDEX (ix_deliveries_lanes)", "mysql")
        .where(
            deliveries.c.state == int(State.PENDING),
            deliveries.c.severity == bindparam(f"severity_{number}"),
            deliveries.c.tenant_id == bindparam(f"tenant_{number}"),
            deliveries.c.channel_id == bindparam(f"channel_{number}"),
            deliveries.c.next_at <= bindparam("now"),
            nothing_earlier(),
        )
        .order_by(deliveries.c.next_at, deliveries.c.sequence)
        .limit(bindparam(f"wanted_{number}"))
        .with_for_update(skip_locked=True)
    )


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


_EXPIRED = (
    select(*STANDING)
    .where(deliveries.c.state == int(State.IN_FLIGHT), deliveries.c.lease_until <= bindparam("now"))
    .limit(MOST_EXPIRED)
    .with_for_update(skip_locked=True)
)


_REST_OF_STREAMS = (
    select(*COLUMNS)
    .where(
        deliveries.c.tenant_id == bindparam("tenant"),
        deliveries.c.stream_key.in_(bindparam("streams", expanding=True)),
        deliveries.c.state.in_(list(map(int, UNFINISHED))),
    )
    .order_by(deliveries.c.sequence)
    .with_for_update()
)


def rest_of_streams(session: Session, tenant: str, keys: Sequence[str]) -> dict[str, list[Row]]:
    """All that is on its way of some streams, in order. It's locked."""
    streams: dict[str, list[Row]] = defaultdict(list)
    for part in in_parts(list(dict.fromkeys(keys))):
        for row in find_rows(session, _REST_OF_STREAMS, {"tenant": tenant}, "streams", part):
            streams[row.stream_key].append(row)
    return streams
