"""The server: who may call, what errors look like, and that nothing internal leaks."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from monitors.mesh.errors import InvalidField, Unauthenticated
from monitors.mesh.identity import (
    ORDINARY_SCOPES,
    Principal,
    current_tenant,
    new_api_key,
    parse_api_key,
    with_service_token,
)
from monitors.mesh.server import MeshServer, PortTaken
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import (
    RuleServiceServicer,
    RuleServiceStub,
    add_RuleServiceServicer_to_server,
)
from tests.harness import LoopThread


class Probe(RuleServiceServicer):
    """Answers with who calls, or fails as it's told to."""

    def add_to(self, server: grpc.aio.Server) -> str:
        add_RuleServiceServicer_to_server(self, server)
        return "monitors.v1.RuleService"

    async def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        if request.rule_id == "bad":
            raise InvalidField("rule_id", "'bad' isn't an id; send one such as `rule_7k2m9x4cqv0d`")
        if request.rule_id == "broken":
            raise ValueError("mysql://root:secret@db is on fire")
        response = pb.GetRuleResponse()
        response.rule.id = current_tenant()
        return response

    async def WatchAlerts(self, request: pb.WatchAlertsRequest, context: Any) -> AsyncIterator[pb.WatchAlertsResponse]:
        yield pb.WatchAlertsResponse()
        raise ValueError("secret")


async def authenticate(credential: str) -> Principal:
    if credential == "reader":
        return Principal("acme", "ann", frozenset({"rules:read", "alerts:read"}))
    raise Unauthenticated("the credential isn't known")


@asynccontextmanager
async def probe_server(address: str = "127.0.0.1:0") -> AsyncIterator[int]:
    server = MeshServer(with_service_token("mesh-token", authenticate), asyncio.Event())
    server.host(Probe())  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED
    (port,) = await server.start([address], variable="MONITORS_GRPC_PORT")
    yield port
    await server.stop()


# pytest-grpc's clients, on our own server: its two fixtures for the server are overridden.


@pytest.fixture(scope="module")
def grpc_server(loop_thread: LoopThread) -> Iterator[int]:
    with loop_thread.opened(probe_server()) as port:
        yield port


@pytest.fixture(scope="module")
def grpc_addr(grpc_server: int) -> str:
    return f"127.0.0.1:{grpc_server}"


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[RuleServiceStub]:
    return RuleServiceStub


def bearer(credential: str) -> tuple[tuple[str, str | bytes], ...]:
    return (("authorization", f"Bearer {credential}"),)


def failure(call: Any) -> tuple[grpc.StatusCode, str, list[Any]]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    error: Any = raised.value
    status = rpc_status.from_call(error)
    return error.code(), error.details(), list(status.details if status else [])


def test_the_caller_is_known_to_the_method(grpc_stub: RuleServiceStub) -> None:
    assert grpc_stub.GetRule(pb.GetRuleRequest(), metadata=bearer("reader")).rule.id == "acme"


@pytest.mark.parametrize("metadata", [(), bearer("wrong"), (("authorization", "reader"),), bearer("")])
def test_without_a_valid_credential_nothing_is_answered(grpc_stub: RuleServiceStub, metadata: Any) -> None:
    code, message, _ = failure(lambda: grpc_stub.GetRule(pb.GetRuleRequest(), metadata=metadata))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "credential" in message


def test_a_missing_scope_is_named(grpc_stub: RuleServiceStub) -> None:
    code, message, _ = failure(lambda: grpc_stub.CreateRule(pb.CreateRuleRequest(), metadata=bearer("reader")))
    assert (code, "rules:write" in message) == (grpc.StatusCode.PERMISSION_DENIED, True)


def test_the_mesh_is_closed_to_users_and_users_calls_to_the_tenantless(grpc_stub: RuleServiceStub) -> None:
    code, _, _ = failure(lambda: grpc_stub.LeaseShards(pb.LeaseShardsRequest(), metadata=bearer("reader")))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    code, _, _ = failure(lambda: grpc_stub.GetRule(pb.GetRuleRequest(), metadata=bearer("mesh-token")))
    assert code is grpc.StatusCode.UNAUTHENTICATED


def test_an_error_names_reason_field_and_fix(grpc_stub: RuleServiceStub) -> None:
    code, message, details = failure(
        lambda: grpc_stub.GetRule(pb.GetRuleRequest(rule_id="bad"), metadata=bearer("reader"))
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message.startswith("rule_id: 'bad'")
    info, bad_request = ErrorInfo(), BadRequest()
    assert details[0].Unpack(info)
    assert (info.reason, info.domain, info.metadata["field"]) == ("INVALID_FIELD", "monitors", "rule_id")
    assert details[1].Unpack(bad_request)
    assert bad_request.field_violations[0].field == "rule_id"


@pytest.mark.parametrize("streaming", [False, True])
def test_a_fault_of_ours_leaks_nothing(grpc_stub: RuleServiceStub, streaming: bool) -> None:
    def call() -> None:
        if streaming:
            list(grpc_stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer("reader")))
        grpc_stub.GetRule(pb.GetRuleRequest(rule_id="broken"), metadata=bearer("reader"))

    code, message, _ = failure(call)
    assert code is grpc.StatusCode.INTERNAL
    assert "secret" not in message
    assert "error " in message


def test_a_taken_port_names_itself_and_the_fix(loop_thread: LoopThread, grpc_server: int) -> None:
    async def start_second() -> None:
        async with probe_server(f"127.0.0.1:{grpc_server}"):
            pytest.fail("two servers share a port")

    with pytest.raises(PortTaken, match=rf"{grpc_server}.*MONITORS_GRPC_PORT"):
        loop_thread.run(start_second())


def test_a_key_survives_the_round_trip_and_a_damaged_one_is_told_from_a_wrong_one() -> None:
    key = new_api_key()
    assert parse_api_key(key.text).key_id == key.key_id
    assert key.text not in repr(key)
    with pytest.raises(Unauthenticated, match="damaged"):
        parse_api_key(key.text[:-1])
    assert "admin" not in ORDINARY_SCOPES
