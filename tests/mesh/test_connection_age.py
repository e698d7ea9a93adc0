"""Connections end some day, so that clients look their addresses up again: no call fails for it, and no stream ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from monitors.mesh import server as serving
from monitors.mesh.channels import open_channel
from monitors.mesh.identity import with_service_token
from monitors.mesh.server import MeshServer
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.mesh.test_server import Probe, authenticate

CONNECTIONS = 4


class Peers(Probe):
    """Answers with the connection by which it was called."""

    async def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        return pb.GetRuleResponse(rule=Rule(id=context.peer()))

    async def WatchAlerts(self, request: pb.WatchAlertsRequest, context: Any) -> AsyncIterator[pb.WatchAlertsResponse]:
        while True:
            yield pb.WatchAlertsResponse()
            await asyncio.sleep(0)


@asynccontextmanager
async def peers() -> AsyncIterator[str]:
    server = MeshServer(with_service_token("mesh-token", authenticate), asyncio.Event())
    server.host(Peers())  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED
    (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
    yield f"127.0.0.1:{port}"
    await server.stop()


def test_calls_change_to_a_new_connection_and_a_stream_goes_on(
    loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = dict(serving.OPTIONS)
    assert options["grpc.max_connection_age_ms"] < options["grpc.max_connection_age_grace_ms"]
    options["grpc.max_connection_age_ms"] = 200
    monkeypatch.setattr(serving, "OPTIONS", list(options.items()))

    async def scenario(address: str) -> tuple[set[str], bool]:
        seen = set[str]()
        async with open_channel(address, "reader") as channel, asyncio.timeout(30):
            stub: Any = RuleServiceStub(channel)
            watching = stub.WatchAlerts(pb.WatchAlertsRequest())
            await watching.read()
            while len(seen) < CONNECTIONS:
                seen.add((await stub.GetRule(pb.GetRuleRequest(), timeout=10)).rule.id)
            goes_on = [await watching.read() is not grpc.aio.EOF for _ in range(10_000)]
        return seen, all(goes_on)

    with loop_thread.opened(peers()) as address:
        seen, goes_on = loop_thread.run(scenario(address))
    assert len(seen) == CONNECTIONS
    assert goes_on
