"""How many requests a tenant may make, at a real server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc

from monitors.mesh.identity import Principal, with_service_token
from monitors.mesh.limits import LocalBuckets
from monitors.mesh.quotas import Tiers, changed_quotas
from monitors.mesh.request_quota import BURST_SECONDS, RequestQuota
from monitors.mesh.server import MeshServer
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.mesh.test_server import Probe, bearer, failure
from tests.waiting import wait_for

BURST = BURST_SECONDS
TIERS = Tiers(changed_quotas(["free.requests=1", "pro.requests=2"]), default="free")


async def authenticate(credential: str) -> Principal:
    tenant, _, tier = credential.partition("/")
    return Principal(tenant, "ann", frozenset({"rules:read", "rules:write", "alerts:read"}), tier=tier)


@asynccontextmanager
async def serving(service: Any = Probe) -> AsyncIterator[int]:
    quota = RequestQuota(LocalBuckets(), TIERS)
    server = MeshServer(with_service_token("mesh-token", authenticate), asyncio.Event(), quota)
    server.host(service())  # what it lacks answers UNIMPLEMENTED
    (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
    yield port
    await server.stop()


@pytest.fixture
def channel(loop_thread: LoopThread) -> Iterator[grpc.Channel]:
    with loop_thread.opened(serving()) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


def answered(channel: grpc.Channel, credential: str, times: int) -> int:
    """How many of the calls are answered before the first that is refused."""
    stub = RuleServiceStub(channel)
    for number in range(times):
        call = stub.GetRule.future(pb.GetRuleRequest(), metadata=bearer(credential))
        if call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return number
        assert call.code() is grpc.StatusCode.OK
    return times


def test_a_tenant_that_asks_too_often_is_told_when_to_try_again(channel: grpc.Channel) -> None:
    assert BURST <= answered(channel, "acme/free", 100) < 100
    stub = RuleServiceStub(channel)
    code, message, details = failure(lambda: stub.GetRule(pb.GetRuleRequest(), metadata=bearer("acme/free")))
    info, retry = ErrorInfo(), RetryInfo()
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (details[0].Unpack(info), details[1].Unpack(retry)) == (True, True)
    assert info.reason == "QUOTA_EXCEEDED"
    assert dict(info.metadata) == {"quota": "requests", "limit": "1", "tier": "free"}
    assert 0 < retry.retry_delay.ToNanoseconds() <= 1_010_000_000
    assert "try again in" in message


def test_streams_count_too(channel: grpc.Channel) -> None:
    answered(channel, "acme/free", 100)
    stub = RuleServiceStub(channel)
    code, _, _ = failure(lambda: list(stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer("acme/free"))))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


class Batches(Probe):
    """Takes batches, and does nothing about them."""

    async def BatchChangeRules(self, request: pb.BatchChangeRulesRequest, context: Any) -> pb.BatchChangeRulesResponse:
        return pb.BatchChangeRulesResponse()


@pytest.fixture
def taking_batches(loop_thread: LoopThread) -> Iterator[grpc.Channel]:
    with loop_thread.opened(serving(Batches)) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel


def test_a_batch_counts_as_many_requests_as_it_holds_changes(taking_batches: grpc.Channel) -> None:
    stub = RuleServiceStub(taking_batches)
    answered(taking_batches, "acme/free", BURST - 1)
    # Large as it is, it gets its turn as soon as there is room for one.
    batch = pb.BatchChangeRulesRequest(changes=[pb.RuleChange()] * 1000)
    stub.BatchChangeRules(batch, metadata=bearer("acme/free"))
    code, _, details = failure(lambda: stub.GetRule(pb.GetRuleRequest(), metadata=bearer("acme/free")))
    retry = RetryInfo()
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details[1].Unpack(retry)
    assert BURST // 2 * 10**9 < retry.retry_delay.ToNanoseconds() <= (BURST + 1) * 10**9


def test_a_batch_of_one_and_one_of_none_count_once(taking_batches: grpc.Channel) -> None:
    stub = RuleServiceStub(taking_batches)
    for changes in ([], [pb.RuleChange()]):
        stub.BatchChangeRules(pb.BatchChangeRulesRequest(changes=changes), metadata=bearer("acme/free"))
    assert answered(taking_batches, "acme/free", 100) >= BURST - 2


class Endless(Probe):
    """Its streams go on until they are left."""

    async def WatchAlerts(self, request: pb.WatchAlertsRequest, context: Any) -> AsyncIterator[pb.WatchAlertsResponse]:
        yield pb.WatchAlertsResponse()
        await asyncio.Event().wait()


def test_a_tenant_has_no_more_streams_open_than_it_may_make_calls_at_once(loop_thread: LoopThread) -> None:
    with loop_thread.opened(serving(Endless)) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = RuleServiceStub(channel)

        def opened(credential: str = "acme/free") -> Any:
            return stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer(credential))

        def told() -> str:
            """What a further stream is answered: empty if it's open."""
            try:
                next(opened())
            except grpc.RpcError as error:
                return str(error.details())
            return ""

        streams = [opened() for _ in range(BURST)]
        for stream in streams:
            next(stream)
        # As time goes by further requests are allowed, but no further streams.
        said = wait_for(
            lambda: next((said for said in [told()] if "requests than" not in said), None), "another answer"
        )
        assert f"{BURST} calls open" in said
        assert next(opened("globex/free")) == pb.WatchAlertsResponse()
        streams[0].cancel()
        wait_for(lambda: told() == "", "room for another stream")


def test_each_tenant_is_counted_for_itself_by_its_own_tier(channel: grpc.Channel) -> None:
    assert answered(channel, "acme/free", 100) < 100
    assert answered(channel, "globex/pro", 2 * BURST) == 2 * BURST
    assert BURST <= answered(channel, "initech/", 100) < 100
    assert BURST <= answered(channel, "hooli/platinum", 100) < 100


def test_the_mesh_itself_and_the_local_tenant_may_ask_as_often_as_they_like(channel: grpc.Channel) -> None:
    assert answered(channel, "local/unlimited", 200) == 200
    stub = RuleServiceStub(channel)
    for _ in range(50):
        # The probe knows no tenant of a service; that it says so shows that it was reached.
        code, _, _ = failure(lambda: stub.GetRule(pb.GetRuleRequest(), metadata=bearer("mesh-token")))
        assert code is grpc.StatusCode.UNAUTHENTICATED


def test_health_is_told_to_anybody_however_often(channel: grpc.Channel) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    for _ in range(50):
        assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
