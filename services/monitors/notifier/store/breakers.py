"""The breakers at rest: a row for each channel whose endpoint has failed lately, and none for those that fare well."""

from collections.abc import Collection, Iterable
from dataclasses import astuple, fields

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from monitors.notifier.model.breaker import FAILURES, Breaker, after_attempt
from monitors.notifier.model.delivery import OutcomeKind
from monitors.notifier.store.named import Key, is_named, names
from monitors.notifier.store.tables import BreakerRow, ChannelRow

_FIELDS = tuple(field.name for field in fields(Breaker))
# Made once: to put a statement together takes longer than to execute it, and the delivery loop needs this each time.
_OF_CHANNELS = select(BreakerRow).where(*is_named(BreakerRow.tenant_id, BreakerRow.channel_id)).with_for_update()
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
        session.execute(_LOCK, names(failing))
    rows = _rows(session, {key for key, _, _ in attempts})
    breakers: dict[Key, Breaker] = {key: _breaker(row) for key, row in rows.items()}
    for key, outcome, ended_at in attempts:
        if key in breakers or outcome in FAILURES:
            breakers[key] = after_attempt(breakers.get(key, Breaker()), outcome, ended_at)
    for key, breaker in breakers.items():
        _write(session, key, rows.get(key), breaker)
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


def forget(session: Session, tenant: str, channel_id: str) -> None:
    """What was known of a channel doesn't count any more: it's another one now, or gone."""
    session.execute(delete(BreakerRow).where(BreakerRow.tenant_id == tenant, BreakerRow.channel_id == channel_id))


def _rows(session: Session, keys: Collection[Key]) -> dict[Key, BreakerRow]:
    found = {(row.tenant_id, row.channel_id): row for row in session.scalars(_OF_CHANNELS, names(keys))}
    return {key: row for key, row in found.items() if key in keys}


def _breaker(row: BreakerRow) -> Breaker:
    return Breaker(*(getattr(row, name) for name in _FIELDS))


def _write(session: Session, key: Key, row: BreakerRow | None, breaker: Breaker) -> None:
    if breaker.is_at_rest:
        if row is not None:
            session.delete(row)
        return
    if row is None:
        row = BreakerRow(tenant_id=key[0], channel_id=key[1])
        session.add(row)
    for name, value in zip(_FIELDS, astuple(breaker), strict=True):
        setattr(row, name, value)
