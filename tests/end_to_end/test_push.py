"""From a measurement to Claude unasked: the whole mesh tells a listener what fires, is acknowledged and is over."""

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.conftest import HttpBridge
from tests.bridge.listening import FIRING, listening_over
from tests.harness import LoopThread
from tests.processes import MeshProcess, running_mesh, wait_for


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshProcess]:
    with running_mesh(tmp_path_factory.mktemp("home"), "--no-host") as process:
        yield process


def write(mesh: MeshProcess, value: float) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{mesh.http_port}/api/v2/write?org=o&bucket=b",
        f"web,monitor_id=shop response_time={value} {time.time_ns()}".encode(),
        {"Authorization": f"Token {mesh.key}"},
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 204


@pytest.mark.process
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_who_listens_is_told_and_reads_the_callers_own(
    mesh: MeshProcess, loop_thread: LoopThread, tmp_path: Path, transport: str
) -> None:
    write(mesh, 120)
    rule = {"monitor": "shop", "title": f"Slow over {transport}", "condition": "response_time > 500", "interval": "1s"}
    with (
        closing(HttpBridge(MONITORS_SERVER=f"127.0.0.1:{mesh.grpc_port}", MONITORS_HOME=str(tmp_path))) as bridge,
        loop_thread.opened(listening_over(transport, bridge.url, mesh.grpc_port, mesh.key)) as listener,
    ):

        def call(tool: str, **arguments: Any) -> Any:
            result = loop_thread.run(listener.client.call_tool(tool, arguments))
            assert not result.is_error, result.content
            return result.structured_content

        def read(uri: str) -> Any:
            content: Any = loop_thread.run(listener.client.read_resource(uri)).contents[0]
            return json.loads(content.text)

        rule_id = call("create_alert_rule", **rule)["rule"]["id"]
        # The evaluator hears of a new rule in a moment of its own.
        wait_for(lambda: read(f"rule://{rule_id}").get("instances"), "the rule to be watched")
        write(mesh, 730.5)
        listener.told()
        (alert,) = read(FIRING)["alerts"]
        assert (alert["rule_id"], alert["value"]) == (rule_id, 730.5)
        shown = read(f"rule://{rule_id}")
        (instance,) = shown["instances"]
        assert (shown["state"], instance["state"], instance["value"]) == ("firing", "firing", 730.5)

        call("acknowledge_alert", alert_id=alert["id"], note="mine")
        listener.told()
        assert read(FIRING)["alerts"][0]["acknowledged_by"]

        write(mesh, 90)
        listener.told()
        assert read(FIRING) == {"alerts": [], "total": 0}
        call("delete_alert_rule", rule_id=rule_id, confirm_title=rule["title"])
