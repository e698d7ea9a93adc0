"""Deliveries that ended so long ago that they aren't kept any more, and their attempts.

What tells of an alert goes together, once the alert is over: until then it says who has heard of it, and who hasn't.
That it still fires is told anew every so often, and each time goes by itself.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, delete, or_, select
from sqlalchemy.orm import Session

from monitors.mesh.keeping import tenants_in
from monitors.mesh.rows import change_rows, find_rows, in_parts, read_rows
from monitors.notifier.model.delivery import UNFINISHED, State
from monitors.notifier.model.message import Kind
from monitors.notifier.store import inhibiting
from monitors.notifier.store.tables import attempts, deliveries

MOST = 100
"""As many are looked at together, and as many rows are deleted by a statement: for longer lists MariaDB may read all
that a tenant has."""


@dataclass(frozen=True)
class Horizon:
    """What ended before isn't kept, in nanoseconds since 1970. What was given up can be retried by hand for as long as
    it's there, and has a time of its own."""

    ended: int
    dead: int

    @property
    def values(self) -> dict[str, Any]:
        """Parameters of the statements here."""
        return {"ended": self.ended, "dead": self.dead, "latest": max(self.ended, self.dead)}


class Past(NamedTuple):
    """A delivery that may go, in the order in which a tenant's were made."""

    created_at: int
    id: str
    alert_id: str
    kind: int

    @property
    def is_alone(self) -> bool:
        """Whether it goes whatever becomes of others."""
        return not self.alert_id or self.kind == Kind.STILL_FIRING


FIRST = Past(-1, "", "", 0)
_IS_DEAD = deliveries.c.state == int(State.DEAD)
_IS_PAST = and_(
    deliveries.c.state.not_in(list(map(int, UNFINISHED))),
    # RuleService knows what became of it. Not `= 0`: by its index SQLite would read all of which that is so.
    deliveries.c.report_due.is_not(True),
    or_(
        and_(deliveries.c.state != int(State.DEAD), deliveries.c.updated_at < bindparam("ended")),
        and_(_IS_DEAD, deliveries.c.updated_at < bindparam("dead")),
    ),
)
_OF_TENANT = deliveries.c.tenant_id == bindparam("tenant")
_PAST = (
    select(deliveries.c.created_at, deliveries.c.id, deliveries.c.alert_id, deliveries.c.kind)
    # Left to choose, MariaDB may sort all that a tenant has, page by page.
    .with_hint(deliveries, "FORCE INDEX (ix_deliveries_newest)", "mysql")
    .where(
        _OF_TENANT,
        # What is past was made before: what an index can begin and end at.
        deliveries.c.created_at >= bindparam("after_time"),
        deliveries.c.created_at < bindparam("latest"),
        or_(
            deliveries.c.created_at > bindparam("after_time"),
            and_(deliveries.c.created_at == bindparam("after_time"), deliveries.c.id > bindparam("after_id")),
        ),
        _IS_PAST,
    )
    .order_by(deliveries.c.created_at, deliveries.c.id)
    .limit(bindparam("most"))
)
# What another notifier is forgetting is left to it.
_ALONE = (
    select(deliveries.c.id)
    .where(_OF_TENANT, deliveries.c.id.in_(bindparam("ids", expanding=True)), _IS_PAST)
    .with_for_update(skip_locked=True)
)
# Waited for, as none of an alert's may be overlooked.
_OF_ALERTS = (
    select(deliveries.c.id, deliveries.c.alert_id, _IS_PAST.label("is_past"))
    .with_hint(deliveries, "FORCE INDEX (ix_deliveries_alert)", "mysql")
    .where(_OF_TENANT, deliveries.c.alert_id.in_(bindparam("ids", expanding=True)))
    .order_by(deliveries.c.alert_id)
    .with_for_update()
)
_FORGET = (
    delete(attempts).where(
        attempts.c.tenant_id == bindparam("tenant"), attempts.c.delivery_id.in_(bindparam("ids", expanding=True))
    ),
    delete(deliveries).where(_OF_TENANT, deliveries.c.id.in_(bindparam("ids", expanding=True))),
)


def tenants_with_deliveries(session: Session) -> list[str]:
    """The tenants that have deliveries."""
    return tenants_in(session, deliveries)


def past_deliveries(session: Session, tenant: str, horizon: Horizon, after: Past = FIRST) -> list[Past]:
    """The next of a tenant's deliveries that ended before the horizon, those that were made first, after one of them;
    as many as are looked at together."""
    given = {"tenant": tenant, "most": MOST, "after_time": after.created_at, "after_id": after.id, **horizon.values}
    return [Past(*row) for row in read_rows(session, _PAST, given)]


def forget(session: Session, tenant: str, horizon: Horizon, alone: Sequence[str], alert_ids: Collection[str]) -> int:
    """Forgets deliveries that go by themselves, by their ids, and all those of alerts that are over, by the alerts':
    but nothing that hasn't ended before the horizon. Returns how many were forgotten."""
    given = {"tenant": tenant, **horizon.values}
    rows = find_rows(session, _OF_ALERTS, given, "ids", sorted(alert_ids))
    kept = {row.alert_id for row in rows if not row.is_past}
    gone = {row.id for row in rows if row.alert_id not in kept}
    gone |= {row.id for row in find_rows(session, _ALONE, given, "ids", alone)}
    for part in in_parts(sorted(gone), MOST):
        for statement in _FORGET:
            change_rows(session, statement, {"tenant": tenant, "ids": part})
    inhibiting.forget(session, tenant, {row.alert_id for row in rows} - kept)
    return len(gone)
