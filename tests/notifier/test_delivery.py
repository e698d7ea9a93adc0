"""Deliveries, from the notification to the receiver: once, in order, again after a fault, and never in silence."""

import json
import threading
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.mesh_pb2 import DeliveryReport
from monitors.v1.notification_pb2 import (
    DELIVERY_OUTCOME_AMBIGUOUS,
    DELIVERY_OUTCOME_CONFIGURATION_BROKEN,
    DELIVERY_OUTCOME_OK,
    DELIVERY_OUTCOME_RETRYABLE,
    DELIVERY_OUTCOME_THROTTLED,
    Channel,
    ConsoleChannel,
    WebhookChannel,
)
from tests.harness import LoopThread
from tests.notifier.world import (
    ACKNOWLEDGED,
    PATIENCE,
    RESOLVED,
    SNOOZED,
    MovableClock,
    Receiver,
    Record,
    Reply,
    World,
    notification,
    running,
)


def make_webhook(
    world: World, receiver: Receiver, name: str = "ops", *, default: bool = True, path: str = "hook"
) -> str:
    request = pb.CreateChannelRequest(
        channel=Channel(name=name, is_default=default, webhook=WebhookChannel(url=f"{receiver.url}/{path}"))
    )
    return world.stub.CreateChannel(request).webhook_secret


def outcomes(world: World, notification_id: str) -> list[int]:
    listed = world.stub.ListDeliveries(pb.ListDeliveriesRequest(include_attempts=True)).deliveries
    (delivery,) = [one for one in listed if one.notification_id == notification_id]
    return [attempt.outcome for attempt in delivery.attempts]


def wait_for_attempts(world: World, notification_id: str, count: int) -> list[DeliveryReport]:
    return world.rules.reports.wait(
        lambda reports: any(
            (r.delivery.notification_id, r.delivery.attempt_count) == (notification_id, count) for r in reports
        )
    )


def test_a_firing_reaches_the_webhook_signed_and_is_reported(world: World, receiver: Receiver) -> None:
    secret = make_webhook(world, receiver)
    world.tell(notification("note_1"))
    (request,) = receiver.received.wait_for_count(1)
    body = Webhook(secret).verify(request.body, request.headers)
    assert body["type"] == "alert.firing"
    assert (body["data"]["alert_id"], body["data"]["value"], body["data"]["group"]) == ("alert_1", 97.25, {"cpu": "0"})
    assert body["data"]["acknowledge_command"] == "monitors alerts ack alert_1"
    (report,) = world.wait_for_states(("note_1", "DELIVERED"))
    assert (report.tenant_id, report.alert_id, report.delivery.channel) == ("acme", "alert_1", "ops")
    assert world.rules.acknowledged.wait_for_count(1) == ["note_1"]


def test_firing_and_end_arrive_in_order_though_they_come_together(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(hold=True)]
    world.tell(notification("note_1"), notification("note_2", RESOLVED, sequence=2))
    world.tell(notification("note_3", alert="alert_2", stream="rule_1/b", sequence=3))
    # The other stream isn't held up, and the end doesn't overtake its firing.
    receiver.received.wait_for_count(2)
    world.loop.run(_release(receiver))
    received = receiver.received.wait_for_count(3)
    told = [(json.loads(one.body)["type"], json.loads(one.body)["data"]["alert_id"]) for one in received]
    assert told == [("alert.firing", "alert_1"), ("alert.firing", "alert_2"), ("alert.resolved", "alert_1")]
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"), ("note_3", "DELIVERED"))


async def _release(receiver: Receiver) -> None:
    receiver.released.set()


def test_what_has_ended_is_recorded_though_another_message_is_still_being_sent(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(hold=True)]
    world.tell(notification("note_1"))
    receiver.received.wait_for_count(1)
    world.tell(notification("note_2", alert="alert_2", stream="rule_1/b", sequence=2))
    world.wait_for_states(("note_2", "DELIVERED"))
    world.loop.run(_release(receiver))
    world.wait_for_states(("note_2", "DELIVERED"), ("note_1", "DELIVERED"))


