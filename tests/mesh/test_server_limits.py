"""What a caller can take of a server: how large, how long, how many, how often. Over real connections."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from grpc_status import rpc_status

from monitors.mesh import interceptors
from monitors.mesh import server as serving
from monitors.mesh.config import load_settings
from monitors.mesh.identity import with_service_token
from monitors.mesh.server import MeshServer
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.mesh.test_server import Probe, authenticate, bearer

READER = bearer("reader")
WAIT_SECONDS = 30.0


class Patient(Probe):
    """Answers at once, or, for some rules and for every stream, never."""

    def __init__(self) -> None:
        self.given_up = threading.Event()

    async def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        if request.rule_id == "slow":
            try:
                await asyncio.Event().wait()
            finally:
                self.given_up.set()
        return pb.GetRuleResponse()

    async def WatchAlerts(self, request: pb.WatchAlertsRequest, context: Any) -> AsyncIterator[pb.WatchAlertsResponse]:
        yield pb.WatchAlertsResponse()
        await asyncio.Event().wait()


@asynccontextmanager
async def patient_server(service: Patient, *, with_reflection: bool = True) -> AsyncIterator[str]:
    server = MeshServer(
        with_service_token("mesh-token", authenticate), asyncio.Event(), with_reflection=with_reflection
    )
    server.host(service)
    (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
    yield f"127.0.0.1:{port}"
    await server.stop()


@pytest.fixture
def service() -> Patient:
    return Patient()  # type: ignore[abstract]


@pytest.fixture
def address(loop_thread: LoopThread, service: Patient) -> Iterator[str]:
    with loop_thread.opened(patient_server(service)) as address:
        yield address


@pytest.fixture
def stub(address: str) -> Iterator[Any]:
    with grpc.insecure_channel(address) as channel:
        yield RuleServiceStub(channel)


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The server's, to be changed before it starts."""
    changed = dict(serving.OPTIONS)
    monkeypatch.setattr(serving, "OPTIONS", changed.items())
    return changed


def refused(call: Callable[[], object]) -> Any:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value


def test_a_request_of_more_than_four_megabytes_is_refused_before_it_is_read(stub: Any) -> None:
    def ask(size: int) -> None:
        stub.GetRule(pb.GetRuleRequest(rule_id="x" * size), metadata=READER, timeout=WAIT_SECONDS)

    ask(4 * 1024 * 1024 - 100)
    assert refused(lambda: ask(4 * 1024 * 1024)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_metadata_of_more_than_sixteen_kilobytes_is_refused(stub: Any) -> None:
    def ask(size: int) -> None:
        stub.GetRule(pb.GetRuleRequest(), metadata=(*READER, ("x-more", "x" * size)), timeout=WAIT_SECONDS)

    ask(4 * 1024)
    assert refused(lambda: ask(17 * 1024)).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("deadline", [None, WAIT_SECONDS])
def test_a_call_is_ended_after_the_longest_time_whatever_its_caller_would_wait(
    stub: Any, service: Patient, monkeypatch: pytest.MonkeyPatch, deadline: float | None
) -> None:
    monkeypatch.setattr(interceptors, "LONGEST_CALL_SECONDS", 0.1)
    error = refused(lambda: stub.GetRule(pb.GetRuleRequest(rule_id="slow"), metadata=READER, timeout=deadline))
    info = ErrorInfo()
    assert rpc_status.from_call(error).details[0].Unpack(info)
    assert (error.code(), info.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "CALL_TOO_LONG")
    assert "0.1 s" in error.details()
    assert service.given_up.wait(WAIT_SECONDS)


def test_what_a_caller_does_not_wait_for_any_longer_is_given_up(stub: Any, service: Patient) -> None:
    error = refused(lambda: stub.GetRule(pb.GetRuleRequest(rule_id="slow"), metadata=READER, timeout=0.1))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.given_up.wait(WAIT_SECONDS)


def test_no_deadline_of_the_contract_is_longer_than_a_call_may_take() -> None:
    config = json.loads((files("monitors.v1") / "service_config.json").read_text())
    deadlines = [float(each["timeout"].removesuffix("s")) for each in config["methodConfig"]]
    assert max(deadlines) <= interceptors.LONGEST_CALL_SECONDS


@pytest.fixture
def three_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MOST_CALLS", 3)


@pytest.mark.usefixtures("three_calls")
def test_what_is_more_than_the_most_calls_at_once_is_refused_and_a_place_that_is_free_is_given_again(stub: Any) -> None:
    streams = [stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=READER, timeout=WAIT_SECONDS) for _ in range(3)]
    for stream in streams:
        next(stream)
    error = refused(lambda: stub.GetRule(pb.GetRuleRequest(), metadata=READER, timeout=WAIT_SECONDS))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    streams[0].cancel()

    def is_answered() -> bool:
        try:
            stub.GetRule(pb.GetRuleRequest(), metadata=READER, timeout=WAIT_SECONDS)
        except grpc.RpcError:
            return False
        return True

    assert any(is_answered() for _ in range(1_000))
    for stream in streams:
        stream.cancel()


def test_who_pings_without_end_is_sent_away(address: str) -> None:
    impatient = [
        ("grpc.keepalive_time_ms", 10),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_sent_ping_interval_without_data_ms", 10),
    ]
    with grpc.insecure_channel(address, options=impatient) as channel:
        stream: Any = RuleServiceStub(channel).WatchAlerts(
            pb.WatchAlertsRequest(), metadata=READER, timeout=WAIT_SECONDS
        )
        error = refused(lambda: list(stream))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "ping" in error.details().lower()


def test_a_connection_without_a_call_is_closed_after_a_while(
    loop_thread: LoopThread, options: dict[str, int], service: Patient
) -> None:
    options["grpc.max_connection_idle_ms"] = 100
    idle = threading.Event()
    with loop_thread.opened(patient_server(service)) as address, grpc.insecure_channel(address) as channel:
        RuleServiceStub(channel).GetRule(pb.GetRuleRequest(), metadata=READER, timeout=WAIT_SECONDS)
        channel.subscribe(lambda state: idle.set() if state is grpc.ChannelConnectivity.IDLE else None)
        assert idle.wait(WAIT_SECONDS)


@pytest.mark.parametrize("with_reflection", [False, True])
def test_methods_are_described_only_where_that_is_wanted(
    loop_thread: LoopThread, service: Patient, with_reflection: bool
) -> None:
    def names(channel: grpc.Channel) -> list[str]:
        stub: Any = ServerReflectionStub(channel)
        answers = stub.ServerReflectionInfo(iter([ServerReflectionRequest(list_services="")]))
        return [each.name for each in next(answers).list_services_response.service]

    opened = loop_thread.opened(patient_server(service, with_reflection=with_reflection))
    with opened as address, grpc.insecure_channel(address) as channel:
        if with_reflection:
            assert "monitors.v1.RuleService" in names(channel)
        else:
            assert refused(lambda: names(channel)).code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_served_service_describes_its_methods_only_if_it_is_told_to() -> None:
    assert not load_settings({}).has_reflection
    assert load_settings({"MONITORS_REFLECTION": "true"}).has_reflection
