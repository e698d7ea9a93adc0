"""Sets of deliveries in the queue: claimed together, fenced together, ended together, and in order."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from monitors.mesh.times import DAY, MINUTE, SECOND
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import Decision, OutcomeKind, State
from monitors.notifier.model.message import Kind, Severity
from monitors.notifier.model.targets import EmailTarget
from monitors.notifier.store import groups, log
from monitors.notifier.store.claims import Claim
from monitors.notifier.store.queue import LEASE
from monitors.notifier.store.tables import GroupRow
from tests.harness import LoopThread
from tests.notifier.test_queue import DELIVERED, NOW, Store, arrival, room

FLUSH = NOW + 10 * SECOND


@pytest.fixture
def store(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Store]:
    """A queue with a channel for people, who get what belongs to one rule together."""
    store = Store(loop_thread, tmp_path)
    channel = Channel("acme", "chan_mail", "mail", EmailTarget(("ann@example.org",)))
    store.write(lambda session: store.channels.insert(session, channel))
    yield store
    store.database.close()


def told(number: int, kind: Kind = Kind.FIRING, *, stream: str = "", rule: str = "r", severity: int = 2) -> Any:
    stream = stream or f"s{number}"
    made = arrival(number, kind, stream=stream, alert=f"al_{stream}", severity=severity)
    # What is critical is of a monitor of its own, for it would mute the others.
    return replace(made, channels=("mail",), rule_id=rule, monitor_id=f"m{severity}")


def names(store: Store, claim: Claim) -> list[str]:
    states = {one.id: one.notification_id for one in listed(store)}
    return [states[part.delivery_id] for part in claim.parts]


def listed(store: Store) -> list[Any]:
    return store.write(lambda session: log.list_page(session, "acme", log.Query(), None, 1000))


def waiting_set(store: Store, *, claim: bool = True) -> Claim:
    """Tells one alert of a group, and claims the two that waited for each other."""
    store.take_in(told(1))
    (first,) = store.claim()
    store.finish(first, OutcomeKind.OK, DELIVERED)
    store.take_in(told(2), told(3), now=NOW + SECOND)
    assert store.claim(FLUSH - 1) == []
    (claimed,) = store.claim(FLUSH)
    return claimed


def test_what_waits_for_one_flush_is_one_claim_with_an_id_of_the_set(store: Store) -> None:
    claim = waiting_set(store)
    assert names(store, claim) == ["n2", "n3"]
    assert (claim.attempt, claim.message_id[:4]) == (1, "set_")
    assert store.claim(FLUSH) == []


def test_whoever_lost_the_lease_ends_nothing_of_a_set_and_the_next_has_the_same_set(store: Store) -> None:
    late = waiting_set(store)
    (taken,) = store.claim(FLUSH + LEASE)
    assert (names(store, taken), taken.message_id) == (["n2", "n3"], late.message_id)
    assert (taken.attempt, taken.fewest_attempts) == (2, 2)
    assert not store.finish(late, OutcomeKind.OK, DELIVERED, FLUSH + LEASE)
    assert store.states()["n2"] is State.IN_FLIGHT
    assert store.finish(taken, OutcomeKind.OK, DELIVERED, FLUSH + LEASE)
    assert set(store.states().values()) == {State.DELIVERED}


def test_a_set_that_failed_is_tried_again_together_with_what_is_due_by_then(store: Store) -> None:
    claim = waiting_set(store)
    store.take_in(told(4), now=FLUSH + SECOND)
    again = FLUSH + MINUTE
    store.finish(claim, OutcomeKind.RETRYABLE, Decision(State.PENDING, again), FLUSH + SECOND)
    assert store.claim(again - 1) == []
    (second,) = store.claim(again)
    assert names(store, second) == ["n2", "n3", "n4"]
    assert second.message_id != claim.message_id
    assert (second.attempt, second.fewest_attempts) == (2, 1)


def test_a_stream_goes_on_within_a_set_up_to_what_isnt_due(store: Store) -> None:
    store.take_in(told(1))
    store.finish(store.claim()[0], OutcomeKind.OK, DELIVERED)
    end = told(3, Kind.RESOLVED, stream="s2")
    store.take_in(told(2), end, told(4, stream="s2"), told(5, rule="other"), now=NOW + SECOND)
    (alone,) = store.claim(NOW + SECOND)
    assert names(store, alone) == ["n5"]
    (claim,) = store.claim(FLUSH)
    assert names(store, claim) == ["n2", "n3", "n4"]
    # What follows in the stream waits for all of it.
    store.take_in(told(6, Kind.RESOLVED, stream="s2"), now=FLUSH)
    assert store.claim(FLUSH) == []
    store.finish(claim, OutcomeKind.OK, DELIVERED, FLUSH)
    (last,) = store.claim(FLUSH)
    assert names(store, last) == ["n6"]


def test_what_is_critical_goes_alone_and_first(store: Store) -> None:
    store.take_in(told(1), told(2), told(3, severity=Severity.CRITICAL))
    claims = store.claim(capacity=1)
    assert [names(store, claim) for claim in claims] == [["n1", "n3"]]
    assert store.claim() == []


def test_a_set_takes_no_more_than_it_can_hold_and_the_rest_is_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "MOST_TOGETHER", 3)
    store.take_in(told(1))
    store.finish(store.claim()[0], OutcomeKind.OK, DELIVERED)
    store.take_in(*(told(n) for n in range(2, 10)), now=NOW + SECOND)
    told_together = [names(store, claim) for claim in store.claim(FLUSH)]
    assert told_together == [["n2", "n3", "n4"], ["n5", "n6", "n7"], ["n8", "n9"]]


def test_a_group_is_forgotten_when_it_has_long_been_idle(store: Store) -> None:
    store.take_in(told(1))
    store.take_in(told(2, rule="other"), now=NOW + DAY + 1)
    assert store.write(lambda session: session.query(GroupRow).count()) == 1


def test_what_is_told_alone_costs_no_statement_for_groups(store: Store) -> None:
    asked: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    def work(session: Session) -> list[Claim]:
        bind = session.get_bind()
        event.listen(bind, "before_cursor_execute", note)
        try:
            store.queue.take_in(session, [arrival(1)], NOW)
            return store.queue.claim(session, NOW, "token", room())
        finally:
            event.remove(bind, "before_cursor_execute", note)

    assert len(store.write(work)) == 1
    assert not [statement for statement in asked if "group_key" in statement.partition("WHERE")[2]]
    assert not [statement for statement in asked if "notifier_groups" in statement]
