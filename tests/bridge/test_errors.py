"""Wrong calls: each error names what was wrong, the value seen, what is accepted, and whether anything was changed."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from monitors.bridge.client import Caller, open_mesh
from monitors.bridge.errors import RpcFailed, explain, in_tool_words
from monitors.bridge.settings import MeshSettings
from monitors.mesh.errors import (
    AlreadyExists,
    MeshError,
    MissingScope,
    NotBuilt,
    QuotaExceeded,
    RevisionTooOld,
    ServiceUnavailable,
    StorageUnavailable,
    WrongState,
)
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer, add_RuleServiceServicer_to_server
from tests.bridge.backend import Backend, open_backend
from tests.bridge.conftest import Tools
from tests.harness import LoopThread

RULE = {"monitor": "mon_host", "title": "CPU is high", "condition": "cpu_percent > 90"}

WRONG: list[tuple[str, dict[str, Any], list[str]]] = [
    ("create_alert_rule", {**RULE, "treshold": 5}, ["treshold", "isn't a parameter of create_alert_rule", "It takes:"]),
    ("create_alert_rule", {**RULE, "severty": "high"}, ["severty", "Did you mean severity?"]),
    ("create_alert_rule", {**RULE, "expression": "x"}, ["expression", "Did you mean condition?"]),
    ("create_alert_rule", {**RULE, "channels": ["a"]}, ["Did you mean notify?"]),
    ("create_alert_rule", {**RULE, "severity": "urgent"}, ['severity: "urgent"', "low, medium, high or critical"]),
    ("create_alert_rule", {**RULE, "cooldown": "soon"}, ['cooldown: "soon"', "'1h30m'"]),
    ("create_alert_rule", {**RULE, "cooldown": -5}, ["cooldown: -5", "duration such as"]),
    ("create_alert_rule", {**RULE, "cooldown": True}, ["cooldown: true"]),
    ("create_alert_rule", {**RULE, "for": "2 moons"}, ['for: "2 moons"']),
    (
        "create_alert_rule",
        {**RULE, "cooldown": 5, "cooldown_minutes": 5},
        ["cooldown_minutes and cooldown are the same"],
    ),
    ("create_alert_rule", {**RULE, "no_data": "resolve"}, ["no_data", "keep, ok or alert"]),
    ("create_alert_rule", {**RULE, "enabled": "perhaps"}, ['enabled: "perhaps"', "true or false"]),
    ("create_alert_rule", {**RULE, "labels": ["a"]}, ["labels:", "an object", "team"]),
    ("create_alert_rule", {**RULE, "notify": [["a"]]}, ["notify:", "Example"]),
    ("create_alert_rule", {**RULE, "notify": ["a"] * 21}, ["notify: 21 are too many", "at most 20"]),
    ("create_alert_rule", {**RULE, "title": "x" * 1_000_000}, ["title: it has 1000000 characters; give at most 200"]),
    ("create_alert_rule", {**RULE, "title": None}, ["title: required"]),
    ("create_alert_rule", {**RULE, "condition": None}, ["condition: required", "avg(response_time, 5m)"]),
    ("create_alert_rule", {**RULE, "condition": "cpu please"}, ["condition: 'cpu please' can't be read at position 0"]),
    ("create_alert_rule", {**RULE, "condition": ["x"]}, ['condition: ["x"]']),
    ("create_alert_rule", {**RULE, "backtest_window": "7d"}, ["backtest_window", "dry_run=true"]),
    ("list_alert_rules", {"limit": 0}, ["limit: 0", "from 1 to 100"]),
    ("list_alert_rules", {"limit": 1_000}, ["limit: 1000", "from 1 to 100"]),
    ("list_alert_rules", {"limit": "many"}, ['limit: "many"', "a whole number"]),
    ("list_alert_rules", {"state": "pending"}, ["state", "firing, idle or disabled"]),
    ("list_alert_rules", {"label": "payments"}, ['label: "payments"', "team=payments"]),
    ("list_alert_rules", {"rule_id": "rule_nosuch"}, ["there is no rule 'rule_nosuch'", "list_alert_rules"]),
    ("list_alert_rules", {"page_size": 5}, ["Did you mean limit?"]),
    ("list_alerts", {"since": "yesterday-ish"}, ["since: 'yesterday-ish'", "'2h'"]),
    ("list_alerts", {"since": "999999999999999"}, ["since:"]),
    ("list_alerts", {"alert_id": "alert_nosuch"}, ["there is no alert 'alert_nosuch'"]),
    ("list_alerts", {"status": "firing"}, ["Did you mean state?"]),
    ("update_alert_rule", {"rule_id": "rule_nosuch", "severity": "low"}, ["rule_nosuch", "Nothing was changed"]),
    ("update_alert_rule", {"rule_id": "rule_x", "snooze_until": "whenever"}, ["snooze_until: 'whenever'", "'2h'"]),
    ("delete_alert_rule", {"rule_id": "rule_nosuch"}, ["rule_nosuch", "Nothing was changed"]),
    ("delete_alert_rule", {}, ["rule_id or title"]),
    ("acknowledge_alert", {}, ["alert_id: required by acknowledge_alert", "Example"]),
    ("acknowledge_alert", {"alert_id": []}, ["alert_id: it's empty"]),
    ("acknowledge_alert", {"alert_id": ["a"] * 101}, ["alert_id: 101 are too many"]),
    ("acknowledge_alert", {"alert_id": "a", "comment": "x"}, ["Did you mean note?"]),
    ("acknowledge_alerts", {"alert_id": "a"}, ["There is no tool", "Did you mean acknowledge_alert?"]),
]


@pytest.mark.parametrize(("tool", "arguments", "parts"), WRONG)
def test_a_wrong_call_is_answered_with_its_fix(
    tools: Tools, backend: Backend, tool: str, arguments: dict[str, Any], parts: list[str]
) -> None:
    text = tools.error(tool, **arguments)
    for part in parts:
        assert part in text
    if tool.startswith(("create", "update", "delete", "acknowledge_alert ")):
        assert "othing was changed" in text
    for internal in ("pydantic", "Traceback", "Error executing", "validation error", "_pb2", "Resolver"):
        assert internal not in text
    assert not re.search(r"\brule\.\w", text)
    assert len(text) <= 120 * 4
    assert not backend.rules


def test_what_models_send_for_nothing_is_nothing(tools: Tools) -> None:
    tools.success("list_alerts", monitor="", rule_id="null", alert_id=None, since="none", cursor="")


def test_a_fault_inside_the_service_leaks_nothing(tools: Tools) -> None:
    text = tools.error("list_alert_rules", rule_id="rule_broken")
    assert "secret" not in text
    assert "went wrong on our side (error " in text


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (AlreadyExists("rule", "x"), "there is a rule 'x' already"),
        (MissingScope("rules:write"), "lacks the scope 'rules:write'"),
        (QuotaExceeded("500 rules are the most that this plan has"), "500 rules"),
        (WrongState("the alert is resolved"), "the alert is resolved"),
        (RevisionTooOld(5), "too old"),
        (NotBuilt("this", "do that"), "this isn't available yet; do that"),
        (ServiceUnavailable("evaluator"), "the evaluator service can't be reached"),
        (StorageUnavailable("the disk is full"), "the disk is full"),
    ],
)
def test_what_the_service_says_reaches_the_model(tools: Tools, backend: Backend, error: MeshError, part: str) -> None:
    backend.failures = [error] * 5
    text = tools.error("create_alert_rule", **RULE)
    assert part in text
    assert text.lower().count("nothing was changed") == 1


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
@pytest.mark.parametrize("writes", [False, True])
def test_what_grpc_says_stays_inside(code: grpc.StatusCode, writes: bool) -> None:
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="ipv4:10.0.0.1: secret")
    text = str(explain(error, address="mesh:50051", method="CreateRule", writes=writes))
    assert "secret" not in text
    assert "mesh" in text
    assert ("isn't certain" in text) == (writes and code is not grpc.StatusCode.UNIMPLEMENTED)


def test_the_services_fields_get_the_tools_names() -> None:
    message = "rule.condition_text: 'x' is wrong; rule.cooldown: -1; page_token: bad; send next_page_token; etag: old"
    translated = in_tool_words(message)
    expected = "condition: 'x' is wrong; cooldown: -1; cursor: bad; send next_cursor; expected_version: old"
    assert translated == expected
    quoted = "condition: the field 'page_size' in 'etag > 5' isn't known"
    assert in_tool_words(quoted) == quoted


def test_a_mesh_that_is_away_is_said_so_and_found_again(loop_thread: LoopThread, settings: MeshSettings) -> None:
    @asynccontextmanager
    async def gone() -> AsyncIterator[int]:
        async with open_backend() as backend:
            port = backend.port
        yield port

    with loop_thread.opened(gone()) as port:
        tools = Tools(loop_thread, replace(settings, address=f"127.0.0.1:{port}"), {})

        async def scenario(client: Any) -> tuple[Any, Any, Any]:
            read = await client.call_tool("list_alert_rules", {})
            write = await client.call_tool("acknowledge_alert", {"alert_id": "alert_x"})
            async with open_backend(port) as backend:
                backend.add_alert()
                return read, write, await client.call_tool("list_alerts", {})

        read, write, found = tools.with_client(scenario)
    for result in (read, write):
        assert result.is_error
        assert f"The mesh at 127.0.0.1:{port} can't be reached; nothing was changed." in result.content[0].text
        assert "monitors up" in result.content[0].text
    assert found.structured_content["total"] == 1


def test_a_fresh_meshs_key_is_read_again(
    loop_thread: LoopThread, backend: Backend, settings: MeshSettings, tmp_path: Path
) -> None:
    key_file = tmp_path / "key"
    tools = Tools(loop_thread, replace(settings, key="", key_file=key_file), {})

    async def scenario(client: Any) -> list[Any]:
        results = [await client.call_tool("list_alerts", {})]
        for key in ("local-key", "another-key"):
            key_file.write_text(f"{key}\n")
            backend.keys = {key}
            results.append(await client.call_tool("list_alerts", {}))
        return results

    missing, first, second = tools.with_client(scenario)
    assert "MONITORS_KEY" in missing.content[0].text
    assert not first.is_error
    assert not second.is_error


class Breaking(RuleServiceServicer):
    """Acknowledges nothing, until it's broken off."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    async def AcknowledgeAlerts(
        self, request: pb.AcknowledgeAlertsRequest, context: Any
    ) -> pb.AcknowledgeAlertsResponse:
        self.arrived.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets the event")


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_write_that_broke_off_is_repeated_under_its_id_and_else_told_as_uncertain(
    loop_thread: LoopThread, settings: MeshSettings, comes_back: bool
) -> None:
    async def scenario() -> None:
        server, breaking = grpc.aio.server(options=[("grpc.so_reuseport", 0)]), Breaking()  # type: ignore[abstract]
        add_RuleServiceServicer_to_server(breaking, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with open_mesh(replace(settings, address=f"127.0.0.1:{port}")) as mesh, AsyncExitStack() as stack:
            request = pb.AcknowledgeAlertsRequest(request_id="r")
            writing = asyncio.create_task(Caller(mesh).write(mesh.stub.AcknowledgeAlerts, request))
            await asyncio.wait_for(breaking.arrived.wait(), 20)
            await server.stop(None)
            if comes_back:
                backend = await stack.enter_async_context(open_backend(port))
                await writing
                assert [(name, repeated.request_id) for name, _, repeated in backend.calls] == [
                    ("AcknowledgeAlerts", "r")
                ]
            else:
                with pytest.raises(RpcFailed, match="isn't certain"):
                    await writing

    loop_thread.run(scenario())
