"""Storms at rest: a row for each channel that people read and to which something has come."""

from collections.abc import Collection, Mapping
from dataclasses import astuple, fields

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from monitors.mesh.rows import execute_rows, read_rows, update_rows
from monitors.notifier.model.delivery import State
from monitors.notifier.model.message import Severity
from monitors.notifier.model.storm import Storm
from monitors.notifier.store.named import Key, is_named, names
from monitors.notifier.store.tables import deliveries, storms

_KEY = ("tenant_id", "channel_id")
_FIELDS = tuple(field.name for field in fields(Storm))
_OF_CHANNELS = select(storms).where(*is_named(storms.c.tenant_id, storms.c.channel_id))
# Two notifiers may count the first of a channel at once; that one of them isn't counted does no harm.
_INSERT = insert(storms).prefix_with("OR IGNORE", dialect="sqlite").prefix_with("IGNORE", dialect="mysql")
_ABSORB = (
    update(deliveries)
    .where(
        deliveries.c.tenant_id == bindparam("tenant"),
        deliveries.c.channel_id == bindparam("channel"),
        deliveries.c.state == int(State.PENDING),
        deliveries.c.severity.between(0, int(Severity.HIGH)),
        deliveries.c.attempt_count == 0,
        deliveries.c.alert_id != "",
    )
    .values(group_key=bindparam("group"), next_at=bindparam("time"))
)


def load(session: Session, channels: Collection[Key]) -> dict[Key, Storm]:
    """How it storms at channels; those to which nothing has ever come are left out."""
    rows = read_rows(session, _OF_CHANNELS, names(channels))
    found = {(row.tenant_id, row.channel_id): Storm(*(getattr(row, name) for name in _FIELDS)) for row in rows}
    return {key: storm for key, storm in found.items() if key in channels}


def save(session: Session, before: Mapping[Key, Storm], after: Mapping[Key, Storm]) -> None:
    """Remembers how it storms."""
    rows = [(*key, *astuple(storm)) for key, storm in after.items() if key in before and before[key] != storm]
    update_rows(session, storms, _KEY, _FIELDS, rows)
    new = [(*key, *astuple(storm)) for key, storm in after.items() if key not in before]
    execute_rows(session, _INSERT, (*_KEY, *_FIELDS), new)


def absorb(session: Session, channel: Key, group_key: str, send_at: int) -> None:
    """Lets what waits for a channel and was never tried go with its digest, but for what is critical."""
    tenant, channel_id = channel
    session.execute(_ABSORB, {"tenant": tenant, "channel": channel_id, "group": group_key, "time": send_at})
