"""The three services as processes, of which the evaluator reads an InfluxDB that ordinary clients write to."""

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import duration_pb2
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS

from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.evaluator_service_pb2 import GetEvaluatorStatusRequest
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests import forked
from tests.processes import Receiver, receiver, wait_for
from tests.served import ServedMesh, ServedProcess, free_port, served_mesh
from tests.servers.influxdb import INFLUXD, influx_server
from tests.servers.influxdb2 import ORG, TOKEN, influx2

pytestmark = pytest.mark.process


@dataclass
class Database:
    """An InfluxDB, and how the product and an ordinary client find it."""

    environment: dict[str, str]
    write: Callable[[str, float], None]
    """A response time of a monitor, now."""


@contextmanager
def influxdb_1(folder: Path) -> Iterator[Database]:
    if INFLUXD is None:
        pytest.skip("InfluxDB isn't installed: apt-get install influxdb")
    with influx_server(folder) as server:

        def write(monitor: str, value: float) -> None:
            server.write(f"website_check,monitor_id={monitor} response_time={value},is_up=true {time.time_ns()}")

        yield Database({"INFLUXDB_URL": server.url}, write)


@contextmanager
def influxdb_2(folder: Path) -> Iterator[Database]:
    with influx2() as double, InfluxDBClient(double.url, token=TOKEN, org=ORG) as client:
        writing = client.write_api(write_options=SYNCHRONOUS)

        def write(monitor: str, value: float) -> None:
            point = Point("website_check").tag("monitor_id", monitor).field("response_time", value).field("is_up", True)
            writing.write("monitors", record=point.time(time.time_ns()))

        yield Database({"INFLUXDB_URL": double.url, "INFLUXDB_TOKEN": TOKEN, "INFLUXDB_ORG": ORG}, write)


def command(mesh: ServedMesh, *arguments: str) -> Any:
    """What `monitors … --json` says; channels and status are asked where they are."""
    service = {"channels": mesh.notifier, "status": mesh.evaluator}[arguments[0]]
    done = forked.run(*arguments, "--json", environment=mesh.client_environment(service))
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("opened", [influxdb_1, influxdb_2])
def test_what_is_written_to_an_influxdb_fires_and_resolves(
    opened: Callable[[Path], Any], tmp_path: Path, figure: Callable[[str], None]
) -> None:
    polling = {"MONITORS_INFLUXDB_POLL_SECONDS": "0.3", "MONITORS_INFLUXDB_LATENESS_SECONDS": "1"}
    with opened(tmp_path / "influx") as database, receiver() as hook:
        environment = {**database.environment, **polling, "MONITORS_ALLOW_LOCAL_TARGETS": "1"}
        with served_mesh(tmp_path / "home", environment) as mesh:
            command(mesh, "channels", "create", "ops", "--webhook", hook.url)
            database.write("shop", 120.0)
            rule = rule_pb2.Rule(
                monitor_id="shop", title="Slow", condition_text="response_time > 500", notify=["ops"],
                cooldown=duration_pb2.Duration(),
            )  # fmt: skip
            with mesh.channel(mesh.rules) as channel:
                rules, metadata = RuleServiceStub(channel), mesh.metadata()
                known = pb.ListMonitorsRequest()
                wait_for(lambda: rules.ListMonitors(known, metadata=metadata).monitors, "the monitor", 60)
                made = rules.CreateRule(pb.CreateRuleRequest(rule=rule), metadata=metadata).rule
            written = time.time()
            database.write("shop", 730.5)
            (firing,) = wait_for(lambda: hook.of_type("alert.firing"), "the firing webhook", 60)
            database.write("shop", 90.0)
            (resolved,) = wait_for(lambda: hook.of_type("alert.resolved"), "the resolved webhook", 60)
            assert made.id in firing.body.decode()
            assert "730.5" in firing.body.decode()
            figure(
                f"{opened.__name__}: told {firing.arrived - written:.1f} s after it was written, of which 1 s is given"
            )
            assert firing.arrived < resolved.arrived
            assert "points are read from InfluxDB" in mesh.evaluator.text
            status = command(mesh, "status")["evaluator"]
            assert status["source"].startswith("InfluxDB ")
            assert not [problem for problem in status["problems"] if "InfluxDB" in problem]


@pytest.mark.parametrize("opened", [influxdb_1])
def test_two_evaluators_share_what_is_in_an_influxdb_and_one_goes_on_alone(
    opened: Callable[[Path], Any], tmp_path: Path
) -> None:
    polling = {"MONITORS_INFLUXDB_POLL_SECONDS": "0.3", "MONITORS_INFLUXDB_LATENESS_SECONDS": "1"}
    monitors = [f"shop-{number}" for number in range(12)]
    with opened(tmp_path / "influx") as database, receiver() as hook:
        environment = {**database.environment, **polling, "MONITORS_ALLOW_LOCAL_TARGETS": "1"}
        with served_mesh(tmp_path / "home", environment) as mesh:
            command(mesh, "channels", "create", "ops", "--webhook", hook.url)
            port = free_port()
            own = {"MONITORS_HOME": str(tmp_path / "second"), "MONITORS_HTTP_PORT": "0"}
            own["MONITORS_EVALUATOR_ADDRESS"] = f"127.0.0.1:{port}"
            second = ServedProcess("evaluator", port, {**mesh.environment, **own})
            second.launch()
            second.wait_until_ready()
            try:
                write_all(database, monitors, 120.0)
                make_rules(mesh, monitors)
                both = (mesh.evaluator, second)
                until(lambda: [shards_of(mesh, one) for one in both] == [128, 128], "the shards to be shared")
                write_all(database, monitors, 730.5)
                until(lambda: told(hook, "alert.firing") == monitors, "all alerts")
            finally:
                second.end(signal.SIGKILL)
            until(lambda: shards_of(mesh, mesh.evaluator) == 256, "the first one to have all shards")
            write_all(database, monitors, 90.0)
            until(lambda: told(hook, "alert.resolved") == monitors, "all ends")
            assert told(hook, "alert.firing") == monitors


def until(look: Callable[[], Any], what: str) -> None:
    wait_for(look, what, 60, every=0.1)


def write_all(database: Database, monitors: list[str], value: float) -> None:
    for monitor in monitors:
        database.write(monitor, value)


def make_rules(mesh: ServedMesh, monitors: list[str]) -> None:
    """A rule for each monitor, once all are known."""
    with mesh.channel(mesh.rules) as channel:
        rules, metadata = RuleServiceStub(channel), mesh.metadata()
        known = pb.ListMonitorsRequest(page_size=100)
        until(lambda: len(rules.ListMonitors(known, metadata=metadata).monitors) == len(monitors), "the monitors")
        for monitor in monitors:
            rule = rule_pb2.Rule(
                monitor_id=monitor, title=monitor, condition_text="response_time > 500", notify=["ops"],
                cooldown=duration_pb2.Duration(),
            )  # fmt: skip
            rules.CreateRule(pb.CreateRuleRequest(rule=rule), metadata=metadata)


def shards_of(mesh: ServedMesh, evaluator: ServedProcess) -> int:
    with mesh.channel(evaluator) as channel:
        asked = GetEvaluatorStatusRequest()
        return EvaluatorServiceStub(channel).GetEvaluatorStatus(asked, metadata=mesh.metadata()).shard_count


def told(hook: Receiver, kind: str) -> list[str]:
    """The titles of the rules of which there were messages of a kind, one for each message."""
    found = [title for one in hook.of_type(kind) for title in re.findall(r"shop-\d+", one.body.decode())[:1]]
    return sorted(found, key=lambda title: int(title.removeprefix("shop-")))
