"""Which alerts inhibit others now, and which are inhibited: those that fire and match as sources, by their keys."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Select, bindparam, case, delete, func, insert, select, update
from sqlalchemy.orm import Session

from monitors.mesh.rows import Row, change_rows, execute_rows, find_rows, in_parts, insert_rows, read_rows, read_value
from monitors.notifier.model.delivery import Arrival, Planned
from monitors.notifier.model.inhibitions import Inhibiting, Inhibition, Place, places_of_source, places_of_target
from monitors.notifier.model.message import Kind
from monitors.notifier.model.muting import MUTABLE
from monitors.notifier.store import escalations
from monitors.notifier.store.tables import deliveries, inhibited, inhibiting
from monitors.notifier.store.tables import repeats as timers

Compose = Callable[[bytes, int, int], Arrival]
_LEAVES = (Kind.RESOLVED, Kind.SEVERITY_CHANGED, Kind.REPEAT_CHANGED)
"""After these an alert may inhibit others no more. That it's less bad comes as a change of its repeats."""
_FIRES = (Kind.FIRING, Kind.SEVERITY_CHANGED, Kind.REPEAT_CHANGED)
_SOURCE = ("tenant_id", "alert_id", "inhibition_key", "is_target")
_TARGET = ("tenant_id", "inhibition_key", "alert_id")
_OF_TENANT, _IS_TARGETS = inhibiting.c.tenant_id == bindparam("tenant"), inhibited.c.tenant_id == bindparam("tenant")
_INSERT, _HOLD = (
    insert(table).prefix_with("OR IGNORE", dialect="sqlite").prefix_with("IGNORE", dialect="mysql")
    for table in (inhibiting, inhibited)
)
_OF_ALERTS = select(inhibiting.c.alert_id, inhibiting.c.inhibition_key).where(
    _OF_TENANT, inhibiting.c.alert_id.in_(bindparam("ids", expanding=True))
)
_LEAVE = delete(inhibiting).where(_OF_TENANT, inhibiting.c.alert_id.in_(bindparam("ids", expanding=True)))
# Locked, so that what is inhibited now is known to who ends what inhibits it.
_FOUND = (
    select(inhibiting.c.inhibition_key, inhibiting.c.is_target, func.min(inhibiting.c.alert_id))
    .where(_OF_TENANT, inhibiting.c.inhibition_key.in_(bindparam("keys", expanding=True)))
    .group_by(inhibiting.c.inhibition_key, inhibiting.c.is_target)
    .with_for_update(read=True)
)
_ANY = select(inhibiting.c.alert_id).where(_OF_TENANT).limit(1)
_HELD = select(inhibited.c.alert_id).where(
    _IS_TARGETS, inhibited.c.inhibition_key.in_(bindparam("keys", expanding=True))
)
_LET_GO = delete(inhibited).where(_IS_TARGETS, inhibited.c.inhibition_key.in_(bindparam("keys", expanding=True)))
_HAVE_TURN = (
    update(timers)
    .where(timers.c.tenant_id == bindparam("tenant"), timers.c.alert_id.in_(bindparam("ids", expanding=True)))
    .where(timers.c.muted_until > 0)
    .values(due_at=case((timers.c.quiet_until > bindparam("now"), timers.c.quiet_until), else_=bindparam("now")))
)
_OVER = select(deliveries.c.alert_id).where(
    deliveries.c.tenant_id == bindparam("tenant"),
    deliveries.c.alert_id.in_(bindparam("ids", expanding=True)),
    deliveries.c.kind == int(Kind.RESOLVED),
)
_FIRING = select(timers.c.alert_id, timers.c.severity, deliveries.c.payload).where(
    timers.c.tenant_id == bindparam("tenant"),
    deliveries.c.tenant_id == timers.c.tenant_id,
    deliveries.c.id == timers.c.delivery_id,
)


