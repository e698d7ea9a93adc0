"""Channels at rest, their targets sealed."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from monitors.mesh.errors import AlreadyExists, NotFound
from monitors.mesh.masking import Secret
from monitors.mesh.rows import Query, Row, read_rows, row_kind
from monitors.mesh.secrets import SealBroken, Sealer
from monitors.mesh.tenancy import crosses_tenants
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.grouping import GroupBy, Grouping
from monitors.notifier.model.targets import TARGETS, ConsoleTarget, LostTarget, Target
from monitors.notifier.store import breakers
from monitors.notifier.store.named import Key, is_named, names
from monitors.notifier.store.tables import ChannelRow, channels

NOT_FOUND_FIX = "`monitors channels list` shows those that exist"
MOST_OPENED = 10_000
"""How many channels are kept opened."""
OF_CHANNEL = tuple(column for column in channels.columns if column.name not in ("quiet_until", "heartbeat_at"))
"""What a channel is made of."""
_KIND = row_kind(tuple(column.name for column in OF_CHANNEL))
_OF_CHANNEL = select(*OF_CHANNEL)
_NAMED = _OF_CHANNEL.where(*is_named(ChannelRow.tenant_id, ChannelRow.id))
_ALL = _OF_CHANNEL.where(ChannelRow.tenant_id == bindparam("tenant")).order_by(ChannelRow.name)


class ChannelStore:
    """Reads and writes channels."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._opened: dict[Key, tuple[Row, Channel]] = {}
        """The channels as they were read last, for to open one costs more than to read it."""

    def list_all(self, session: Session, tenant: str) -> list[Channel]:
        """A tenant's channels by name."""
        return self._read(session, _ALL, {"tenant": tenant})

    def list_page(self, session: Session, tenant: str, after: str, limit: int) -> list[Channel]:
        """At most `limit` of a tenant's channels by name, those after the name `after`."""
        rows = session.scalars(
            select(ChannelRow)
            .where(ChannelRow.tenant_id == tenant, ChannelRow.name > after)
            .order_by(ChannelRow.name)
            .limit(limit)
        )
        return [self.to_channel(row) for row in rows]

    @crosses_tenants("the names of all tenants' channels are told to RuleService")
    def versions(self, session: Session) -> dict[str, tuple[int, int]]:
        """By tenant what is another whenever one of its channels is."""
        query = select(ChannelRow.tenant_id, func.count(), func.sum(ChannelRow.revision)).group_by(ChannelRow.tenant_id)
        return {tenant: (count, int(revisions)) for tenant, count, revisions in session.execute(query)}

    def find(self, session: Session, keys: Collection[Key]) -> dict[Key, Channel]:
        """Those of the channels, named by tenant and id, that exist. All are read at once: the delivery loop would else
        wait for the database once for each."""
        channels = self._read(session, _NAMED, names(keys)) if keys else []
        return {(one.tenant, one.id): one for one in channels if (one.tenant, one.id) in keys}

    def _read(self, session: Session, query: Query, given: Mapping[str, object]) -> list[Channel]:
        return [self.open(row) for row in read_rows(session, query, given)]

    def open(self, values: Sequence[Any]) -> Channel:
        """The channel of the values of OF_CHANNEL."""
        row = _KIND._make(values)
        key = row.tenant_id, row.id
        known, channel = self._opened.get(key, (None, None))
        if channel is None or known != row:
            if len(self._opened) >= MOST_OPENED:
                self._opened.clear()
            channel = self.to_channel(row)
            self._opened[key] = row, channel
        return channel

    def get(self, session: Session, tenant: str, id_or_name: str) -> Channel:
        """A channel by its id or name. Raises NotFound."""
        row = session.scalar(
            select(ChannelRow).where(
                ChannelRow.tenant_id == tenant, or_(ChannelRow.id == id_or_name, ChannelRow.name == id_or_name)
            )
        )
        if row is None:
            raise NotFound("channel", id_or_name[:80], NOT_FOUND_FIX)
        return self.to_channel(row)

    def lock(self, session: Session, tenant: str) -> int:
        """Lets nobody else change a tenant's channels until the transaction ends. Returns how many there are."""
        ids = select(ChannelRow.id).where(ChannelRow.tenant_id == tenant)
        session.execute(ids.with_for_update()).all()
        # Counted anew: whoever held the lock may have made some.
        return session.scalar(select(func.count()).select_from(ChannelRow).where(ChannelRow.tenant_id == tenant)) or 0

    def check_free(self, session: Session, tenant: str, name: str) -> None:
        """Raises AlreadyExists if a channel has the name."""
        if session.scalar(select(ChannelRow.id).where(ChannelRow.tenant_id == tenant, ChannelRow.name == name)):
            raise AlreadyExists("channel", name)

    def insert(self, session: Session, channel: Channel) -> None:
        """Makes a channel. Raises AlreadyExists."""
        self.check_free(session, channel.tenant, channel.name)
        row = ChannelRow(
            tenant_id=channel.tenant,
            id=channel.id,
            name=channel.name,
            quiet_until=0,
            created_at=channel.create_time,
        )
        self._fill(row, channel)
        session.add(row)

    def update(self, session: Session, channel: Channel) -> None:
        """Replaces what can be changed of a channel. What kept it quiet is forgotten."""
        row = self._row(session, channel)
        row.quiet_until = 0
        breakers.forget(session, channel.tenant, channel.id)
        self._fill(row, channel)

    def note_tier(self, session: Session, tenant: str, tier: str) -> None:
        """The tenant has this tier now: by it goes how much its channels may be sent."""
        session.execute(
            update(ChannelRow).where(ChannelRow.tenant_id == tenant, ChannelRow.tier != tier).values(tier=tier)
        )

    def delete(self, session: Session, channel: Channel) -> None:
        """Removes a channel."""
        session.delete(self._row(session, channel))
        breakers.forget(session, channel.tenant, channel.id)

    def _row(self, session: Session, channel: Channel) -> ChannelRow:
        row = session.get(ChannelRow, (channel.tenant, channel.id))
        if row is None:
            raise NotFound("channel", channel.name, NOT_FOUND_FIX)
        return row

    def _fill(self, row: ChannelRow, channel: Channel) -> None:
        if not isinstance(channel.target, LostTarget):
            row.kind = channel.kind
            packed = json.dumps(_pack(channel.target)).encode()
            row.sealed = self._sealer.seal(packed, associated(row.tenant_id, row.id))
        row.is_default = channel.is_default
        row.send_resolved = channel.send_resolved
        row.disabled_reason = channel.disabled_reason[:1000]
        row.revision = channel.revision
        row.grouping = _pack_grouping(channel.own_grouping)
        row.title_template = channel.title_template or None
        row.body_template = channel.body_template or None
        if channel.heartbeat_interval != (row.heartbeat_interval or 0):
            row.heartbeat_interval = channel.heartbeat_interval
            # The first one comes at once, so that people see that it comes.
            row.heartbeat_at = 1 if channel.heartbeat_interval else 0

    def to_channel(self, row: Row) -> Channel:
        """The channel of a row. One whose secrets can't be opened has a LostTarget."""
        try:
            target = _unpack(row.kind, json.loads(self._sealer.open(row.sealed, associated(row.tenant_id, row.id))))
        except SealBroken:
            target = ConsoleTarget() if row.kind == ConsoleTarget.kind else LostTarget(row.kind)
        return Channel(
            tenant=row.tenant_id,
            id=row.id,
            name=row.name,
            target=target,
            is_default=bool(row.is_default),
            send_resolved=bool(row.send_resolved),
            disabled_reason=row.disabled_reason,
            create_time=row.created_at,
            revision=row.revision,
            heartbeat_interval=row.heartbeat_interval,
            own_grouping=_unpack_grouping(row.grouping),
            title_template=row.title_template or "",
            body_template=row.body_template or "",
            tier=row.tier,
        )


def associated(tenant: str, channel_id: str) -> str:
    """What a channel's secrets are bound to."""
    return f"{tenant}|channels|{channel_id}|sealed"


def _pack(target: Target) -> dict[str, object]:
    """What makes the target, by the names of its fields."""
    values = ((field.name, getattr(target, field.name)) for field in fields(target))
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in values}


def _unpack(kind: str, packed: dict[str, object]) -> Target:
    made = TARGETS.get(kind)
    if made is None:
        # A newer version knows it.
        return LostTarget(kind)
    return made(**{field.name: _as(field.type, packed[field.name]) for field in fields(made) if field.name in packed})


def _as(kind: Any, value: object) -> Any:
    """A value as JSON has it, as a field of this type has it."""
    if value is not None and kind in (Secret, Secret | None):
        return Secret(str(value))
    return tuple(value) if isinstance(value, list) else value


def _pack_grouping(grouping: Grouping | None) -> str | None:
    return None if grouping is None else json.dumps(asdict(grouping), ensure_ascii=False)


def _unpack_grouping(packed: str | None) -> Grouping | None:
    if packed is None:
        return None
    known = json.loads(packed)
    return Grouping(**known | {"by": GroupBy(known["by"]), "labels": tuple(known["labels"])})
