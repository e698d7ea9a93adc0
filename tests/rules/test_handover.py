"""What is recorded goes to a notifier that is there without a look into the outbox, and under the outbox's rules."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitors.mesh.rows import find_rows
from monitors.mesh.times import MINUTE, SECOND, now_nanos
from monitors.rules.service import base, outlets, pump, recording
from monitors.rules.service.outlets import Outlets
from monitors.rules.store import decisions, outbox
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import FIELDS, FIRING, RESOLVED, Client
from tests.rules.running import running
from tests.rules.test_outbox import NOW, fill, opened, take, waiting
from tests.tenants import of_all

NEVER = 3600.0


@pytest.fixture
def alone(loop_thread: LoopThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Of a RuleService whose streams look only when they are woken."""
    monkeypatch.setattr(pump, "POLL_SECONDS", NEVER)
    monkeypatch.setattr(base, "HEARTBEAT_SECONDS", NEVER)
    with (
        loop_thread.opened(running(tmp_path, poll_seconds=NEVER)) as service,
        grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        client = Client(RuleServiceStub(channel), "local", service.local_key, service.rules, loop_thread)
        client.report("mon_host", FIELDS)
        yield client


def leased(number: int, size: int = 1) -> list[outbox.Leased]:
    return [outbox.Leased("t", f"note_{number}", number, bytes(size))]


def test_what_fires_and_ends_is_told_without_a_look_into_the_outbox(
    alone: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    look = outbox.lease

    def counted(session: Any, now: int, token: str) -> outbox.Batch:
        looks.append(now)
        return look(session, now, token)

    monkeypatch.setattr(outbox, "lease", counted)
    rule, now = alone.create(), now_nanos()
    with alone.notifications() as stream:
        next(stream.stream)
        before = len(looks)
        alert_id = alone.fire(rule, now)
        assert stream.told(1) == [(FIRING, alert_id)]
        alone.record(alone.transition(rule, RESOLVED, now + 1, episode=now))
        assert stream.told(1) == [(RESOLVED, alert_id)]
        assert len(looks) == before


def test_of_many_messages_several_batches_are_leased_by_one_transaction(
    alone: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LARGEST_BATCH", 2)
    alerts = [alone.fire(alone.create(), now_nanos()) for _ in range(2 * pump.BATCHES + 1)]
    sessions: list[object] = []
    look = outbox.lease

    def noted(session: Any, now: int, token: str, former: outbox.Batch | None = None) -> outbox.Batch:
        sessions.append(session)
        return look(session, now, token, former)

    monkeypatch.setattr(outbox, "lease", noted)
    with alone.notifications() as stream:
        assert stream.told(len(alerts)) == [(FIRING, alert) for alert in alerts]
    assert len(sessions) == pump.BATCHES + 1
    assert len(set(sessions)) == 2


def test_what_waits_for_messages_just_leased_is_not_looked_through_each_time(
    alone: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LARGEST_BATCH", 2)
    rule, begun = alone.create(cooldown={}), now_nanos()
    for episode in range(begun, begun + 40, 2):
        alone.fire(rule, episode)
        alone.record(alone.transition(rule, RESOLVED, episode + 1, episode=episode))
    looked_at: list[int] = []
    find = find_rows

    def noted(session: Any, query: Any, given: Any, name: str, listed: Any) -> Any:
        looked_at.append(len(listed))
        return find(session, query, given, name, listed)

    monkeypatch.setattr(outbox, "find_rows", noted)
    with alone.notifications() as stream:
        assert len(stream.told(40)) == 40
    # Two that go, and two that wait for them.
    assert sum(looked_at) <= 2 * 40


def test_what_is_withdrawn_as_it_is_recorded_is_not_told(alone: Client) -> None:
    rule, begun = alone.create(), now_nanos() - 10 * MINUTE
    with alone.notifications() as stream:
        next(stream.stream)
        alert_id = alone.fire(rule, begun)
        assert stream.told(1) == [(FIRING, alert_id)]
        alone.record(alone.transition(rule, RESOLVED, begun + SECOND, episode=begun))
        assert stream.told(1) == [(RESOLVED, alert_id)]
        # Held by the cooldown, which is over by now, and over before that.
        again = begun + MINUTE
        alone.record(
            alone.transition(rule, FIRING, again), alone.transition(rule, RESOLVED, again + SECOND, episode=again)
        )
        other = alone.fire(alone.create())
        assert stream.told(1) == [(FIRING, other)]


def test_what_a_notifier_that_has_gone_meanwhile_should_have_got_goes_to_the_next_at_once(
    alone: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = alone.create()
    gone = threading.Event()
    close = Outlets.close

    def closed(self: Outlets, outlet: Any) -> None:
        close(self, outlet)
        gone.set()

    monkeypatch.setattr(Outlets, "close", closed)
    save = decisions.save

    def left(*args: Any) -> decisions.Saved:
        found = save(*args)
        stream.stream.cancel()
        assert gone.wait(20)
        return found

    with alone.notifications() as stream:
        next(stream.stream)
        with monkeypatch.context() as patched:
            patched.setattr(recording, "save", left)
            alert_id = alone.fire(rule)
    with alone.notifications() as second:
        assert second.told(1) == [(FIRING, alert_id)]


def test_each_notifier_has_its_turn_unless_it_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Outlets()
    assert both.choose() is None
    with both.opened("a") as a, both.opened("b") as b:
        assert both.choose() is None  # Nobody has looked yet at what waits.
        a.is_behind = b.is_behind = False
        assert [both.choose() for _ in range(4)] == [a, b, a, b]
        assert both.give(a, leased(1))
        assert [both.choose(), both.choose()] == [b, b]
        assert both.give(b, [*leased(2), *leased(3)])
        assert both.choose() is a
        monkeypatch.setattr(outlets, "LARGEST_BATCH", 1)
        assert both.choose() is None
        assert (a.take(), a.take()) == ([leased(1)], [])
        assert both.choose() is a
    assert not both.give(a, leased(4))


def test_what_a_notifier_has_not_taken_for_long_is_left_to_the_end_of_its_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outlets, "LEASE", 0)
    with Outlets().opened("a") as outlet:
        outlet.put(leased(1))
        assert outlet.take() == []


MESSAGES = st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 1)), min_size=1, max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("new"), st.sampled_from(["", "a", "b"]), MESSAGES),
        st.tuples(st.sampled_from(["lease", "take", "back"]), st.sampled_from(["a", "b"])),
        st.tuples(st.just("wait"), st.sampled_from([1, 30])),
    ),
    max_size=25,
)


