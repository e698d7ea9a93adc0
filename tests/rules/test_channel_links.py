"""Links by which people add channels: for whom, how long, and while a notifier is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from monitors.mesh.channel_links import ChannelLink, open_token
from monitors.mesh.times import MINUTE, SECOND, from_timestamp, now_nanos
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.mesh_pb2 import ChannelPage
from tests.processes import wait_for
from tests.rules.client import DEADLINE, SERVICE, Client

KEY = b"k" * 32
PAGE = ChannelPage(url="https://alerts.example.org/channels/new", key=KEY)


@contextmanager
def notifier(client: Client, page: ChannelPage | None = PAGE) -> Iterator[None]:
    """A notifier that is there, as RuleService sees it."""
    request = pb.LeaseNotificationsRequest(notifier_id="test", channel_page=page)
    stream = client.stub.LeaseNotifications(request, metadata=SERVICE, timeout=DEADLINE)
    try:
        next(stream)
        yield
    finally:
        stream.cancel()


def link(client: Client, name: str = "") -> pb.CreateChannelLinkResponse:
    response: pb.CreateChannelLinkResponse = client.call(pb.CreateChannelLinkRequest(channel_name=name))
    return response


def opened(response: Any, now: int | None = None) -> ChannelLink:
    return open_token(response.url.partition("?link=")[2], [KEY], now or now_nanos())


def test_a_link_is_for_its_caller_and_ten_minutes(client: Client) -> None:
    with notifier(client):
        begin = now_nanos()
        response = link(client, "ops")
        made = opened(response)
        assert response.url.startswith(f"{PAGE.url}?link=")
        assert (made.tenant, made.name) == (client.tenant, "ops")
        assert made.user.startswith("key_")
        assert client.key.split("_")[2] in made.user
        assert from_timestamp(response.expire_time) == made.expire_time
        assert 10 * MINUTE - SECOND <= made.expire_time - begin <= 10 * MINUTE + SECOND
        assert opened(link(client)).id != made.id
        assert opened(link(client)).name == ""


def test_without_a_notifier_there_is_no_link(client: Client) -> None:
    def is_away() -> bool:
        try:
            link(client)
        except grpc.RpcError:
            return client.refused(pb.CreateChannelLinkRequest()).code == "UNAVAILABLE"
        return False

    assert is_away()
    with notifier(client, None):
        assert is_away()
    with notifier(client):
        with notifier(client, ChannelPage(url="https://other.example.org/", key=KEY)):
            assert link(client).url.startswith("https://other")
        wait_for(lambda: link(client).url.startswith(PAGE.url), "the end of the newer stream")
    wait_for(is_away, "the end of the last stream")


@pytest.mark.parametrize(("name", "words"), [("x" * 65, "at most 64"), ("a\nb", "line break")])
def test_a_proposed_name_is_one_short_line(client: Client, name: str, words: str) -> None:
    refused = client.refused(pb.CreateChannelLinkRequest(channel_name=name))
    assert refused.code == "INVALID_ARGUMENT"
    assert words in refused.message


def test_who_may_only_read_gets_none(client: Client) -> None:
    scopes = ["rules:read", "rules:write", "channels:read"]
    client.key = client.call(pb.CreateKeyRequest(title="reader", scopes=scopes)).key
    refused = client.refused(pb.CreateChannelLinkRequest())
    assert (refused.code, "channels:write" in refused.message) == ("PERMISSION_DENIED", True)
    assert client.refused(pb.CreateChannelLinkRequest(), as_mesh=True).code == "UNAUTHENTICATED"


def test_a_link_carries_the_tier_that_bounds_how_many_channels_there_may_be(client: Client) -> None:
    with notifier(client):
        assert opened(link(client)).tier == ""
        key = client.loop.run(client.rules.add_tenant(client.tenant, "free"))
        free = Client(client.stub, client.tenant, key, client.rules, client.loop)
        made = opened(link(free, "ops"))
        assert (made.tenant, made.name, made.tier) == (client.tenant, "ops", "free")
