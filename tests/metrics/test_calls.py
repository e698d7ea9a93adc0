"""What is counted of each RPC, on a real server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from monitors.mesh.errors import NotFound
from monitors.mesh.identity import ORDINARY_SCOPES, Principal
from monitors.mesh.metrics.calls import CallMetrics
from monitors.mesh.server import MeshServer
from monitors.v1 import evaluator_service_pb2 as evaluator_pb
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.evaluator_service_pb2_grpc import (
    EvaluatorServiceServicer,
    EvaluatorServiceStub,
    add_EvaluatorServiceServicer_to_server,
)
from monitors.v1.rule_service_pb2_grpc import (
    RuleServiceServicer,
    RuleServiceStub,
    add_RuleServiceServicer_to_server,
)
from tests.harness import LoopThread
from tests.waiting import wait_for

RULES = "monitors.v1.RuleService"
WHO = (("authorization", "Bearer ann"),)


class Probe(RuleServiceServicer):
    """Answers, or fails as it's told to."""

    def add_to(self, server: grpc.aio.Server) -> str:
        add_RuleServiceServicer_to_server(self, server)
        return RULES

    async def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        if request.rule_id == "gone":
            raise NotFound("rule", request.rule_id)
        if request.rule_id == "broken":
            raise ValueError("a fault of ours")
        if request.rule_id == "slow":
            await asyncio.Event().wait()
        return pb.GetRuleResponse()

    async def WatchAlerts(self, request: pb.WatchAlertsRequest, context: Any) -> AsyncIterator[pb.WatchAlertsResponse]:
        yield pb.WatchAlertsResponse()
        # As those that follow changes do: a client that has gone isn't an error of theirs.
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


class Taker(EvaluatorServiceServicer):
    """Takes what is written."""

    def add_to(self, server: grpc.aio.Server) -> str:
        add_EvaluatorServiceServicer_to_server(self, server)
        return "monitors.v1.EvaluatorService"

    async def WriteSamples(
        self, requests: AsyncIterator[evaluator_pb.WriteSamplesRequest], context: Any
    ) -> evaluator_pb.WriteSamplesResponse:
        count = 0
        async for _ in requests:
            count += 1
        return evaluator_pb.WriteSamplesResponse(accepted_count=count)


class Counted:
    """A server whose calls are counted, and a client of it."""

    def __init__(self, registry: CollectorRegistry, channel: grpc.Channel) -> None:
        self._registry = registry
        self.rules = RuleServiceStub(channel)
        self.evaluator = EvaluatorServiceStub(channel)
        self.channel = channel

    def value(self, name: str, method: str, service: str = RULES, **labels: str) -> float:
        """What stands under a name now."""
        return self._registry.get_sample_value(name, {"grpc_service": service, "grpc_method": method, **labels}) or 0.0

    def ended(self, method: str, code: str, kind: str = "unary") -> float:
        """How many calls have ended with a code."""
        return self.value("grpc_server_handled_total", method, grpc_type=kind, grpc_code=code)


async def _authenticate(_: str) -> Principal:
    return Principal("acme", "ann", frozenset(ORDINARY_SCOPES))


@asynccontextmanager
async def _serving(registry: CollectorRegistry) -> AsyncIterator[int]:
    server = MeshServer(_authenticate, asyncio.Event(), outermost=[CallMetrics(registry)])
    server.host(Probe())  # type: ignore[abstract]
    server.host(Taker())  # type: ignore[abstract]
    (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
    yield port
    await server.stop()


@pytest.fixture
def counted(loop_thread: LoopThread) -> Iterator[Counted]:
    registry = CollectorRegistry()
    with loop_thread.opened(_serving(registry)) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Counted(registry, channel)


def test_a_call_is_counted_by_its_code_and_timed(counted: Counted) -> None:
    counted.rules.GetRule(pb.GetRuleRequest(rule_id="rule_1"), metadata=WHO)
    for rule_id in ("gone", "gone", "broken"):
        with pytest.raises(grpc.RpcError):
            counted.rules.GetRule(pb.GetRuleRequest(rule_id=rule_id), metadata=WHO)
    wait_for(lambda: counted.ended("GetRule", "Internal") == 1, "the last call to be counted")
    assert counted.ended("GetRule", "OK") == 1
    assert counted.ended("GetRule", "NotFound") == 2
    assert counted.value("grpc_server_started_total", "GetRule", grpc_type="unary") == 4
    assert counted.value("grpc_server_handling_seconds_count", "GetRule", grpc_type="unary") == 4


def test_a_call_that_is_refused_before_it_begins_is_counted_too(counted: Counted) -> None:
    with pytest.raises(grpc.RpcError):
        counted.rules.GetRule(pb.GetRuleRequest())
    wait_for(lambda: counted.ended("GetRule", "Unauthenticated") == 1, "the call to be counted")


def test_a_call_that_its_caller_gives_up_is_cancelled(counted: Counted) -> None:
    call = counted.rules.GetRule.future(pb.GetRuleRequest(rule_id="slow"), metadata=WHO)
    wait_for(lambda: counted.value("grpc_server_started_total", "GetRule", grpc_type="unary") == 1, "the call")
    call.cancel()
    wait_for(lambda: counted.ended("GetRule", "Canceled") == 1, "the call to be counted")


def test_those_who_watch_are_counted_for_as_long_as_they_do(counted: Counted) -> None:
    watches = [counted.rules.WatchAlerts(pb.WatchAlertsRequest(), metadata=WHO) for _ in range(2)]
    for watch in watches:
        next(watch)
    assert counted.value("monitors_rpc_streams_open", "WatchAlerts") == 2
    for watch in watches:
        watch.cancel()
    wait_for(lambda: counted.value("monitors_rpc_streams_open", "WatchAlerts") == 0, "both to have gone")
    assert counted.ended("WatchAlerts", "Canceled", "server_stream") == 2
    assert counted.value("grpc_server_handling_seconds_count", "WatchAlerts", grpc_type="server_stream") == 0


def test_a_stream_of_requests_is_one_call(counted: Counted) -> None:
    requests = iter([evaluator_pb.WriteSamplesRequest()] * 3)
    assert counted.evaluator.WriteSamples(requests, metadata=WHO).accepted_count == 3
    labels = {"service": "monitors.v1.EvaluatorService", "grpc_type": "client_stream"}
    wait_for(
        lambda: counted.value("grpc_server_handled_total", "WriteSamples", grpc_code="OK", **labels) == 1, "the call"
    )
    assert counted.value("grpc_server_handling_seconds_count", "WriteSamples", **labels) == 1


def test_the_names_of_methods_that_arent_there_are_nobodys_to_choose(counted: Counted) -> None:
    for path in ("/monitors.v1.RuleService/Canary", "/canary.v1.Service/Get", "/canary"):
        with pytest.raises(grpc.RpcError):
            counted.channel.unary_unary(path)(b"", metadata=WHO)  # type: ignore[arg-type]
    assert not [
        sample.labels
        for family in counted._registry.collect()
        for sample in family.samples
        if "anary" in str(sample.labels)
    ]
