"""The outbox: nothing is lost, nothing overtakes, and only who holds the lease may take over."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from monitors.mesh.database import Database, Session
from monitors.mesh.times import SECOND, now_nanos, to_timestamp
from monitors.rules.model.alert import Alert, EventKind
from monitors.rules.model.rule import Severity
from monitors.rules.service import base, pump
from monitors.rules.store import outbox
from monitors.rules.store.alerts import insert_alerts, new_rows
from monitors.rules.store.tables import outbox as table
from monitors.rules.store.tables import tenants
from monitors.v1 import alert_pb2, mesh_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import ACKNOWLEDGED, DEADLINE, FIRING, RESOLVED, SERVICE, Client
from tests.rules.running import running
from tests.servers.backends import database_url
from tests.tenants import of_all

NOW = 1_000 * SECOND


@contextmanager
def opened(folder: Path) -> Iterator[Database]:
    one = Database(database_url(folder / "rules.db"), name="outbox", migrations="monitors.rules.migrations")
    one.upgrade()
    yield one
    one.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as one:
        yield one


def alert(number: int) -> Alert:
    return Alert(
        tenant="t", id=f"alert_{number}", rule_id="rule_1", monitor_id="m", group={}, instance_key=str(number),
        episode=1, title="",
        severity=Severity.LOW, condition_text="", value=None, fire_time=1, record_time=1, labels={},
        annotations={}, channels=(),
    )  # fmt: skip


def waiting(sequence: int, stream: int, due: int = NOW, kind: EventKind = EventKind.FIRING) -> outbox.Waiting:
    body = sequence.to_bytes(4, "big")
    return outbox.Waiting("t", f"note_{sequence}", sequence, f"alert_{stream}", kind, str(stream), due, body, NOW)


def fill(loop: LoopThread, database: Database, rows: list[outbox.Waiting]) -> None:
    @of_all
    def work(session: Session) -> None:
        session.execute(insert(tenants).values(id="t", create_time=1))
        insert_alerts(session, new_rows([alert(stream) for stream in sorted({int(row.stream_key) for row in rows})]))
        outbox.insert_waiting(session, rows)

    loop.run(database.write(work))


def lease(loop: LoopThread, database: Database, now: int, token: str) -> list[int]:
    batch = loop.run(database.write(lambda session: outbox.lease(session, now, token)))
    return [each.sequence for each in batch.leased]


def take(loop: LoopThread, database: Database, token: str, *sequences: int) -> None:
    ids = [f"note_{sequence}" for sequence in sequences]
    loop.run(database.write(lambda session: outbox.take_over(session, token, ids)))


def test_what_is_due_is_leased_in_order_once(loop_thread: LoopThread, database: Database) -> None:
    fill(loop_thread, database, [waiting(2, 2), waiting(1, 1), waiting(3, 3, due=NOW + 1)])
    assert lease(loop_thread, database, NOW, "a") == [1, 2]
    assert lease(loop_thread, database, NOW, "b") == []
    assert lease(loop_thread, database, NOW + 1, "b") == [3]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    messages=st.lists(st.tuples(st.integers(0, 2), st.integers(-2, 2)), min_size=1, max_size=14),
    most=st.integers(1, 4),
    steps=st.lists(st.tuples(st.integers(0, 1), st.booleans()), max_size=12),
)
def test_however_few_are_looked_at_each_is_told_once_and_in_its_streams_order(
    loop_thread: LoopThread,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[tuple[int, int]],
    most: int,
    steps: list[tuple[int, bool]],
) -> None:
    monkeypatch.setattr(outbox, "LARGEST_BATCH", most)
    with opened(tmp_path_factory.mktemp("outbox")) as database:
        rows = [waiting(number, stream, NOW + due) for number, (stream, due) in enumerate(messages, 1)]
        fill(loop_thread, database, rows)
        told, now = list[int](), NOW
        # What isn't taken over comes again when its lease has ended.
        for wait, takes in [*steps, (2, True), *[(0, True)] * len(rows)]:
            now += wait * 30 * SECOND
            leased = lease(loop_thread, database, now, "token")
            if takes:
                take(loop_thread, database, "token", *leased)
                told += leased
    assert sorted(told) == [row.sequence for row in rows]
    for stream in range(3):
        of_stream = [number for number in told if messages[number - 1][0] == stream]
        assert of_stream == sorted(of_stream)


def test_what_is_done_is_forgotten_and_what_waits_is_not(
    loop_thread: LoopThread, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LOOKED_AT", 2)
    fill(loop_thread, database, [waiting(number, number) for number in range(1, 6)])
    assert lease(loop_thread, database, NOW, "a") == [1, 2, 3, 4, 5]
    take(loop_thread, database, "a", 1, 3, 4)
    for horizon, left in ((NOW, [1, 2, 3, 4, 5]), (NOW + 1, [2, 5])):
        loop_thread.run(database.write(lambda session: outbox.forget_before(session, horizon)))  # noqa: B023
        found = loop_thread.run(database.read(of_all(lambda session: session.scalars(select(table.c.sequence)).all())))
        assert sorted(found) == left


def test_a_lease_that_ends_gives_back_what_was_not_taken(loop_thread: LoopThread, database: Database) -> None:
    fill(loop_thread, database, [waiting(1, 1), waiting(2, 2)])
    assert lease(loop_thread, database, NOW, "a") == [1, 2]
    take(loop_thread, database, "a", 1)
    assert lease(loop_thread, database, NOW + 30 * SECOND - 1, "b") == []
    assert lease(loop_thread, database, NOW + 30 * SECOND, "b") == [2]
    # Who lost the lease can't take over any more.
    take(loop_thread, database, "a", 2)
    assert lease(loop_thread, database, NOW + 60 * SECOND, "c") == [2]
    take(loop_thread, database, "c", 2)
    assert lease(loop_thread, database, NOW + 90 * SECOND, "d") == []


def test_a_later_message_of_a_stream_never_overtakes(loop_thread: LoopThread, database: Database) -> None:
    rows = [waiting(1, 1), waiting(2, 1, kind=EventKind.RESOLVED), waiting(3, 2, due=NOW + 5), waiting(4, 2)]
    fill(loop_thread, database, rows)
    # Both of stream 1 come together; stream 2 waits for its first, which is held.
    assert lease(loop_thread, database, NOW, "a") == [1, 2]
    take(loop_thread, database, "a", 2)
    assert lease(loop_thread, database, NOW + 5, "b") == [3, 4]


def test_a_message_behind_a_leased_one_waits_for_it(loop_thread: LoopThread, database: Database) -> None:
    fill(loop_thread, database, [waiting(1, 1)])
    assert lease(loop_thread, database, NOW, "a") == [1]
    loop_thread.run(database.write(of_all(lambda session: outbox.insert_waiting(session, [waiting(2, 1)]))))
    assert lease(loop_thread, database, NOW, "b") == []
    take(loop_thread, database, "a", 1)
    assert lease(loop_thread, database, NOW, "b") == [2]


def test_a_batch_is_bounded_and_blocked_messages_take_no_room(loop_thread: LoopThread, database: Database) -> None:
    most = outbox.LARGEST_BATCH
    held = [waiting(number, number, due=NOW + 5) for number in range(1, most + 21)]
    behind = [waiting(1000 + number, number) for number in range(1, most + 21)]
    free = [waiting(2000 + number, 1000 + number) for number in range(1, most + 31)]
    fill(loop_thread, database, held + behind + free)
    assert lease(loop_thread, database, NOW, "a") == list(range(2001, 2001 + most))
    assert lease(loop_thread, database, NOW, "b") == list(range(2001 + most, 2031 + most))


def test_a_further_batch_is_leased_from_as_far_behind_what_is_held_as_the_first(
    loop_thread: LoopThread, database: Database
) -> None:
    most = outbox.LARGEST_BATCH
    held = [waiting(number, number, due=NOW + 5) for number in range(1, most + 1)]
    behind = [waiting(1000 + number, number) for number in range(1, most + 1)]
    free = [waiting(2000 + number, 1000 + number) for number in range(2 * most)]
    fill(loop_thread, database, held + behind + free)

    def work(session: Session) -> list[int]:
        first = outbox.lease(session, NOW, "a")
        return [len(first.leased), len(outbox.lease(session, NOW, "a", first).leased)]

    assert loop_thread.run(database.write(work)) == [most, most]


def test_few_that_may_go_among_many_that_wait_do_not_make_a_batch_of_a_handful(
    loop_thread: LoopThread, database: Database
) -> None:
    most = outbox.LARGEST_BATCH
    held = [waiting(number, number, due=NOW + 5) for number in range(1, most)]
    behind = [waiting(1000 + number, number) for number in range(1, most)]
    free = [waiting(2000 + number, 1000 + number) for number in range(2 * most)]
    fill(loop_thread, database, held + behind + free)
    assert lease(loop_thread, database, NOW, "a") == list(range(2000, 2000 + most))


def test_large_messages_come_in_smaller_batches(loop_thread: LoopThread, database: Database) -> None:
    rows = [
        outbox.Waiting("t", f"note_{n}", n, f"alert_{n}", EventKind.FIRING, str(n), NOW, bytes(10**6), NOW)
        for n in range(1, 6)
    ]
    fill(loop_thread, database, rows)
    assert lease(loop_thread, database, NOW, "a") == [1, 2, 3]
    assert lease(loop_thread, database, NOW, "b") == [4, 5]


@pytest.fixture
def _without_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams look only when they are woken: longer than any test waits passes until they would by themselves. The
    first sign of life comes nevertheless, however long the machine has been running."""
    monkeypatch.setattr(pump, "POLL_SECONDS", 600.0)
    monkeypatch.setattr(base, "HEARTBEAT_SECONDS", math.inf)


