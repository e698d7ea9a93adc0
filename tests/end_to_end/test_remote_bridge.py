"""The bridge for people who sign in: `monitors serve rules` with tenants, and `monitors-mcp --http` before it."""

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from monitors.app.up import run_up
from monitors.mesh.config import load_settings
from monitors.v1 import monitor_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.bridge.authorization_server import RESOURCE, authorization_server
from tests.bridge.oauth_world import LoggedBridge, call_tool, post
from tests.end_to_end.test_bridge_over_http import answers, free_port
from tests.harness import LoopThread
from tests.processes import BIN, running_mesh, wait_for
from tests.servers.backends import addresses

SECRET = "0123456789abcdef" * 4


@contextmanager
def rule_service(home: Path, port: int) -> Iterator[list[str]]:
    """`monitors serve rules` as a process. What it wrote is in the list once it has ended."""
    environment = {
        "MONITORS_HOME": str(home), "MONITORS_GRPC_PORT": str(port), "MONITORS_SERVICE_TOKEN": "t" * 32,
        "MONITORS_TENANTS": "acme, globex", "MONITORS_BRIDGE_SECRET": f"another-{SECRET}, {SECRET}",
    }  # fmt: skip
    process = subprocess.Popen(
        [BIN / "monitors", "serve", "rules"], env={**os.environ, **addresses(home), **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    output: list[str] = []
    try:
        assert process.stdout
        assert "monitors rules on" in process.stdout.readline()
        yield output
    finally:
        process.terminate()
        output += process.communicate(timeout=30)


def test_a_user_of_a_tenant_works_as_themselves(tmp_path: Path, loop_thread: LoopThread) -> None:
    port = free_port()
    with authorization_server() as issuer, rule_service(tmp_path, port) as output:
        key_file = tmp_path / "tenants" / "acme.key"
        assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
        metadata = (("authorization", f"Bearer {key_file.read_text().strip()}"),)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = pb.RegisterMonitorRequest(monitor_id="shop")
            request.fields.add(measurement="web", field="response_time", type=monitor_pb2.FIELD_TYPE_FLOAT)
            RuleServiceStub(channel).RegisterMonitor(request, metadata=metadata)
        bridge = LoggedBridge(
            MONITORS_SERVER=f"127.0.0.1:{port}",
            MONITORS_MCP_ISSUER=issuer.url,
            MONITORS_MCP_RESOURCE_URL=RESOURCE,
            MONITORS_BRIDGE_SECRET=SECRET,
        )
        rule = {"monitor": "shop", "title": "Shop is slow", "condition": "response_time > 500"}
        token = issuer.mint(tenant="acme", sub="auth0|ann")
        made = call_tool(loop_thread, bridge.url, token, "create_alert_rule", **rule).data["rule"]["id"]
        others = issuer.mint(tenant="globex", sub="auth0|bob")
        assert not call_tool(loop_thread, bridge.url, others, "list_alert_rules").data["rules"]
        written = bridge.end()
    written += "".join(output)
    assert f"monitors.audit CreateRule {made} tenant='acme' user='auth0|ann'" in written
    for secret in (SECRET, *token.split("."), key_file.read_text().strip()):
        assert secret not in written
    assert not re.search(r"eyJ\w{10}", written)


def test_a_mesh_for_one_owner_takes_its_owners_tokens(tmp_path: Path, loop_thread: LoopThread) -> None:
    port = free_port()
    with authorization_server() as issuer:
        environment = {
            "MONITORS_MCP_PORT": str(port), "MONITORS_MCP_ISSUER": issuer.url, "MONITORS_MCP_RESOURCE_URL": RESOURCE,
            "MONITORS_MCP_TENANT": "local", "MONITORS_BRIDGE_SECRET": SECRET,
        }  # fmt: skip
        with running_mesh(tmp_path, "--no-host", "--mcp", environment=environment):
            url = f"http://127.0.0.1:{port}/mcp"
            wait_for(lambda: answers(port), "the bridge")
            assert post(url).status_code == 401
            assert not call_tool(loop_thread, url, issuer.mint(tenant=None), "list_alert_rules").is_error


def test_a_mesh_for_one_owner_has_one_tenant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings({"MONITORS_HOME": str(tmp_path), "MONITORS_TENANTS": "acme", **addresses(tmp_path)})
    assert run_up(settings, (), host=False, mcp=False) == 1
    assert "MONITORS_TENANTS is set, but `monitors up`" in capsys.readouterr().err
