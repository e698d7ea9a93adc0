"""The real command over both transports and in both eras: calls, credentials, and who is let in."""

import asyncio
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from monitors.bridge.main import listen, main, transport_security
from monitors.bridge.settings import HttpSettings, load_mesh_settings
from tests.bridge.backend import Backend
from tests.bridge.conftest import COMMAND, ERAS, HttpBridge, answer_of
from tests.harness import LoopThread

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def backend(module_backend: Backend) -> Backend:
    return module_backend


@pytest.mark.parametrize("mode", ERAS)
def test_a_whole_conversation_works(loop_thread: LoopThread, backend: Backend, target: Any, mode: str) -> None:
    async def scenario() -> None:
        async with Client(target, mode=mode) as client:
            rule = {"monitor": "mon_host", "title": "CPU is high", "condition": "cpu_percent > 90"}
            created = answer_of(await client.call_tool("create_alert_rule", rule))
            rule_id = created.data["rule"]["id"]
            alert_id = backend.add_alert(rule_id=rule_id)
            listed = answer_of(await client.call_tool("list_alert_rules", {"include": "monitors"}))
            assert listed.data["rules"][0]["id"] == rule_id
            alerts = answer_of(await client.call_tool("list_alerts", {"rule_id": rule_id, "explain": True}))
            assert alerts.data["alerts"][0]["id"] == alert_id
            acknowledged = answer_of(
                await client.call_tool("acknowledge_alert", {"alert_id": alert_id, "note": "mine"})
            )
            assert acknowledged.data["acknowledged"] == [alert_id]
            updated = answer_of(await client.call_tool("update_alert_rule", {"rule_id": rule_id, "snooze_until": "1h"}))
            assert updated.data["rule"]["state"] == "snoozed"
            arguments = {"rule_id": rule_id, "confirm_title": "CPU is high"}
            assert answer_of(await client.call_tool("delete_alert_rule", arguments)).data["deleted"]

    loop_thread.run(scenario())


@pytest.mark.parametrize("mode", ERAS)
def test_a_bearer_header_is_the_credential_of_its_call(
    loop_thread: LoopThread, backend: Backend, http_bridge: HttpBridge, mode: str
) -> None:
    backend.keys = {"local-key", "anns-key"}
    backend.calls.clear()

    async def users(headers: dict[str, str]) -> str:
        async with httpx2.AsyncClient(headers=headers) as http_client:
            transport = streamable_http_client(http_bridge.url, http_client=http_client)
            async with Client(transport, mode=mode) as client:
                return answer_of(await client.call_tool("list_alerts", {})).text

    loop_thread.run(users({"Authorization": "Bearer anns-key"}))
    loop_thread.run(users({}))
    assert [user for _, user, _ in backend.calls] == ["anns-key", "local-key"]
    assert "isn't known" in loop_thread.run(users({"Authorization": "Bearer wrong"}))
    assert "No usable credential" in loop_thread.run(users({"Authorization": "Basic eDp5"}))


@pytest.fixture(scope="module")
def open_bridge(environment: dict[str, str]) -> Iterator[HttpBridge]:
    """A bridge that other machines can reach."""
    bridge = HttpBridge("--host", "0.0.0.0", "--allow-host", "alerts.example", **environment)
    yield bridge
    bridge.close()


def test_the_local_key_isnt_lent_to_other_machines(open_bridge: HttpBridge) -> None:
    answer = httpx2.post(open_bridge.url, content="{}")
    assert answer.status_code == 401
    assert "Authorization: Bearer" in answer.json()["error_description"]


def test_foreign_hosts_and_origins_are_turned_away(http_bridge: HttpBridge, open_bridge: HttpBridge) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {
        "Accept": "application/json, text/event-stream", "Content-Type": "application/json",
        "Authorization": "Bearer alk_x",
    }  # fmt: skip

    def status(url: str, **extra: str) -> int:
        return httpx2.post(url, content=json.dumps(body), headers={**headers, **extra}).status_code

    for bridge in (http_bridge, open_bridge):
        assert status(bridge.url, Host="evil.example") == 421
        assert status(bridge.url, Origin="https://evil.example") == 403
        assert status(bridge.url) not in (421, 403)
    assert status(open_bridge.url, Host="alerts.example") not in (421, 403)
    assert status(http_bridge.url, Host="alerts.example") == 421


def test_the_checks_are_armed_whatever_address_is_bound() -> None:
    for host in ("127.0.0.1", "::1", "0.0.0.0", "10.1.2.3", "bridge.internal"):
        security = transport_security(HttpSettings(host=host))
        assert security.enable_dns_rebinding_protection
        assert "0.0.0.0" not in security.allowed_hosts


def test_a_taken_port_names_itself_and_the_fix() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [COMMAND, "--http", "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "MONITORS_MCP_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_small_answers_over_http_are_sent_at_once() -> None:
    async def delays() -> int:
        accepted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with listen(HttpSettings(port=0)) as listening:
            server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), sock=listening)
            async with server:
                _, writer = await asyncio.open_connection(*listening.getsockname())
                its_side = await accepted
                without_delay: int = its_side.get_extra_info("socket").getsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NODELAY
                )
                for side in (writer, its_side):
                    side.close()
                    await side.wait_closed()
                return without_delay

    assert asyncio.run(delays())


@pytest.mark.parametrize("port", ["http", "70000", "-1"])
def test_a_wrong_port_is_refused_by_name(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--http", f"--port={port}"]) == 2
    assert f"--port: '{port}'" in capsys.readouterr().err


def test_the_end_of_input_ends_the_command_quietly() -> None:
    ended = subprocess.run([COMMAND], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_an_interrupt_ends_the_command_though_its_input_stays_open() -> None:
    with subprocess.Popen([COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "127.0.0.1:50051"),
        ({"MONITORS_GRPC_PORT": "51051"}, "127.0.0.1:51051"),
        ({"MONITORS_GRPC_PORT": "51051", "MONITORS_SERVER": "mesh:1"}, "mesh:1"),
    ],
)
def test_the_mesh_is_found_where_the_command_would_find_it(environment: dict[str, str], address: str) -> None:
    assert load_mesh_settings(environment).address == address
