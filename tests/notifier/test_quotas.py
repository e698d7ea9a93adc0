"""How many channels a tier allows, whichever way they are made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

from monitors.mesh.channel_links import LIFETIME, ChannelLink, link_url, sign
from monitors.mesh.quotas import Tiers, changed_quotas
from monitors.mesh.times import SECOND
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, ConsoleChannel
from tests.browser import fetch
from tests.harness import LoopThread
from tests.notifier.world import World, running

MOST = 2


@pytest.fixture
def world(loop_thread: LoopThread, tmp_path: Path) -> Iterator[World]:
    quotas = Tiers(changed_quotas([f"free.channels={MOST}", f"pro.channels={MOST + 1}"]), default="free")
    with running(loop_thread, tmp_path, quotas=quotas) as opened:
        yield opened


def create(world: World, name: str, request_id: str = "") -> pb.CreateChannelResponse:
    channel = Channel(name=name, console=ConsoleChannel())
    return world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel, request_id=request_id))


def link(world: World, name: str, tier: str) -> str:
    """A link as RuleService makes it for a caller of the tier."""
    page = world.rules.pages.wait_for_count(1)[-1]
    expire_time = (world.clock.now() + LIFETIME) // SECOND * SECOND
    return link_url(page.url, sign(ChannelLink("acme", "ann", name, expire_time, tier=tier), page.key))


def names(world: World) -> list[str]:
    return [channel.name for channel in world.stub.ListChannels(pb.ListChannelsRequest()).channels]


def test_a_channel_too_many_is_refused_until_one_is_deleted(world: World) -> None:
    first = create(world, "one", "request 1")
    create(world, "two")
    with pytest.raises(grpc.RpcError) as raised:
        create(world, "three")
    error: Any = raised.value
    status, info = rpc_status.from_call(error), ErrorInfo()
    retry = RetryInfo()
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "there are 2 channels already, and the tier 'free' allows 2" in error.details()
    assert status is not None
    assert (status.details[0].Unpack(info), status.details[1].Unpack(retry)) == (True, True)
    assert retry.retry_delay.seconds == 3600
    assert (info.reason, dict(info.metadata)) == (
        "QUOTA_EXCEEDED", {"quota": "channels", "limit": "2", "tier": "free"},
    )  # fmt: skip
    assert create(world, "one", "request 1") == first
    world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="one"))
    create(world, "three")
    assert names(world) == ["three", "two"]


def test_the_page_counts_as_well_by_the_tier_of_whoever_asked_for_the_link(world: World) -> None:
    create(world, "one")
    create(world, "two")
    refused = fetch(link(world, "three", "")).submit({"kind": "console"})
    assert refused.status == 429
    assert "allows 2" in refused.text
    assert fetch(link(world, "three", "pro")).submit({"kind": "console"}).status == 201
    assert fetch(link(world, "four", "pro")).submit({"kind": "console"}).status == 429
    assert names(world) == ["one", "three", "two"]
