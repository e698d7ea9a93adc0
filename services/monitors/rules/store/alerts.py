"""Alerts, and what happened to them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, func, insert, or_, select
from sqlalchemy.orm import Session

from monitors.mesh.rows import find_rows, insert_rows, update_rows
from monitors.mesh.tenancy import crosses_tenants
from monitors.rules.model.alert import SHARDS, Alert, Episode, Event, EventKind, Instance, shard_of
from monitors.rules.model.filters import Term
from monitors.rules.model.rule import Severity
from monitors.rules.model.texts import Texts, list_json, mapping_json, read_json
from monitors.rules.store import counters
from monitors.rules.store.paging import chunks
from monitors.rules.store.tables import alert_events, alerts, manual_resolutions

MOST_COUNTED = 1000
# In the table's order.
_COLUMNS = tuple(column.name for column in alerts.columns)
_EVENT_COLUMNS = tuple(column.name for column in alert_events.columns)
_SEVERITIES = {int(severity): severity for severity in Severity}


# Most rules tell the same few channels.
@lru_cache(maxsize=1024)
def _channels_json(channels: tuple[str, ...]) -> str:
    return list_json(channels)


@lru_cache(maxsize=1024)
def _read_channels(text: str) -> tuple[str, ...]:
    return tuple(read_json(text))


def _row(alert: Alert) -> tuple[Any, ...]:
    # All at once: to take its many fields one by one takes twice as long.
    (
        tenant, alert_id, rule_id, monitor_id, group, instance_key, episode, title, severity, condition_text, value,
        fire_time, record_time, labels, annotations, channels, suppress_reason, told_time, resolve_time,
        resolve_reason, acknowledge_user, acknowledge_time, acknowledge_note, traceparent, severity_time,
    ) = alert  # fmt: skip
    return (
        tenant, alert_id, rule_id, monitor_id, shard_of(tenant, monitor_id), mapping_json(group), instance_key,
        instance_key if resolve_time is None else None, episode, title, int(severity), condition_text, value, fire_time,
        record_time, mapping_json(labels), mapping_json(annotations), _channels_json(channels), suppress_reason,
        told_time, resolve_time, resolve_reason, acknowledge_user, acknowledge_time, acknowledge_note, traceparent,
        severity_time,
    )  # fmt: skip


def read_alert(row: Row[Any] | tuple[Any, ...]) -> Alert:
    """An alert from its columns, which come first and in the table's order."""
    (
        tenant, alert_id, rule_id, monitor_id, _, group, instance_key, _, episode, title, severity, condition_text,
        value, fire_time, record_time, labels, annotations, channels, suppress_reason, told_time, resolve_time,
        resolve_reason, acknowledge_user, acknowledge_time, acknowledge_note, traceparent, severity_time,
    ) = row[: len(_COLUMNS)]  # fmt: skip
    return Alert(
        tenant, alert_id, rule_id, monitor_id, Texts(group), instance_key, episode, title, _SEVERITIES[severity],
        condition_text, value, fire_time, record_time, Texts(labels), Texts(annotations), _read_channels(channels),
        suppress_reason, told_time, resolve_time, resolve_reason, acknowledge_user, acknowledge_time, acknowledge_note,
        traceparent, severity_time,
    )  # fmt: skip


OPEN_COLUMNS = (
    alerts.c.tenant_id, alerts.c.open_key, alerts.c.id, alerts.c.episode, alerts.c.title, alerts.c.severity,
    alerts.c.condition_text, alerts.c.value, alerts.c.fire_time, alerts.c.record_time, alerts.c.labels,
    alerts.c.annotations, alerts.c.channels, alerts.c.suppress_reason, alerts.c.told_time, alerts.c.acknowledge_user,
    alerts.c.acknowledge_time, alerts.c.acknowledge_note, alerts.c.traceparent, alerts.c.severity_time,
)  # fmt: skip
"""Of an open alert what its instance doesn't say."""


def read_open(row: tuple[Any, ...], instances: Mapping[str, Mapping[str, Instance]]) -> Alert:
    """An open alert from its OPEN_COLUMNS; `instances` are by tenant and key, and its own is among them."""
    (
        tenant, key, alert_id, episode, title, severity, condition_text, value, fire_time, record_time, labels,
        annotations, channels, suppress_reason, told_time, acknowledge_user, acknowledge_time, acknowledge_note,
        traceparent, severity_time,
    ) = row  # fmt: skip
    _, rule_id, monitor_id, group, _ = instances[tenant][key]
    return Alert._make((
        tenant, alert_id, rule_id, monitor_id, group, key, episode, title, _SEVERITIES[severity], condition_text, value,
        fire_time, record_time, Texts(labels), Texts(annotations), _read_channels(channels), suppress_reason, told_time,
        None, "", acknowledge_user, acknowledge_time, acknowledge_note, traceparent, severity_time,
    ))  # fmt: skip


def new_rows(opened: Iterable[Alert]) -> list[tuple[Any, ...]]:
    """The rows of new alerts."""
    return [_row(alert) for alert in opened]


