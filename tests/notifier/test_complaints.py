"""What users of others' notifiers complain about, each as something that doesn't happen here.

`SHOWN` names the complaints that tests elsewhere answer, and those tests.
"""

import json
from pathlib import Path

import pytest

from monitors.v1 import alert_pb2
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import (
    DELIVERY_OUTCOME_OK,
    DELIVERY_OUTCOME_RETRYABLE,
    DELIVERY_OUTCOME_THROTTLED,
    Channel,
    WebhookChannel,
)
from tests.notifier.pointers import missing
from tests.notifier.test_delivery import make_webhook, outcomes, wait_for_attempts
from tests.notifier.world import RESOLVED, Receiver, Reply, World, notification
from tests.servers.backends import refusing

SHOWN = {
    "firing and resolved within the wait cancel each other out": (
        "tests/notifier/test_grouping.py::test_an_alert_that_is_over_before_it_was_told_is_told_as_fired_and_recovered",
        "tests/notifier/test_delivery.py::test_firing_and_end_arrive_in_order_though_they_come_together",
    ),
    "an end is late by the group's interval": (
        "tests/notifier/test_grouping.py::test_an_end_doesnt_wait_if_its_firing_was_told",
        "tests/notifier/test_flushing.py::test_what_is_critical_got_worse_or_is_over_doesnt_wait",
    ),
    "told twice, or never, with replicas": (
        "tests/notifier/test_queue.py::test_a_lease_that_ended_passes_on_and_its_late_result_is_refused",
        "tests/crash/test_crash_on_servers.py::test_nothing_is_lost_reordered_or_made_up_when_servers_are_killed_too",
    ),
    "in limbo after a restart of Redis": (
        "tests/rules/test_replicas.py::test_all_goes_on_while_redis_is_killed_wiped_and_slow",
    ),
    "committed but never enqueued": (
        "tests/rules/test_outbox.py::test_what_a_crash_left_leased_is_told_at_the_next_start",
        "tests/crash/test_failpoints.py::test_nothing_is_lost_wherever_a_process_dies_in_the_middle_of",
    ),
    "what is meant for a disabled destination vanishes": (
        "tests/notifier/test_delivery.py::test_a_gone_endpoint_turns_the_channel_off_and_what_follows_is_suppressed",
        "tests/notifier/test_delivery.py::test_nobody_to_tell_is_visible",
    ),
    "too large for the channel, so nothing arrives": (
        "tests/notifier/test_rendering.py::test_a_webhooks_body_is_json_of_bounded_size_whatever_it_holds",
        "tests/notifier/test_rendering.py::test_slacks_limits_hold_whatever_it_holds",
    ),
    "timed out, but arrived, and nobody can tell the copies": (
        "tests/notifier/test_addresses.py::test_a_lost_answer_is_told_from_an_endpoint_that_is_not_there",
        "tests/notifier/test_delivery.py::test_a_passing_fault_is_tried_again_under_the_same_id_and_body",
    ),
    "a full disk breaks retries": (
        "tests/end_to_end/test_full_disk.py::test_what_breaks_a_rule_while_alerts_cannot_be_stored_is_told_once_there_is_room",
    ),
}


@pytest.mark.parametrize("complaint", SHOWN)
def test_what_is_shown_elsewhere_is_there(complaint: str) -> None:
    assert missing(SHOWN[complaint]) == []


def told(receiver: Receiver, count: int) -> list[tuple[str, str]]:
    """Type and alert of the first requests that came."""
    events = [json.loads(request.body) for request in receiver.received.wait_for_count(count)]
    return [(event["type"], event["data"]["alert_id"]) for event in events]


def test_an_alert_that_fires_and_ends_while_its_endpoint_says_429_is_told_afterwards_both_times(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(429, {"retry-after": "300"})]
    world.tell(notification("note_1"))
    wait_for_attempts(world, "note_1", 1)
    world.tell(notification("note_2", RESOLVED, sequence=2))
    world.clock.advance(500)
    firing, end = ("alert.firing", "alert_1"), ("alert.resolved", "alert_1")
    assert told(receiver, 3) == [firing, firing, end]
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"))
    assert outcomes(world, "note_1") == [DELIVERY_OUTCOME_THROTTLED, DELIVERY_OUTCOME_OK]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(world: World, receiver: Receiver, status: int) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(status)]
    world.tell(notification("note_1"))
    wait_for_attempts(world, "note_1", 1)
    world.clock.advance(6.1)
    world.wait_for_states(("note_1", "DELIVERED"))


def test_the_end_of_an_alert_is_told_without_any_wait(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "DELIVERED"))
    # The clock isn't put forward: nothing is waited for.
    world.tell(notification("note_2", RESOLVED, sequence=2))
    assert told(receiver, 2)[1] == ("alert.resolved", "alert_1")


def test_a_name_that_cannot_be_looked_up_is_tried_again(world: World, receiver: Receiver) -> None:
    lost = Channel(name="ops", is_default=True, webhook=WebhookChannel(url="http://receiver.invalid/hook"))
    channel = world.stub.CreateChannel(pb.CreateChannelRequest(channel=lost)).channel
    world.tell(notification("note_1"))
    wait_for_attempts(world, "note_1", 1)
    assert outcomes(world, "note_1") == [DELIVERY_OUTCOME_RETRYABLE]
    channel.webhook.url = f"{receiver.url}/hook"
    world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=channel))
    world.clock.advance(6.1)
    world.wait_for_states(("note_1", "DELIVERED"))


def test_an_attempt_is_in_the_log_or_its_end_is_not_known_either(
    world: World, receiver: Receiver, tmp_path: Path
) -> None:
    make_webhook(world, receiver)
    with refusing(tmp_path / "notifier.db", "notifier", "notifier_attempts") as refusal:
        refusal.begin()
        world.tell(notification("note_1"))
        receiver.received.wait_for_count(1)
        (delivery,) = world.stub.ListDeliveries(pb.ListDeliveriesRequest(include_attempts=True)).deliveries
        assert (delivery.state, list(delivery.attempts)) == (alert_pb2.DELIVERY_STATE_IN_FLIGHT, [])
        refusal.end()
        world.wait_for_states(("note_1", "DELIVERED"))
    assert outcomes(world, "note_1") == [DELIVERY_OUTCOME_OK]
    assert len(receiver.received.items) == 1


def test_what_a_disabled_channel_missed_is_sent_again_once_it_works(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(410), Reply(410)]
    world.tell(notification("note_1"))
    wait_for_attempts(world, "note_1", 1)
    world.clock.advance(6.1)
    world.wait_for_states(("note_1", "DEAD"))
    world.tell(notification("note_2", alert="alert_2", stream="rule_1/b", sequence=2))
    world.wait_for_states(("note_1", "DEAD"), ("note_2", "SUPPRESSED"))
    (channel,) = world.stub.ListChannels(pb.ListChannelsRequest()).channels
    channel.webhook.url = f"{receiver.url}/elsewhere"
    world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=channel))
    for delivery in world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries:
        world.stub.RetryDelivery(pb.RetryDeliveryRequest(delivery_id=delivery.id))
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"))
