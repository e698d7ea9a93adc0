"""A stream goes on for as long as its credential is good, and no longer."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from monitors.mesh import interceptors
from monitors.mesh.errors import IdentityUnavailable, MeshError, Unauthenticated
from monitors.mesh.identity import Principal
from monitors.mesh.server import MeshServer
from monitors.v1 import evaluator_service_pb2 as evaluator_pb
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.evaluator_service_pb2_grpc import (
    EvaluatorServiceServicer,
    EvaluatorServiceStub,
    add_EvaluatorServiceServicer_to_server,
)
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer, RuleServiceStub, add_RuleServiceServicer_to_server
from tests.harness import LoopThread

CREDENTIAL = (("authorization", "Bearer ann"),)
SCOPES = frozenset({"alerts:read", "samples:write"})


class Endless(RuleServiceServicer, EvaluatorServiceServicer):
    """Sends for as long as somebody listens, and takes for as long as somebody writes."""

    def add_to(self, server: grpc.aio.Server) -> str:
        add_RuleServiceServicer_to_server(self, server)
        add_EvaluatorServiceServicer_to_server(self, server)
        return "monitors.v1.RuleService"

    async def WatchAlerts(self, request: pb.WatchAlertsRequest, context: Any) -> AsyncIterator[pb.WatchAlertsResponse]:
        while True:
            yield pb.WatchAlertsResponse()
            await asyncio.sleep(0)

    async def WriteSamples(
        self, request_iterator: AsyncIterator[evaluator_pb.WriteSamplesRequest], context: Any
    ) -> evaluator_pb.WriteSamplesResponse:
        async for _ in request_iterator:
            pass
        return evaluator_pb.WriteSamplesResponse()


class Door:
    """Knows Ann until it's told otherwise."""

    def __init__(self) -> None:
        self.answer: Principal | MeshError = Principal("acme", "ann", SCOPES)
        self.asked = threading.Semaphore(0)

    async def __call__(self, credential: str) -> Principal:
        self.asked.release()
        if isinstance(self.answer, MeshError):
            raise self.answer
        return self.answer

    def wait_until_asked(self, times: int) -> None:
        for _ in range(times):
            assert self.asked.acquire(timeout=20)


@asynccontextmanager
async def endless(door: Door) -> AsyncIterator[str]:
    server = MeshServer(door, asyncio.Event())
    server.host(Endless())  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED
    (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
    yield f"127.0.0.1:{port}"
    await server.stop()


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    monkeypatch.setattr(interceptors, "AGAIN_SECONDS", 0.0)
    return Door()


@pytest.fixture
def channel(door: Door, loop_thread: LoopThread) -> Iterator[grpc.Channel]:
    with loop_thread.opened(endless(door)) as address, grpc.insecure_channel(address) as opened:
        yield opened


def status_of(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    error: Any = raised.value
    code: grpc.StatusCode = error.code()
    return code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Unauthenticated("the API key has been revoked"), grpc.StatusCode.UNAUTHENTICATED),
        (Principal("acme", "ann", frozenset({"rules:read"})), grpc.StatusCode.PERMISSION_DENIED),
    ],
)
def test_who_listens_is_cut_off_when_their_credential_ends(
    channel: grpc.Channel, door: Door, answer: Principal | MeshError, code: grpc.StatusCode
) -> None:
    stream = RuleServiceStub(channel).WatchAlerts(pb.WatchAlertsRequest(), metadata=CREDENTIAL, timeout=30)
    next(stream)
    next(stream)
    door.answer = answer
    assert status_of(lambda: list(stream)) is code


def test_who_writes_is_cut_off_when_their_credential_ends(channel: grpc.Channel, door: Door) -> None:
    over = threading.Event()

    def batches() -> Iterator[evaluator_pb.WriteSamplesRequest]:
        yield evaluator_pb.WriteSamplesRequest()
        door.wait_until_asked(2)
        door.answer = Unauthenticated("the session has ended")
        while not over.is_set():
            yield evaluator_pb.WriteSamplesRequest()

    def write() -> None:
        EvaluatorServiceStub(channel).WriteSamples(batches(), metadata=CREDENTIAL, timeout=30)

    try:
        assert status_of(write) is grpc.StatusCode.UNAUTHENTICATED
    finally:
        over.set()


def test_while_nobody_can_say_whose_it_is_a_stream_goes_on(channel: grpc.Channel, door: Door) -> None:
    stream = RuleServiceStub(channel).WatchAlerts(pb.WatchAlertsRequest(), metadata=CREDENTIAL, timeout=30)
    next(stream)
    door.answer = IdentityUnavailable("the user system")
    door.wait_until_asked(10)
    for _ in range(100):
        next(stream)
    stream.cancel()
