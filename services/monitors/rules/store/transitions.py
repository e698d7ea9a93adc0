"""What is known about the instances of a batch of transitions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session

from monitors.mesh.rows import find_tuples
from monitors.rules.model.alert import EventKind, Instance, former_once_key
from monitors.rules.model.episodes import Known, RuleFacts, Transition, is_surprising
from monitors.rules.model.facts_memory import Facts
from monitors.rules.store import outbox
from monitors.rules.store.alerts import OPEN_COLUMNS, read_alert, read_open
from monitors.rules.store.paging import chunks
from monitors.rules.store.rules import StoredRule, find_enabled
from monitors.rules.store.tables import alert_events, alerts


def _open(*columns: Any) -> Select[Any]:
    # Locked: what is decided about an alert is written as a whole, over whatever anybody else would write meanwhile.
    is_named = alerts.c.tenant_id == bindparam("tenant"), alerts.c.open_key.in_(bindparam("keys", expanding=True))
    return select(*columns).where(*is_named).with_for_update()


_OPEN = _open(alerts)
_OPEN_OF_INSTANCES = _open(*OPEN_COLUMNS)
_OVER = (
    select(alerts.c.tenant_id, alerts.c.instance_key, func.max(alerts.c.told_time), func.max(alerts.c.episode))
    .where(alerts.c.tenant_id == bindparam("tenant"), alerts.c.instance_key.in_(bindparam("keys", expanding=True)))
    # Over, and not `open_key IS NULL`: by its index every alert of the tenant that is over would be read.
    .where(alerts.c.told_time.is_not(None), alerts.c.resolve_time.is_not(None))
    .group_by(alerts.c.tenant_id, alerts.c.instance_key)
)
_RECORDED = select(alert_events.c.tenant_id, alert_events.c.once_key, alert_events.c.alert_id).where(
    alert_events.c.tenant_id == bindparam("tenant"), alert_events.c.once_key.in_(bindparam("keys", expanding=True))
)


def load_known(
    session: Session,
    transitions: Sequence[Transition],
    facts_of: Callable[[StoredRule], RuleFacts],
    *,
    look_up_all: bool,
    facts: Facts = MappingProxyType({}),
) -> Known:
    """What is remembered about the instances and rules of a batch. Unless all are looked up, only of surprising
    transitions it's known whether they have been recorded: `decisions.save` raises AlreadyRecorded if one of the
    others has. `facts` are those of rules that needn't be read; they are among what is known in the end."""
    rule_ids, instances, firing = _Named(), _Named(), _Named()
    for each in transitions:
        instance, kind = each.instance, each.kind
        tenant, rule_id, _, _, key = instance
        instances[tenant][key] = instance
        # What ends needs neither its rule nor what was told before, and what goes on at another level only its rule.
        if kind is not EventKind.RESOLVED:
            rule_ids[tenant][rule_id] = instance
        if kind is EventKind.FIRING:
            firing[tenant][key] = instance
    # First, as who changes a rule has it first and its alerts then.
    known = Known(_load_facts(session, rule_ids, facts_of, facts))
    for row in _find(session, _OPEN_OF_INSTANCES, _listed(instances)):
        alert = read_open(row, instances)
        known.open[alert.tenant, alert.instance_key] = alert
    _note_released(session, known)
    load_over(session, known, _listed(firing))
    _load_recorded(session, known, [each for each in transitions if look_up_all or is_surprising(known, each)])
    return known


def _load_facts(
    session: Session, rule_ids: "_Named", facts_of: Callable[[StoredRule], RuleFacts], facts: Facts
) -> Facts:
    found: dict[tuple[str, str], RuleFacts | None] = {}
    for tenant in sorted(rule_ids):
        missing = sorted(each for each in rule_ids[tenant] if (tenant, each) not in facts)
        found |= {(tenant, each): None for each in missing}
        found |= {(tenant, rule.id): facts_of(rule) for rule in find_enabled(session, tenant, missing)}
    return {**facts, **found} if found else facts


class _Named(defaultdict[str, dict[str, Instance]]):
    """Instances by tenant and by an id or key, each once and in the order in which they came."""

    def __init__(self) -> None:
        super().__init__(dict)


def _listed(named: _Named) -> dict[str, list[str]]:
    return {tenant: list(names) for tenant, names in named.items()}


def _load_recorded(session: Session, known: Known, transitions: Iterable[Transition]) -> None:
    keys: dict[str, dict[str, str]] = {}
    for each in transitions:
        once, former = each.once_key, former_once_key(each.instance.key, each.episode, each.kind)
        of_tenant = keys.setdefault(each.instance.tenant, {})
        of_tenant[once] = once
        if each.kind is not EventKind.SEVERITY_CHANGED:
            of_tenant[former] = once
    for tenant, key, alert_id in _find(session, _RECORDED, {tenant: list(each) for tenant, each in keys.items()}):
        known.recorded[tenant, keys[tenant][key]] = alert_id


def load_open(session: Session, instances: Mapping[str, Sequence[str]]) -> Known:
    """The open alerts of instances, given as keys by tenant, and which of them have been told after a hold."""
    known = Known()
    for row in _find(session, _OPEN, instances):
        alert = read_alert(row)
        known.open[alert.tenant, alert.instance_key] = alert
    _note_released(session, known)
    return known


def _note_released(session: Session, known: Known) -> None:
    known.released = outbox.released(session, [alert.held for alert in known.open.values() if alert.suppress_reason])


def load_over(session: Session, known: Known, instances: Mapping[str, Sequence[str]]) -> None:
    """Notes of the alerts of instances that are over and were told when one was told last, and the latest episode."""
    for tenant, key, told, episode in _find(session, _OVER, instances):
        known.told[tenant, key], known.latest[tenant, key] = told, episode


def _find(session: Session, query: Select[Any], keys: Mapping[str, Sequence[str]]) -> Iterator[tuple[Any, ...]]:
    for tenant, of_tenant in keys.items():
        for part in chunks(of_tenant):
            yield from find_tuples(session, query, {"tenant": tenant}, "keys", part)
