"""Replicas behind one name: each client of the mesh asks them in turns, and goes on without one that is gone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from monitors.bridge.client import channel_to
from monitors.bridge.settings import MeshSettings
from monitors.mesh.channels import open_channel
from monitors.mesh.identity import Principal
from monitors.mesh.metrics.calls import CallMetrics
from monitors.mesh.server import MeshServer
from tests.harness import LoopThread
from tests.ports import free_port

Open = Callable[[str], grpc.aio.Channel]
SERVICES: Open = lambda target: open_channel(target, "a credential")  # noqa: E731
BRIDGE: Open = lambda target: channel_to(MeshSettings(address=target))  # noqa: E731


class Replica:
    """A server of the mesh, which counts its calls."""

    def __init__(self) -> None:
        self.port = free_port()
        self._registry = CollectorRegistry()
        self._metrics = CallMetrics(self._registry)

    @property
    def calls(self) -> int:
        """How many it has answered."""
        found = [
            sample.value
            for family in self._registry.collect()
            for sample in family.samples
            if sample.name == "grpc_server_handled_total" and sample.labels["grpc_code"] == "OK"
        ]
        return int(sum(found))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Runs it."""
        server = MeshServer(_nobody, asyncio.Event(), outermost=[self._metrics])
        await server.start([f"127.0.0.1:{self.port}"], variable="MONITORS_GRPC_PORT")
        yield
        await server.stop()


async def _nobody(_: str) -> Principal:
    raise AssertionError("health needs no credential")


@pytest.mark.parametrize("opened", [SERVICES, BRIDGE])
def test_replicas_take_turns_and_a_client_goes_on_without_one_that_is_gone_until_it_is_back(
    loop_thread: LoopThread, opened: Open
) -> None:
    first, second = Replica(), Replica()

    async def scenario() -> None:
        async with first.serving(), opened(f"ipv4:127.0.0.1:{first.port},127.0.0.1:{second.port}") as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)

            async def ask(count: int) -> tuple[int, int]:
                before = first.calls, second.calls
                for _ in range(count):
                    await health.Check(health_pb2.HealthCheckRequest(), timeout=20, wait_for_ready=True)
                return first.calls - before[0], second.calls - before[1]

            async def until_both_answer() -> None:
                async with asyncio.timeout(20):
                    while 0 in await ask(2):
                        pass

            async with second.serving():
                await until_both_answer()
                assert await ask(20) == (10, 10)
            assert await ask(20) == (20, 0)
            async with second.serving():
                await until_both_answer()
                assert await ask(20) == (10, 10)

    loop_thread.run(scenario())
