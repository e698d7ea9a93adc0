"""Rules and their revisions."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session

from monitors.mesh.patterns import matches_stars
from monitors.mesh.rows import find_rows, find_tuples, insert_rows, read_rows
from monitors.rules.model.filters import Term
from monitors.rules.model.rule import Rule, Severity
from monitors.rules.store import counters
from monitors.rules.store.paging import chunks
from monitors.rules.store.tables import alerts, deleted_rules, rule_attributes, rules


class StoredRule(NamedTuple):
    """A rule as it's remembered; `body` is a serialised monitors.v1.Rule."""

    tenant: str
    id: str
    body: bytes
    revision: int
    create_time: int


_COLUMNS = (rules.c.tenant_id, rules.c.id, rules.c.body, rules.c.revision, rules.c.create_time)


def _stored(rows: Iterable[Sequence[object]]) -> list[StoredRule]:
    return [StoredRule(*row) for row in rows]  # type: ignore[arg-type]


def _columns(tenant: str, rule: Rule, body: bytes) -> dict[str, object]:
    return {
        "tenant_id": tenant,
        "id": rule.id,
        "revision": rule.revision,
        "monitor_id": rule.monitor_id,
        "is_pattern": rule.is_pattern,
        "title_folded": rule.title.casefold(),
        "severity": int(rule.severity),
        "enabled": rule.enabled,
        "create_time": rule.create_time,
        "key": rule.key or None,
        "body": body,
    }


def _attributes(tenant: str, rule: Rule) -> list[dict[str, object]]:
    pairs = [("notify", name) for name in rule.notify] + [(f"label.{name}", text) for name, text in rule.labels.items()]
    return [{"tenant_id": tenant, "rule_id": rule.id, "name": name, "value": value} for name, value in pairs]


_ROW = tuple(column.name for column in rules.columns)
_ATTRIBUTE = tuple(column.name for column in rule_attributes.columns)


def _in_order(row: dict[str, object], columns: tuple[str, ...]) -> tuple[object, ...]:
    return tuple([row[name] for name in columns])


def insert_rules(session: Session, tenant: str, made: Sequence[tuple[Rule, bytes]]) -> None:
    """Remembers new rules with their bodies."""
    insert_rows(session, rules, _ROW, [_in_order(_columns(tenant, rule, body), _ROW) for rule, body in made])
    attributes = [_in_order(row, _ATTRIBUTE) for rule, _ in made for row in _attributes(tenant, rule)]
    insert_rows(session, rule_attributes, _ATTRIBUTE, attributes)


def replace_rule(session: Session, tenant: str, rule: Rule, body: bytes) -> None:
    """Remembers a rule as it is now."""
    session.execute(
        update(rules).where(rules.c.tenant_id == tenant, rules.c.id == rule.id).values(_columns(tenant, rule, body))
    )
    session.execute(
        delete(rule_attributes).where(rule_attributes.c.tenant_id == tenant, rule_attributes.c.rule_id == rule.id)
    )
    attributes = _attributes(tenant, rule)
    if attributes:
        session.execute(insert(rule_attributes), attributes)


def delete_rule(session: Session, tenant: str, rule_id: str, now: int) -> None:
    """Forgets a rule and remembers, for those who watch, that it's gone."""
    session.execute(
        delete(rule_attributes).where(rule_attributes.c.tenant_id == tenant, rule_attributes.c.rule_id == rule_id)
    )
    session.execute(delete(rules).where(rules.c.tenant_id == tenant, rules.c.id == rule_id))
    session.execute(
        insert(deleted_rules).values(
            tenant_id=tenant, rule_id=rule_id, revision=counters.take(session, counters.REVISION), delete_time=now
        )
    )


def find_rule(session: Session, tenant: str, rule_id: str, *, lock: bool = False) -> StoredRule | None:
    """A tenant's rule; with `lock` nobody else changes it, or records that it fires, until the transaction ends."""
    found = read_rows(session, _LOCKED if lock else _ONE, {"tenant": tenant, "id": rule_id})
    return StoredRule(*found[0]) if found else None


_ONE = select(*_COLUMNS).where(rules.c.tenant_id == bindparam("tenant"), rules.c.id == bindparam("id"))
_LOCKED = _ONE.with_for_update()


def find_rules(session: Session, tenant: str, ids: Sequence[str]) -> dict[str, StoredRule]:
    """Those of a tenant's rules that exist, by id."""
    found: list[StoredRule] = []
    for part in chunks(ids):
        found += _stored(session.execute(select(*_COLUMNS).where(rules.c.tenant_id == tenant, rules.c.id.in_(part))))
    return {rule.id: rule for rule in found}