def test_a_passing_fault_is_tried_again_under_the_same_id_and_body(world: World, receiver: Receiver) -> None:
    secret = make_webhook(world, receiver)
    receiver.script = [Reply(500, body=b"no \x1b[31mspace"), Reply(drop=True)]
    world.tell(notification("note_1"))
    wait_for_attempts(world, "note_1", 1)
    world.clock.advance(6.1)
    wait_for_attempts(world, "note_1", 2)
    world.clock.advance(400)
    first, second, third = receiver.received.wait_for_count(3)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]
    assert "." not in first.headers["webhook-id"]
    assert first.body == second.body == third.body
    assert int(third.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) >= 400
    assert Webhook(secret).verify(first.body, first.headers)
    reports = world.wait_for_states(("note_1", "DELIVERED"))
    assert reports[0].delivery.state == alert_pb2.DELIVERY_STATE_PENDING
    assert "500: no [31mspace" in reports[0].delivery.detail
    expected = [DELIVERY_OUTCOME_RETRYABLE, DELIVERY_OUTCOME_AMBIGUOUS, DELIVERY_OUTCOME_OK]
    assert outcomes(world, "note_1") == expected


def test_who_answers_too_many_is_left_alone_for_as_long_as_it_says(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(429, {"retry-after": "3600"})]
    world.tell(notification("note_1"))
    wait_for_attempts(world, "note_1", 1)
    # Another stream to the same endpoint waits, too.
    world.tell(notification("note_2", stream="rule_1/b", alert="alert_2", sequence=2))
    world.rules.acknowledged.wait_for_count(2)
    world.clock.advance(3500)
    listed = world.stub.ListDeliveries(pb.ListDeliveriesRequest(state=alert_pb2.DELIVERY_STATE_PENDING)).deliveries
    assert len(listed) == 2
    assert len(receiver.received.items) == 1
    world.clock.advance(101)
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"))
    assert outcomes(world, "note_1") == [DELIVERY_OUTCOME_THROTTLED, DELIVERY_OUTCOME_OK]


def test_a_gone_endpoint_turns_the_channel_off_and_what_follows_is_suppressed(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(410), Reply(410)]
    world.tell(notification("note_1"), notification("note_2", RESOLVED, sequence=2))
    wait_for_attempts(world, "note_1", 1)
    world.clock.advance(6.1)
    reports = world.wait_for_states(("note_1", "DEAD"), ("note_2", "SUPERSEDED"))
    assert "never told" in reports[-1].delivery.detail + reports[-2].delivery.detail
    assert outcomes(world, "note_1") == [DELIVERY_OUTCOME_CONFIGURATION_BROKEN] * 2
    channel = world.stub.GetChannel(pb.GetChannelRequest(channel_id="ops")).channel
    assert "410" in channel.disabled_reason
    world.tell(notification("note_3", alert="alert_2", sequence=3))
    world.wait_for_states(("note_1", "DEAD"), ("note_2", "SUPERSEDED"), ("note_3", "SUPPRESSED"))
    status = world.stub.GetNotifierStatus(pb.GetNotifierStatusRequest())
    assert (status.dead_count, status.suppressed_count, status.pending_count) == (1, 1, 0)
    assert "'ops' is turned off" in status.problems[0]
    # A test that arrives turns it on again, and what died can be sent by hand, with its end.
    test = world.stub.TestChannel(pb.TestChannelRequest(channel_id="ops")).attempt
    assert test.outcome == DELIVERY_OUTCOME_OK
    (dead,) = world.stub.ListDeliveries(pb.ListDeliveriesRequest(state=alert_pb2.DELIVERY_STATE_DEAD)).deliveries
    retried = world.stub.RetryDelivery(pb.RetryDeliveryRequest(delivery_id=dead.id, request_id="again"))
    repeated = world.stub.RetryDelivery(pb.RetryDeliveryRequest(delivery_id=dead.id, request_id="again"))
    assert retried == repeated
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"), ("note_3", "SUPPRESSED"))
    types = [json.loads(request.body)["type"] for request in receiver.received.items]
    assert types[-3:] == ["notification.test", "alert.firing", "alert.resolved"]


