"""Resources on the real RuleService: complete, bounded, the caller's own, and clear when something is wrong."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from google.protobuf.duration_pb2 import Duration
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from monitors.bridge.server import build_server
from monitors.bridge.settings import MeshSettings
from monitors.v1 import rule_pb2
from tests.bridge.backend import Backend
from tests.bridge.conftest import ERAS, BridgeOf, Tools, stdio_parameters
from tests.bridge.listening import FIRING
from tests.harness import LoopThread
from tests.rules.client import FIRING as FIRES
from tests.rules.client import Client as Tenant
from tests.rules.running import Running


def read(bridge: Tools, uri: str) -> Any:
    """What a JSON resource says."""

    async def reading(client: Client) -> Any:
        (content,) = (await client.read_resource(uri)).contents
        assert (content.uri, content.mime_type) == (uri, "application/json")
        return content

    return json.loads(bridge.with_client(reading).text)


def refused(bridge: Tools, uri: str) -> tuple[int, str]:
    """How reading fails: the protocol's code and the text."""

    async def reading(client: Client) -> tuple[int, str]:
        with pytest.raises(MCPError) as raised:
            await client.read_resource(uri)
        return raised.value.error.code, raised.value.error.message

    return bridge.with_client(reading)


def test_what_there_is_to_read_is_listed(bridge: Tools) -> None:
    async def listed(client: Client) -> list[str]:
        found = [resource.uri for resource in (await client.list_resources()).resources]
        return found + [each.uri_template for each in (await client.list_resource_templates()).resource_templates]

    assert bridge.with_client(listed) == ["docs://conditions", FIRING, "ui://alerts", "rule://{rule_id}"]


def test_a_rule_is_there_in_full_with_its_present_state(bridge: Tools, tenant: Tenant) -> None:
    rule = tenant.create(
        "avg(cpu_percent, 5m) > 90 for 2m", title="CPU", severity=rule_pb2.SEVERITY_HIGH, group_by=["cpu"],
        keep_firing_for=Duration(seconds=60), evaluation_mode=rule_pb2.EVALUATION_MODE_INTERVAL,
        key="web/cpu", labels={"team": "web"},
        annotations={"summary": "hot", "runbook_url": "https://example.org/run"},
        levels=[rule_pb2.Level(severity=rule_pb2.SEVERITY_CRITICAL, condition_text="> 95")],
    )  # fmt: skip
    shown = read(bridge, f"rule://{rule.id}")
    assert {name: shown.get(name) for name in SHOWN} == SHOWN
    assert shown["version"] == rule.etag
    tenant.fire(rule)
    assert read(bridge, f"rule://{rule.id}")["state"] == "firing"


SHOWN = {
    "title": "CPU", "monitor": "mon_host", "condition": "avg(cpu_percent, 5m) > 90 for 2m", "severity": "high",
    "state": "idle", "levels": {"critical": "> 95"}, "for": "2m", "keep_firing_for": "1m", "cooldown": "5m",
    "interval": "30s", "repeat_interval": "4h", "no_data": "keep", "missing_series": "resolve", "group_by": ["cpu"],
    "evaluate": "interval", "key": "web/cpu", "labels": {"team": "web"}, "enabled": True, "notify": [],
    "annotations": {"runbook_url": "https://example.org/run", "summary": "hot"},
}  # fmt: skip


def test_what_fires_is_there_in_rows_as_list_alerts_has_them(bridge: Tools, tenant: Tenant, other: Tenant) -> None:
    assert read(bridge, FIRING) == {"alerts": [], "total": 0}
    other.fire(other.create())
    tenant.fire(tenant.create(title="CPU is high"), value=97.5)
    shown = read(bridge, FIRING)
    assert shown == bridge.success("list_alerts", state="firing").data
    assert (shown["alerts"][0]["title"], shown["total"]) == ("CPU is high", 1)