def follow(
    session: Session, tenant: str, inhibitions: Sequence[Inhibition], new: Sequence[Arrival], now: int
) -> Inhibiting:
    """Notes which alerts of a tenant inhibit from now on and which don't any more, as all its notifications that come
    together say; what nothing inhibits any more has its turn. Gives what inhibits those of which they tell."""
    over = {one.alert_id for one in new if one.kind is Kind.RESOLVED}
    freed = _leave(session, tenant, {one.alert_id for one in new if one.kind in _LEAVES})
    firing = {one.alert_id: one for one in new if one.kind in _FIRES and one.alert_id not in over}
    execute_rows(session, _INSERT, _SOURCE, _sources(tenant, inhibitions, firing.values()))
    found = find(session, tenant, inhibitions, [one for one in new if one.kind in MUTABLE], freed)
    emptied = freed - {key for key, _ in found.found}
    held = _read_in_parts(session, _HELD, tenant, "keys", emptied)
    if held:
        for part in in_parts(sorted(emptied)):
            change_rows(session, _LET_GO, {"tenant": tenant, "keys": part})
        for part in in_parts(sorted({alert for (alert,) in held})):
            change_rows(session, _HAVE_TURN, {"tenant": tenant, "ids": part, "now": now})
        escalations.look_again(session, tenant, now)
    return found


def find(
    session: Session,
    tenant: str,
    inhibitions: Sequence[Inhibition],
    told: Iterable[Arrival],
    keys: Collection[str] = (),
) -> Inhibiting:
    """What inhibits the alerts that would be told, and what inhibits by keys."""
    # Of most tenants nothing inhibits, and where a storm begins there are keys for each alert.
    if not find_any(session, tenant):
        return Inhibiting(inhibitions, {})
    asked = {place[0] for one in told for place, _ in places_of_target(inhibitions, one.facts)}.union(keys)
    rows = _read_in_parts(session, _FOUND, tenant, "keys", asked)
    found: dict[Place, str] = {(key, bool(is_target)): alert for key, is_target, alert in rows}
    return Inhibiting(inhibitions, found)


def find_any(session: Session, tenant: str) -> bool:
    """Whether any alert of a tenant inhibits others."""
    return read_value(session, _ANY, {"tenant": tenant}) is not None


def find_checked(
    session: Session, tenant: str, inhibitions: Sequence[Inhibition], told: Sequence[Arrival]
) -> Inhibiting:
    """The same, once it's sure that what inhibits isn't over: a notifier of the former version, beside which this one
    may run for a while, notes no end."""
    found = find(session, tenant, inhibitions, told)
    over = _read_in_parts(session, _OVER, tenant, "ids", set(found.found.values()))
    if not over:
        return found
    _leave(session, tenant, {alert for (alert,) in over})
    return find(session, tenant, inhibitions, told)


def hold(session: Session, planned: Iterable[tuple[Arrival, Sequence[Planned]]]) -> None:
    """Notes which alerts are inhibited, by the key by which they're let go."""
    rows = (
        (arrival.tenant, one.muted_by, arrival.alert_id) for arrival, plans in planned for one in plans if one.muted_by
    )
    execute_rows(session, _HOLD, _TARGET, dict.fromkeys(rows))


def find_sources(session: Session, inhibition: Inhibition, compose: Compose) -> None:
    """Lets those alerts inhibit by a new or changed inhibition that fire already, unless somebody has taken care."""
    if inhibition.enabled:
        rows = {row.alert_id: row for row in read_rows(session, _FIRING, {"tenant": inhibition.tenant})}
        firing = (compose(row.payload, 0, row.severity) for row in rows.values())
        # By an inhibition as it is from now on, nothing has inhibited yet.
        insert_rows(session, inhibiting, _SOURCE, _sources(inhibition.tenant, [inhibition], firing))


def forget(session: Session, tenant: str, alert_ids: Collection[str]) -> None:
    """Alerts are forgotten that are over: should a notifier of the former version not have noted their end, they don't
    inhibit any more."""
    _leave(session, tenant, alert_ids)


def _sources(
    tenant: str, inhibitions: Sequence[Inhibition], firing: Iterable[Arrival]
) -> Iterator[tuple[str, str, str, bool]]:
    for one in firing:
        for key, is_target in places_of_source(inhibitions, one.facts):
            yield tenant, one.alert_id, key, is_target


def _leave(session: Session, tenant: str, alert_ids: Collection[str]) -> set[str]:
    """The keys by which the alerts have inhibited others."""
    rows = _read_in_parts(session, _OF_ALERTS, tenant, "ids", alert_ids)
    for part in in_parts(sorted({alert for alert, _ in rows})):
        change_rows(session, _LEAVE, {"tenant": tenant, "ids": part})
    return {key for _, key in rows}


def _read_in_parts(
    session: Session, query: Select[Any], tenant: str, listed: str, values: Collection[str]
) -> list[Row]:
    given = {"tenant": tenant}
    return [row for part in in_parts(sorted(values)) for row in find_rows(session, query, given, listed, part)]
