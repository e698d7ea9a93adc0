"""Replicas come and go at addresses of their own: whoever calls by a name finds the new ones at once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest

from monitors.bridge.client import channel_to
from monitors.bridge.settings import load_mesh_settings
from monitors.cli.client import open_channel as open_channel_of_the_command
from monitors.mesh.channels import open_channel
from monitors.mesh.identity import with_service_token
from monitors.mesh.server import MeshServer
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.mesh.test_connection_age import Peers
from tests.mesh.test_server import authenticate
from tests.names import Names, loopback_network, serving_names
from tests.ports import free_port

SOON = 15.0
"""Seconds; gRPC itself would ask for the addresses again after thirty at the soonest."""
NAME = "monitors-rules.monitors.svc"
METADATA = (("authorization", "Bearer reader"),)

Call = Callable[[], Awaitable[object]]
Client = Callable[[str, AsyncExitStack, Path], Call]


def of_the_services(target: str, stack: AsyncExitStack, home: Path) -> Call:
    channel = open_channel(target, "reader")
    stack.push_async_callback(channel.close)
    return lambda: RuleServiceStub(channel).GetRule(pb.GetRuleRequest(), timeout=SOON)


def of_the_bridge(target: str, stack: AsyncExitStack, home: Path) -> Call:
    channel = channel_to(load_mesh_settings({"MONITORS_SERVER": target, "MONITORS_HOME": str(home)}))
    stack.push_async_callback(channel.close)
    return lambda: RuleServiceStub(channel).GetRule(pb.GetRuleRequest(), metadata=METADATA, timeout=SOON)


def of_the_command(target: str, stack: AsyncExitStack, home: Path) -> Call:
    channel = stack.enter_context(open_channel_of_the_command(target, None))
    method = RuleServiceStub(channel).GetRule
    return lambda: asyncio.to_thread(method, pb.GetRuleRequest(), metadata=METADATA, timeout=SOON)


@pytest.mark.parametrize("client", [of_the_services, of_the_bridge, of_the_command])
def test_new_replicas_are_found_when_all_old_ones_have_gone(
    client: Client, loop_thread: LoopThread, tmp_path: Path
) -> None:
    async def scenario(names: Names) -> None:
        network, port = loopback_network(), free_port()

        async def started(number: int) -> MeshServer:
            server = MeshServer(with_service_token("mesh-token", authenticate), asyncio.Event())
            server.host(Peers())  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED
            await server.start([f"{network}.{number}:{port}"], variable="MONITORS_GRPC_PORT")
            names.addresses[NAME] = [f"{network}.{number}"]
            return server

        async with AsyncExitStack() as stack:
            old = await started(1)
            call = client(names.target(NAME, port), stack, tmp_path)
            await call()
            new = await started(2)
            stack.push_async_callback(new.stop)
            await old.stop()
            async with asyncio.timeout(SOON):
                while not await _is_answered(call):
                    pass

    with serving_names() as names:
        loop_thread.run(scenario(names))


async def _is_answered(call: Call) -> bool:
    try:
        await call()
    except grpc.RpcError:
        return False
    return True
