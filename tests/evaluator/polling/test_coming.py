"""How points come into an InfluxDB: late, after a silence, of new monitors, of other people's, or before a rule."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitors.evaluator.polling import cadence
from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh.config import PollSettings
from monitors.mesh.identity.existing import ExistingDatabase
from monitors.mesh.identity.owners import MonitorsTable
from monitors.mesh.times import SECOND
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as rules_pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.evaluator.polling.mesh import Polled, polled_mesh, until
from tests.harness import LoopThread
from tests.identity.user_system import UserTables, sqlite_at
from tests.rules.client import Client
from tests.servers.influxdb import InfluxServer, influx_server, needs_influxdb

pytestmark = needs_influxdb
PATIENT = PollSettings(interval=0.2, allowance=3 * SECOND)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with influx_server(tmp_path_factory.mktemp("influx")) as running:
        running.write(f"monitor_data,monitor_id=first value=1 {time.time_ns()}")
        yield running


@pytest.fixture(scope="module")
def mesh(loop_thread: LoopThread, server: InfluxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polled]:
    folder = tmp_path_factory.mktemp("mesh")
    with polled_mesh(loop_thread, folder, InfluxSettings(server.url), poll=PATIENT) as running:
        yield running


def line(monitor: str, value: float, at: int) -> str:
    return f"monitor_data,monitor_id={monitor} value={value} {at}"


def until_it_is(moment: int) -> None:
    until(lambda: time.time_ns() >= moment, "the time to come")


def alerts_of(mesh: Polled, monitor: str) -> list[tuple[str, str]]:
    return [(title, state) for of, title, state in mesh.alerts() if of == monitor]


def test_t6_points_that_come_late_within_the_allowance_are_evaluated_as_if_in_time(
    server: InfluxServer, mesh: Polled
) -> None:
    begun = time.time_ns()
    server.write(line("late", 1, begun))
    mesh.create("late", "value > 10")
    mesh.create("late", "value > 5 for 1s")
    until_it_is(begun + 2 * SECOND)
    # Those before it are written after the newest one, in no order.
    start = time.time_ns()
    for tenths, value in ((0, 1), (15, 1), (10, 6), (2, 20), (1, 6), (3, 6)):
        server.write(line("late", value, start + tenths * SECOND // 10 - 2 * SECOND))
    expected = [("value > 10", "resolved"), ("value > 5 for 1s", "resolved")]
    until(lambda: alerts_of(mesh, "late") == expected, "both alerts")
    spike, slow = mesh.client.call(rules_pb.ListAlertsRequest(filter="monitor_id=late")).alerts[::-1]
    assert spike.fire_time.ToNanoseconds() == start + 2 * SECOND // 10 - 2 * SECOND
    assert slow.fire_time.ToNanoseconds() == start + 11 * SECOND // 10 - 2 * SECOND


def test_what_a_sender_kept_while_it_was_cut_off_is_evaluated_when_it_comes_back(
    server: InfluxServer, mesh: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cadence, "SILENCE", SECOND)
    begun = time.time_ns()
    server.write(line("cut", 1, begun))
    mesh.create("cut", "value > 10")
    # Longer than points may come late.
    until_it_is(begun + 8 * SECOND)
    until(lambda: mesh.evaluated_to() > begun + 4 * SECOND, "the evaluation to go on")
    server.write(line("cut", 20, begun + 2 * SECOND))
    server.write(line("cut", 1, begun + 3 * SECOND))
    server.write(line("cut", 2, time.time_ns()))
    until(lambda: alerts_of(mesh, "cut") == [("value > 10", "resolved")], "the alert")


def test_a_pattern_evaluates_a_new_monitor_from_its_first_point_on(server: InfluxServer, mesh: Polled) -> None:
    server.write(line("many-1", 1, time.time_ns()))
    mesh.create("many-*", "value > 10", known="many-1")
    now = time.time_ns()
    server.write("\n".join([line("many-2", 1, now), line("many-2", 20, now + 1), line("many-2", 1, now + 2)]))
    until(lambda: alerts_of(mesh, "many-2") == [("value > 10", "resolved")], "the alert")


def test_series_that_are_found_after_a_rule_was_made_bring_what_they_had_before(
    server: InfluxServer, mesh: Polled
) -> None:
    now = time.time_ns()
    server.write(line("past-0", 1, now))
    mesh.create("past-*", "count(value, 30m) >= 50", known="past-0")
    server.write("\n".join(line("past-1", value, now - (60 - value) * SECOND) for value in range(50)))
    until(lambda: alerts_of(mesh, "past-1") == [("count(value, 30m) >= 50", "firing")], "the alert")


def test_a_new_rule_looks_back_on_what_was_there_before_it(server: InfluxServer, mesh: Polled) -> None:
    now = time.time_ns()
    server.write("\n".join(line("old", value, now - (60 - value) * SECOND) for value in range(50)))
    mesh.create("old", "count(value, 30m) >= 50")
    until(lambda: alerts_of(mesh, "old") == [("count(value, 30m) >= 50", "firing")], "the alert")


def test_a_field_that_changes_its_type_is_said_to_be_left_out(server: InfluxServer, mesh: Polled) -> None:
    now = time.time_ns()
    server.write(f"monitor_data,monitor_id=typed odd=1i {now}")
    until(lambda: ("typed", "odd") in mesh.series("typed"), "the field")
    server.query("CREATE RETENTION POLICY other ON monitors DURATION INF REPLICATION 1")
    # In another week, and so in another shard, where it may have another type.
    server.write(f'monitor_data,monitor_id=typed odd="text" {now - 8 * 86_400 * SECOND}')
    asked = pb.QuerySeriesRequest(monitor_id="typed", field="odd")
    asked.start_time.FromNanoseconds(now - 9 * 86_400 * SECOND)
    (series,) = mesh.service.QuerySeries(asked, metadata=mesh.client.metadata).series
    assert list(series.values) == [1.0]
    assert any("already exists as type integer" in problem for problem in mesh.status().problems)


def test_each_tenant_sees_the_monitors_that_the_user_system_gives_it_and_nobody_sees_the_rest(
    server: InfluxServer, loop_thread: LoopThread, tmp_path: Path
) -> None:
    url = sqlite_at(tmp_path)
    tables = UserTables(url)
    tables.add_monitor("of-ann", "user_ann")
    tables.add_monitor("of-bob", "user_bob")
    now = time.time_ns()
    server.write("\n".join(line(monitor, 1, now) for monitor in ("of-ann", "of-bob", "of-nobody")))
    owners = MonitorsTable(ExistingDatabase(url))
    (tmp_path / "mesh").mkdir()
    influx = InfluxSettings(server.url)
    with polled_mesh(loop_thread, tmp_path / "mesh", influx, poll=PATIENT, owners=owners) as mesh:
        clients = {}
        for tenant in ("user_ann", "user_bob"):
            key = loop_thread.run(mesh.client.rules.add_tenant(tenant))
            clients[tenant] = Client(RuleServiceStub(mesh.channel), tenant, key, mesh.client.rules, loop_thread)
            clients[tenant].mirror(("ops", True))
        ann, bob = (Polled(mesh.evaluator, mesh.channel, client) for client in clients.values())
        ann.create("of-ann", "value > 10")
        until(lambda: bob.monitors().keys() == {"of-bob"}, "the other's monitor")
        assert ann.monitors().keys() == {"of-ann"}
        assert ann.series() == {("of-ann", "value"): 1.0}
        assert mesh.monitors() == {}
        assert mesh.status().unowned_series_count >= 1
        # Somebody else's is as unknown as what nobody has and what never was.
        told = set()
        for name in ("of-bob", "of-nobody", "of-never"):
            rule = rule_pb2.Rule(monitor_id=name, condition_text="value > 1", title="x")
            refused = ann.client.refused(rules_pb.CreateRuleRequest(rule=rule))
            told.add((refused.code, refused.message.replace(name, "")))
        assert len(told) == 1
        server.write("\n".join(line(monitor, 20, time.time_ns()) for monitor in ("of-ann", "of-bob", "of-nobody")))
        until(lambda: ann.alerts() == [("of-ann", "value > 10", "firing")], "the alert")
        assert bob.alerts() == []