def test_many_alerts_are_cut_and_the_rest_is_named(bridge: Tools, tenant: Tenant) -> None:
    rule, now = tenant.create(title="x" * 200), time.time_ns()
    tags = {f"tag{number}": "v" * 120 for number in range(12)}
    tenant.record(*(tenant.transition(rule, FIRES, now, group={**tags, "n": str(number)}) for number in range(150)))
    shown = read(bridge, FIRING)
    assert shown["total"] == 150
    assert 1 <= len(shown["alerts"]) < 100
    assert f"{150 - len(shown['alerts'])} older ones are left out" in shown["note"]
    assert len(json.dumps(shown)) / 4 <= 10_000


def test_what_doesnt_exist_is_told_with_what_does(bridge: Tools, tenant: Tenant, other: Tenant) -> None:
    foreign = other.create().id
    code, text = refused(bridge, f"rule://{foreign}")
    assert (code, foreign in text, "list_alert_rules" in text) == (INVALID_PARAMS, True, True)
    never = refused(bridge, "rule://rule_000000000000")
    assert never == (INVALID_PARAMS, text.replace(foreign, "rule_000000000000"))
    for uri in ("alerts://resolved", "docs://", "rule://a/b", "rule://..", "file:///etc/passwd"):
        code, text = refused(bridge, uri)
        assert (code, "list_alert_rules" in text) == (INVALID_PARAMS, True)
    code, text = refused(bridge, f"rule://{'x' * 5_000}")
    assert (code, "isn't an id" in text, len(text) < 400) == (INVALID_PARAMS, True, True)


def test_a_reader_without_a_usable_key_is_told_what_to_do(
    bridge_of: BridgeOf, service: Running, loop_thread: LoopThread
) -> None:
    for uri in (FIRING, "rule://rule_000000000000"):
        code, text = refused(bridge_of("alk_wrong"), uri)
        assert (code, "MONITORS_KEY" in text) == (INTERNAL_ERROR, True)

    async def reading(uri: str) -> str:
        server = build_server(MeshSettings(f"127.0.0.1:{service.port}", service.local_key), lends_local_key=False)
        async with Client(server) as client:
            with pytest.raises(MCPError) as raised:
                await client.read_resource(uri)
            return raised.value.error.message

    for uri in (FIRING, "rule://rule_000000000000"):
        assert "Authorization: Bearer" in loop_thread.run(reading(uri))


def test_a_mesh_that_is_away_is_named_with_the_fix(loop_thread: LoopThread) -> None:
    bridge = Tools(loop_thread, MeshSettings("127.0.0.1:1", "key"), {})
    for uri in (FIRING, "rule://rule_000000000000"):
        code, text = refused(bridge, uri)
        assert (code, "monitors up" in text) == (INTERNAL_ERROR, True)
    assert bridge.with_client(lambda client: client.read_resource("docs://conditions"))


def test_a_fault_tells_nothing_of_the_inside(tools_of_both_eras: Tools) -> None:
    _, text = refused(tools_of_both_eras, "rule://rule_broken")
    assert "mysql" not in text
    assert "the server's log explains" in text


def test_the_reference_of_conditions_is_readable_by_anybody(tmp_path: Path, loop_thread: LoopThread) -> None:
    bridge = Tools(loop_thread, MeshSettings("127.0.0.1:1", key_file=tmp_path / "none"), {})

    async def reading(client: Client) -> Any:
        (content,) = (await client.read_resource("docs://conditions")).contents
        return content

    content = bridge.with_client(reading)
    assert content.mime_type == "text/markdown"
    assert content.text.startswith("# What a condition can say")


@pytest.mark.process
@pytest.mark.parametrize("mode", ERAS)
def test_a_cancelled_read_ends_in_the_mesh_and_the_next_one_works(
    loop_thread: LoopThread, backend: Backend, mode: str
) -> None:
    async def scenario() -> None:
        parameters = stdio_parameters(MONITORS_SERVER=f"127.0.0.1:{backend.port}", MONITORS_KEY="local-key")
        async with Client(parameters, mode=mode) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.read_resource, "rule://rule_slow")
                await asyncio.wait_for(backend.waiting.wait(), 20)
                tasks.cancel_scope.cancel()
            await asyncio.wait_for(backend.cancelled.wait(), 20)
            assert (await client.read_resource(FIRING)).contents

    loop_thread.run(scenario())
