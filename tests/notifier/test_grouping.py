"""What is told together: through a running notifier and Slack's endpoint, played by a receiver."""

import json
from pathlib import Path

import grpc
import pytest

from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, Delivery, Notification, SlackChannel
from tests.harness import LoopThread
from tests.notifier.world import RESOLVED, MovableClock, PlayedRules, Receiver, Reply, World, notification, running


def make_slack(world: World, receiver: Receiver) -> None:
    channel = Channel(name="team", slack=SlackChannel(webhook_url=f"{receiver.url}/hook"), is_default=True)
    world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel))


def fires(number: int, *, severity: rule_pb2.Severity.ValueType = rule_pb2.SEVERITY_HIGH) -> Notification:
    # What is critical is of a monitor of its own, for it would mute the others.
    monitor = "mon_other" if severity == rule_pb2.SEVERITY_CRITICAL else "mon_host"
    return notification(
        f"note_{number}", alert=f"alert_{number}", stream=f"rule_1/{number}", sequence=number, severity=severity,
        monitor=monitor,
    )  # fmt: skip


def ends(number: int, sequence: int) -> Notification:
    stream = f"rule_1/{number}"
    return notification(f"end_{number}", RESOLVED, alert=f"alert_{number}", stream=stream, sequence=sequence)


def texts(receiver: Receiver) -> list[str]:
    """The headlines of what Slack got, without the icon."""
    return [json.loads(one.body)["text"].partition(" ")[2].partition(":")[0] for one in receiver.received.items]


def log_of(world: World, *, attempts: bool = False) -> dict[str, Delivery]:
    request = pb.ListDeliveriesRequest(include_attempts=attempts)
    return {one.notification_id: one for one in world.stub.ListDeliveries(request).deliveries}


def taken_in(world: World, count: int) -> None:
    world.rules.acknowledged.wait_for_count(count)


def delivered(*names: str) -> list[tuple[str, str]]:
    return [(name, "DELIVERED") for name in names]


def test_the_first_goes_at_once_and_those_within_the_wait_go_together(world: World, receiver: Receiver) -> None:
    make_slack(world, receiver)
    world.tell(fires(1))
    receiver.received.wait_for_count(1)
    world.tell(fires(2), fires(3))
    taken_in(world, 3)
    assert texts(receiver) == ["FIRING (high)"]
    world.clock.advance(10)
    world.wait_for_states(*delivered("note_1", "note_2", "note_3"))
    assert texts(receiver) == ["FIRING (high)", "2 FIRING (high)"]
    log = log_of(world)
    assert log["note_2"].detail == "Slack has posted it; told together with 1 more"
    assert log["note_1"].detail == "Slack has posted it"


def test_a_critical_one_doesnt_wait_for_the_others(world: World, receiver: Receiver) -> None:
    make_slack(world, receiver)
    world.tell(fires(1))
    receiver.received.wait_for_count(1)
    world.tell(fires(2), fires(3, severity=rule_pb2.SEVERITY_CRITICAL))
    receiver.received.wait_for_count(2)
    taken_in(world, 3)
    assert texts(receiver) == ["FIRING (high)", "FIRING (critical)"]
    world.clock.advance(10)
    world.wait_for_states(*delivered("note_1", "note_2", "note_3"))


def test_what_got_worse_takes_its_waiting_firing_along(world: World, receiver: Receiver) -> None:
    make_slack(world, receiver)
    world.tell(fires(1))
    receiver.received.wait_for_count(1)
    worse = notification(
        "worse_2", alert_pb2.ALERT_EVENT_KIND_SEVERITY_CHANGED, alert="alert_2", stream="rule_1/2", sequence=3,
        severity=rule_pb2.SEVERITY_CRITICAL,
    )  # fmt: skip
    worse.former_severity = rule_pb2.SEVERITY_HIGH
    world.tell(fires(2), worse)
    world.wait_for_states(*delivered("note_1", "note_2", "worse_2"))
    assert texts(receiver) == ["FIRING (high)", "FIRING (critical)"]


def test_an_end_doesnt_wait_if_its_firing_was_told(world: World, receiver: Receiver) -> None:
    make_slack(world, receiver)
    world.tell(fires(1))
    receiver.received.wait_for_count(1)
    world.tell(fires(2), ends(1, 3))
    receiver.received.wait_for_count(2)
    assert texts(receiver) == ["FIRING (high)", "RESOLVED (high)"]


