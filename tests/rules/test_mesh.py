"""What evaluators lease, save and report, and how it survives a restart."""

from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select

from monitors.mesh.database import Database, Session
from monitors.mesh.errors import LeaseLost
from monitors.mesh.times import SECOND, now_nanos
from monitors.rules.model.alert import shard_of
from monitors.rules.model.leases import Call
from monitors.rules.store import shards
from monitors.rules.store.tables import evaluators
from monitors.v1 import alert_pb2, mesh_pb2, monitor_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import DEADLINE, FIRING, FLOAT, RESOLVED, SERVICE, STRING, Client, refused
from tests.rules.running import running
from tests.servers.backends import database_url

ALL = list(range(256))


@pytest.fixture
def database(tmp_path: Path) -> "Database":
    opened = Database(database_url(tmp_path / "rules.db"), name="mesh", migrations="monitors.rules.migrations")
    opened.upgrade()
    return opened


def lease(session: Session, who: str, now: int, released: Sequence[int] = ()) -> list[tuple[int, int]]:
    return shards.lease_shards(session, Call(who, frozenset(released)), f"address of {who}", now).leases


def test_shards_pass_from_one_to_the_other_under_a_new_epoch(loop_thread: LoopThread, database: Database) -> None:
    def work(session: Session) -> None:
        first = lease(session, "one", 0)
        assert first == [(shard, 1) for shard in ALL]
        # Kept under the same epoch as long as it's renewed in time; nothing is left for others.
        assert lease(session, "one", 9 * SECOND) == first
        assert lease(session, "two", 18 * SECOND) == []
        # Given back at once, taken under the next epoch.
        assert lease(session, "one", 18 * SECOND, [3, 4, 999]) == [(shard, 1) for shard in ALL if shard not in (3, 4)]
        assert lease(session, "two", 18 * SECOND) == [(3, 2), (4, 2)]
        shards.check_leases(session, {(3, 2), (5, 1)})
        with pytest.raises(LeaseLost):
            shards.check_leases(session, {(5, 1), (3, 1)})
        # An owner that comes back too late begins anew.
        assert (5, 2) in lease(session, "one", 40 * SECOND)
        shards.void_all(session)
        assert lease(session, "three", 41 * SECOND)[5] == (5, 4)
        assert session.execute(select(evaluators.c.id, evaluators.c.address)).all() == [("three", "address of three")]

    loop_thread.run(database.write(work))
    database.close()


@pytest.mark.parametrize("seconds", [-1, 9_223_372_037])
def test_a_time_that_no_database_keeps_is_refused_of_an_evaluator(client: Client, seconds: int) -> None:
    request = pb.LeaseShardsRequest(evaluator_id="one", address="a", evaluated_time=Timestamp(seconds=seconds))
    error = client.refused(request, as_mesh=True)
    assert (error.code, error.metadata["field"]) == ("INVALID_ARGUMENT", "evaluated_time")


def test_states_are_saved_under_a_lease_and_loaded_by_the_next_owner(client: Client, loop_thread: LoopThread) -> None:
    loop_thread.run(client.rules.void_leases())
    old = {
        each.shard: each.epoch for each in client.mesh(pb.LeaseShardsRequest(evaluator_id="one", address="a")).leases
    }
    states = [mesh_pb2.ShardState(shard=shard, epoch=old[shard], state=bytes([shard])) for shard in (0, 7)]
    client.mesh(pb.SaveShardStateRequest(states=states))
    rule = client.create()
    alert_id = client.fire(rule, 1_000, group={"cpu": "7"}, episode=900)
    loop_thread.run(client.rules.void_leases())
    new = client.mesh(pb.LeaseShardsRequest(evaluator_id="two", address="b"))
    assert {each.shard: each.epoch for each in new.leases} == {shard: epoch + 2 for shard, epoch in old.items()}
    error = client.refused(pb.SaveShardStateRequest(states=states), as_mesh=True)
    assert (error.code, error.reason) == ("FAILED_PRECONDITION", "LEASE_LOST")
    loaded = list(client.mesh(pb.LoadShardStatesRequest(leases=new.leases)))
    found = {state.shard: state.state for message in loaded for state in message.states}
    assert (found[0], found[7]) == (b"\0", b"\7")
    (episode,) = [each for message in loaded for each in message.open_episodes if each.tenant_id == client.tenant]
    assert (episode.alert_id, episode.rule_id, episode.monitor_id) == (alert_id, rule.id, "mon_host")
    assert (episode.episode, episode.fire_time_nanos, dict(episode.group)) == (900, 1_000, {"cpu": "7"})
    shard = shard_of(client.tenant, "mon_host")
    others = [each for each in new.leases if each.shard != shard]
    assert all(
        each.tenant_id != client.tenant
        for message in client.mesh(pb.LoadShardStatesRequest(leases=others))
        for each in message.open_episodes
    )


