"""The main job by real processes and official clients: measure, say, fire, be told, list, acknowledge, recover."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS
from mcp import StdioServerParameters
from mcp.client import Client
from standardwebhooks import Webhook

from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.processes import BIN, MeshProcess, Receiver, receiver, running_mesh, wait_for
from tests.servers.backends import in_files


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshProcess]:
    with running_mesh(tmp_path_factory.mktemp("home")) as process:
        yield process


@pytest.fixture(scope="module")
def hook() -> Iterator[Receiver]:
    with receiver() as received:
        yield received


def write(mesh: MeshProcess, response_time: float) -> None:
    with InfluxDBClient(f"http://127.0.0.1:{mesh.http_port}", token=mesh.key, org="monitors") as client:
        point = Point("website_check").tag("monitor_id", "shop").field("response_time", response_time)
        client.write_api(write_options=SYNCHRONOUS).write("monitors", record=point.time(time.time_ns()))


def call(mesh: MeshProcess, tool: str, **arguments: Any) -> Any:
    """Calls a tool through the real stdio bridge, as Claude does."""

    async def talk() -> Any:
        server = StdioServerParameters(command=str(BIN / "monitors-mcp"), env=mesh.client_environment)
        async with Client(server) as client:
            return await client.call_tool(tool, arguments)

    result = asyncio.run(talk())
    assert not result.is_error, result.content
    return result.structured_content


def test_what_it_watches_is_known_when_it_says_that_it_runs(mesh: MeshProcess) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{mesh.grpc_port}") as channel:
        metadata = (("authorization", f"Bearer {mesh.key}"),)
        listed = RuleServiceStub(channel).ListMonitors(pb.ListMonitorsRequest(), metadata=metadata, timeout=30)
    assert [monitor.id for monitor in listed.monitors] == ["mon_host"]


def test_the_first_alert(mesh: MeshProcess, hook: Receiver) -> None:
    write(mesh, 120.0)
    created = mesh.command("channels", "create", "ops", "--webhook", hook.url, "--json")
    assert created.returncode == 0, created.stderr
    secret = next(word for word in created.stdout.replace('"', " ").split() if word.startswith("whsec_"))

    call(
        mesh,
        "create_alert_rule",
        monitor="shop",
        title="Checkout is slow",
        condition="response_time > 500",
        severity="high",
        notify=["ops"],
    )
    write(mesh, 730.5)

    (firing,) = wait_for(lambda: hook.of_type("alert.firing"), "the firing webhook")
    Webhook(secret).verify(firing.body, {name.lower(): value for name, value in firing.headers.items()})
    assert "Checkout is slow" in firing.body.decode()

    wait_for(lambda: any("FIRING high · Checkout is slow" in line for line in mesh.output), "the live line")

    (alert,) = mesh.json("alerts", "list", "--limit", "10")["alerts"]
    assert (alert["monitor"], alert["severity"], alert["state"]) == ("shop", "high", "firing")

    listed = call(mesh, "list_alerts")
    assert alert["id"] in str(listed)
    call(mesh, "acknowledge_alert", alert_id=alert["id"], note="looking into it")
    shown = mesh.json("alerts", "show", alert["id"])
    assert "looking into it" in str(shown)

    write(mesh, 90.0)
    (resolved,) = wait_for(lambda: hook.of_type("alert.resolved"), "the resolved webhook")
    assert resolved.headers["webhook-id"] != firing.headers["webhook-id"]
    (alert,) = mesh.json("alerts", "list")["alerts"]
    assert alert["state"] == "resolved"


def test_this_machine_is_watched_from_the_start(mesh: MeshProcess) -> None:
    def fields() -> set[str]:
        monitors = mesh.json("list")["monitors"]
        return {field["field"] for monitor in monitors if monitor["id"] == "mon_host" for field in monitor["fields"]}

    wait_for(lambda: {"cpu_percent", "memory_percent", "load1"} <= fields(), "the host collector")
    created = mesh.command(
        "rules",
        "create",
        "--monitor",
        "mon_host",
        "--title",
        "Alive",
        "--when",
        "memory_percent > 0",
        "--interval",
        "1s",
    )
    assert created.returncode == 0, created.stderr
    wait_for(lambda: any("Alive" in line for line in mesh.output), "the console's line")
    wait_for(lambda: mesh.json("alerts", "list", "--state", "firing")["alerts"], "the alert")
    assert sum("FIRING medium · Alive" in line for line in mesh.output) == 1


def test_what_users_type_wrong_is_named_with_the_fix(mesh: MeshProcess) -> None:
    for arguments, words in [
        (("--monitor", "shpo", "--when", "response_time > 5"), ("shpo", "shop")),
        (("--monitor", "shop", "--when", "response_tim > 5"), ("response_tim", "response_time")),
        (("--monitor", "shop", "--when", "response_time >> 5"), ("condition",)),
        (("--monitor", "shop", "--when", "response_time > nan"), ("condition",)),
        (("--monitor", "shop", "--when", "response_time > 5", "--cooldown", "-5m"), ("cooldown",)),
        (("--monitor", "shop", "--when", "response_time > 5", "--notify", "nobody"), ("nobody",)),
    ]:
        done = mesh.command("rules", "create", "--title", "T", *arguments)
        assert done.returncode not in (0, 1), arguments
        assert "Traceback" not in done.stderr
        for word in words:
            assert word in done.stderr, (arguments, done.stderr)


def test_a_second_mesh_in_the_same_folder_is_refused(mesh: MeshProcess, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"in use by another.*MONITORS_HOME"):
        MeshProcess(mesh.home).start()


def test_a_taken_port_is_named_with_the_fix(mesh: MeshProcess, tmp_path: Path) -> None:
    for variable, port in (("MONITORS_GRPC_PORT", mesh.grpc_port), ("MONITORS_HTTP_PORT", mesh.http_port)):
        with pytest.raises(AssertionError, match=rf"{port}.*{variable}"):
            MeshProcess(tmp_path / variable, environment={variable: str(port)}).start()


def test_a_damaged_database_is_named_with_the_fix(tmp_path: Path) -> None:
    for name in ("rules.db", "samples.db", "notifier.db"):
        home = tmp_path / name.removesuffix(".db")
        home.mkdir()
        (home / name).write_bytes(b"no database at all, " * 1000)
        with pytest.raises(AssertionError, match=rf"(?s){name}.*backup"):
            MeshProcess(home, environment=in_files(home)).start()