class Told:
    """Two notifiers at one outbox, as it must be: nothing goes before what stands before it in its stream."""

    def __init__(self, insert: Callable[[list[outbox.Waiting], outbox.Receiver | None], list[int]]) -> None:
        self.insert = insert
        self.streams: dict[int, int] = {}
        self.taken: list[int] = []
        self.on_the_way: dict[str, list[int]] = {"a": [], "b": []}
        self.now = NOW

    def new(self, token: str, messages: list[tuple[int, int]]) -> None:
        first = len(self.streams) + 1
        rows = [waiting(first + n, stream, self.now + due * SECOND) for n, (stream, due) in enumerate(messages)]
        self.streams |= {row.sequence: int(row.stream_key) for row in rows}
        self.send(token, self.insert(rows, outbox.Receiver(token, self.now) if token else None))

    def send(self, token: str, sequences: list[int]) -> None:
        for number in sequences:
            before = {other for other, stream in self.streams.items() if stream == self.streams[number]}
            before = {other for other in before if other < number} - set(self.taken)
            assert before <= set(sequences)
        assert sequences == sorted(sequences)
        if token:
            self.on_the_way[token] += sequences


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_is_handed_over_or_leased_nothing_overtakes_and_nothing_is_lost(
    loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    with opened(tmp_path_factory.mktemp("handover")) as database:
        fill(loop_thread, database, [])

        def insert(rows: list[outbox.Waiting], receiver: outbox.Receiver | None) -> list[int]:
            work = of_all(lambda session: outbox.insert_waiting(session, rows, receiver))
            return [each.sequence for each in loop_thread.run(database.write(work))]

        def lease(token: str) -> list[int]:
            batch = loop_thread.run(database.write(lambda session: outbox.lease(session, told.now, token)))
            return [each.sequence for each in batch.leased]

        told = Told(insert)
        end = [("back", "a"), ("back", "b"), ("wait", 30), *[("lease", "a"), ("take", "a")] * 3]
        for what, *given in [*steps, *end]:
            if what == "new":
                told.new(*given)
            elif what == "wait":
                told.now += given[0] * SECOND
                told.on_the_way = {"a": [], "b": []} if given[0] == 30 else told.on_the_way
            elif what == "lease":
                told.send(given[0], lease(given[0]))
            elif what == "take":
                take(loop_thread, database, given[0], *told.on_the_way[given[0]])
                told.taken += told.on_the_way[given[0]]
                told.on_the_way[given[0]] = []
            else:
                loop_thread.run(database.write(lambda session: outbox.give_back(session, given[0])))  # noqa: B023
                told.on_the_way[given[0]] = []
        assert sorted(told.taken) == sorted(told.streams)