def test_the_first_type_of_a_field_stays(client: Client) -> None:
    assert client.report("mon_new", [("m", "a", FLOAT), ("m", "b", STRING)]) == [0, 0]
    assert client.report("mon_new", [("m", "a", FLOAT), ("m", "a", STRING), ("n", "a", STRING)]) == [0, FLOAT, 0]
    monitors = client.call(pb.ListMonitorsRequest(query="new")).monitors
    assert [(field.measurement, field.field, field.type) for field in monitors[0].fields] == [
        ("m", "a", FLOAT),
        ("m", "b", STRING),
        ("n", "a", STRING),
    ]


def test_monitors_are_registered_and_listed(client: Client) -> None:
    request = pb.RegisterMonitorRequest(
        monitor_id="mon_later",
        fields=[monitor_pb2.MonitorField(measurement="m", field="x", type=FLOAT)],
        request_id="q",
    )
    made = client.call(request).monitor
    assert (made.id, [field.field for field in made.fields]) == ("mon_later", ["x"])
    assert client.call(request).monitor == made
    assert client.create("x > 1", monitor_id="mon_later").id
    page = client.call(pb.ListMonitorsRequest(page_size=1))
    assert ([each.id for each in page.monitors], page.total_count) == (["mon_host"], 2)
    rest = client.call(pb.ListMonitorsRequest(page_size=1, page_token=page.next_page_token))
    assert [(each.id, each.rule_count) for each in rest.monitors] == [("mon_later", 1)]
    for bad, told in (("", "is empty"), ("a*", "several monitors"), ("x" * 257, "at most 256")):
        assert told in client.refused(pb.RegisterMonitorRequest(monitor_id=bad)).message


def test_channel_names_are_those_that_were_mirrored_last(client: Client) -> None:
    client.mirror(("b", False), ("a", True))
    channels = client.call(pb.ListChannelNamesRequest()).channels
    assert [(each.name, each.kind, each.is_default) for each in channels] == [
        ("a", "webhook", True),
        ("b", "webhook", False),
    ]


def test_everything_is_there_after_a_restart(loop_thread: LoopThread, tmp_path: Path) -> None:
    now = now_nanos()
    with loop_thread.opened(running(tmp_path)) as opened, grpc.insecure_channel(f"127.0.0.1:{opened.port}") as channel:
        stub = RuleServiceStub(channel)
        before = Client(stub, "local", opened.local_key, opened.rules, loop_thread)
        before.report("mon_host", [("cpu", "cpu_percent", FLOAT)])
        rule = before.create()
        alert_id = before.fire(rule, now)
        leases = before.mesh(pb.LeaseShardsRequest(evaluator_id="one", address="a")).leases
        stream = stub.WatchRules(pb.WatchRulesRequest(), metadata=SERVICE, timeout=DEADLINE)
        next(stream)
    with loop_thread.opened(running(tmp_path)) as opened, grpc.insecure_channel(f"127.0.0.1:{opened.port}") as channel:
        after = Client(RuleServiceStub(channel), "local", opened.local_key, opened.rules, loop_thread)
        assert after.key == before.key
        assert after.get(rule.id).open_alert_count == 1
        loop_thread.run(opened.rules.void_leases())
        stale = after.transition(rule, RESOLVED, now + 1, episode=now, lease=leases[0])
        error = refused(lambda: after.record(stale))
        assert error.reason == "LEASE_LOST"
        with after.notifications() as outbox:
            assert outbox.told(1) == [(FIRING, alert_id)]


def test_a_batch_that_is_sent_again_is_repeated_whatever_has_become_of_its_alerts(client: Client) -> None:
    rule = client.create(cooldown={})
    now = now_nanos()
    groups = [{"cpu": str(number)} for number in range(4)]
    begin = [client.transition(rule, FIRING, now, group=group) for group in groups]
    first = client.record(*begin)
    end = [client.transition(rule, RESOLVED, now + 1, episode=now, group=group) for group in groups[:3]]
    ended = client.record(*end)
    again = [client.transition(rule, FIRING, now + 2, group=group) for group in groups[:2]]
    newer = client.record(*again)
    # Open, over, and over with a newer one open: each is known for what it was, and nothing is recorded twice.
    new = client.transition(rule, FIRING, now + 3, group={"cpu": "new"})
    results = client.record(*begin, *end, new)
    repeated = mesh_pb2.TRANSITION_OUTCOME_REPEATED
    assert [each.outcome for each in results] == [repeated] * 7 + [mesh_pb2.TRANSITION_OUTCOME_RECORDED]
    assert [each.alert_id for each in results[:7]] == [each.alert_id for each in (*first, *ended)]
    for each in newer:
        assert client.alert(each.alert_id).alert.state == alert_pb2.ALERT_STATE_FIRING
        assert len(client.alert(each.alert_id).timeline) == 1