def insert_alerts(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    """Remembers new alerts, see `new_rows`."""
    insert_rows(session, alerts, _COLUMNS, rows)


_CHANGED = (
    "open_key", "suppress_reason", "resolve_time", "resolve_reason", "acknowledge_user", "acknowledge_time",
    "acknowledge_note", "severity", "severity_time",
)  # fmt: skip
_KEY = ("tenant_id", "id")


def changed_rows(altered: Iterable[Alert]) -> list[tuple[Any, ...]]:
    """What may change of alerts, but for `told_time`."""
    return [
        (
            alert.tenant,
            alert.id,
            alert.instance_key if alert.is_open else None,
            alert.suppress_reason,
            alert.resolve_time,
            alert.resolve_reason,
            alert.acknowledge_user,
            alert.acknowledge_time,
            alert.acknowledge_note,
            int(alert.severity),
            alert.severity_time,
        )
        for alert in altered
    ]


def retimed_rows(retimed: Iterable[Alert]) -> list[tuple[Any, ...]]:
    """The `told_time` of alerts. Only of those of which it may be different: even if it stays the same, SQLite writes
    its index anew."""
    return [(alert.tenant, alert.id, alert.told_time) for alert in retimed]


def update_alerts(session: Session, changed: Sequence[tuple[Any, ...]], retimed: Sequence[tuple[Any, ...]]) -> None:
    """Remembers what has changed of alerts, see `changed_rows` and `retimed_rows`."""
    update_rows(session, alerts, _KEY, _CHANGED, changed)
    update_rows(session, alerts, _KEY, ("told_time",), retimed)


def event_rows(events: Iterable[Event]) -> list[tuple[Any, ...]]:
    """The rows of events, numbered from 0."""
    return [
        (tenant, number, alert_id, int(kind), time, record_time, value, user, detail, once)
        for number, (tenant, alert_id, kind, time, record_time, value, user, detail, once, _) in enumerate(events)
    ]


def insert_events(session: Session, rows: Sequence[tuple[Any, ...]], first_sequence: int) -> None:
    """Remembers events, see `event_rows`, under the sequence numbers from `first_sequence` on."""
    insert_rows(session, alert_events, _EVENT_COLUMNS, rows, raised=("sequence", first_sequence))


def add_past(session: Session, past: Sequence[Alert], events: Sequence[Event]) -> None:
    """Remembers alerts that are over and what happened to them. Nobody is told."""
    insert_alerts(session, new_rows(past))
    insert_events(session, event_rows(events), counters.take(session, counters.SEQUENCE, len(events)))


def note_manual_resolution(session: Session, alert: Alert, now: int) -> None:
    """Remembers, for the evaluators, that somebody has resolved an alert; as a revision among those of the rules."""
    revision = counters.take(session, counters.REVISION)
    row = insert(manual_resolutions).values(
        tenant_id=alert.tenant, alert_id=alert.id, revision=revision, resolve_time=now
    )
    session.execute(row)


def find_alerts(session: Session, tenant: str, ids: Sequence[str], *, lock: bool = False) -> dict[str, Alert]:
    """Those of a tenant's alerts that exist, by id; with `lock` nobody else changes them until the transaction ends."""
    found: dict[str, Alert] = {}
    for part in chunks(ids):
        query = select(alerts).where(alerts.c.tenant_id == tenant, alerts.c.id.in_(part))
        rows = session.execute(query.with_for_update() if lock else query)
        found |= {alert.id: alert for alert in map(read_alert, rows)}
    return found


def open_alerts(session: Session, tenant: str, rule_id: str | None = None, *, lock: bool = False) -> list[Alert]:
    """The open alerts of a tenant, or of one of its rules; oldest first. With `lock` nobody else changes them until the
    transaction ends."""
    query = select(alerts).where(alerts.c.tenant_id == tenant, alerts.c.open_key.is_not(None))
    if rule_id is not None:
        query = query.where(alerts.c.rule_id == rule_id)
    # Sorted here: asked for in this order, SQLite would read all that ever fired.
    rows = session.execute(query.with_for_update() if lock else query)
    return sorted(map(read_alert, rows), key=lambda alert: (alert.fire_time, alert.id))


EPISODE_COLUMNS = (
    alerts.c.tenant_id, alerts.c.rule_id, alerts.c.id, alerts.c.monitor_id, alerts.c.group, alerts.c.instance_key,
    alerts.c.episode, alerts.c.fire_time, alerts.c.severity, alerts.c.severity_time,
)  # fmt: skip


def read_episode(row: Sequence[Any]) -> Episode:
    """An episode from its columns, which come first."""
    columns = row[: len(EPISODE_COLUMNS)]
    tenant, rule_id, alert_id, monitor_id, group, instance_key, episode, fire_time, severity, severity_time = columns
    return Episode(
        tenant, rule_id, alert_id, monitor_id, read_json(group), instance_key, episode, fire_time,
        _SEVERITIES[severity], severity_time,
    )  # fmt: skip


@crosses_tenants("a shard holds monitors of all tenants")
def open_episodes(session: Session, shards: Sequence[int], after: tuple[str, str], limit: int) -> list[Episode]:
    """At most `limit` open episodes of all tenants whose monitors belong to the shards, by tenant and instance key.

    Tenant by tenant, so that the index of what is open is read, and not all that ever fired.
    """
    tenant, key = after
    found: list[Episode] = []
    while len(found) < limit:
        query = select(*EPISODE_COLUMNS).where(alerts.c.tenant_id == tenant, alerts.c.open_key > key)
        if len(set(shards)) < SHARDS:
            query = query.where(alerts.c.shard.in_(shards))
        rows = session.execute(query.order_by(alerts.c.open_key).limit(limit - len(found))).all()
        found += map(read_episode, rows)
        if len(found) < limit:
            later = select(alerts.c.tenant_id).where(alerts.c.tenant_id > tenant)
            following = session.scalar(later.order_by(alerts.c.tenant_id).limit(1))
            if following is None:
                break
            tenant, key = following, ""
    return found


def list_alerts(
    session: Session, tenant: str, terms: Sequence[Term], after: tuple[int, str] | None, limit: int
) -> tuple[list[Alert], int]:
    """At most `limit` alerts, newest first, after the place `after` (fire time and id); and how many match in all, of
    which at most one more than MOST_COUNTED are counted: to count a million takes longer than anybody would wait."""
    conditions = [alerts.c.tenant_id == tenant, *(_matches(term) for term in terms)]
    counted = select(alerts.c.id).where(*conditions).limit(MOST_COUNTED + 1).subquery()
    total = session.scalar(select(func.count()).select_from(counted)) or 0
    if after:
        time, alert_id = after
        # The first of these alone is what an index can begin at.
        conditions.append(alerts.c.fire_time <= time)
        conditions.append(or_(alerts.c.fire_time < time, and_(alerts.c.fire_time == time, alerts.c.id < alert_id)))
    query = select(alerts).where(*conditions).order_by(alerts.c.fire_time.desc(), alerts.c.id.desc()).limit(limit)
    return [read_alert(row) for row in session.execute(query)], total


def _matches(term: Term) -> ColumnElement[bool]:
    match term.name:
        case "monitor_id":
            return alerts.c.monitor_id == term.value
        case "rule_id":
            return alerts.c.rule_id == term.value
        case "severity":
            return alerts.c.severity == int(Severity[term.value.upper()])
        case "state":
            return alerts.c.open_key.is_not(None) if term.value == "firing" else alerts.c.open_key.is_(None)
        case "acknowledged":
            given = alerts.c.acknowledge_time
            return given.is_not(None) if term.value == "true" else given.is_(None)
        case _:
            return alerts.c.fire_time >= int(term.value)


def timeline(session: Session, tenant: str, alert_id: str) -> list[Event]:
    """What happened to an alert, oldest first."""
    query = (
        select(alert_events)
        .where(alert_events.c.tenant_id == tenant, alert_events.c.alert_id == alert_id)
        .order_by(alert_events.c.sequence)
    )
    return [_read_event(row) for row in session.execute(query)]


def events_since(session: Session, tenant: str, sequence: int, limit: int) -> list[Event]:
    """What happened to a tenant's alerts after a sequence number."""
    query = (
        select(alert_events)
        .where(alert_events.c.tenant_id == tenant, alert_events.c.sequence > sequence)
        .order_by(alert_events.c.sequence)
        .limit(limit)
    )
    return [_read_event(row) for row in session.execute(query)]


@crosses_tenants("one look is for the streams of all tenants; it finds whose have something to see, and nothing else")
def tenants_since(session: Session, tenants: Sequence[str], sequence: int) -> list[str]:
    """To whose alerts something has happened after a sequence number, of these tenants."""
    found: list[str] = []
    for part in chunks(tenants):
        happened = and_(alert_events.c.tenant_id.in_(part), alert_events.c.sequence > sequence)
        found += session.scalars(select(alert_events.c.tenant_id).where(happened).distinct())
    return found


def newest_sequence(session: Session) -> int:
    """The last event's sequence number."""
    return counters.current(session, counters.SEQUENCE)


def _read_event(row: Row[Any]) -> Event:
    return Event(
        tenant=row.tenant_id,
        alert_id=row.alert_id,
        kind=EventKind(row.kind),
        time=row.time,
        record_time=row.record_time,
        value=row.value,
        user=row.user,
        detail=row.detail,
        once_key=row.once_key,
        sequence=row.sequence,
    )


def find_ids(session: Session, tenant: str, ids: set[str]) -> set[str]:
    """Which of the alerts a tenant has."""
    rows = (find_rows(session, _IDS, {"tenant": tenant}, "ids", part) for part in chunks(sorted(ids)))
    return {alert_id for part in rows for (alert_id,) in part}


_IDS = select(alerts.c.id).where(
    alerts.c.tenant_id == bindparam("tenant"), alerts.c.id.in_(bindparam("ids", expanding=True))
)
