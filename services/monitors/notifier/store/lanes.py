"""The lanes in which deliveries wait: for which channels something is due, and how severe it is.

However much waits, they are found by a few steps through an index for each lane: a storm of one tenant costs the others
no more than a single alert does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import CTE, Select, Subquery, and_, bindparam, func, select, union_all
from sqlalchemy.orm import Session

from monitors.mesh.rows import Query, in_parts, read_rows
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import State
from monitors.notifier.model.turns import Lane
from monitors.notifier.store.channels import OF_CHANNEL
from monitors.notifier.store.tables import BreakerRow, ChannelRow, deliveries

MOST_LANES = 200
"""How many lanes are read by one statement. SQLite joins no more than 500."""
_PENDING = int(State.PENDING)
_LANE = ("severity", "tenant_id", "channel_id")


@dataclass(frozen=True)
class Waiting:
    """What waits for a channel. The first of it may go `since` then. `is_tried` says that the channel failed, and gets
    a single attempt; there is no channel if it was deleted."""

    severity: int
    tenant: str
    channel_id: str
    since: int
    is_tried: bool
    channel: Channel | None


def waiting_lanes(session: Session, open_channel: Callable[[Sequence[Any]], Channel]) -> list[Waiting]:
    """The lanes in which something waits, the most severe first, in no order besides. Channels are opened from the
    values of OF_CHANNEL."""
    return [
        Waiting(
            severity, tenant, channel_id, max(since, quiet_until or 0), bool(open_until),
            # Its first column is null if there is none.
            None if values[0] is None else open_channel(values),
        )
        for severity, tenant, channel_id, since, quiet_until, open_until, *values in read_rows(
            session, _query(session.get_bind().dialect.name), {}
        )
    ]  # fmt: skip


def next_due(session: Session, lanes: Sequence[Lane], now: int) -> int | None:
    """When the next of what waits in some lanes is due that isn't yet; None if nothing is."""
    found: list[int] = []
    for part in in_parts(lanes, MOST_LANES):
        values: dict[str, Any] = {"now": now}
        for number, lane in enumerate(part):
            values |= zip(_names(number), (lane.severity, lane.tenant, lane.channel_id), strict=True)
        found += [time for (time,) in read_rows(session, _next_of(len(part)), values) if time is not None]
    return min(found, default=None)


@lru_cache(maxsize=2 * MOST_LANES)
def _next_of(count: int) -> Query:
    """Made once for each number of lanes, each of which takes a step through the index."""
    lanes = [
        select(func.min(deliveries.c.next_at).label("next_at")).where(
            deliveries.c.state == _PENDING,
            *(deliveries.c[name] == bindparam(given) for name, given in zip(_LANE, _names(number), strict=True)),
            deliveries.c.next_at > bindparam("now"),
        )
        for number in range(count)
    ]
    return lanes[0] if count == 1 else union_all(*lanes)


def _names(number: int) -> list[str]:
    return [f"{name}_{number}" for name in _LANE]


@lru_cache
def _query(dialect: str) -> Select[Any]:
    lanes = _stepped() if dialect == "sqlite" else _grouped()
    lane = lanes.c
    is_channel = and_(ChannelRow.tenant_id == lane.tenant_id, ChannelRow.id == lane.channel_id)
    is_breaker = and_(BreakerRow.tenant_id == lane.tenant_id, BreakerRow.channel_id == lane.channel_id)
    return (
        select(*(lane[name] for name in _LANE), lane.since, ChannelRow.quiet_until, BreakerRow.open_until, *OF_CHANNEL)
        .select_from(lanes)
        .outerjoin(ChannelRow, is_channel)
        .outerjoin(BreakerRow, is_breaker)
        .order_by(lane.severity.desc())
    )


def _grouped() -> Subquery:
    """As servers do it, which skip through the index by themselves if it's grouped from its beginning."""
    columns = [deliveries.c[name] for name in ("state", *_LANE)]
    return (
        select(*columns, func.min(deliveries.c.next_at).label("since"))
        .with_hint(deliveries, "FORCE INDEX (ix_deliveries_lanes)", "mysql")
        .where(deliveries.c.state == _PENDING)
        .group_by(*columns)
        .subquery("lanes")
    )


def _stepped() -> Subquery:
    """For SQLite, which would read all that waits: severity by severity, tenant by tenant, channel by channel, each
    time the least one that is greater than the one before."""
    found = _next_level(None, (), _LANE[0])
    for depth in range(1, len(_LANE)):
        found = _next_level(found, _LANE[:depth], _LANE[depth])
    of_lane = (deliveries.c.state == _PENDING, *(deliveries.c[name] == found.c[name] for name in _LANE))
    since = select(func.min(deliveries.c.next_at)).where(*of_lane)
    return (
        select(
            *(found.c[name] for name in _LANE),
            since.scalar_subquery().label("since"),
        )
        .where(found.c[_LANE[-1]].is_not(None))
        .subquery("lanes")
    )


def _next_level(above: CTE | None, prefix: tuple[str, ...], column: str) -> CTE:
    """Of each row above all values of a column, and at their end a row without one."""

    def least(row: CTE | None, *, after: bool) -> Any:
        each = deliveries.alias()
        same = [each.c[name] == row.c[name] for name in prefix] if row is not None else []
        greater = [each.c[column] > row.c[column]] if row is not None and after else []
        found = select(func.min(each.c[column])).where(each.c.state == _PENDING, *same, *greater)
        return found.scalar_subquery().label(column)

    first = select(*([above.c[name] for name in prefix] if above is not None else []), least(above, after=False))
    if above is not None:
        first = first.where(above.c[prefix[-1]].is_not(None))
    level = first.cte(f"each_{column}", recursive=True)
    others = select(*(level.c[name] for name in prefix), least(level, after=True))
    return level.union_all(others.where(level.c[column].is_not(None)))