@pytest.mark.usefixtures("_without_polling")
def test_a_transition_wakes_the_notifier(client: Client) -> None:
    rule = client.create()
    with client.notifications() as opened:
        next(opened.stream)
        alert_id = client.fire(rule)
        assert opened.told(1) == [(FIRING, alert_id)]


@pytest.mark.usefixtures("_without_polling")
def test_what_waits_behind_a_leased_message_goes_out_when_that_is_taken_over(client: Client) -> None:
    now = now_nanos()
    rule = client.create()
    with client.notifications() as opened:
        next(opened.stream)
        alert_id = client.fire(rule, now)
        first = next(opened.batches())
        client.record(client.transition(rule, RESOLVED, now + 1, episode=now))
        opened.acknowledge(first.lease_token, [each.id for each in first.notifications])
        assert opened.told(1) == [(RESOLVED, alert_id)]


@pytest.mark.usefixtures("_without_polling")
def test_a_hold_that_ends_wakes_the_notifier(client: Client) -> None:
    rule = client.create(snooze_until_time=to_timestamp(now_nanos() + 2 * SECOND))
    with client.notifications() as opened:
        next(opened.stream)
        alert_id = client.fire(rule)
        assert client.alert(alert_id).alert.suppress_reason == "snoozed"
        assert opened.told(1) == [(FIRING, alert_id)]


