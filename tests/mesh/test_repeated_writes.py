"""What an evaluator doesn't take now the contract's own retry policy sends again, to another one if there is one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from monitors.mesh.channels import open_channel
from monitors.mesh.errors import NotTaken
from monitors.mesh.identity import Principal
from monitors.mesh.server import MeshServer
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1.evaluator_service_pb2_grpc import (
    EvaluatorServiceServicer,
    EvaluatorServiceStub,
    add_EvaluatorServiceServicer_to_server,
)
from tests.harness import LoopThread


class Unready(EvaluatorServiceServicer):
    """Takes nothing the first time, when it has read all."""

    calls = 0

    def add_to(self, server: grpc.aio.Server) -> str:
        add_EvaluatorServiceServicer_to_server(self, server)
        return "monitors.v1.EvaluatorService"

    async def WriteSamples(
        self, request_iterator: AsyncIterator[pb.WriteSamplesRequest], context: Any
    ) -> pb.WriteSamplesResponse:
        self.calls += 1
        count = len([message async for message in request_iterator])
        if self.calls == 1:
            raise NotTaken("its leases are over")
        return pb.WriteSamplesResponse(accepted_count=count)


@asynccontextmanager
async def opened(service: Unready) -> AsyncIterator[str]:
    async def authenticate(credential: str) -> Principal:
        return Principal("acme", "ann", frozenset({"samples:write"}))

    server = MeshServer(authenticate, asyncio.Event())
    server.host(service)
    (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
    yield f"127.0.0.1:{port}"
    await server.stop()


def test_a_write_that_is_refused_for_now_is_sent_again_by_the_contracts_own_policy(loop_thread: LoopThread) -> None:
    service = Unready()  # type: ignore[abstract]

    async def write(address: str) -> pb.WriteSamplesResponse:
        async with open_channel(address, "key") as channel:
            messages = iter([pb.WriteSamplesRequest(), pb.WriteSamplesRequest()])
            answer: pb.WriteSamplesResponse = await EvaluatorServiceStub(channel).WriteSamples(messages)
            return answer

    with loop_thread.opened(opened(service)) as address:
        assert loop_thread.run(write(address)).accepted_count == 2
    assert service.calls == 2
