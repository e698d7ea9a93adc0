"""Alerts that are over for so long that they aren't kept any more, and all that belongs to them."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import and_, bindparam, delete, or_, select
from sqlalchemy.orm import Session

from monitors.mesh.keeping import tenants_in
from monitors.mesh.rows import change_rows, find_rows, read_rows
from monitors.rules.model.alert import UNFINISHED, Held, stream_of
from monitors.rules.store import outbox
from monitors.rules.store.paging import chunks
from monitors.rules.store.tables import alert_events, alerts, deliveries, manual_resolutions

MOST = 100
"""As many are forgotten by a transaction: some milliseconds of a file's one writer."""


class Place(NamedTuple):
    """Where an alert stands among its tenant's, in the order in which they fired."""

    fire_time: int
    id: str


FIRST = Place(-1, "")
# What is open has no time of its end. To ask for its key as well would have SQLite read all that is over by that index.
# Taken in from another product long after its end, it's history for as long as if it had ended then.
_IS_PAST = (
    alerts.c.resolve_time < bindparam("time"),
    alerts.c.record_time < bindparam("time"),
)
_PAST = (
    select(alerts.c.fire_time, alerts.c.id)
    # Left to choose, MariaDB may sort all that a tenant has, page by page.
    .with_hint(alerts, "FORCE INDEX (ix_alerts_fired)", "mysql")
    .where(
        alerts.c.tenant_id == bindparam("tenant"),
        # What is past fired before: what an index can begin and end at.
        alerts.c.fire_time >= bindparam("after_time"),
        alerts.c.fire_time < bindparam("time"),
        or_(
            alerts.c.fire_time > bindparam("after_time"),
            and_(alerts.c.fire_time == bindparam("after_time"), alerts.c.id > bindparam("after_id")),
        ),
        *_IS_PAST,
    )
    .order_by(alerts.c.fire_time, alerts.c.id)
    .limit(bindparam("most"))
)
_OF_ALERTS = {
    table: (
        table.c.tenant_id == bindparam("tenant"),
        (table.c.id if table is alerts else table.c.alert_id).in_(bindparam("ids", expanding=True)),
    )
    for table in (alerts, alert_events, deliveries, manual_resolutions)
}
# What another replica is forgetting is left to it.
_LOCKED = (
    select(alerts.c.id, alerts.c.rule_id, alerts.c.instance_key)
    .where(*_OF_ALERTS[alerts], *_IS_PAST)
    .with_for_update(skip_locked=True)
)
_STANDING = select(alerts.c.id, alerts.c.rule_id, alerts.c.instance_key, alerts.c.open_key).where(*_OF_ALERTS[alerts])
_WAITED_FOR = (
    select(deliveries.c.alert_id).where(*_OF_ALERTS[deliveries], deliveries.c.state.in_(list(map(int, UNFINISHED)))),
    # Evaluators may have to be told still.
    select(manual_resolutions.c.alert_id).where(*_OF_ALERTS[manual_resolutions]),
)
# The alerts themselves last: what refers to them goes first.
_FORGET = [delete(table).where(*_OF_ALERTS[table]) for table in (deliveries, alert_events, alerts)]


def tenants_with_alerts(session: Session) -> list[str]:
    """The tenants that have alerts."""
    return tenants_in(session, alerts)


def past_alerts(session: Session, tenant: str, time: int, after: Place = FIRST) -> list[Place]:
    """The next of a tenant's alerts that were over before `time`, those that fired first, after a place; as many as are
    forgotten at once."""
    given: dict[str, object] = {"tenant": tenant, "time": time, "most": MOST}
    given |= {"after_time": after.fire_time, "after_id": after.id}
    return [Place(*row) for row in read_rows(session, _PAST, given)]


def forget(session: Session, tenant: str, time: int, ids: Sequence[str]) -> int:
    """Forgets alerts, unless they weren't over before `time`, or anything is still to be told of them. Returns how many
    were forgotten."""
    rows = find_rows(session, _LOCKED, {"tenant": tenant, "time": time}, "ids", ids)
    held = [Held(tenant, stream_of(row.rule_id, row.instance_key), row.id) for row in rows]
    kept = outbox.waited_for(session, tenant, held)
    for query in _WAITED_FOR if held else ():
        kept |= {alert_id for (alert_id,) in find_rows(session, query, {"tenant": tenant}, "ids", _ids(held))}
    gone = [alert_id for alert_id in _ids(held) if alert_id not in kept]
    for statement in _FORGET if gone else ():
        change_rows(session, statement, {"tenant": tenant, "ids": gone})
    return len(gone)


def unfinished(session: Session, tenant: str, ids: Sequence[str]) -> set[str]:
    """Those of a tenant's alerts that are open, or of which something waits for a notifier."""
    # In this order: what is over by the first look has told that by the second one.
    rows = [row for part in chunks(ids, MOST) for row in find_rows(session, _STANDING, {"tenant": tenant}, "ids", part)]
    held = [Held(tenant, stream_of(row.rule_id, row.instance_key), row.id) for row in rows]
    waiting = [outbox.waited_for(session, tenant, part) for part in chunks(held, MOST)]
    return {row.id for row in rows if row.open_key is not None}.union(*waiting)


def _ids(held: Sequence[Held]) -> list[str]:
    return [each.alert_id for each in held]
