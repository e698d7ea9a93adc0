"""Heartbeats: a channel hears every so often that the mesh is alive, and only while it is."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from standardwebhooks.webhooks import Webhook

from monitors.v1 import alert_pb2
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, Delivery, WebhookChannel
from tests.harness import LoopThread
from tests.notifier.world import MovableClock, Receiver, Reply, World, running


def make(world: World, receiver: Receiver, seconds: int = 60, name: str = "pulse") -> str:
    channel = Channel(
        name=name, webhook=WebhookChannel(url=f"{receiver.url}/{name}"), heartbeat_interval=Duration(seconds=seconds)
    )
    return world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel)).webhook_secret


def bodies(receiver: Receiver, count: int) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in receiver.received.wait_for_count(count)]


def listed(world: World) -> list[Delivery]:
    return list(world.stub.ListDeliveries(pb.ListDeliveriesRequest(channel="pulse")).deliveries)


def test_a_heartbeat_comes_at_once_and_every_interval_and_says_when_the_next_one_comes(
    world: World, receiver: Receiver
) -> None:
    secret = make(world, receiver)
    world.clock.advance(5)
    (first,) = receiver.received.wait_for_count(1)
    body = Webhook(secret).verify(first.body, first.headers)
    assert (body["type"], body["data"]["interval_seconds"]) == ("notifier.heartbeat", 60)
    assert "every 1m" in body["data"]["text"]
    world.clock.advance(61)
    assert len({one["data"]["notification_id"] for one in bodies(receiver, 2)}) == 2
    # They're about no alert, and what became of them is nobody's business but the channel's.
    assert world.rules.reports.items == []
    assert not world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries
    assert len(listed(world)) == 2


def test_it_falls_silent_while_rules_are_not_evaluated_and_misses_nothing_afterwards(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    world.rules.evaluation_problem = "256 of 256 shards are held by no evaluator; start one"
    make(world, receiver)
    for count in range(1, 5):
        world.clock.advance(61)
        world.rules.checked.wait_for_count(count)
    assert receiver.received.items == []
    told = [record.getMessage() for record in caplog.records if "heartbeats" in record.getMessage()]
    assert told == ["no heartbeats are sent: 256 of 256 shards are held by no evaluator; start one"]
    world.rules.evaluation_problem = ""
    world.clock.advance(6)
    bodies(receiver, 1)
    world.clock.advance(61)
    bodies(receiver, 2)
    assert len(receiver.received.items) == 2


def test_it_falls_silent_while_rule_service_does_not_answer(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    clock = MovableClock()
    with running(loop_thread, tmp_path, clock=clock) as world:
        world.rules.is_silent = True
        make(world, receiver)
        clock.advance(6)
        count = len(world.rules.checked.wait_for_count(1))
        clock.advance(61)
        world.rules.checked.wait_for_count(count + 1)
        assert receiver.received.items == []


def test_one_that_does_not_arrive_is_not_tried_again_and_the_next_one_comes_in_time(
    world: World, receiver: Receiver
) -> None:
    receiver.script = [Reply(500)]
    make(world, receiver)
    world.clock.advance(6)
    receiver.received.wait_for_count(1)
    world.clock.advance(61)
    receiver.received.wait_for_count(2)
    world.clock.advance(61)
    receiver.received.wait_for_count(3)
    states = [one.state for one in listed(world)]
    assert states[-1] == alert_pb2.DELIVERY_STATE_SUPERSEDED
    assert world.stub.GetNotifierStatus(pb.GetNotifierStatusRequest()).dead_count == 0
    assert len({json.loads(one.body)["data"]["notification_id"] for one in receiver.received.items}) == 3


def test_the_log_keeps_an_hour_of_them(world: World, receiver: Receiver) -> None:
    make(world, receiver, 1800)
    world.clock.advance(6)
    for count in range(1, 7):
        receiver.received.wait_for_count(count)
        world.clock.advance(1801)
    receiver.received.wait_for_count(7)
    assert len(listed(world)) <= 4


def test_the_interval_can_be_changed_and_taken_away_and_has_bounds(world: World, receiver: Receiver) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        make(world, receiver, 5)
    assert "send 0s (never) or 30s to 24h" in str(refused.value.details())
    make(world, receiver)
    changed = Channel(id="pulse", heartbeat_interval=Duration(seconds=90))
    channel = world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=changed)).channel
    assert channel.heartbeat_interval.seconds == 90
    mask = FieldMask(paths=["heartbeat_interval"])
    request = pb.UpdateChannelRequest(channel=Channel(id="pulse"), update_mask=mask)
    assert not world.stub.UpdateChannel(request).channel.HasField("heartbeat_interval")
    checked = len(world.rules.checked.items)
    sent = len(receiver.received.items)
    make(world, receiver, name="other")
    world.clock.advance(1000)
    world.rules.checked.wait_for_count(checked + 1)
    receiver.received.wait(lambda items: any(one.path == "/other" for one in items))
    assert [one.path for one in receiver.received.items[sent:]].count("/pulse") == 0
