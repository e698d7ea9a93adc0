"""The three services as processes, of which the evaluator reads an InfluxDB that ordinary clients write to."""

import json
import subprocess
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
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.processes import BIN, receiver, wait_for
from tests.served import ServedMesh, served_mesh
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
    done = subprocess.run(
        [str(BIN / "monitors"), *arguments, "--json"], env=mesh.client_environment(service), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("opened", [influxdb_1, influxdb_2])
def test_what_is_written_to_an_influxdb_fires_and_resolves(
    opened: Callable[[Path], Any], tmp_path: Path, figure: Callable[[str], None]
) -> None:
    polling = {"MONITORS_POLL_SECONDS": "0.3", "MONITORS_POLL_LATENESS_SECONDS": "1"}
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