@pytest.mark.usefixtures("_without_polling")
def test_a_change_wakes_those_who_watch(client: Client) -> None:
    rule = client.create()
    watch = client.stub.WatchRules(
        pb.WatchRulesRequest(start_revision=int(rule.etag)), metadata=SERVICE, timeout=DEADLINE
    )
    alerts = client.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=client.metadata, timeout=DEADLINE)
    assert (len(next(watch).rules), next(alerts)) == (0, pb.WatchAlertsResponse())
    newer = client.create()
    assert [each.rule.id for each in next(watch).rules] == [newer.id]
    alert_id = client.fire(rule)
    client.call(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id]))
    assert [next(alerts).event.kind, next(alerts).event.kind] == [FIRING, ACKNOWLEDGED]
    watch.cancel()
    alerts.cancel()


def test_what_a_notifier_leaves_behind_goes_to_the_next_at_once(client: Client) -> None:
    alert_id = client.fire(client.create())
    with client.notifications() as first:
        batch = next(first.batches())
        left = [each for each in batch.notifications if each.tenant_id == client.tenant]
    # Well before the lease would end by itself.
    with client.notifications() as second:
        (again,) = second.take(1)
    assert (again, again.alert.id) == (left[0], alert_id)


def test_what_a_crash_left_leased_is_told_at_the_next_start(loop_thread: LoopThread, tmp_path: Path) -> None:
    with (
        loop_thread.opened(running(tmp_path)) as service,
        grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        client = Client.of_new_tenant(RuleServiceStub(channel), service.rules, loop_thread)
        alert_id = client.fire(client.create())
    database = Database(database_url(tmp_path / "rules.db"), name="crash", migrations="monitors.rules.migrations")
    leased = loop_thread.run(database.write(lambda session: outbox.lease(session, now_nanos(), "of a dead process")))
    database.close()
    assert len(leased.leased) == 1
    with (
        loop_thread.opened(running(tmp_path)) as service,
        grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        client.stub = RuleServiceStub(channel)
        with client.notifications() as opened:
            assert opened.told(1) == [(FIRING, alert_id)]


def test_deliveries_are_shown_with_their_alert(client: Client) -> None:
    alert_id = client.fire(client.create())
    with client.notifications() as opened:
        (note,) = opened.take(1)

    def report(state: alert_pb2.DeliveryState.ValueType, attempts: int, of: str = alert_id) -> None:
        delivery = alert_pb2.AlertDelivery(
            notification_id=note.id, channel="ops", kind=FIRING, state=state, attempt_count=attempts, detail="HTTP 500"
        )
        delivery.time.FromNanoseconds(attempts)
        reports = [mesh_pb2.DeliveryReport(tenant_id=client.tenant, alert_id=of, delivery=delivery)]
        client.mesh(pb.ReportDeliveriesRequest(reports=reports))

    report(alert_pb2.DELIVERY_STATE_PENDING, 1)
    report(alert_pb2.DELIVERY_STATE_DELIVERED, 2)
    (delivery,) = client.alert(alert_id).deliveries
    assert (delivery.channel, delivery.state, delivery.attempt_count) == ("ops", alert_pb2.DELIVERY_STATE_DELIVERED, 2)
    # A report about an alert that nobody knows changes nothing.
    report(alert_pb2.DELIVERY_STATE_DEAD, 3, of="alert_none")
    assert client.alert(alert_id).deliveries[0].attempt_count == 2


def test_of_reports_that_come_together_or_late_the_newest_counts(client: Client) -> None:
    firing = [client.fire(client.create()) for _ in range(3)]
    with client.notifications() as opened:
        notes = opened.take(3)

    def reported(number: int, attempts: int, channel: str = "ops") -> mesh_pb2.DeliveryReport:
        delivery = alert_pb2.AlertDelivery(
            notification_id=notes[number].id, channel=channel, kind=FIRING, attempt_count=attempts,
            state=alert_pb2.DELIVERY_STATE_PENDING,
        )  # fmt: skip
        delivery.time.FromNanoseconds(attempts)
        alert_id = notes[number].alert.id
        return mesh_pb2.DeliveryReport(tenant_id=client.tenant, alert_id=alert_id, delivery=delivery)

    client.mesh(
        pb.ReportDeliveriesRequest(reports=[reported(0, 2), reported(0, 1), reported(1, 1), reported(1, 1, "b")])
    )
    client.mesh(pb.ReportDeliveriesRequest(reports=[reported(0, 1), reported(1, 3), reported(2, 5), reported(1, 2)]))
    told = {
        (alert_id, each.channel): each.attempt_count
        for alert_id in firing
        for each in client.alert(alert_id).deliveries
    }
    first, second, third = (note.alert.id for note in notes)
    assert told == {(first, "ops"): 2, (second, "ops"): 3, (second, "b"): 1, (third, "ops"): 5}


def test_the_order_within_a_stream_holds_under_many_changes(client: Client) -> None:
    rule = client.create(cooldown={})
    now = now_nanos()
    expected = []
    with client.notifications() as opened:
        for step in range(20):
            alert_id = client.fire(rule, now + 10 * step)
            client.record(client.transition(rule, RESOLVED, now + 10 * step + 1, episode=now + 10 * step))
            expected += [(FIRING, alert_id), (RESOLVED, alert_id)]
        told = opened.take(40)
    assert [(each.kind, each.alert.id) for each in told] == expected
    assert [each.sequence for each in told] == sorted(each.sequence for each in told)


def test_many_held_messages_are_stopped_or_moved_in_one_batch(client: Client) -> None:
    now = now_nanos()
    rule = client.create(snooze_until_time=to_timestamp(now + 3600 * SECOND))
    groups = [{"cpu": str(number)} for number in range(5)]
    ids = [client.fire(rule, now, group=group) for group in groups]
    client.record(*(client.transition(rule, RESOLVED, now + 1, episode=now, group=group) for group in groups[:3]))
    # The snooze ends now: what still fires is told, what is over isn't.
    client.call(
        pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id), update_mask=FieldMask(paths=["snooze_until_time"]))
    )
    with client.notifications() as opened:
        assert sorted(opened.told(2)) == sorted((FIRING, alert_id) for alert_id in ids[3:])
        later = client.fire(client.create())
        assert opened.told(1) == [(FIRING, later)]
