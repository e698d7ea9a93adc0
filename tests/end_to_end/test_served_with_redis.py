"""The mesh as operators run it, with a second RuleService: all on one MariaDB and one Redis, which comes and goes."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS

from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests import forked
from tests.processes import wait_for
from tests.served import ServedMesh, ServedProcess, free_port, served_mesh
from tests.servers.backends import server_database_url
from tests.servers.redis import PASSWORD, RedisServer, redis_server

pytestmark = pytest.mark.process
DEADLINE = 30.0


@dataclass
class Doubled:
    """A mesh whose evaluator and notifier follow one RuleService, while people call the other."""

    mesh: ServedMesh
    other: ServedProcess
    redis: RedisServer
    stub: RuleServiceStub
    titles: "count[int]"

    @property
    def processes(self) -> list[ServedProcess]:
        return [*self.mesh.processes, self.other]

    def write(self) -> None:
        """A point that every rule fires on."""
        with InfluxDBClient(f"http://127.0.0.1:{self.mesh.http_port}", token=self.mesh.key(), org="any") as client:
            point = Point("cpu").tag("monitor_id", "mon_host").field("percent", 97.0)
            client.write_api(write_options=SYNCHRONOUS).write("any", record=point.time(time.time_ns()))

    def seconds_until_it_fires(self) -> float:
        """How long it takes from the answer to who makes a rule at one RuleService until it has fired at the other."""
        rule = rule_pb2.Rule(
            monitor_id="mon_host", title=f"rule {next(self.titles)}", condition_text="percent > 90",
            interval=Duration(seconds=1), notify=["out"],
        )  # fmt: skip
        made = self.stub.CreateRule(pb.CreateRuleRequest(rule=rule), metadata=self.mesh.metadata(), timeout=DEADLINE)
        begin = time.monotonic()

        def fires() -> bool:
            self.write()
            request = pb.ListAlertsRequest(filter=f"rule_id={made.rule.id}")
            listed = self.stub.ListAlerts(request, metadata=self.mesh.metadata(), timeout=DEADLINE)
            return bool(listed.alerts)

        wait_for(fires, "the rule to fire", DEADLINE)
        return time.monotonic() - begin

    def redis_problems(self, service: ServedProcess) -> list[str]:
        """What `monitors status` says of Redis, asked at one service."""
        done = forked.run("status", "--json", environment=self.mesh.client_environment(service))
        return [problem for problem in json.loads(done.stdout)["problems"] if "Redis" in problem]


@pytest.fixture
def doubled(tmp_path: Path) -> Iterator[Doubled]:
    with redis_server() as redis:
        shared = {
            "DATABASE_URL": server_database_url(tmp_path / "rules.db"),
            "MONITORS_NOTIFIER_DATABASE_URL": server_database_url(tmp_path / "notifier.db", "notifier"),
            "REDIS_URL": redis.url,
        }
        with served_mesh(tmp_path / "home", shared) as mesh:
            port = free_port()
            home = {"MONITORS_HOME": str(tmp_path / "other")}
            other = ServedProcess("rules", port, {**mesh.environment, **home})
            other.launch()
            try:
                other.wait_until_ready()
                with grpc.insecure_channel(other.address) as channel:
                    yield Doubled(mesh, other, redis, RuleServiceStub(channel), count(1))
            finally:
                assert other.end() == 0, other.text[-2_000:]


def make_channel(doubled: Doubled) -> None:
    known = doubled.mesh.client_environment(doubled.mesh.notifier)
    done = forked.run("channels", "create", "out", "--console", environment=known)
    assert done.returncode == 0, done.stderr


def test_a_rule_made_at_one_rule_service_fires_by_the_other_while_redis_comes_and_goes(
    doubled: Doubled, figure: Callable[[str], None]
) -> None:
    make_channel(doubled)

    def is_known() -> Any:
        doubled.write()
        request = pb.ListMonitorsRequest(query="mon_host")
        return doubled.stub.ListMonitors(request, metadata=doubled.mesh.metadata(), timeout=DEADLINE).monitors

    wait_for(is_known, "the monitor", DEADLINE)
    with_redis = [doubled.seconds_until_it_fires() for _ in range(3)]
    doubled.redis.kill()
    without = [doubled.seconds_until_it_fires() for _ in range(3)]
    for service in (doubled.mesh.evaluator, doubled.mesh.notifier):
        (problem,) = wait_for(lambda: doubled.redis_problems(service), "the problem to be seen", DEADLINE)  # noqa: B023
        assert "can't be reached" in problem
        assert str(doubled.redis.port) not in problem
    doubled.redis.start()
    for service in (doubled.mesh.evaluator, doubled.mesh.notifier):
        wait_for(lambda: not doubled.redis_problems(service), "the problem to be over", DEADLINE)  # noqa: B023
    doubled.seconds_until_it_fires()
    for process in doubled.processes:
        wait_for(lambda: "is used again" in process.text, "the end of the trouble to be told", DEADLINE)  # noqa: B023
        told = [line for line in process.output if "Redis" in line]
        assert len(told) == 2, told
        assert "can't be reached" in told[0]
        assert PASSWORD not in process.text
    figure(
        "a rule made at one RuleService has fired by an evaluator that follows the other, on MariaDB: after "
        f"{max(with_redis):.2f} s at most with Redis, {max(without):.2f} s without"
    )
