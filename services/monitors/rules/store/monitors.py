"""Monitors, their fields, and the channels' names."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from monitors.mesh.patterns import matches_stars
from monitors.mesh.rows import insert_rows
from monitors.rules.model.catalogue import Field, FieldType
from monitors.rules.model.channels import ChannelState, KnownChannel, with_known_states
from monitors.rules.model.drafting import Surroundings
from monitors.rules.model.rule import is_pattern
from monitors.rules.store.paging import chunks
from monitors.rules.store.tables import channel_names, monitor_fields, monitors, rules

MOST_NAMED = 1000
_FIELD_COLUMNS = ("tenant_id", "monitor_id", "field_key", "measurement", "field", "type")
_TYPES = {int(kind): kind for kind in FieldType}


@dataclass(frozen=True, slots=True)
class KnownMonitor:
    """A monitor with its fields, sorted by measurement and name."""

    id: str
    create_time: int
    fields: tuple[Field, ...]
    rule_count: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A field of a monitor that was seen or is made known."""

    monitor_id: str
    field: Field


FieldName = tuple[str, str, str]
"""A monitor's id, a measurement and a field."""


def name_of(seen: Seen) -> FieldName:
    """What names a field of a monitor."""
    return seen.monitor_id, seen.field.measurement, seen.field.name


def types_of(session: Session, tenant: str, monitor_ids: Collection[str]) -> dict[FieldName, FieldType]:
    """The types of all fields of these monitors."""
    known: dict[FieldName, FieldType] = {}
    fields = monitor_fields.c
    query = select(fields.monitor_id, fields.measurement, fields.field, fields.type).where(fields.tenant_id == tenant)
    for part in chunks(sorted(monitor_ids)):
        for monitor_id, measurement, field, kind in session.execute(query.where(fields.monitor_id.in_(part))):
            known[monitor_id, measurement, field] = _TYPES[kind]
    return known


def remember(
    session: Session, tenant: str, monitor_ids: Sequence[str], seen: Sequence[Seen], now: int
) -> dict[FieldName, FieldType]:
    """Makes monitors and fields known. The first type of a field stays. Answers the types of these monitors' fields."""
    ids = sorted({*monitor_ids, *(each.monitor_id for each in seen)})
    there: set[str] = set()
    for part in chunks(ids):
        there.update(
            session.scalars(select(monitors.c.id).where(monitors.c.tenant_id == tenant, monitors.c.id.in_(part)))
        )
    new = [(tenant, each, now) for each in ids if each not in there]
    insert_rows(session, monitors, ("tenant_id", "id", "create_time"), new)
    known = types_of(session, tenant, there)
    digests: dict[Field, str] = {}
    rows = []
    for each in seen:
        name, field = name_of(each), each.field
        if name not in known:
            known[name] = field.type
            if field not in digests:
                digests[field] = hashlib.sha256(f"{field.measurement}\0{field.name}".encode()).hexdigest()
            rows.append((tenant, each.monitor_id, digests[field], field.measurement, field.name, int(field.type)))
    insert_rows(session, monitor_fields, _FIELD_COLUMNS, rows)
    return known


def count_known(session: Session, tenant: str) -> int:
    """How many monitors and fields are known, taken together."""
    of_tenant = (
        select(func.count()).select_from(table).where(table.c.tenant_id == tenant)
        for table in (monitors, monitor_fields)
    )
    return sum(session.scalar(count) or 0 for count in of_tenant)


def surroundings(session: Session, tenant: str, monitor_id: str) -> Surroundings:
    """What a rule on `monitor_id` can refer to."""
    return surroundings_of(session, tenant, [monitor_id])[monitor_id]


def surroundings_of(session: Session, tenant: str, monitor_ids: Sequence[str]) -> dict[str, Surroundings]:
    """What rules can refer to, by what they say as `monitor_id`; asked for together."""
    of_tenant = monitors.c.tenant_id == tenant
    wanted = list(dict.fromkeys(monitor_ids))
    there: set[str] = set()
    for part in chunks([each for each in wanted if not is_pattern(each)]):
        there |= set(session.scalars(select(monitors.c.id).where(of_tenant, monitors.c.id.in_(part))))
    named = {each: [each] if each in there else [] for each in wanted}
    for pattern in filter(is_pattern, wanted):
        prefix = pattern.partition("*")[0]
        begun = session.scalars(select(monitors.c.id).where(of_tenant, func.instr(monitors.c.id, prefix) == 1))
        named[pattern] = [each for each in begun if matches_stars(each, pattern)]
    others: list[str] = []
    if not all(named.values()):
        others = list(session.scalars(select(monitors.c.id).where(of_tenant).limit(MOST_NAMED)))
    fields = fields_of(session, tenant, list({each for ids in named.values() for each in ids}))
    channels = {channel.name: channel for channel in list_channels(session, tenant)}
    return {
        each: Surroundings(ids, [field for one in ids for field in fields.get(one, ())], others, channels)
        for each, ids in named.items()
    }


