"""Health, and what clients make of it: a replica that ends gets no calls any more before it refuses any."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from monitors.mesh.health import ALIVE, Health
from monitors.mesh.identity import with_service_token
from monitors.mesh.server import MeshServer
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub, add_RuleServiceServicer_to_server
from tests.harness import LoopThread
from tests.mesh.test_new_addresses import METADATA, Client, of_the_bridge, of_the_command, of_the_services
from tests.mesh.test_server import Probe, authenticate
from tests.names import loopback_network
from tests.ports import free_port

LONG = 20.0
"""Seconds that nothing here takes."""
CALLS = 20
"""Which would all come to the same of two replicas once in a million times, were it chance."""
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


class Counting(Probe):
    """A replica that counts its calls."""

    def __init__(self) -> None:
        self.count = 0
        self.health = Health()

    async def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        self.count += 1
        return pb.GetRuleResponse()


@asynccontextmanager
async def replica(address: str) -> AsyncIterator[Counting]:
    server, made = grpc.aio.server(options=[("grpc.so_reuseport", 0)]), Counting()  # type: ignore[abstract]
    add_RuleServiceServicer_to_server(made, server)
    made.health.add_to(server)
    made.health.tell(ALIVE, serving=True)
    server.add_insecure_port(address)
    await server.start()
    yield made
    made.health.end()
    await server.stop(None)


@pytest.mark.parametrize("client", [of_the_services, of_the_bridge, of_the_command])
def test_a_replica_that_leaves_gets_no_calls_any_more(client: Client, loop_thread: LoopThread, tmp_path: Path) -> None:
    async def scenario() -> None:
        network, port = loopback_network(), free_port()
        addresses = [f"{network}.{number}:{port}" for number in (1, 2)]
        async with AsyncExitStack() as stack, asyncio.timeout(LONG):
            leaving, staying = [await stack.enter_async_context(replica(address)) for address in addresses]
            call = client("ipv4:" + ",".join(addresses), stack, tmp_path)
            while not (leaving.count and staying.count):
                await call()
            leaving.health.leave()
            while True:
                before = leaving.count
                for _ in range(CALLS):
                    await call()
                if leaving.count == before:
                    return

    loop_thread.run(scenario())


def test_who_watches_hears_of_the_end_while_calls_are_still_taken(loop_thread: LoopThread) -> None:
    async def scenario() -> None:
        server = MeshServer(with_service_token("mesh-token", authenticate), asyncio.Event())
        server.host(Probe())  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED
        (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(LONG):
            health: Any = HealthStub(channel)
            watching = health.Watch(HealthCheckRequest(service=ALIVE))
            assert (await watching.read()).status == SERVING
            stopping = asyncio.create_task(server.stop(drain=0.2))
            assert (await watching.read()).status == NOT_SERVING
            await RuleServiceStub(channel).GetRule(pb.GetRuleRequest(), metadata=METADATA)
            # Whoever watches doesn't keep it from ending.
            assert await watching.read() is grpc.aio.EOF
            await stopping

    loop_thread.run(scenario())


def test_a_name_that_was_never_told_isnt_known_and_may_come(loop_thread: LoopThread) -> None:
    async def scenario() -> None:
        async with AsyncExitStack() as stack, asyncio.timeout(LONG):
            address = f"127.0.0.1:{free_port()}"
            made = await stack.enter_async_context(replica(address))
            health: Any = HealthStub(await stack.enter_async_context(grpc.aio.insecure_channel(address)))
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await health.Check(HealthCheckRequest(service="x"))
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
            watching = health.Watch(HealthCheckRequest(service="x"))
            assert (await watching.read()).status == HealthCheckResponse.SERVICE_UNKNOWN
            made.health.tell("x", serving=True)
            assert (await watching.read()).status == SERVING
            assert (await health.Check(HealthCheckRequest(service="x"))).status == SERVING
            made.health.leave()
            made.health.tell("x", serving=True)
            assert (await health.Check(HealthCheckRequest(service="x"))).status == NOT_SERVING

    loop_thread.run(scenario())


def test_a_service_that_cant_serve_yet_never_says_that_it_can(loop_thread: LoopThread) -> None:
    async def scenario() -> None:
        server = MeshServer(with_service_token("mesh-token", authenticate), asyncio.Event())
        server.host(Probe())  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED
        (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT", why_unready="it has no shards yet")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, asyncio.timeout(LONG):
            health: Any = HealthStub(channel)
            watching = health.Watch(HealthCheckRequest(service="monitors.v1.RuleService"))
            assert (await watching.read()).status == NOT_SERVING
            assert (await health.Check(HealthCheckRequest(service=ALIVE))).status == SERVING
            telling = asyncio.create_task(server.tell_readiness(ready))
            assert (await watching.read()).status == SERVING
            await server.stop()
            await telling

    async def ready() -> str:
        return ""

    loop_thread.run(scenario())
