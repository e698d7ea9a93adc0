"""The way out: no address inside of a network is connected to, by whatever spelling."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from monitors.notifier.egress import Answer, Egress, NotReached, Unanswered
from monitors.notifier.model.addresses import may_connect
from tests.harness import LoopThread
from tests.notifier.world import Receiver, Reply

INSIDE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "224.0.0.1", "239.1.1.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.88.99.1", "240.0.0.1",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "::127.0.0.1", "::7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1",
]  # fmt: skip
OUTSIDE = ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "64:ff9b::808:808"]
LOCAL = ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "::1", "fd00::1"]
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