def test_an_alert_that_is_over_before_it_was_told_is_told_as_fired_and_recovered(
    world: World, receiver: Receiver
) -> None:
    make_slack(world, receiver)
    world.tell(fires(1))
    receiver.received.wait_for_count(1)
    world.tell(fires(2), ends(2, 3))
    taken_in(world, 3)
    assert texts(receiver) == ["FIRING (high)"]
    world.clock.advance(10)
    world.wait_for_states(*delivered("note_1", "note_2", "end_2"))
    assert texts(receiver) == ["FIRING (high)", "FIRED AND RECOVERED (high)"]


def test_a_set_that_failed_is_told_again_as_a_set_with_an_attempt_in_the_log_of_each(
    world: World, receiver: Receiver
) -> None:
    make_slack(world, receiver)
    world.tell(fires(1))
    receiver.received.wait_for_count(1)
    receiver.script = [Reply(500)]
    world.tell(fires(2), fires(3))
    taken_in(world, 3)
    world.clock.advance(10)
    receiver.received.wait_for_count(2)
    world.rules.reports.wait(lambda reports: sum(one.delivery.attempt_count == 1 for one in reports) >= 3)
    world.clock.advance(3)
    world.wait_for_states(*delivered("note_1", "note_2", "note_3"))
    assert texts(receiver) == ["FIRING (high)", "2 FIRING (high)", "2 FIRING (high)"]
    log = log_of(world, attempts=True)
    assert [len(log[name].attempts) for name in ("note_2", "note_3")] == [2, 2]


def test_a_set_that_waits_is_neither_lost_nor_early_when_the_notifier_starts_anew(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    clock, rules = MovableClock(), PlayedRules()  # type: ignore[abstract]
    with running(loop_thread, tmp_path, clock=clock, rules=rules) as world:
        make_slack(world, receiver)
        world.tell(fires(1))
        receiver.received.wait_for_count(1)
        world.tell(fires(2))
        taken_in(world, 2)
    with running(loop_thread, tmp_path, clock=clock, rules=rules) as world:
        world.tell(fires(3))
        taken_in(world, 3)
        assert len(receiver.received.items) == 1
        clock.advance(10)
        world.wait_for_states(*delivered("note_1", "note_2", "note_3"))
    assert texts(receiver) == ["FIRING (high)", "2 FIRING (high)"]


@pytest.mark.parametrize("reply", [Reply(400), Reply(200)])
def test_a_deleted_channel_or_a_refusal_ends_all_of_a_set(world: World, receiver: Receiver, reply: Reply) -> None:
    make_slack(world, receiver)
    world.tell(fires(1))
    receiver.received.wait_for_count(1)
    world.wait_for_states(("note_1", "DELIVERED"))
    world.tell(fires(2), fires(3))
    taken_in(world, 3)
    receiver.script = [reply]
    if reply.status == 200:
        world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="team"))
        state = "SUPPRESSED"
    else:
        world.clock.advance(10)
        state = "DEAD"
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", state), ("note_3", state))


def test_a_delivery_names_the_message_that_told_it_and_what_else_that_told(world: World, receiver: Receiver) -> None:
    make_slack(world, receiver)
    world.tell(fires(1))
    receiver.received.wait_for_count(1)
    world.tell(fires(2), fires(3))
    taken_in(world, 3)
    assert log_of(world)["note_2"].message_id == ""
    world.clock.advance(10)
    world.wait_for_states(*delivered("note_1", "note_2", "note_3"))
    log = log_of(world)
    channel = world.stub.GetChannel(pb.GetChannelRequest(channel_id="team")).channel
    assert log["note_1"].message_id == f"note_1_{channel.id}"
    assert log["note_2"].message_id == log["note_3"].message_id
    assert log["note_2"].message_id.startswith("set_")
    shown = world.stub.GetDelivery(pb.GetDeliveryRequest(delivery_id=log["note_3"].id)).delivery
    assert shown.message_id == log["note_3"].message_id
    assert told_with(world, log["note_2"]) == {"note_2", "note_3"}
    assert told_with(world, log["note_1"]) == {"note_1"}


def told_with(world: World, delivery: Delivery) -> set[str]:
    found = world.stub.ListDeliveries(pb.ListDeliveriesRequest(told_with=delivery.id)).deliveries
    return {one.notification_id for one in found}


def test_what_was_told_with_another_tenants_delivery_is_nobody_elses_to_ask(world: World, receiver: Receiver) -> None:
    make_slack(world, receiver)
    world.tell(fires(1))
    world.wait_for_states(*delivered("note_1"))
    (delivery,) = log_of(world).values()
    for credential, asked in (("globex", delivery.id), ("acme", "dlv_unknown")):
        with pytest.raises(grpc.RpcError) as caught:
            world.stub_of(credential).ListDeliveries(pb.ListDeliveriesRequest(told_with=asked))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
