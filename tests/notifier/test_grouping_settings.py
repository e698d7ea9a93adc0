"""How a channel groups is its own setting: read, checked, kept, shown and followed."""

import json

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from monitors.v1 import notification_pb2, rule_pb2
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, Grouping, SlackChannel, WebhookChannel
from tests.notifier.test_grouping import delivered, fires, taken_in, texts
from tests.notifier.world import Receiver, World, notification


def make(world: World, receiver: Receiver, **grouping: object) -> Channel:
    channel = Channel(name="team", slack=SlackChannel(webhook_url=f"{receiver.url}/hook"), is_default=True)
    if grouping:
        channel.grouping.CopyFrom(Grouping(**grouping))  # type: ignore[arg-type]
    return world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel)).channel


def change(world: World, grouping: Grouping) -> Channel:
    channel = Channel(id="team", grouping=grouping)
    return world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=channel)).channel


def test_what_isnt_said_is_as_usual_for_the_kind_and_is_shown(world: World, receiver: Receiver) -> None:
    made = make(world, receiver)
    assert made.grouping == Grouping(
        by=notification_pb2.GROUP_BY_RULE, wait=Duration(seconds=10), interval=Duration(seconds=60), digest_above=20
    )
    webhook = Channel(name="hook", webhook=WebhookChannel(url=f"{receiver.url}/hook"))
    alone = world.stub.CreateChannel(pb.CreateChannelRequest(channel=webhook)).channel.grouping
    assert (alone.by, alone.digest_above) == (notification_pb2.GROUP_BY_ALONE, 0)


def test_a_change_stays_and_one_of_something_else_leaves_it(world: World, receiver: Receiver) -> None:
    make(world, receiver)
    wanted = Grouping(
        by=notification_pb2.GROUP_BY_LABELS, labels=["team"], wait=Duration(), interval=Duration(seconds=5),
        hold_urgent=True, digest_above=0,
    )  # fmt: skip
    assert change(world, wanted).grouping == wanted
    world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=Channel(id="team", send_resolved=False)))
    assert world.stub.GetChannel(pb.GetChannelRequest(channel_id="team")).channel.grouping == wanted


@pytest.mark.parametrize(
    ("grouping", "field"),
    [
        (Grouping(wait=Duration(seconds=601)), "wait"),
        (Grouping(wait=Duration(seconds=-1)), "wait"),
        (Grouping(interval=Duration()), "interval"),
        (Grouping(interval=Duration(seconds=86_401)), "interval"),
        (Grouping(digest_above=100_001), "digest_above"),
        (Grouping(labels=["team"]), "labels"),
        (Grouping(by=notification_pb2.GROUP_BY_LABELS), "labels"),
        (Grouping(by=notification_pb2.GROUP_BY_LABELS, labels=["a", "a"]), "labels"),
        (Grouping(by=notification_pb2.GROUP_BY_LABELS, labels=["a\n"]), "labels"),
        (Grouping(by=notification_pb2.GROUP_BY_LABELS, labels=[str(n) for n in range(11)]), "labels"),
        (Grouping(by=99), "by"),  # type: ignore[arg-type]
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_its_name(
    world: World, receiver: Receiver, grouping: Grouping, field: str
) -> None:
    make(world, receiver)
    with pytest.raises(grpc.RpcError) as refused:
        change(world, grouping)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"channel.grouping.{field}" in str(refused.value.details())
    slack = SlackChannel(webhook_url=f"{receiver.url}/hook")
    request = pb.CreateChannelRequest(channel=Channel(name="b", slack=slack, grouping=grouping))
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.CreateChannel(request)
    assert f"channel.grouping.{field}" in str(refused.value.details())


def test_alerts_of_one_label_are_told_together_whatever_their_rule(world: World, receiver: Receiver) -> None:
    make(world, receiver, by=notification_pb2.GROUP_BY_LABELS, labels=["team"])
    told = [notification(f"note_{n}", alert=f"alert_{n}", stream=f"rule_{n}/a", sequence=n) for n in range(1, 5)]
    for number, one in enumerate(told):
        one.alert.rule_id = f"rule_{number}"
        one.alert.labels["team"] = "shop" if number < 3 else "infra"
    world.tell(told[0])
    receiver.received.wait_for_count(1)
    world.tell(*told[1:])
    receiver.received.wait_for_count(2)
    taken_in(world, 4)
    world.clock.advance(10)
    world.wait_for_states(*delivered(*(f"note_{n}" for n in range(1, 5))))
    assert texts(receiver) == ["FIRING (high)", "FIRING (high)", "2 FIRING (high)"]


def test_a_webhook_that_groups_gets_a_digest_with_each_alert_in_it(world: World, receiver: Receiver) -> None:
    channel = Channel(
        name="hook", webhook=WebhookChannel(url=f"{receiver.url}/hook"), is_default=True,
        grouping=Grouping(by=notification_pb2.GROUP_BY_MONITOR),
    )  # fmt: skip
    world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel))
    world.tell(fires(1))
    receiver.received.wait_for_count(1)
    world.tell(fires(2), fires(3, severity=rule_pb2.SEVERITY_LOW))
    taken_in(world, 3)
    world.clock.advance(10)
    world.wait_for_states(*delivered("note_1", "note_2", "note_3"))
    first, second = (json.loads(one.body) for one in receiver.received.items)
    assert (first["type"], second["type"]) == ("alert.firing", "alert.digest")
    assert [one["notification_id"] for one in second["data"]["alerts"]] == ["note_2", "note_3"]
