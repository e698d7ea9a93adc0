"""What became of the messages about alerts, as the notifier reports it."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from monitors.mesh.rows import find_rows, in_parts, insert_rows, update_rows
from monitors.rules.model.alert import Delivery
from monitors.rules.store.alerts import find_ids
from monitors.rules.store.tables import deliveries

_KEY = ("tenant_id", "notification_id", "channel")
_TOLD = ("alert_id", "kind", "state", "attempt_count", "detail", "time")
_KNOWN = (
    select(deliveries.c.notification_id, deliveries.c.channel, deliveries.c.attempt_count, deliveries.c.time)
    .where(
        deliveries.c.tenant_id == bindparam("tenant"),
        deliveries.c.notification_id.in_(bindparam("ids", expanding=True)),
    )
    .with_for_update()
)


def deliveries_of(session: Session, tenant: str, alert_id: str) -> list[Delivery]:
    """What became of an alert's messages, oldest first."""
    query = (
        select(deliveries)
        .where(deliveries.c.tenant_id == tenant, deliveries.c.alert_id == alert_id)
        .order_by(deliveries.c.time, deliveries.c.notification_id, deliveries.c.channel)
    )
    return [
        Delivery(
            notification_id=row.notification_id,
            channel=row.channel,
            kind=row.kind,
            state=row.state,
            attempt_count=row.attempt_count,
            detail=row.detail,
            time=row.time,
        )
        for row in session.execute(query)
    ]


def save_deliveries(session: Session, tenant: str, reports: Sequence[tuple[str, Delivery]]) -> None:
    """Remembers what became of messages, each with its alert. Of an alert that isn't known nothing is remembered.

    Of several notifiers, one may tell late what another has overtaken: the later attempt counts, then the later time.
    """
    alert_ids = find_ids(session, tenant, {alert_id for alert_id, _ in reports})
    told: dict[tuple[str, str], tuple[str, Delivery]] = {}
    for alert_id, report in reports:
        key = (report.notification_id, report.channel)
        if alert_id in alert_ids and (key not in told or _age(told[key][1]) <= _age(report)):
            told[key] = (alert_id, report)
    known = {
        (row.notification_id, row.channel): (row.attempt_count, row.time)
        for part in in_parts(sorted({notification_id for notification_id, _ in told}))
        for row in find_rows(session, _KNOWN, {"tenant": tenant}, "ids", part)
    }
    newer = sorted(key for key, (_, report) in told.items() if key in known and known[key] <= _age(report))
    update_rows(session, deliveries, _KEY, _TOLD, [_row(tenant, *told[key]) for key in newer])
    new = sorted(told.keys() - known.keys())
    insert_rows(session, deliveries, (*_KEY, *_TOLD), [_row(tenant, *told[key]) for key in new])


def _age(report: Delivery) -> tuple[int, int]:
    return report.attempt_count, report.time


def _row(tenant: str, alert_id: str, report: Delivery) -> tuple[object, ...]:
    return (
        tenant,
        report.notification_id,
        report.channel,
        alert_id,
        int(report.kind),
        int(report.state),
        report.attempt_count,
        report.detail,
        report.time,
    )
