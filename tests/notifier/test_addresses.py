"""The way out: no address inside of a network is connected to, by whatever spelling."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from aiohttp import ClientConnectorError, InvalidURL
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.addresses import may_connect, may_name
from monitors.mesh.errors import InvalidField
from monitors.mesh.outbound import AddressRefused
from monitors.notifier.egress import Answer, Egress, NotReached, Unanswered
from monitors.notifier.model.checks import Policy, check_url
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import DELIVERY_OUTCOME_CONFIGURATION_BROKEN, Channel, WebhookChannel
from tests.harness import LoopThread
from tests.notifier.world import Receiver, Reply, running

INSIDE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "224.0.0.1", "239.1.1.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.88.99.1", "240.0.0.1",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "::127.0.0.1", "::7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1",
]  # fmt: skip
OUTSIDE = ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "64:ff9b::808:808"]
LOCAL = ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "::1", "fd00::1"]
FORBIDDEN = [
    line
    for line in (Path(__file__).parent / "forbidden_urls.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
ENDPOINTS = [
    "https://example.org/", "https://xn--bcher-kva.example.org:8443/h", "https://bücher.de/",
    "https://8.8.8.8/", "https://[2606:4700:4700::1111]/", "https://a.b.c.example.com/?q=127.0.0.1",
]  # fmt: skip
SPELLINGS = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "127.1"]
NEVER = ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::", "64:ff9b::a9fe:a9fe", "240.0.0.1"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused(address: str) -> None:
    assert not may_connect(ip_address(address), allow_local=False)


@pytest.mark.parametrize("address", OUTSIDE)
@pytest.mark.parametrize("allow_local", [False, True])
def test_an_address_on_the_internet_is_allowed(address: str, allow_local: bool) -> None:
    assert may_connect(ip_address(address), allow_local)


@pytest.mark.parametrize("address", LOCAL)
def test_local_targets_are_allowed_where_the_operator_says_so(address: str) -> None:
    assert may_connect(ip_address(address), allow_local=True)


@pytest.mark.parametrize("address", NEVER)
def test_a_clouds_credentials_and_the_like_are_never_allowed(address: str) -> None:
    assert not may_connect(ip_address(address), allow_local=True)


def test_the_corpus_is_whole() -> None:
    assert len(FORBIDDEN) == len(set(FORBIDDEN)) >= 60


@pytest.mark.parametrize("url", FORBIDDEN)
def test_a_forbidden_url_is_refused_when_a_channel_is_made(url: str) -> None:
    with pytest.raises(InvalidField, match=r"channel\.webhook\.url"):
        check_url("channel.webhook.url", url, Policy(allow_local_targets=False, has_mail_server=False))


@pytest.mark.parametrize("url", FORBIDDEN)
def test_a_forbidden_url_is_not_sent_to_even_if_a_channel_has_it(loop_thread: LoopThread, url: str) -> None:
    with pytest.raises(NotReached) as refused:
        post(loop_thread, url, allow_local=False, deadline=2.0)
    # Nothing was connected to: the address was refused, or there is none.
    cause = refused.value.__cause__
    reason = cause.os_error if isinstance(cause, ClientConnectorError) else cause
    assert reason is None or isinstance(reason, AddressRefused | InvalidURL | socket.gaierror), reason


@pytest.mark.parametrize("url", ENDPOINTS)
def test_an_endpoint_on_the_internet_is_taken(url: str) -> None:
    check_url("channel.webhook.url", url, Policy(allow_local_targets=False, has_mail_server=False))


@given(st.integers(0, 2**32 - 1))
def test_no_number_is_taken_for_a_name(number: int) -> None:
    spellings = {f"{number}", f"{number:#x}", f"0{number:o}", f"{number:#X}"}
    dotted = str(IPv4Address(number)).split(".")
    spellings |= {".".join(f"0{int(part):o}" for part in dotted), ".".join(f"{int(part):#x}" for part in dotted)}
    assert [host for host in spellings - {str(IPv4Address(number))} if may_name(host, allow_local=False)] == []


@asynccontextmanager
async def egress(allow_local: bool, deadline: float = 15.0) -> AsyncIterator[Egress]:
    opened = Egress(allow_local=allow_local, deadline=deadline)
    try:
        yield opened
    finally:
        await opened.close()


def post(loop: LoopThread, url: str, *, allow_local: bool = True, deadline: float = 15.0) -> Answer:
    async def once() -> Answer:
        async with egress(allow_local, deadline) as opened:
            return await opened.post(url, b"{}", {})

    return loop.run(once())


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_this_machine_is_connected_to(loop_thread: LoopThread, receiver: Receiver, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    with pytest.raises(NotReached):
        post(loop_thread, f"http://{host}:{port}/", allow_local=False)
    assert receiver.received.items == []


class ChangingNames(AbstractResolver):
    """DNS whose answer is another one each time, as one that rebinds gives it."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self.answers.pop(0)
        return [
            ResolveResult(hostname=host, host=found, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
        ]

    async def close(self) -> None:
        self.answers.clear()


def test_a_name_that_turns_inwards_after_it_was_looked_at_is_not_connected_to(
    loop_thread: LoopThread, receiver: Receiver
) -> None:
    port = receiver.url.rpartition(":")[2]
    names = ChangingNames("127.0.0.1", "127.0.0.1")

    async def twice() -> None:
        inside, outside = Egress(allow_local=True, resolver=names), Egress(allow_local=False, resolver=names)
        try:
            # Where it may be connected to, this very name leads to the receiver.
            assert (await inside.post(f"http://rebinding.example.org:{port}/", b"{}", {})).status == 200
            with pytest.raises(NotReached):
                await outside.post(f"http://rebinding.example.org:{port}/", b"{}", {})
        finally:
            await inside.close()
            await outside.close()

    loop_thread.run(twice())
    assert len(receiver.received.items) == 1


def test_a_name_that_leads_inwards_looks_like_one_that_leads_nowhere(loop_thread: LoopThread) -> None:
    async def refusals() -> list[object]:
        opened = Egress(allow_local=False, resolver=ChangingNames(*INSIDE))
        posts = [opened.post("https://inside.example.org/", b"{}", {}) for _ in INSIDE]
        return [type(one) for one in await asyncio.gather(*posts, return_exceptions=True)]

    assert loop_thread.run(refusals()) == [NotReached] * len(INSIDE)


def test_a_url_that_names_a_host_inside_is_told_apart_with_the_setting(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    with running(loop_thread, tmp_path) as world:
        channel = Channel(name="hook", webhook=WebhookChannel(url=receiver.url))
        world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel))
    with running(loop_thread, tmp_path, allow_local=False) as world:
        attempt = world.stub.TestChannel(pb.TestChannelRequest(channel_id="hook")).attempt
        assert attempt.outcome == DELIVERY_OUTCOME_CONFIGURATION_BROKEN
        assert "MONITORS_ALLOW_LOCAL_TARGETS" in attempt.detail
        assert receiver.url.removeprefix("http://") not in attempt.detail
    assert receiver.received.items == []


def test_a_proxy_in_the_environment_is_ignored(
    loop_thread: LoopThread, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert post(loop_thread, receiver.url).status == 200


def test_a_redirect_is_an_answer_and_not_followed(loop_thread: LoopThread, receiver: Receiver) -> None:
    receiver.script = [Reply(302, {"location": f"{receiver.url}/inside"})]
    assert post(loop_thread, receiver.url).status == 302
    assert len(receiver.received.items) == 1


def test_of_an_endless_body_only_the_beginning_is_read(loop_thread: LoopThread, receiver: Receiver) -> None:
    receiver.script = [Reply(endless=True)]
    assert len(post(loop_thread, receiver.url).body) == 20_000


def test_a_lost_answer_is_told_from_an_endpoint_that_is_not_there(loop_thread: LoopThread, receiver: Receiver) -> None:
    receiver.script = [Reply(drop=True), Reply(hold=True)]
    with pytest.raises(Unanswered):
        post(loop_thread, receiver.url)
    with pytest.raises(Unanswered):
        post(loop_thread, receiver.url, deadline=0.2)
    with pytest.raises(NotReached):
        post(loop_thread, "http://127.0.0.1:1/")
    with pytest.raises(NotReached):
        post(loop_thread, "http://name.invalid/")