def test_an_endless_answer_does_no_harm(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(endless=True)]
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "DELIVERED"))


def test_a_notification_that_comes_twice_is_told_once(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "DELIVERED"))
    world.tell(notification("note_1"), notification("note_2", stream="rule_1/b", sequence=2))
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"))
    assert world.rules.acknowledged.wait_for_count(3) == ["note_1", "note_1", "note_2"]
    assert len(receiver.received.items) == 2


def test_nobody_to_tell_is_visible(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver, default=False)
    world.tell(notification("note_1"), notification("note_2", channels=("ops", "gone"), stream="rule_1/b", sequence=2))
    reports = world.wait_for_states(("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"), ("note_2", "DELIVERED"))
    details = {(r.delivery.notification_id, r.delivery.channel): r.delivery.detail for r in reports}
    assert "none is the default" in details["note_1", "(none)"]
    assert "there is no channel 'gone'" in details["note_2", "gone"]


def test_the_terminal_shows_firing_end_and_acknowledgement_and_webhooks_no_acknowledgement(
    world: World, receiver: Receiver
) -> None:
    world.loop.run(world.notifier.ensure_console("acme"))
    make_webhook(world, receiver)
    world.tell(
        notification("note_1", title="hot \x1b[31m[red]\r\nfake line"),
        notification("note_2", ACKNOWLEDGED, sequence=2),
        notification("note_3", SNOOZED, sequence=3),
        notification("note_4", RESOLVED, sequence=4),
    )
    firing, acknowledged, resolved = world.lines.wait_for_count(3)
    assert (
        'FIRING high · hot [31m[red]  fake line · mon_host{cpu="0"} · avg(cpu_percent, 1m) > 90, value 97.25' in firing
    )
    assert firing.endswith("monitors alerts ack alert_1")
    assert "ACKNOWLEDGED high" in acknowledged
    assert "by ann" in acknowledged
    assert "RESOLVED high" in resolved
    assert all(line.isprintable() for line in (firing, acknowledged, resolved))
    assert [json.loads(one.body)["type"] for one in receiver.received.wait_for_count(2)] == [
        "alert.firing",
        "alert.resolved",
    ]


def test_a_channel_may_not_want_to_hear_of_ends(world: World, receiver: Receiver) -> None:
    channel = Channel(name="ops", is_default=True, send_resolved=False, webhook=WebhookChannel(url=receiver.url))
    world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel))
    world.tell(notification("note_1"), notification("note_2", RESOLVED, sequence=2))
    world.wait_for_states(("note_1", "DELIVERED"))
    world.rules.acknowledged.wait_for_count(2)
    assert len(world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries) == 1


def test_one_dead_endpoint_leaves_room_for_the_others_and_critical_goes_first(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver, "slow", path="slow")
    make_webhook(world, receiver, "quick", default=False, path="quick")
    receiver.script = [Reply(hold=True) for _ in range(4)]
    slow = [notification(f"note_{n}", stream=f"rule_1/{n}", sequence=n) for n in range(10)]
    world.tell(*slow)
    receiver.received.wait_for_count(4)
    urgent = notification("urgent", stream="u", severity=rule_pb2.SEVERITY_CRITICAL, sequence=100)
    world.tell(
        urgent,
        notification("note_quick", stream="q", channels=("quick",), sequence=101, monitor="mon_web", alert="quick"),
    )
    received = receiver.received.wait_for_count(5)
    assert received[4].path == "/quick"
    world.loop.run(_release(receiver))
    received = receiver.received.wait_for_count(12)
    assert json.loads(received[5].body)["data"]["notification_id"] == "urgent"


