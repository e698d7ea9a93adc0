"""Wrong calls: each error names what was wrong, the value seen, what is accepted, and whether anything was changed."""

import asyncio
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


def test_a_call_that_no_replica_was_asked_for_has_changed_nothing() -> None:
    told = "connections to all backends failing; last error: ipv4:10.0.0.1:50051: backend unhealthy"
    error = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), details=told)
    text = str(explain(error, address="mesh:50051", method="CreateRule", writes=True))
    assert "nothing was changed" in text
    assert "isn't certain" not in text


def test_a_call_that_a_mesh_breaks_off_as_it_stops_isnt_a_mesh_to_be_started() -> None:
    error = grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, grpc.aio.Metadata(), grpc.aio.Metadata(), details="")
    assert "as it does when it stops" in str(explain(error, address="mesh:50051", method="GetRule", writes=False))


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
