"""How far escalations have come: a row for each alert that has a policy, until it's over."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from monitors.mesh.rows import Row, change_rows, execute_rows, find_rows, in_parts, read_rows, read_value, update_rows
from monitors.notifier.model.delivery import FOLLOWS, NEVER, Arrival, State
from monitors.notifier.model.escalation import IS_OVER, Course, EscalationPolicy, heed
from monitors.notifier.model.message import Kind
from monitors.notifier.store.tables import deliveries, escalations

_COLUMNS = tuple(column.name for column in escalations.columns)
_KEY = ("tenant_id", "alert_id")
_CHANGED = _COLUMNS[len(_KEY) :]
_CHANGES = (Kind.SEVERITY_CHANGED, Kind.REPEAT_CHANGED, *FOLLOWS)
# One that is there already stays: an alert fires once.
_INSERT = insert(escalations).prefix_with("OR IGNORE", dialect="sqlite").prefix_with("IGNORE", dialect="mysql")
_IS_OF_ALERTS = (
    escalations.c.tenant_id == bindparam("tenant"),
    escalations.c.alert_id.in_(bindparam("ids", expanding=True)),
)
_OF_ALERTS = select(escalations).where(*_IS_OF_ALERTS).with_for_update()
_FORGET = delete(escalations).where(*_IS_OF_ALERTS)
_SUPERSEDE = (
    update(deliveries)
    .where(
        deliveries.c.tenant_id == bindparam("tenant"),
        deliveries.c.alert_id.in_(bindparam("ids", expanding=True)),
        deliveries.c.kind == int(Kind.ESCALATED),
        deliveries.c.state == int(State.PENDING),
    )
    .values(
        state=int(State.SUPERSEDED),
        detail=IS_OVER,
        version=deliveries.c.version + 1,
        report_due=True,
        updated_at=bindparam("now"),
    )
)
_FIRST = select(func.min(escalations.c.due_at))
_WAITING = select(func.count()).select_from(escalations).where(escalations.c.due_at < NEVER)
# What another notifier is about to escalate is passed over.
_DUE = (
    select(escalations)
    .where(escalations.c.due_at <= bindparam("now"))
    .order_by(escalations.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_LOOK_AGAIN = (
    update(escalations)
    .where(escalations.c.tenant_id == bindparam("tenant"), escalations.c.muted_until > 0)
    .values(due_at=bindparam("now"))
)
_FOLLOW_POLICY = (
    update(escalations)
    .where(
        escalations.c.tenant_id == bindparam("tenant"),
        escalations.c.policy_id == bindparam("policy"),
        escalations.c.is_acknowledged.is_(False),
    )
    .values(due_at=bindparam("now"))
)


def follow(
    session: Session, tenant: str, policies: Sequence[EscalationPolicy], arrivals: Sequence[Arrival], now: int
) -> None:
    """Begins, changes and ends the escalations of a tenant as new notifications say, which stand in the order of their
    streams. What waits to be told of those that are acknowledged by these, or over, isn't told any more."""
    changing = sorted({one.alert_id for one in arrivals if one.kind in _CHANGES})
    known = courses(session, tenant, changing)
    after: dict[str, Course | None] = dict(known)
    for one in arrivals:
        if one.alert_id:
            after[one.alert_id] = heed(after.get(one.alert_id), one, policies, now)
    _write(session, tenant, known, after)
    ended = {one.alert_id for one in arrivals if one.kind in FOLLOWS and one.alert_id in known}
    for part in in_parts(sorted(alert for alert in ended if known[alert].made)):
        change_rows(session, _SUPERSEDE, {"tenant": tenant, "ids": part, "now": now})


def _write(session: Session, tenant: str, known: Mapping[str, Course], after: Mapping[str, Course | None]) -> None:
    begun = [row_of(tenant, alert, course) for alert, course in after.items() if course and alert not in known]
    execute_rows(session, _INSERT, _COLUMNS, begun)
    save(session, {(tenant, alert): course for alert, course in after.items() if alert in known and course})
    forget(session, tenant, sorted(alert for alert, course in after.items() if alert in known and course is None))


def courses(session: Session, tenant: str, alert_ids: Sequence[str]) -> dict[str, Course]:
    """How far the escalations of alerts have come, by alert. They're locked."""
    return {
        row.alert_id: course_of(row)
        for part in in_parts(alert_ids)
        for row in find_rows(session, _OF_ALERTS, {"tenant": tenant}, "ids", part)
    }


def save(session: Session, courses: Mapping[tuple[str, str], Course]) -> None:
    """Remembers how far escalations have come, by tenant and alert."""
    rows = [row_of(tenant, alert, course) for (tenant, alert), course in courses.items()]
    update_rows(session, escalations, _KEY, _CHANGED, rows)


def forget(session: Session, tenant: str, alert_ids: Sequence[str]) -> None:
    """Forgets the escalations of alerts."""
    for part in in_parts(alert_ids):
        change_rows(session, _FORGET, {"tenant": tenant, "ids": part})


def due(session: Session, now: int, most: int) -> list[Row]:
    """At most `most` escalations that are due, those due for longest first. They're locked."""
    return read_rows(session, _DUE, {"now": now, "most": most})


def first_due(session: Session) -> int | None:
    """When the next step of any escalation is due, which may have been; None if none is."""
    found: int | None = read_value(session, _FIRST, {})
    return None if found in (None, NEVER) else found


def count_waiting(session: Session) -> int:
    """How many escalations have a step that follows."""
    count: int = read_value(session, _WAITING, {})
    return count


def look_again(session: Session, tenant: str, now: int) -> None:
    """What mutes a tenant's alerts has changed: steps that wait have their turn now."""
    change_rows(session, _LOOK_AGAIN, {"tenant": tenant, "now": now})


def follow_policy(session: Session, tenant: str, policy_id: str, now: int) -> None:
    """A policy has changed, or is gone: what has it is looked at now."""
    change_rows(session, _FOLLOW_POLICY, {"tenant": tenant, "policy": policy_id, "now": now})


def course_of(row: Row) -> Course:
    """How far an escalation has come."""
    return Course(
        policy_id=row.policy_id,
        severity=row.severity,
        began_at=row.began_at,
        due_at=row.due_at,
        done=row.done_count,
        made=row.made_count,
        quiet_until=row.quiet_until,
        muted_until=row.muted_until,
        is_acknowledged=bool(row.is_acknowledged),
    )


def row_of(tenant: str, alert_id: str, course: Course) -> tuple[Any, ...]:
    """A row in the table's order."""
    return (
        tenant, alert_id, course.policy_id, course.severity, course.began_at, course.done, course.made,
        course.quiet_until, course.muted_until, course.is_acknowledged, course.due_at,
    )  # fmt: skip
