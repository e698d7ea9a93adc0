"""A RuleService that can't use its database when it starts says what to mend, or waits for it; and clocks that are
minutes apart."""

import os
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from monitors.mesh.times import MINUTE, now_nanos
from monitors.v1 import evaluator_service_pb2, mesh_pb2, monitor_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.crash.proxy import FaultProxy
from tests.harness import LoopThread
from tests.processes import BIN, START_SECONDS, wait_for
from tests.rules.client import FIRING, FLOAT, refused
from tests.served import SERVICE_TOKEN, ServedProcess, free_port
from tests.servers.mariadb import PASSWORD, USER, shared_server

pytestmark = pytest.mark.process
SHIFTED = """\
import time
clock, clock_ns, seconds = time.time, time.time_ns, {seconds}
time.time = lambda: clock() + seconds
time.time_ns = lambda: clock_ns() + seconds * 10**9
"""
MESH = (("authorization", f"Bearer {SERVICE_TOKEN}"),)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (
            lambda: f"mysql+pymysql://{USER}:wr0ng-word@127.0.0.1:{shared_server().port}/test_1",
            "the database refuses the user: check name and password in the database's URL",
        ),
        (
            lambda: shared_server().url("nowhere"),
            "the server has no such database: create it, or correct the database's URL",
        ),
    ],
)
def test_a_start_without_a_usable_database_names_it_and_the_fix(
    tmp_path: Path, url: Callable[[], str], told: str
) -> None:
    environment = {
        **os.environ, "DATABASE_URL": url(), "MONITORS_HOME": str(tmp_path), "MONITORS_SERVICE_TOKEN": SERVICE_TOKEN,
        "MONITORS_GRPC_PORT": str(free_port()),
    }  # fmt: skip
    ended = subprocess.run(
        [str(BIN / "monitors"), "serve", "rules"], env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert f"mysql+pymysql://{USER}:***@127.0.0.1" in ended.stderr
    assert told in ended.stderr
    for word in (PASSWORD, "wr0ng-word", "Traceback"):
        assert word not in ended.stdout + ended.stderr


@contextmanager
def waiting_service(home: Path, url: str) -> Iterator[ServedProcess]:
    """A RuleService whose database can't be reached yet, once it says so."""
    environment = {"MONITORS_HOME": str(home), "MONITORS_SERVICE_TOKEN": SERVICE_TOKEN, "DATABASE_URL": url}
    process = ServedProcess("rules", free_port(), environment)
    process.launch()
    try:
        wait_for(lambda: "waiting for it" in process.text, "its word that it waits", START_SECONDS)
        yield process
    finally:
        process.end()


def health_of(channel: grpc.Channel, name: str) -> int:
    stub: Any = HealthStub(channel)
    status: int = stub.Check(HealthCheckRequest(service=name), wait_for_ready=True, timeout=30).status
    return status


@pytest.fixture
def way(loop_thread: LoopThread) -> Iterator[FaultProxy]:
    """The way to the database, on which nobody gets through yet."""
    proxy = FaultProxy(shared_server().port)
    loop_thread.run(proxy.start())
    proxy.refuse(refusing=True)
    yield proxy
    loop_thread.run(proxy.stop())


async def cut(way: FaultProxy) -> None:
    way.reset()


def test_a_database_that_comes_late_or_is_lost_is_waited_for_and_health_says_so(
    tmp_path: Path, way: FaultProxy, loop_thread: LoopThread
) -> None:
    away = shared_server().migrated_database("rules").replace(f":{shared_server().port}/", f":{way.port}/")
    serving, not_serving = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
    with waiting_service(tmp_path, away) as process:
        assert PASSWORD not in process.text
        with grpc.insecure_channel(process.address) as channel:
            assert [health_of(channel, name) for name in ("", "monitors.v1.RuleService", "alive")] == [
                not_serving, not_serving, serving,
            ]  # fmt: skip
            error = refused(lambda: RuleServiceStub(channel).ListRules(pb.ListRulesRequest(), timeout=20))
            assert (error.code, error.reason) == ("UNAVAILABLE", "STORAGE_UNAVAILABLE")
            assert "waits for its database" in error.message
        way.refuse(refusing=False)
        process.wait_until_ready()
        with grpc.insecure_channel(process.address) as channel:
            for name in ("", "monitors.v1.RuleService", "alive"):
                assert health_of(channel, name) == serving
            way.refuse(refusing=True)
            loop_thread.run(cut(way))
            names = ("", "monitors.v1.RuleService")
            wait_for(
                lambda: [health_of(channel, name) for name in names] == [not_serving] * 2,
                "its word that it can't serve",
            )
            assert health_of(channel, "alive") == serving
            way.refuse(refusing=False)
            wait_for(lambda: health_of(channel, "") == serving, "its word that it can serve again")


def test_who_waits_for_a_database_can_be_ended(tmp_path: Path) -> None:
    away = f"mysql+pymysql://{USER}:{PASSWORD}@127.0.0.1:{free_port()}/test_1"
    with waiting_service(tmp_path, away) as process:
        assert "the database can't be reached: see that it runs and that its address is right" in process.text
        assert process.end() == 0


class Replica:
    """A RuleService whose machine's clock is wrong by some seconds."""

    def __init__(self, home: Path, url: str, seconds: int = 0) -> None:
        home.mkdir()
        (home / "sitecustomize.py").write_text(SHIFTED.format(seconds=seconds))
        environment = {
            "MONITORS_HOME": str(home), "MONITORS_SERVICE_TOKEN": SERVICE_TOKEN, "DATABASE_URL": url,
            "PYTHONPATH": str(home), "MONITORS_MAKE_FIRST_KEYS": "again",
        }  # fmt: skip
        self.process = ServedProcess("rules", free_port(), environment)
        self.process.launch()
        self.process.wait_until_ready()
        self.key = (("authorization", f"Bearer {(home / 'key').read_text().strip()}"),)
        self._channel = grpc.insecure_channel(self.process.address)
        self.stub = RuleServiceStub(self._channel)

    def close(self) -> None:
        """Ends it."""
        self._channel.close()
        self.process.end()

    def lease(self, evaluator: str) -> dict[int, int]:
        """What an evaluator holds, as shards with their epochs."""
        request = pb.LeaseShardsRequest(evaluator_id=evaluator)
        return {lease.shard: lease.epoch for lease in self.stub.LeaseShards(request, metadata=MESH).leases}

    def looks(self) -> Generator[pb.LeaseNotificationsResponse, None, None]:
        """What a notifier is given, look by look; where nothing is free, that's a sign of life without any."""
        yield from self.stub.LeaseNotifications(pb.LeaseNotificationsRequest(), metadata=MESH, timeout=30)

    def let_fire(self) -> None:
        """Makes a rule and lets it fire now."""
        key = monitor_pb2.SeriesKey(monitor_id="room", measurement="m", field="c")
        series = evaluator_service_pb2.SeriesDefinition(key=key, type=FLOAT)
        self.stub.ReportSeries(pb.ReportSeriesRequest(tenant_id="local", series=[series]), metadata=MESH)
        rule = rule_pb2.Rule(monitor_id="room", title="Hot", condition_text="c > 30")
        made = self.stub.CreateRule(pb.CreateRuleRequest(rule=rule), metadata=self.key).rule
        now = now_nanos()
        assert abs(made.create_time.ToNanoseconds() - now) < MINUTE
        transition = mesh_pb2.Transition(
            tenant_id="local", rule_id=made.id, monitor_id="room", kind=FIRING, episode=now, time_nanos=now
        )
        self.stub.RecordTransitions(pb.RecordTransitionsRequest(transitions=[transition]), metadata=MESH)


@pytest.fixture(params=[300, -300], ids=["ahead", "behind"])
def replicas(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    """Two on one database: one whose clock is right, and one whose is five minutes ahead or behind."""
    url = shared_server().migrated_database("rules")
    right = Replica(tmp_path / "right", url)
    wrong = Replica(tmp_path / "wrong", url, request.param)
    yield right, wrong
    wrong.close()
    right.close()


def test_leases_and_dates_follow_the_databases_clock(replicas: tuple[Replica, Replica]) -> None:
    for granting, other in (replicas, replicas[::-1]):
        evaluator = f"evaluator-{granting.process.port}"
        held = granting.lease(evaluator)
        assert len(held) == 256
        # To the other the leases haven't ended, whatever its machine says; it may only ask for its share back.
        assert other.lease("another") == {}
        assert granting.lease(evaluator) == held
        for name in (evaluator, "another"):
            granting.stub.LeaseShards(pb.LeaseShardsRequest(evaluator_id=name, leaving=True), metadata=MESH)


def test_a_message_that_one_has_leased_is_not_given_to_another(replicas: tuple[Replica, Replica]) -> None:
    for granting, other in (replicas, replicas[::-1]):
        other.let_fire()
        leasing = granting.looks()
        batch = next(answer for answer in leasing if answer.notifications)
        ids = [each.id for each in batch.notifications]
        assert len(ids) == 1
        assert not next(other.looks()).notifications
        taken = pb.AcknowledgeNotificationsRequest(lease_token=batch.lease_token, notification_ids=ids)
        granting.stub.AcknowledgeNotifications(taken, metadata=MESH)
        leasing.close()
