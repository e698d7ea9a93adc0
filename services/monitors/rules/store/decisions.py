"""What was decided about alerts, written in one transaction: alerts, their timelines, and what people are told."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from monitors.rules.model.alert import Notification
from monitors.rules.model.episodes import Ledger
from monitors.rules.store import counters, outbox
from monitors.rules.store.alerts import (
    changed_rows,
    event_rows,
    insert_alerts,
    insert_events,
    new_rows,
    retimed_rows,
    update_alerts,
)

WORTH_A_THREAD = 100
"""Notifications."""


class AlreadyRecorded(Exception):
    """One of the transitions has been recorded before; the transaction must be given up."""


Encode = Callable[[Notification], bytes]
"""A notification as a serialised monitors.v1.Notification."""


class Saved(NamedTuple):
    """What was leased to a receiver, to be sent after the commit; the other notifications wait. And the sequence
    numbers that were taken."""

    leased: list[outbox.Leased]
    numbers: range


class Rows(NamedTuple):
    """What a ledger's decisions write. Sequences begin at 0: what they begin at is known once they are taken."""

    changed: list[tuple[Any, ...]]
    retimed: list[tuple[Any, ...]]
    opened: list[tuple[Any, ...]]
    events: list[tuple[Any, ...]]
    waiting: Callable[[], list[outbox.Waiting]]


def prepare(ledger: Ledger, encode: Encode) -> Rows:
    """All that can be done before the transaction."""
    waiting = _waiting(ledger, encode)
    return _rows(ledger, lambda: waiting)


def save(session: Session, ledger: Ledger, encode: Encode, receiver: outbox.Receiver | None = None) -> Saved:
    """Remembers everything that was decided. Raises AlreadyRecorded."""
    with _encoding(ledger, encode) as waiting:
        return save_prepared(session, ledger, _rows(ledger, waiting), receiver)


def save_prepared(session: Session, ledger: Ledger, rows: Rows, receiver: outbox.Receiver | None = None) -> Saved:
    """The same, with its rows, see `prepare`."""
    # What ends makes room first: an instance's next alert may begin in the same batch, and one alone can be open.
    update_alerts(session, rows.changed, rows.retimed)
    insert_alerts(session, rows.opened)
    count = len(ledger.events) + len(ledger.untold)
    if not count:
        outbox.reschedule(session, ledger.rescheduled)
        return Saved([], range(0))
    first = counters.take(session, counters.SEQUENCE, count)
    try:
        insert_events(session, rows.events, first)
    except IntegrityError as error:
        raise AlreadyRecorded from error
    undecided = {held.alert_id for held in (*ledger.suppressed, *(held for held, _ in ledger.rescheduled))}
    leased = outbox.insert_waiting(session, rows.waiting(), receiver, undecided, before=first)
    outbox.suppress(session, ledger.suppressed)
    outbox.reschedule(session, ledger.rescheduled)
    return Saved(leased, range(first, first + count))


def _rows(ledger: Ledger, waiting: Callable[[], list[outbox.Waiting]]) -> Rows:
    return Rows(
        changed_rows(ledger.altered.values()),
        retimed_rows(alert for alert in ledger.altered.values() if alert.id in ledger.retimed),
        new_rows(ledger.opened.values()),
        event_rows(ledger.events),
        waiting,
    )


@contextmanager
def _encoding(ledger: Ledger, encode: Encode) -> Iterator[Callable[[], list[outbox.Waiting]]]:
    """Encodes notifications; what it gives waits for them. Many are encoded while the database works on the rest."""
    if len(ledger.notifications) < WORTH_A_THREAD:
        yield lambda: _waiting(ledger, encode)
        return
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(_waiting, ledger, encode).result


def _waiting(ledger: Ledger, encode: Encode) -> list[outbox.Waiting]:
    # What only the notifier learns is in no timeline, but has its place in the order.
    sequences = {id(event): number for number, event in enumerate((*ledger.events, *ledger.untold))}
    return [_row(each, sequences[id(each.event)], encode(each)) for each in ledger.notifications]


def _row(told: Notification, sequence: int, body: bytes) -> outbox.Waiting:
    event, alert = told.event, told.alert
    return outbox.Waiting(
        alert.tenant, told.id, sequence, alert.id, int(event.kind), alert.stream_key, told.due_time, body,
        event.record_time,
    )  # fmt: skip