def find_enabled(session: Session, tenant: str, ids: Sequence[str]) -> list[StoredRule]:
    """Those of a tenant's rules that exist and are turned on. They stay so until the transaction ends: else an alert
    could begin just as its rule is deleted, and nobody would close it."""
    found: list[StoredRule] = []
    for part in chunks(ids):
        found += map(StoredRule._make, find_tuples(session, _ENABLED, {"tenant": tenant}, "ids", part))
    return found


_ENABLED = (
    select(*_COLUMNS)
    .where(rules.c.tenant_id == bindparam("tenant"), rules.c.id.in_(bindparam("ids", expanding=True)), rules.c.enabled)
    .with_for_update(read=True)
)


def count_rules(session: Session, tenant: str) -> int:
    """How many rules a tenant has."""
    return session.scalar(_COUNT, {"tenant": tenant}) or 0


_COUNT = select(func.count()).select_from(rules).where(rules.c.tenant_id == bindparam("tenant"))


def list_rules(
    session: Session, tenant: str, terms: Sequence[Term], after: tuple[int, str] | None, limit: int
) -> tuple[list[StoredRule], int]:
    """At most `limit` rules, newest first, after the place `after` (creation time and id); how many match in all."""
    conditions = [rules.c.tenant_id == tenant, *(_matches(session, tenant, term) for term in terms)]
    total = session.scalar(select(func.count()).select_from(rules).where(*conditions)) or 0
    if after:
        time, rule_id = after
        # The first of these alone is what an index can begin at.
        conditions.append(rules.c.create_time <= time)
        conditions.append(or_(rules.c.create_time < time, and_(rules.c.create_time == time, rules.c.id < rule_id)))
    query = select(*_COLUMNS).where(*conditions).order_by(rules.c.create_time.desc(), rules.c.id.desc()).limit(limit)
    return _stored(session.execute(query)), total


def _matches(session: Session, tenant: str, term: Term) -> ColumnElement[bool]:
    match term.name:
        case "monitor_id":
            return rules.c.monitor_id.in_([term.value, *_patterns_for(session, tenant, term.value)])
        case "severity":
            return rules.c.severity == int(Severity[term.value.upper()])
        case "enabled":
            return rules.c.enabled == (term.value == "true")
        case "title":
            return rules.c.title_folded.contains(term.value.casefold(), autoescape=True)
        case "key" if term.value.endswith("*"):
            return rules.c.key.startswith(term.value[:-1], autoescape=True)
        case "key":
            return rules.c.key == term.value if term.value else rules.c.key.is_(None)
        case "state":
            is_open = exists().where(
                alerts.c.tenant_id == tenant, alerts.c.rule_id == rules.c.id, alerts.c.open_key.is_not(None)
            )
            return is_open if term.value == "firing" else ~is_open
        case _:
            return exists().where(
                rule_attributes.c.tenant_id == tenant,
                rule_attributes.c.rule_id == rules.c.id,
                rule_attributes.c.name == term.name,
                rule_attributes.c.value == term.value,
            )


def _patterns_for(session: Session, tenant: str, monitor_id: str) -> list[str]:
    """The patterns of rules that watch a monitor; none if it's a pattern itself."""
    if "*" in monitor_id:
        return []
    query = select(rules.c.monitor_id).where(rules.c.tenant_id == tenant, rules.c.is_pattern).distinct()
    return [pattern for pattern in session.scalars(query) if matches_stars(monitor_id, pattern)]


def holders_of(session: Session, tenant: str, keys: Iterable[str]) -> dict[str, str]:
    """The ids of the rules that have these keys, by key."""
    found: dict[str, str] = {}
    for part in chunks(list(dict.fromkeys(keys))):
        query = select(rules.c.key, rules.c.id).where(rules.c.tenant_id == tenant, rules.c.key.in_(part))
        found |= {row.key: row.id for row in session.execute(query)}
    return found


def count_open_alerts(session: Session, tenant: str, rule_ids: Sequence[str]) -> dict[str, int]:
    """How many open alerts each of the rules has; a rule without one is left out."""
    return {
        row.rule_id: row.alert_count
        for part in chunks(rule_ids)
        for row in find_rows(session, _OPEN_ALERTS, {"tenant": tenant}, "rules", part)
    }


_OPEN_ALERTS = (
    select(alerts.c.rule_id, func.count().label("alert_count"))
    .where(
        alerts.c.tenant_id == bindparam("tenant"),
        alerts.c.rule_id.in_(bindparam("rules", expanding=True)),
        alerts.c.open_key.is_not(None),
    )
    .group_by(alerts.c.rule_id)
)
