"""The queue: whatever happens in whatever order, streams stay in order and nothing is lost or told twice at once."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, update
from sqlalchemy.orm import Session

from monitors.mesh.database import Database
from monitors.mesh.masking import Secret
from monitors.mesh.master_keys import key_ring
from monitors.mesh.secrets import Sealer
from monitors.mesh.times import HOUR, SECOND
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.checks import new_webhook_secret
from monitors.notifier.model.delivery import Arrival, Decision, Outcome, OutcomeKind, State
from monitors.notifier.model.message import Kind, Severity
from monitors.notifier.model.places import Attempt, Places
from monitors.notifier.model.rates import Rates, Tokens
from monitors.notifier.model.room import Room
from monitors.notifier.model.targets import ConsoleTarget, LostTarget, WebhookTarget
from monitors.notifier.model.turns import Turns
from monitors.notifier.store import log as delivery_log
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.claims import Claim, Finished
from monitors.notifier.store.queue import LEASE, Queue
from monitors.notifier.store.tables import (
    AttemptRow,
    BreakerRow,
    ChannelRow,
    DeliveryRow,
    EscalationPolicyRow,
    EscalationRow,
    RepeatRow,
)
from monitors.v1 import alert_pb2, notification_pb2, rule_pb2
from tests.harness import LoopThread
from tests.servers.backends import database_url
from tests.tenants import of_all

T = TypeVar("T")
NOW = 1_800_000_000 * SECOND


def room(now: int = NOW, capacity: int = 100, sending: Mapping[tuple[str, str], int] | None = None) -> Room:
    """Room for four to each channel."""
    going_on = [Attempt(key, "", now) for key, count in (sending or {}).items() for _ in range(count)]
    return Room(Turns(capacity, {}, {}, {}), Places(going_on, (), now), Rates(0, 0), Tokens(), now)


class Store:
    """The queue of a tenant with one console channel, on a real database."""

    def __init__(self, loop: LoopThread, folder: Path) -> None:
        self._loop = loop
        self.database = Database(
            database_url(folder / "n.db", "notifier"), name="n", migrations="monitors.notifier.migrations"
        )
        self.database.upgrade()
        self.channels = ChannelStore(Sealer(key_ring((), folder / "key")))
        self.queue = Queue(self.channels)
        for name in ("a", "b"):
            channel = Channel("acme", f"chan_{name}", name, ConsoleTarget(), is_default=name == "a")
            self.write(partial(self.channels.insert, channel=channel))

    def write(self, work: Callable[[Session], T]) -> T:
        return self._loop.run(self.database.write(of_all(work)))

    def take_in(self, *arrivals: Arrival, now: int = NOW) -> None:
        self.write(lambda session: self.queue.take_in(session, arrivals, now))

    def claim(self, now: int = NOW, *, capacity: int = 100, busy: dict[str, int] | None = None) -> list[Claim]:
        """As the delivery loop does, which first looks for leases that have run out."""
        sending = {("acme", channel): count for channel, count in (busy or {}).items()}

        def work(session: Session) -> list[Claim]:
            self.queue.reclaim(session, now)
            return self.queue.claim(session, now, secrets.token_hex(8), room(now, capacity, sending))

        return self.write(work)

    def finish(self, claim: Claim, kind: OutcomeKind, decision: Decision, now: int = NOW) -> bool:
        finished = Finished(claim, Outcome(kind, "why"), decision, now, now)
        return self.write(lambda session: not self.queue.finish(session, [finished]))

    def states(self) -> dict[str, State]:
        listed = self.write(lambda session: delivery_log.list_page(session, "acme", delivery_log.Query(), None, 1000))
        return {delivery.notification_id: delivery.state for delivery in listed}

    def empty(self) -> None:
        def remove(session: Session) -> None:
            # What was known of a channel counts for the next test as little as what was sent to it.
            session.execute(update(ChannelRow).values(quiet_until=0))
            for table in (AttemptRow, DeliveryRow, BreakerRow, RepeatRow, EscalationRow, EscalationPolicyRow):
                session.execute(delete(table))

        self.write(remove)


@pytest.fixture(scope="module")
def opened(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(loop_thread, tmp_path_factory.mktemp("queue"))
    yield store
    store.database.close()


@pytest.fixture
def store(opened: Store) -> Store:
    opened.empty()
    return opened


def arrival(
    number: int, kind: Kind = Kind.FIRING, *, stream: str = "s", alert: str = "al", severity: int = 2
) -> Arrival:
    # What is critical is of a monitor of its own, for it would mute the others.
    monitor = f"m{severity}"
    return Arrival("acme", f"n{number}", alert, kind, severity, (), stream, number, b"payload", monitor_id=monitor)


DELIVERED = Decision(State.DELIVERED)


def ids(store: Store, claims: list[Claim]) -> list[str]:
    rows = store.write(lambda session: [session.get_one(DeliveryRow, ("acme", one.delivery_id)) for one in claims])
    return [row.notification_id for row in rows]


def test_a_later_message_of_a_stream_waits_for_the_earlier_one(store: Store) -> None:
    store.take_in(arrival(2, Kind.RESOLVED), arrival(1), arrival(3, stream="t"))
    first = store.claim()
    assert ids(store, first) == ["n1", "n3"]
    assert store.claim() == []
    # A retry keeps the place in the stream.
    store.finish(first[0], OutcomeKind.RETRYABLE, Decision(State.PENDING, NOW + 5 * SECOND))
    assert store.claim() == []
    (again,) = store.claim(NOW + 5 * SECOND)
    assert (ids(store, [again]), again.attempt) == (["n1"], 2)
    store.finish(again, OutcomeKind.OK, DELIVERED)
    assert ids(store, store.claim()) == ["n2"]


def test_critical_ones_go_first_and_no_channel_takes_more_than_its_share(store: Store) -> None:
    store.take_in(*(arrival(n, stream=f"s{n}", severity=4 if n == 7 else 2) for n in range(1, 8)))
    assert ids(store, store.claim(capacity=2)) == ["n7", "n1"]
    assert ids(store, store.claim(busy={"chan_a": 3})) == ["n2"]
    assert store.claim(busy={"chan_a": 4}) == []


def test_as_many_statements_claim_for_two_channels_as_for_one(store: Store) -> None:
    def statements(*channels: str) -> int:
        store.empty()
        store.take_in(replace(arrival(1), channels=channels))
        asked: list[str] = []

        def note(_: Any, __: Any, statement: str, *___: Any) -> None:
            asked.append(statement)

        def claim(session: Session) -> list[Claim]:
            bind = session.get_bind()
            event.listen(bind, "before_cursor_execute", note)
            try:
                return store.queue.claim(session, NOW, "token", room())
            finally:
                event.remove(bind, "before_cursor_execute", note)

        assert len(store.write(claim)) == len(channels)
        return len(asked)

    assert statements("a", "b") == statements("a")


def test_a_claim_tells_when_the_next_is_due_of_what_it_leaves_waiting(store: Store) -> None:
    for number, wait in ((1, 0), (2, 3), (3, 5), (4, 2)):
        store.take_in(arrival(number, stream=f"s{number}"), now=NOW + wait * SECOND)
    upcoming = []
    for now, capacity in ((NOW, 9), (NOW + 3 * SECOND, 9), (NOW + 5 * SECOND, 9), (NOW + 5 * SECOND, 9)):
        made = room(now, capacity)
        store.write(lambda session: store.queue.claim(session, now, "token", made))  # noqa: B023
        upcoming.append(made.upcoming)
    assert upcoming == [NOW + 2 * SECOND, NOW + 5 * SECOND, None, None]


def test_a_storm_of_one_tenant_leaves_the_others_their_turn_and_critical_ones_theirs_before(store: Store) -> None:
    for tenant in ("globex", "initech"):
        channel = Channel(tenant, "chan_a", "a", ConsoleTarget(), is_default=True)
        store.write(partial(store.channels.insert, channel=channel))
    storm = [arrival(n, stream=f"s{n}") for n in range(1, 300)]
    late = [
        replace(arrival(900, stream="g"), tenant="globex"),
        replace(arrival(901, stream="i", severity=4), tenant="initech"),
    ]
    store.take_in(*storm)
    store.take_in(*late, now=NOW + SECOND)
    claims = store.claim(NOW + SECOND, capacity=4)
    assert [claim.tenant for claim in claims] == ["initech", "acme", "acme", "globex"]
    assert store.write(
        lambda session: [session.get_one(DeliveryRow, ("acme", one.delivery_id)).sequence for one in claims[1:3]]
    ) == [1, 2]


def test_what_is_put_back_is_as_if_it_had_never_been_claimed(store: Store) -> None:
    store.take_in(arrival(1), arrival(2, stream="s2"))
    (first, other) = store.claim()
    store.finish(other, OutcomeKind.OK, DELIVERED)
    store.write(lambda session: store.queue.put_back(session, [first, other]))
    assert store.states() == {"n1": State.PENDING, "n2": State.DELIVERED}
    (again,) = store.claim()
    assert (again.delivery_id, again.attempt) == (first.delivery_id, 1)
    # What has passed to another isn't ours to put back.
    store.write(lambda session: store.queue.put_back(session, [first]))
    assert store.states()["n1"] is State.IN_FLIGHT


def test_a_lease_that_ended_passes_on_and_its_late_result_is_refused(store: Store) -> None:
    store.take_in(arrival(1))
    (late,) = store.claim()
    assert store.write(lambda session: store.queue.reclaim(session, NOW)) == NOW + LEASE
    (taken,) = store.claim(NOW + LEASE)
    assert taken.attempt == 2
    assert not store.finish(late, OutcomeKind.OK, DELIVERED)
    assert store.states() == {"n1": State.IN_FLIGHT}
    assert store.finish(taken, OutcomeKind.OK, DELIVERED)
    assert not store.finish(taken, OutcomeKind.OK, DELIVERED)
    query = delivery_log.Query(with_attempts=True)
    (shown,) = store.write(lambda session: delivery_log.list_page(session, "acme", query, None, 10))
    assert [attempt.outcome for attempt in shown.attempts] == [OutcomeKind.AMBIGUOUS, OutcomeKind.OK]


def test_the_end_of_a_dead_firing_is_superseded_before_or_after_it_comes(store: Store) -> None:
    store.take_in(arrival(1), arrival(2, Kind.RESOLVED), arrival(3, alert="next"))
    (claim,) = store.claim()
    store.finish(claim, OutcomeKind.FINAL, Decision(State.DEAD))
    assert store.states() == {"n1": State.DEAD, "n2": State.SUPERSEDED, "n3": State.PENDING}
    (claim,) = store.claim()
    store.finish(claim, OutcomeKind.FINAL, Decision(State.DEAD))
    store.take_in(arrival(4, Kind.RESOLVED, alert="next"))
    assert store.states()["n4"] is State.SUPERSEDED


def test_the_end_is_told_after_a_dead_firing_if_people_heard_that_it_got_worse(store: Store) -> None:
    store.take_in(arrival(1), arrival(2, Kind.SEVERITY_CHANGED), arrival(3, Kind.RESOLVED))
    (claim,) = store.claim()
    store.finish(claim, OutcomeKind.FINAL, Decision(State.DEAD))
    (claim,) = store.claim()
    store.finish(claim, OutcomeKind.OK, DELIVERED)
    assert store.states() == {"n1": State.DEAD, "n2": State.DELIVERED, "n3": State.PENDING}


def test_the_end_is_no_news_where_neither_that_it_fires_nor_that_it_got_worse_was(store: Store) -> None:
    store.take_in(arrival(1), arrival(2, Kind.SEVERITY_CHANGED), arrival(3, Kind.RESOLVED))
    for _ in range(2):
        (claim,) = store.claim()
        store.finish(claim, OutcomeKind.FINAL, Decision(State.DEAD))
    assert store.states() == {"n1": State.DEAD, "n2": State.DEAD, "n3": State.SUPERSEDED}


def test_what_a_former_run_was_sending_is_due_at_once(store: Store) -> None:
    store.take_in(arrival(1))
    store.claim()
    store.write(lambda session: store.queue.release_all(session, NOW + 1))
    (claim,) = store.claim(NOW + 1)
    assert claim.attempt == 2


def test_a_report_that_is_overtaken_by_a_change_stays_due(store: Store) -> None:
    store.take_in(arrival(1))
    (claim,) = store.claim()
    store.finish(claim, OutcomeKind.RETRYABLE, Decision(State.PENDING, NOW))
    (reported,) = store.write(lambda session: delivery_log.unreported(session, 10))
    (claim,) = store.claim()
    store.finish(claim, OutcomeKind.OK, DELIVERED)
    store.write(lambda session: delivery_log.mark_reported(session, [reported]))
    (due,) = store.write(lambda session: delivery_log.unreported(session, 10))
    assert due.state is State.DELIVERED
    store.write(lambda session: delivery_log.mark_reported(session, [due]))
    assert store.write(lambda session: delivery_log.unreported(session, 10)) == []


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    streams=st.lists(st.integers(0, 2), min_size=1, max_size=8),
    fates=st.lists(st.sampled_from(["ok", "retry", "crash", "dead"]), min_size=30, max_size=30),
)
def test_every_message_ends_and_its_stream_was_told_in_order(
    store: Store, streams: list[int], fates: list[str]
) -> None:
    store.empty()
    store.take_in(*(arrival(n, stream=f"s{stream}", alert=f"al{n}") for n, stream in enumerate(streams)))
    told: list[str] = []
    now = NOW
    remaining = iter(fates)
    while not all(state not in (State.PENDING, State.IN_FLIGHT) for state in store.states().values()):
        claims = store.claim(now)
        assert len({streams[int(one[1:])] for one in ids(store, claims)}) == len(claims)
        for claim, name in zip(claims, ids(store, claims), strict=True):
            fate = next(remaining, "ok")
            if fate == "ok":
                assert store.finish(claim, OutcomeKind.OK, DELIVERED, now)
                told.append(name)
            elif fate == "retry":
                store.finish(claim, OutcomeKind.RETRYABLE, Decision(State.PENDING, now + SECOND), now)
            elif fate == "dead":
                store.finish(claim, OutcomeKind.FINAL, Decision(State.DEAD), now)
        now += HOUR
    assert len(told) == len(set(told))
    for stream in set(streams):
        numbers = [int(name[1:]) for name in told if streams[int(name[1:])] == stream]
        assert numbers == sorted(numbers)
    assert sorted(store.states()) == sorted(f"n{n}" for n in range(len(streams)))


def test_a_step_that_may_not_have_been_committed_is_made_anew(store: Store) -> None:
    store.take_in(arrival(1), arrival(2, stream="s2"))
    (claim, other) = store.claim()
    store.write(lambda session: store.queue.take_back(session, claim.lease_token))
    assert store.states() == {"n1": State.PENDING, "n2": State.PENDING}
    (again, _) = store.claim()
    assert (again.attempt, again.lease_token != claim.lease_token) == (1, True)
    assert not store.finish(other, OutcomeKind.OK, DELIVERED)


def test_what_is_given_up_is_due_at_once_with_an_attempt_that_was_cut_off(store: Store) -> None:
    store.take_in(arrival(1), arrival(2, stream="s2"))
    (claim, other) = store.claim()
    store.finish(other, OutcomeKind.OK, DELIVERED)
    store.write(lambda session: store.queue.give_up(session, [claim, other], NOW + 1))
    assert store.states() == {"n1": State.PENDING, "n2": State.DELIVERED}
    (again,) = store.claim(NOW + 1)
    assert again.attempt == 2


def test_a_target_copied_into_another_row_does_not_open_there(store: Store) -> None:
    def steal(session: Session) -> None:
        rows = {name: session.get_one(ChannelRow, ("acme", f"chan_{name}")) for name in ("hook", "thief")}
        rows["thief"].sealed = rows["hook"].sealed

    for name in ("hook", "thief"):
        target = WebhookTarget(Secret(f"https://example.org/{name}"), new_webhook_secret())
        store.write(partial(store.channels.insert, channel=Channel("acme", f"chan_{name}", name, target)))
    store.write(steal)
    hook = store.write(partial(store.channels.get, tenant="acme", id_or_name="hook"))
    thief = store.write(partial(store.channels.get, tenant="acme", id_or_name="thief"))
    assert isinstance(hook.target, WebhookTarget)
    assert isinstance(thief.target, LostTarget)
    assert thief.unusable_reason


@pytest.mark.parametrize(
    ("ours", "theirs", "prefix"),
    [
        (State, alert_pb2.DeliveryState, "DELIVERY_STATE_"),
        (OutcomeKind, notification_pb2.DeliveryOutcome, "DELIVERY_OUTCOME_"),
        (Severity, rule_pb2.Severity, "SEVERITY_"),
        (Kind, alert_pb2.AlertEventKind, "ALERT_EVENT_KIND_"),
    ],
)
def test_numbers_mean_the_same_as_in_the_contract(ours: type[IntEnum], theirs: Any, prefix: str) -> None:
    numbers = {prefix + one.name: int(one) for one in ours if one}
    assert numbers == {name: number for name, number in theirs.items() if number}
