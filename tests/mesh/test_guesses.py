"""Credentials that aren't any, many of them from one address."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.guesses import MOST_AT_ONCE, Guesses, address_of_peer, counted_address
from monitors.mesh.identity import with_service_token
from monitors.mesh.limits import LocalBuckets
from monitors.mesh.server import MeshServer
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.mesh.test_server import Probe, authenticate, bearer, failure


class Asked(Probe):
    """Also answers whose a credential is, as RuleService does."""

    async def Authenticate(self, request: pb.AuthenticateRequest, context: object) -> pb.AuthenticateResponse:
        await authenticate(request.credential)
        return pb.AuthenticateResponse()


@asynccontextmanager
async def guarded() -> AsyncIterator[int]:
    known = with_service_token("mesh-token", authenticate)
    server = MeshServer(known, asyncio.Event(), guesses=Guesses(LocalBuckets()))
    server.host(Asked())  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED
    (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
    yield port
    await server.stop()


@pytest.fixture
def stub(loop_thread: LoopThread) -> Iterator[RuleServiceStub]:
    with loop_thread.opened(guarded()) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield RuleServiceStub(channel)


def guess(stub: RuleServiceStub, times: int = 1) -> list[grpc.StatusCode]:
    calls = [stub.GetRule.future(pb.GetRuleRequest(), metadata=bearer(f"guess {number}")) for number in range(times)]
    return [call.code() for call in calls]


def test_after_many_guesses_an_address_is_told_when_to_try_again_and_still_what_is_wrong(stub: RuleServiceStub) -> None:
    codes = guess(stub, 2 * MOST_AT_ONCE)
    assert codes.count(grpc.StatusCode.UNAUTHENTICATED) >= MOST_AT_ONCE
    assert codes[-1] is grpc.StatusCode.RESOURCE_EXHAUSTED
    code, message, details = failure(lambda: stub.GetRule(pb.GetRuleRequest(), metadata=bearer("guess")))
    info, retry = ErrorInfo(), RetryInfo()
    assert (details[0].Unpack(info), details[1].Unpack(retry)) == (True, True)
    assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_FAILURES")
    assert 0 < retry.retry_delay.ToNanoseconds() <= 2_010_000_000
    assert message.startswith("the credential isn't known. Too many")


def test_a_good_credential_is_never_refused_for_guesses_from_its_address(stub: RuleServiceStub) -> None:
    guess(stub, 2 * MOST_AT_ONCE)
    assert stub.GetRule(pb.GetRuleRequest(), metadata=bearer("reader")).rule.id == "acme"
    stub.Authenticate(pb.AuthenticateRequest(credential="reader"))


def test_asking_whose_a_credential_is_is_guessing_too(stub: RuleServiceStub) -> None:
    asked = [stub.Authenticate.future(pb.AuthenticateRequest(credential="guess")) for _ in range(2 * MOST_AT_ONCE)]
    assert grpc.StatusCode.RESOURCE_EXHAUSTED in [call.code() for call in asked]


def test_a_service_that_asks_for_its_callers_is_never_told_to_wait(stub: RuleServiceStub) -> None:
    request = pb.AuthenticateRequest(credential="guess")
    asked = [stub.Authenticate.future(request, metadata=bearer("mesh-token")) for _ in range(2 * MOST_AT_ONCE)]
    assert {call.code() for call in asked} == {grpc.StatusCode.UNAUTHENTICATED}


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50311", "192.0.2.1"),
        ("ipv6:%5B2001:db8:1:2:3::4%5D:50311", "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2:ffff::]:1", "2001:db8:1:2::/64"),
        ("ipv6:%5B::ffff:192.0.2.1%5D:50311", "192.0.2.1"),
        ("unix:", None),
        ("unix:/run/monitors.sock", None),
        ("", None),
    ],
)
def test_a_peer_is_counted_by_its_address(peer: str, address: str | None) -> None:
    assert address_of_peer(peer) == address


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_is_the_same_through_grpc_and_http(address: object, port: int) -> None:
    host = str(address)
    peer = f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"
    assert address_of_peer(peer) == counted_address(host) is not None
