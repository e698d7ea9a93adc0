"""All six tools on a real mesh, by two independent clients, in both eras of the protocol, over both transports."""

import asyncio
import json
import subprocess
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.bridge.conftest import COMMAND, HttpBridge
from tests.bridge.npm import npm_command
from tests.processes import MeshProcess, running_mesh, wait_for

pytestmark = pytest.mark.process

INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"
TOOLS = {
    "create_alert_rule", "list_alert_rules", "update_alert_rule", "delete_alert_rule", "list_alerts",
    "acknowledge_alert",
}  # fmt: skip
CALL_SECONDS = 60


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshProcess]:
    with running_mesh(tmp_path_factory.mktemp("home"), "--no-host") as process:
        yield process


@pytest.fixture(scope="module")
def http_bridge(mesh: MeshProcess) -> Iterator[HttpBridge]:
    bridge = HttpBridge(**mesh.client_environment)
    yield bridge
    bridge.close()


@dataclass(frozen=True)
class AnyClient(ABC):
    """A client of the bridge. `url` is where it serves HTTP; if empty, it's started with stdio."""

    mesh: MeshProcess
    url: str
    era: str

    @abstractmethod
    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The structured data of a call that must succeed."""

    @abstractmethod
    def tools(self) -> list[str]:
        """The names that are listed."""


class Sdk(AnyClient):
    """The official Python client, which is new for each call."""

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        async def call() -> Any:
            async with self._open() as client:
                return await client.call_tool(tool, arguments)

        result = asyncio.run(call())
        assert not result.is_error, result.content
        data: dict[str, Any] = result.structured_content
        return data

    def tools(self) -> list[str]:
        async def listed() -> list[str]:
            async with self._open() as client:
                return [tool.name for tool in (await client.list_tools()).tools]

        return asyncio.run(listed())

    def _open(self) -> Client:
        server = StdioServerParameters(command=COMMAND, env=self.mesh.client_environment)
        return Client(self.url or server, mode={"modern": "auto", "legacy": "legacy"}[self.era])


class Inspector(AnyClient):
    """MCP Inspector, a client in TypeScript, on the command line."""

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        method = ("--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))
        data: dict[str, Any] = self._run(*method)["structuredContent"]
        return data

    def tools(self) -> list[str]:
        # `--strict` also fails for a schema that some client couldn't read.
        return [tool["name"] for tool in self._run("--method", "tools/list", "--strict")["tools"]]

    def _run(self, *options: str) -> dict[str, Any]:
        command = [*npm_command(INSPECTOR, "mcp-inspector"), "--cli", *([self.url] if self.url else []), *options]
        command += ["--protocol-era", self.era, "--format", "json", *([] if self.url else ["--", *self._server()])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=CALL_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)["result"]
        return answer

    def _server(self) -> list[str]:
        # It gives a server it starts nothing of its own environment.
        known = self.mesh.client_environment
        return ["env", *(f"{name}={known[name]}" for name in ("MONITORS_SERVER", "MONITORS_HOME")), COMMAND]


def write(mesh: MeshProcess, monitor: str, value: float) -> None:
    line = f"load,monitor_id={monitor} value={value} {time.time_ns()}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{mesh.http_port}/api/v2/write?org=any&bucket=any",
        data=line.encode(),
        headers={"Authorization": f"Token {mesh.key}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 204


def live_a_rules_life(client: AnyClient, monitor: str) -> set[str]:
    """Makes, watches, acknowledges, changes and deletes a rule. Returns the tools that were called."""
    called = set()

    def call(tool: str, **arguments: Any) -> dict[str, Any]:
        called.add(tool)
        return client.call(tool, arguments)

    write(client.mesh, monitor, 1.0)
    created = call("create_alert_rule", monitor=monitor, title=monitor, condition="value > 90", interval="1s")
    rule_id = created["rule"]["id"]
    assert call("list_alert_rules", monitor=monitor)["rules"][0]["id"] == rule_id
    write(client.mesh, monitor, 97.0)
    wait_for(lambda: client.mesh.json("alerts", "list", "--rule", rule_id)["alerts"], "the alert", every=0.2)
    alerts = call("list_alerts", rule_id=rule_id, explain=True)["alerts"]
    assert [alert["value"] for alert in alerts] == [97.0]
    alert_id = alerts[0]["id"]
    assert call("acknowledge_alert", alert_id=alert_id, note="mine")["acknowledged"] == [alert_id]
    assert call("update_alert_rule", rule_id=rule_id, snooze_until="1h")["rule"]["state"] == "snoozed"
    assert call("delete_alert_rule", rule_id=rule_id, confirm_title=monitor)["deleted"] is True
    return called


@pytest.mark.parametrize("kind", [Sdk, Inspector])
@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_every_client_can_do_everything(
    mesh: MeshProcess,
    http_bridge: HttpBridge,
    kind: type[AnyClient],
    era: str,
    transport: str,
    figure: Callable[[str], None],
) -> None:
    name = f"{kind.__name__}, {era}, {transport}"
    client = kind(mesh, http_bridge.url if transport == "http" else "", era)
    assert set(client.tools()) == TOOLS
    assert live_a_rules_life(client, name.lower().replace(", ", "-")) == TOOLS
    figure(f"{name}: {len(TOOLS)} of {len(TOOLS)} tools work on a real mesh")