def fields_of(session: Session, tenant: str, monitor_ids: Sequence[str]) -> dict[str, list[Field]]:
    """The fields of monitors, by monitor."""
    found: dict[str, list[Field]] = {}
    for part in chunks(monitor_ids):
        query = (
            select(monitor_fields)
            .where(monitor_fields.c.tenant_id == tenant, monitor_fields.c.monitor_id.in_(part))
            .order_by(monitor_fields.c.measurement, monitor_fields.c.field)
        )
        for row in session.execute(query):
            field = Field(row.measurement, row.field, FieldType(row.type))
            found.setdefault(row.monitor_id, []).append(field)
    return found


def list_monitors(session: Session, tenant: str, query: str, after: str, limit: int) -> tuple[list[KnownMonitor], int]:
    """At most `limit` monitors whose id contains `query`, sorted by id, after one; and how many there are in all."""
    conditions = [monitors.c.tenant_id == tenant]
    if query:
        conditions.append(func.instr(monitors.c.id, query) > 0)
    total = session.scalar(select(func.count()).select_from(monitors).where(*conditions)) or 0
    page = (
        select(monitors.c.id, monitors.c.create_time)
        .where(*conditions, monitors.c.id > after)
        .order_by(monitors.c.id)
        .limit(limit)
    )
    rows = session.execute(page).all()
    return _known(session, tenant, {row.id: row.create_time for row in rows}), total


def find_monitor(session: Session, tenant: str, monitor_id: str) -> KnownMonitor | None:
    """A tenant's monitor."""
    query = select(monitors.c.create_time).where(monitors.c.tenant_id == tenant, monitors.c.id == monitor_id)
    create_time = session.scalar(query)
    return None if create_time is None else _known(session, tenant, {monitor_id: create_time})[0]


def _known(session: Session, tenant: str, create_times: Mapping[str, int]) -> list[KnownMonitor]:
    ids = list(create_times)
    fields, counts = fields_of(session, tenant, ids), _rule_counts(session, tenant, ids)
    return [KnownMonitor(each, create_times[each], tuple(fields.get(each, ())), counts[each]) for each in ids]


def _rule_counts(session: Session, tenant: str, ids: Sequence[str]) -> dict[str, int]:
    patterns = session.execute(
        select(rules.c.monitor_id, func.count())
        .where(rules.c.tenant_id == tenant, rules.c.is_pattern)
        .group_by(rules.c.monitor_id)
    ).all()
    counts = {each: sum(count for pattern, count in patterns if matches_stars(each, pattern)) for each in ids}
    for part in chunks(ids):
        query = (
            select(rules.c.monitor_id, func.count())
            .where(rules.c.tenant_id == tenant, rules.c.monitor_id.in_(part))
            .group_by(rules.c.monitor_id)
        )
        for monitor_id, count in session.execute(query):
            counts[monitor_id] += count
    return counts


def list_channels(session: Session, tenant: str) -> list[KnownChannel]:
    """A tenant's channels by name."""
    query = select(channel_names).where(channel_names.c.tenant_id == tenant).order_by(channel_names.c.name)
    return [KnownChannel(row.name, row.kind, row.is_default, ChannelState(row.state)) for row in session.execute(query)]


def replace_channels(
    session: Session, tenant: str, channels: Collection[KnownChannel], unsaid: Collection[str]
) -> None:
    """Remembers these channels of a tenant, and no others; those whose state is `unsaid` keep theirs."""
    if unsaid:
        channels = with_known_states(channels, unsaid, list_channels(session, tenant))
    session.execute(delete(channel_names).where(channel_names.c.tenant_id == tenant))
    if channels:
        rows = [
            {
                "tenant_id": tenant,
                "name": each.name,
                "kind": each.kind,
                "is_default": each.is_default,
                "state": each.state,
            }
            for each in channels
        ]
        session.execute(insert(channel_names), rows)
