"""Repeats: what fires and was told is told again every so often, until somebody takes care or it's over."""

import json
from pathlib import Path
from typing import Any

import pytest

from monitors.mesh.times import HOUR
from monitors.notifier.model.repeats import IS_OVER
from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import notifier_service_pb2 as pb
from tests.harness import LoopThread
from tests.notifier.test_delivery import make_webhook, wait_for_attempts
from tests.notifier.world import (
    ACKNOWLEDGED,
    REPEAT_CHANGED,
    RESOLVED,
    SEVERITY_CHANGED,
    MovableClock,
    Receiver,
    Reply,
    World,
    notification,
    running,
)

FOUR_HOURS = 4 * 3600


def types(receiver: Receiver, count: int) -> list[str]:
    return [json.loads(one.body)["type"] for one in receiver.received.wait_for_count(count)]


def last(receiver: Receiver, count: int) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(receiver.received.wait_for_count(count)[count - 1].body)["data"]
    return data


def told(world: World, *names: str) -> None:
    world.wait_for_states(*((name, "DELIVERED") for name in names))


def test_what_fires_is_told_again_every_interval_and_says_for_how_long(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1", repeat=FOUR_HOURS))
    told(world, "note_1")
    world.clock.advance(FOUR_HOURS + 12 * 60)
    told(world, "note_1", "note_1_1")
    world.clock.advance(FOUR_HOURS)
    told(world, "note_1", "note_1_1", "note_1_2")
    assert types(receiver, 3) == ["alert.firing", "alert.still_firing", "alert.still_firing"]
    first, second = last(receiver, 2), last(receiver, 3)
    assert (first["text"], first["repeat"], second["repeat"]) == ("still firing for 4 h 12 min", 1, 2)
    assert (first["state"], first["alert_id"], first["severity"]) == ("firing", "alert_1", "high")
    assert first["acknowledge_command"] == "monitors alerts ack alert_1"
    ids = [one.headers["webhook-id"] for one in receiver.received.items]
    assert len(set(ids)) == 3
    kinds = [report.delivery.kind for report in world.rules.reports.items]
    assert kinds[-1] == alert_pb2.ALERT_EVENT_KIND_STILL_FIRING


def test_a_repeat_is_counted_from_when_it_was_told_in_each_channel(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    make_webhook(world, receiver, "slow", default=False)
    receiver.script = [Reply(500)]
    world.tell(notification("note_1", repeat=600, channels=("slow",)))
    wait_for_attempts(world, "note_1", 1)
    world.clock.advance(590)
    told(world, "note_1")
    world.clock.advance(300)
    world.tell(notification("note_9", stream="rule_9/a", alert="alert_9", sequence=9))
    told(world, "note_1", "note_9")
    world.clock.advance(310)
    told(world, "note_1", "note_9", "note_1_1")


@pytest.mark.parametrize("kind", [RESOLVED, ACKNOWLEDGED])
def test_nothing_is_told_again_of_what_is_over_or_acknowledged(
    world: World, receiver: Receiver, kind: alert_pb2.AlertEventKind.ValueType
) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1", repeat=600))
    told(world, "note_1")
    world.tell(notification("note_2", kind, sequence=2))
    world.rules.acknowledged.wait_for_count(2)
    # The next episode is another matter.
    world.tell(notification("note_3", alert="alert_2", sequence=3, repeat=3600))
    receiver.received.wait(lambda all_of: any(b"alert_2" in one.body for one in all_of))
    count = len(receiver.received.items)
    world.rules.reports.wait(lambda reports: reports[-1].delivery.notification_id == "note_3")
    world.clock.advance(3601)
    assert last(receiver, count + 1)["alert_id"] == "alert_2"


def test_after_an_outage_it_is_told_again_once_and_not_for_each_time_that_was_missed(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    clock = MovableClock()
    with running(loop_thread, tmp_path, clock=clock) as world:
        make_webhook(world, receiver)
        world.tell(notification("note_1", repeat=600))
        told(world, "note_1")
    clock.advance(10 * 600)
    with running(loop_thread, tmp_path, clock=clock) as world:
        wait_for_attempts(world, "note_1_1", 1)
        assert last(receiver, 2)["text"] == "still firing for 1 h 40 min"
        world.clock.advance(601)
        wait_for_attempts(world, "note_1_2", 1)
    assert len(receiver.received.items) == 3


def test_a_changed_interval_counts_from_the_next_repeat_on_and_none_comes_during_a_snooze(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1", repeat=FOUR_HOURS))
    told(world, "note_1")
    world.tell(notification("note_2", REPEAT_CHANGED, sequence=2, repeat=600))
    world.rules.acknowledged.wait_for_count(2)
    world.clock.advance(601)
    told(world, "note_1", "note_1_1")
    end = world.clock.now() + HOUR
    world.tell(notification("note_3", REPEAT_CHANGED, sequence=3, repeat=600, repeat_after=end))
    world.rules.acknowledged.wait_for_count(3)
    world.clock.advance(3590)
    world.tell(notification("note_9", stream="rule_9/a", alert="alert_9", sequence=9))
    told(world, "note_1", "note_1_1", "note_9")
    world.clock.advance(11)
    told(world, "note_1", "note_1_1", "note_9", "note_1_2")


def test_a_repeat_says_how_bad_it_is_by_now(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1", repeat=600, severity=rule_pb2.SEVERITY_LOW))
    told(world, "note_1")
    world.clock.advance(500)
    world.tell(
        notification("note_2", SEVERITY_CHANGED, sequence=2, repeat=600, severity=rule_pb2.SEVERITY_CRITICAL),
    )
    told(world, "note_1", "note_2")
    world.clock.advance(590)
    world.tell(notification("note_3", REPEAT_CHANGED, sequence=3, repeat=600, severity=rule_pb2.SEVERITY_HIGH))
    world.rules.acknowledged.wait_for_count(3)
    world.clock.advance(11)
    told(world, "note_1", "note_2", "note_2_1")
    assert last(receiver, 3)["severity"] == "high"


def test_an_end_does_not_wait_for_a_repeat_that_cannot_be_told(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1", repeat=600))
    told(world, "note_1")
    receiver.script = [Reply(500)]
    world.clock.advance(601)
    wait_for_attempts(world, "note_1_1", 1)
    world.tell(notification("note_2", RESOLVED, sequence=2))
    reports = world.wait_for_states(("note_1", "DELIVERED"), ("note_1_1", "SUPERSEDED"), ("note_2", "DELIVERED"))
    assert IS_OVER in {report.delivery.detail for report in reports}
    assert types(receiver, 3) == ["alert.firing", "alert.still_firing", "alert.resolved"]


def test_a_channel_that_is_turned_off_or_gone_is_told_nothing_again_and_a_mended_one_is(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    make_webhook(world, receiver, "other", path="other")
    world.tell(notification("note_1", repeat=600, channels=("ops", "other")))
    told(world, "note_1", "note_1")
    receiver.script = [Reply(410), Reply(410)]
    world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="other"))
    world.clock.advance(601)
    wait_for_attempts(world, "note_1_1", 1)
    world.clock.advance(7)
    world.wait_for_states(("note_1", "DELIVERED"), ("note_1", "DELIVERED"), ("note_1_1", "DEAD"))
    world.clock.advance(700)
    world.stub.TestChannel(pb.TestChannelRequest(channel_id="ops"))
    world.clock.advance(601)
    world.wait_for_states(
        ("note_1", "DELIVERED"), ("note_1", "DELIVERED"), ("note_1_1", "DEAD"), ("note_1_2", "DELIVERED")
    )
    assert [one.path for one in receiver.received.items].count("/other") == 1
