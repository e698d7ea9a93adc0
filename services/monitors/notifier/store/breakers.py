"""The breakers at rest: a row for each channel whose endpoint has failed lately, and none for those that fare well."""

from collections.abc import Collection, Iterable
from dataclasses import astuple, fields

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.orm import Session

from monitors.mesh.rows import Row, change_rows, insert_rows, read_rows, update_rows
from monitors.mesh.tenancy import crosses_tenants
from monitors.notifier.model.breaker import FAILURES, Breaker, after_attempt
from monitors.notifier.model.delivery import OutcomeKind
from monitors.notifier.store.named import Key, is_named, names
from monitors.notifier.store.tables import BreakerRow, ChannelRow
from monitors.notifier.store.tables import breakers as table

_FIELDS = tuple(field.name for field in fields(Breaker))
_KEY = ("tenant_id", "channel_id")
_OF_CHANNELS = select(table).where(*is_named(table.c.tenant_id, table.c.channel_id)).with_for_update()
_FORGET = delete(table).where(table.c.tenant_id == bindparam("tenant"), table.c.channel_id == bindparam("channel"))
_LOCK = (
    select(ChannelRow.id)
    .where(*is_named(ChannelRow.tenant_id, ChannelRow.id))
    .order_by(ChannelRow.tenant_id, ChannelRow.id)
    .with_for_update()
)
Ended = tuple[Key, OutcomeKind, int]
"""An attempt: to which channel, how it ended, and when."""


def note(session: Session, ended: Iterable[Ended]) -> dict[Key, Breaker]:
    """Counts attempts that have ended. Gives the breakers of channels of which something was known or has failed."""
    attempts = sorted(ended, key=lambda one: one[2])
    failing = {key for key, outcome, _ in attempts if outcome in FAILURES}
    if failing:
        # Two notifiers that count the first failure of one channel would both make the row.
        read_rows(session, _LOCK, names(failing))
    rows = _rows(session, {key for key, _, _ in attempts})
    breakers: dict[Key, Breaker] = {key: _breaker(row) for key, row in rows.items()}
    for key, outcome, ended_at in attempts:
        if key in breakers or outcome in FAILURES:
            breakers[key] = after_attempt(breakers.get(key, Breaker()), outcome, ended_at)
    for key, breaker in breakers.items():
        _write(session, key, breaker, is_known=key in rows)
    return breakers


def open_channels(session: Session, tenant: str) -> list[str]:
    """The names of the tenant's channels that are left alone, or tried by a single attempt."""
    found = session.scalars(
        select(ChannelRow.name)
        .join(BreakerRow, (ChannelRow.tenant_id == BreakerRow.tenant_id) & (ChannelRow.id == BreakerRow.channel_id))
        .where(BreakerRow.tenant_id == tenant, BreakerRow.open_until > 0)
        .order_by(ChannelRow.name)
    )
    return list(found)


@crosses_tenants("open breakers are counted over all tenants, and none is named")
def count_open(session: Session) -> int:
    """How many channels of all tenants are left alone, or tried by a single attempt."""
    return session.scalar(select(func.count()).select_from(BreakerRow).where(BreakerRow.open_until > 0)) or 0


def forget(session: Session, tenant: str, channel_id: str) -> None:
    """What was known of a channel doesn't count any more: it's another one now, or gone."""
    change_rows(session, _FORGET, {"tenant": tenant, "channel": channel_id})


def _rows(session: Session, keys: Collection[Key]) -> dict[Key, Row]:
    if not keys:
        return {}
    found = {(row.tenant_id, row.channel_id): row for row in read_rows(session, _OF_CHANNELS, names(keys))}
    return {key: row for key, row in found.items() if key in keys}


def _breaker(row: Row) -> Breaker:
    return Breaker(*(getattr(row, name) for name in _FIELDS))


def _write(session: Session, key: Key, breaker: Breaker, *, is_known: bool) -> None:
    if breaker.is_at_rest:
        if is_known:
            forget(session, *key)
    elif is_known:
        update_rows(session, table, _KEY, _FIELDS, [(*key, *astuple(breaker))])
    else:
        insert_rows(session, table, (*_KEY, *_FIELDS), [(*key, *astuple(breaker))])