def test_what_was_being_sent_when_the_notifier_stopped_is_sent_again_and_says_so(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    clock = MovableClock()
    receiver.script = [Reply(hold=True)]
    with running(loop_thread, tmp_path, clock=clock) as world:
        make_webhook(world, receiver)
        world.tell(notification("note_1"), notification("note_2", RESOLVED, sequence=2))
        receiver.received.wait_for_count(1)
    with running(loop_thread, tmp_path, clock=clock) as world:
        world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"))
        assert outcomes(world, "note_1") == [DELIVERY_OUTCOME_AMBIGUOUS, DELIVERY_OUTCOME_OK]
        assert world.rules.mirrored.items == [("acme", ["ops"])]
    types = [json.loads(request.body)["type"] for request in receiver.received.items]
    assert types == ["alert.firing", "alert.firing", "alert.resolved"]


def test_a_terminal_that_stands_still_holds_up_nobody_else(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    printed: Record[str] = Record()
    held, goes_on = threading.Event(), threading.Event()

    def console(line: str) -> None:
        held.set()
        assert goes_on.wait(PATIENCE)
        printed.add(line)

    with running(loop_thread, tmp_path, console=console) as world:
        make_webhook(world, receiver, default=False)
        world.stub.CreateChannel(pb.CreateChannelRequest(channel=Channel(name="terminal", console=ConsoleChannel())))
        try:
            world.tell(notification("note_1", channels=("terminal",)))
            assert held.wait(PATIENCE)
            world.tell(
                notification("note_2", channels=("terminal",), stream="b", sequence=2),
                notification("note_3", channels=("ops",), stream="c", sequence=3),
            )
            receiver.received.wait_for_count(1)
            assert printed.items == []
        finally:
            goes_on.set()
        assert len(printed.wait_for_count(2)) == 2
        world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"), ("note_3", "DELIVERED"))


def test_reports_reach_a_rule_service_that_was_away(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    # Four are one call of the notifier's, whose channel repeats it by itself.
    world.rules.refused_reports = 5
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "DELIVERED"))
    assert world.rules.refused_reports == 0


def test_deleting_a_channel_suppresses_what_waits_for_it(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(500)]
    world.tell(notification("note_1"), notification("note_2", RESOLVED, sequence=2))
    wait_for_attempts(world, "note_1", 1)
    world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="ops"))
    reports = world.wait_for_states(("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"))
    assert reports[-1].delivery.detail == "the channel was deleted"


def test_what_was_being_sent_while_its_channel_was_deleted_is_reported_as_given_up(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(status=500, hold=True)]
    world.tell(notification("note_1"))
    receiver.received.wait_for_count(1)
    world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="ops"))
    world.loop.run(_release(receiver))
    wait_for_attempts(world, "note_1", 1)
    world.clock.advance(10)
    world.wait_for_states(("note_1", "SUPPRESSED"))
    assert len(receiver.received.items) == 1


@pytest.mark.parametrize("page_size", [1, 2, 5])
def test_the_log_is_paged_newest_first(world: World, receiver: Receiver, page_size: int) -> None:
    make_webhook(world, receiver)
    for number in range(5):
        world.tell(notification(f"note_{number}", stream=f"s{number}", sequence=number))
        world.rules.acknowledged.wait_for_count(number + 1)
    seen: list[str] = []
    token = ""
    while True:
        page = world.stub.ListDeliveries(pb.ListDeliveriesRequest(page_size=page_size, page_token=token))
        assert len(page.deliveries) <= page_size
        seen += [delivery.notification_id for delivery in page.deliveries]
        token = page.next_page_token
        if not token:
            break
    assert seen == [f"note_{number}" for number in (4, 3, 2, 1, 0)]
