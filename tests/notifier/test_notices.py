"""Owners of channels hear another way that one is turned off, or that messages to it were given up."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.times import HOUR
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.notices import listeners
from monitors.notifier.model.targets import ConsoleTarget, EmailTarget, Target
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Delivery
from tests.notifier.test_delivery import make_webhook, wait_for_attempts
from tests.notifier.world import Receiver, Reply, World, notification


def listed(world: World) -> list[Delivery]:
    return list(world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries)


def arrived_at(receiver: Receiver, path: str, count: int) -> list[dict[str, Any]]:
    """The bodies of the first messages to a path."""
    received = receiver.received.wait(lambda items: sum(one.path == path for one in items) >= count)
    return [json.loads(one.body) for one in received if one.path == path]


def turn_off(world: World, receiver: Receiver, number: int, *, channel: str = "ops") -> None:
    receiver.script = [Reply(410), Reply(410)]
    name = f"note_{number}"
    world.tell(notification(name, stream=f"rule_{number}/a", sequence=number, channels=(channel,)))
    wait_for_attempts(world, name, 1)
    world.clock.advance(6.1)
    wait_for_attempts(world, name, 2)


def test_that_a_channel_is_turned_off_is_told_in_the_default_channels(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver, default=False)
    make_webhook(world, receiver, "first", path="first")
    make_webhook(world, receiver, "third", default=False, path="third")
    turn_off(world, receiver, 1)
    (body,) = arrived_at(receiver, "/first", 1)
    assert (body["type"], body["data"]["title"]) == ("notifier.notice", "The channel ops is turned off")
    assert "410" in body["data"]["text"]
    assert "monitors channels test ops" in body["data"]["text"]
    assert [one.path for one in receiver.received.items] == ["/hook", "/hook", "/first"]
    # It's no news of an alert's, so RuleService isn't told what became of it.
    assert {report.alert_id for report in world.rules.reports.items} == {"alert_1"}


def test_nobody_is_told_where_there_is_no_other_channel(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    turn_off(world, receiver, 1)
    assert [one.notification_id for one in listed(world)] == ["note_1"]


def test_that_messages_are_given_up_is_told_once_an_hour_and_never_of_a_notice(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver, default=False)
    make_webhook(world, receiver, "first", path="first")
    world.clock.advance((HOUR - world.clock.now() % HOUR) / 1e9 + 1)
    receiver.script = [Reply(400), Reply(400)]
    world.tell(*(notification(f"note_{n}", stream=f"rule_{n}/a", sequence=n, channels=("ops",)) for n in (1, 2)))
    world.wait_for_states(("note_1", "DEAD"), ("note_2", "DEAD"))
    (body,) = arrived_at(receiver, "/first", 1)
    assert body["data"]["title"] == "Messages to the channel ops can't be delivered"
    assert "monitors deliveries list --channel ops --state dead" in body["data"]["text"]
    # In the next hour it's told again; that this message itself is given up is told nowhere.
    world.clock.advance(3600)
    receiver.script = [Reply(400), Reply(400)]
    world.tell(notification("note_3", stream="rule_3/a", sequence=3, channels=("ops",)))
    assert len(arrived_at(receiver, "/first", 2)) == 2
    world.tell(notification("note_4", stream="rule_4/a", sequence=4, channels=("first",)))
    assert arrived_at(receiver, "/first", 3)[-1]["type"] == "alert.firing"
    assert len(receiver.received.items) == 6


def test_who_hears_that_another_channel_is_turned_off_hears_also_of_those_before(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver, "a", default=False)
    make_webhook(world, receiver, "b", path="b")
    make_webhook(world, receiver, "c", default=False, path="c")
    turn_off(world, receiver, 1, channel="a")
    arrived_at(receiver, "/b", 1)
    turn_off(world, receiver, 2, channel="b")
    (body,) = arrived_at(receiver, "/c", 1)
    assert body["data"]["title"] == "The channel b is turned off"
    assert body["data"]["text"].endswith("Also turned off: a.")


TARGETS: tuple[Target, ...] = (ConsoleTarget(), EmailTarget(("ann@example.org",)))
channels = st.lists(
    st.builds(
        lambda name, target, is_default, reason: Channel(
            "acme", f"chan_{name}", name, target, is_default=is_default, disabled_reason=reason
        ),
        st.sampled_from("abcdef"), st.sampled_from(TARGETS), st.booleans(), st.sampled_from(["", "it answered 410"]),
    ),
    unique_by=lambda channel: channel.id,
)  # fmt: skip


@given(channels)
def test_the_broken_channel_is_never_told_and_the_defaults_come_first(present: list[Channel]) -> None:
    told = listeners(present, "chan_a")
    able = [one for one in present if one.id != "chan_a" and not one.disabled_reason]
    assert set(told) <= set(able)
    assert bool(told) == bool(able)
    defaults = [one for one in able if one.is_default]
    if defaults:
        assert told == defaults
    else:
        assert len(told) <= 1
        assert all(one.kind == "email" for one in told) or all(one.kind == "console" for one in able)
