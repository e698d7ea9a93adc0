"""A batch of transitions in one transaction: what is known about its instances, and what was decided."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from monitors.mesh.rows import find_rows
from monitors.rules.model.alert import EventKind, Notification, former_once_key
from monitors.rules.model.episodes import Known, Ledger, RuleFacts, Transition, is_surprising
from monitors.rules.store import counters, outbox
from monitors.rules.store.alerts import insert_alerts, insert_events, read_alert, update_alerts
from monitors.rules.store.paging import chunks
from monitors.rules.store.rules import StoredRule, find_enabled
from monitors.rules.store.tables import alert_events, alerts

WORTH_A_THREAD = 100
"""Notifications."""


class AlreadyRecorded(Exception):
    """One of the transitions has been recorded before; the transaction must be given up."""


Encode = Callable[[Notification], bytes]
"""A notification as a serialised monitors.v1.Notification."""


# Locked: what is decided about an alert is written as a whole, over whatever anybody else would write meanwhile.
_OPEN = (
    select(alerts)
    .where(alerts.c.tenant_id == bindparam("tenant"), alerts.c.open_key.in_(bindparam("keys", expanding=True)))
    .with_for_update()
)
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
) -> Known:
    """What is remembered about the instances and rules of a batch. Unless all are looked up, only of surprising
    transitions it's known whether they have been recorded: saving what was decided raises AlreadyRecorded if one of the
    others has."""
    rule_ids, keys, firing = _Named(), _Named(), _Named()
    for each in transitions:
        tenant, rule_id, _, _, key = each.instance
        keys[tenant][key] = None
        # What ends needs neither its rule nor what was told before, and what goes on at another level only its rule.
        if each.kind is not EventKind.RESOLVED:
            rule_ids[tenant][rule_id] = None
        if each.kind is EventKind.FIRING:
            firing[tenant][key] = None
    # First, as who changes a rule has it first and its alerts then.
    rules = {
        (tenant, rule.id): facts_of(rule)
        for tenant in sorted(rule_ids)
        for rule in find_enabled(session, tenant, sorted(rule_ids[tenant]))
    }
    known = load_open(session, _listed(keys))
    known.rules = rules
    load_over(session, known, _listed(firing))
    _load_recorded(session, known, [each for each in transitions if look_up_all or is_surprising(known, each)])
    return known


class _Named(defaultdict[str, dict[str, None]]):
    """Ids or keys by tenant, each once and in the order in which they came."""

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
    known.released = outbox.released(session, [alert.held for alert in known.open.values() if alert.suppress_reason])
    return known


def load_over(session: Session, known: Known, instances: Mapping[str, Sequence[str]]) -> None:
    """Notes of the alerts of instances that are over and were told when one was told last, and the latest episode."""
    for tenant, key, told, episode in _find(session, _OVER, instances):
        known.told[tenant, key], known.latest[tenant, key] = told, episode


def _find(session: Session, query: Select[Any], keys: Mapping[str, Sequence[str]]) -> Iterator[Any]:
    for tenant, of_tenant in keys.items():
        for part in chunks(of_tenant):
            yield from find_rows(session, query, {"tenant": tenant}, "keys", part)


def save(
    session: Session, ledger: Ledger, encode: Encode, receiver: outbox.Receiver | None = None
) -> list[outbox.Leased]:
    """Remembers everything that was decided. Raises AlreadyRecorded. Returns the notifications that are leased to the
    receiver, to be sent after the commit; the others wait."""
    with _encoding(ledger.notifications, encode) as bodies:
        return _save(session, ledger, bodies, receiver)


@contextmanager
def _encoding(notifications: Sequence[Notification], encode: Encode) -> Iterator[Callable[[], list[bytes]]]:
    """Encodes notifications; what it gives waits for them. Many are encoded while the database works on the rest."""

    def work() -> list[bytes]:
        return [encode(each) for each in notifications]

    if len(notifications) < WORTH_A_THREAD:
        yield work
        return
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(work).result


def _save(
    session: Session, ledger: Ledger, bodies: Callable[[], list[bytes]], receiver: outbox.Receiver | None
) -> list[outbox.Leased]:
    # What ends makes room first: an instance's next alert may begin in the same batch, and one alone can be open.
    update_alerts(session, ledger.altered.values(), ledger.retimed)
    insert_alerts(session, list(ledger.opened.values()))
    # What only the notifier learns is in no timeline, but has its place in the order.
    numbered = [*ledger.events, *ledger.untold]
    if not numbered:
        outbox.reschedule(session, ledger.rescheduled)
        return []
    first = counters.take(session, counters.SEQUENCE, len(numbered))
    try:
        insert_events(session, ledger.events, first)
    except IntegrityError as error:
        raise AlreadyRecorded from error
    sequences = {id(event): first + number for number, event in enumerate(numbered)}
    rows = [
        outbox.Waiting(
            each.alert.tenant,
            each.id,
            sequences[id(each.event)],
            each.alert.id,
            each.event.kind,
            each.alert.stream_key,
            each.due_time,
            body,
            each.event.record_time,
        )
        for each, body in zip(ledger.notifications, bodies(), strict=True)
    ]
    undecided = {held.alert_id for held in (*ledger.suppressed, *(held for held, _ in ledger.rescheduled))}
    leased = outbox.insert_waiting(session, rows, receiver, undecided)
    outbox.suppress(session, ledger.suppressed)
    outbox.reschedule(session, ledger.rescheduled)
    return leased
