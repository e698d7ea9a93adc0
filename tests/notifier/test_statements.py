"""What is promised of notifications, N1 to N12, each as a short test; elsewhere there are more of each."""

import json
from datetime import UTC, datetime

import pytest

from monitors.mesh.times import HOUR, SECOND
from monitors.notifier.model.delivery import Decision, Outcome, OutcomeKind, State, decide
from monitors.notifier.model.windows import Window, read_times, read_weekdays
from monitors.v1 import rule_pb2
from tests.notifier.test_delivery import make_webhook, wait_for_attempts
from tests.notifier.test_repeats import told
from tests.notifier.test_silences import silence, types
from tests.notifier.world import ACKNOWLEDGED, RESOLVED, Receiver, Reply, World, notification


def test_n1_an_alert_is_told_once_when_it_fires_and_once_when_it_ends(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1"))
    world.tell(notification("note_1"))
    told(world, "note_1")
    world.tell(notification("note_2", RESOLVED, sequence=2))
    world.tell(notification("note_3", alert="alert_2", stream="b", sequence=3))
    told(world, "note_1", "note_2", "note_3")
    assert types(receiver, 3) == ["alert.firing", "alert.resolved", "alert.firing"]


def test_n2_what_is_over_before_it_was_told_is_told_nevertheless(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1"), notification("note_2", RESOLVED, sequence=2))
    told(world, "note_1", "note_2")
    assert types(receiver, 2) == ["alert.firing", "alert.resolved"]


def test_n3_a_repeat_comes_an_interval_after_what_was_told_and_not_before(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1", repeat=600))
    told(world, "note_1")
    world.clock.advance(500)
    world.tell(notification("note_2", alert="alert_2", stream="b", sequence=2))
    told(world, "note_1", "note_2")
    world.clock.advance(101)
    told(world, "note_1", "note_2", "note_1_1")


def test_n4_a_channel_that_fails_holds_no_other_up_and_only_passing_faults_are_tried_again(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver, "bad")
    receiver.script = [Reply(500)]
    world.tell(notification("note_1"))
    wait_for_attempts(world, "note_1", 1)
    make_webhook(world, receiver, "good", default=False)
    world.tell(notification("note_2", alert="alert_2", stream="b", channels=("good",)))
    world.rules.reports.wait(
        lambda found: any(one.delivery.channel == "good" and one.delivery.state == 3 for one in found)
    )

    def after(kind: OutcomeKind) -> Decision:
        outcome = Outcome(kind, "")
        return decide(outcome, channel_kind="webhook", attempt=1, now=0, jitter=0.0, broken_before=False)

    assert [after(kind).state for kind in (OutcomeKind.THROTTLED, OutcomeKind.RETRYABLE, OutcomeKind.FINAL)] == [
        State.PENDING, State.PENDING, State.DEAD,
    ]  # fmt: skip


def test_n5_the_end_is_told_however_long_after_its_firing(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1"))
    told(world, "note_1")
    world.clock.advance(400 * 24 * 3600)
    world.tell(notification("note_2", RESOLVED, sequence=2))
    told(world, "note_1", "note_2")


def test_n6_what_still_fires_when_a_silence_ends_is_told_then(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    silence(world, 60)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "SUPPRESSED"))
    world.clock.advance(61)
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_1_0", "DELIVERED"))


def test_n7_the_end_of_what_was_told_passes_a_silence(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1"))
    told(world, "note_1")
    silence(world, 600)
    world.tell(notification("note_2", RESOLVED, sequence=2))
    told(world, "note_1", "note_2")


def test_n8_what_is_inhibited_is_told_when_what_inhibits_it_ends(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    critical = rule_pb2.SEVERITY_CRITICAL
    world.tell(notification("note_1", severity=critical), notification("note_2", alert="alert_2", stream="b"))
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "SUPPRESSED"))
    world.tell(notification("note_3", RESOLVED, sequence=2, severity=critical))
    world.wait_for_states(
        ("note_1", "DELIVERED"), ("note_2", "SUPPRESSED"), ("note_3", "DELIVERED"), ("note_2_0", "DELIVERED")
    )


@pytest.mark.parametrize(
    ("hour", "minute", "day", "expected"),
    [(9, 0, 5, True), (16, 59, 9, True), (17, 0, 9, False), (8, 59, 5, False), (12, 0, 10, False)],
)
def test_n9_a_windows_start_belongs_to_it_and_its_end_doesnt(hour: int, minute: int, day: int, expected: bool) -> None:
    # The fifth of January 2026 is a Monday.
    window = Window((read_times("09:00-17:00"),), (read_weekdays("monday:friday"),), (), (), (), "UTC")
    instant = datetime(2026, 1, day, hour, minute, tzinfo=UTC)
    assert window.holds(int(instant.timestamp()) * SECOND) is expected


def test_n10_taking_care_stops_the_repeats_of_this_episode_alone(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1", repeat=60))
    told(world, "note_1")
    world.tell(notification("note_2", ACKNOWLEDGED, sequence=2))
    world.rules.acknowledged.wait_for_count(2)
    world.tell(notification("note_3", alert="alert_2", sequence=3, repeat=60))
    told(world, "note_1", "note_3")
    world.clock.advance(61)
    told(world, "note_1", "note_3", "note_3_1")


def test_n11_what_may_have_arrived_is_told_again_under_the_same_id(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(drop=True)]
    world.tell(notification("note_1"))
    wait_for_attempts(world, "note_1", 1)
    world.clock.advance(10)
    first, second = receiver.received.wait_for_count(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_n12_an_end_never_comes_before_its_firing(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(500)]
    world.tell(notification("note_1"), notification("note_2", RESOLVED, sequence=2))
    wait_for_attempts(world, "note_1", 1)
    world.clock.advance(HOUR / SECOND)
    told(world, "note_1", "note_2")
    sent = [json.loads(one.body)["type"] for one in receiver.received.items]
    assert sent == ["alert.firing", "alert.firing", "alert.resolved"]
