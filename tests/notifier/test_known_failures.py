"""How others have lost, doubled or delayed alerts, F1 to F12, each as something that doesn't happen here.

`SHOWN` names the tests elsewhere that show it.
"""

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from monitors.mesh.times import DAY, SECOND
from monitors.notifier.model.delivery import OutcomeKind, State
from monitors.notifier.model.message import Kind
from monitors.notifier.store.queue import LEASE
from tests.notifier.pointers import missing
from tests.notifier.test_delivery import make_webhook, wait_for_attempts
from tests.notifier.test_queue import DELIVERED, NOW, Store, arrival, opened, store
from tests.notifier.world import RESOLVED, Receiver, Reply, World, notification
from tests.servers.backends import engine_of

__all__ = ["opened", "store"]

LIVES, ENGINE = "tests/end_to_end/test_crash_states.py", "tests/evaluator/engine"
BUNDLES = "tests/notifier/test_bundles.py"
SHOWN = {
    "F1: a transition on the edge of two polls' ranges is lost": (
        "tests/rules/test_outbox.py::test_however_few_are_looked_at_each_is_told_once_and_in_its_streams_order",
        "tests/rules/test_races.py::test_events_are_seen_in_the_order_of_their_numbers_and_none_is_missed",
    ),
    "F2: two nodes retry the same message": (
        "tests/notifier/test_queue.py::test_a_lease_that_ended_passes_on_and_its_late_result_is_refused",
        "tests/crash/test_crash_on_servers.py::test_nothing_is_lost_reordered_or_made_up_when_servers_are_killed_too",
    ),
    "F4: what ends between two flushes is never told": (
        "tests/notifier/test_grouping.py::test_an_alert_that_is_over_before_it_was_told_is_told_as_fired_and_recovered",
        "tests/notifier/test_delivery.py::test_firing_and_end_arrive_in_order_though_they_come_together",
    ),
    "F6: alerts in memory are lost at a restart": (
        "tests/end_to_end/test_crash.py::test_kill_nine_loses_doubles_and_resolves_nothing",
        f"{LIVES}::test_kill_nine_takes_nothing_but_its_time_from_what_is_pending_firing_or_cooling",
    ),
    "F7: a crash between claim and send": (
        "tests/notifier/test_delivery.py::test_what_was_being_sent_when_the_notifier_stopped_is_sent_again_and_says_so",
        "tests/crash/test_failpoints.py::test_nothing_is_lost_wherever_a_process_dies_in_the_middle_of",
    ),
    "F9: an alert of a rule's former version": (
        f"{ENGINE}/test_statements_of_states.py::test_e2_instances_that_an_edit_no_longer_produces_resolve_as_updated",
        f"{ENGINE}/test_recovery.py::test_an_instance_that_an_edit_took_away_meanwhile_resolves_as_updated",
    ),
    "F10: after an outage people get a backlog of what is over by then": (
        f"{BUNDLES}::test_an_alert_whose_firing_and_end_come_together_is_told_once_as_fired_and_recovered",
        "tests/notifier/test_sets.py::test_a_set_that_failed_is_tried_again_together_with_what_is_due_by_then",
        "tests/notifier/test_repeats.py::test_after_an_outage_it_is_told_again_once_and_not_for_each_time_that_was_missed",
    ),
    "F12: one tenant's flood slows everybody's rules": (
        "tests/end_to_end/test_fairness.py::test_a_flood_of_one_tenant_delays_no_alert_of_another",
    ),
}


@pytest.mark.parametrize("failure", SHOWN)
def test_what_is_shown_elsewhere_is_there(failure: str) -> None:
    assert missing(SHOWN[failure]) == []


def types(receiver: Receiver, count: int) -> list[str]:
    """Of the first requests that came."""
    return [json.loads(request.body)["type"] for request in receiver.received.wait_for_count(count)]


def test_f3_the_end_is_told_however_long_the_alert_has_fired(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "DELIVERED"))
    world.clock.advance(60 * DAY / SECOND)
    world.tell(notification("note_2", RESOLVED, sequence=2))
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"))
    assert types(receiver, 2)[-1] == "alert.resolved"


def test_f5_no_alert_ends_because_nobody_spoke_of_it_for_long(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "DELIVERED"))
    world.clock.advance(60 * DAY / SECOND)
    world.tell(notification("note_2", alert="alert_2", stream="rule_1/b", sequence=2))
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"))
    assert "alert.resolved" not in types(receiver, 2)


def test_f7_a_crash_between_claim_and_send_loses_nothing(store: Store) -> None:
    store.take_in(arrival(1))
    (claimed,) = store.claim()
    # Whoever claimed it is never heard of again.
    assert store.claim(NOW + LEASE - 1) == []
    (again,) = store.claim(NOW + LEASE)
    assert (again.delivery_id, again.attempt) == (claimed.delivery_id, 2)
    assert store.finish(again, OutcomeKind.OK, DELIVERED, NOW + LEASE + 1)
    assert store.states() == {"n1": State.DELIVERED}


def test_f2_what_two_notifiers_have_claimed_is_marked_by_the_later_one_alone(store: Store) -> None:
    store.take_in(arrival(1), arrival(2, Kind.RESOLVED))
    (former,) = store.claim()
    (later,) = store.claim(NOW + LEASE)
    assert not store.finish(former, OutcomeKind.OK, DELIVERED, NOW + LEASE + 1)
    assert store.claim(NOW + LEASE + 1) == []
    assert store.finish(later, OutcomeKind.OK, DELIVERED, NOW + LEASE + 2)
    (end,) = store.claim(NOW + LEASE + 2)
    assert end.attempt == 1


def test_f8_the_second_incident_is_told_as_the_first_was(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1"), notification("note_2", RESOLVED, sequence=2))
    world.tell(notification("note_3", alert="alert_2", sequence=3))
    assert types(receiver, 3) == ["alert.firing", "alert.resolved", "alert.firing"]
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"), ("note_3", "DELIVERED"))


def test_f11_a_message_that_cannot_be_made_holds_up_no_other(world: World, receiver: Receiver, tmp_path: Path) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(500)]
    world.tell(notification("note_1"))
    wait_for_attempts(world, "note_1", 1)
    engine = engine_of(tmp_path / "notifier.db", "notifier")
    with engine.begin() as connection:
        connection.execute(text("UPDATE notifier_deliveries SET payload = :poison"), {"poison": b"\xff" * 64})
    engine.dispose()
    world.clock.advance(6.1)
    world.tell(notification("note_2", alert="alert_2", stream="rule_1/b", sequence=2))
    wait_for_attempts(world, "note_1", 2)
    world.wait_for_states(("note_1", "PENDING"), ("note_2", "DELIVERED"))
    assert types(receiver, 2) == ["alert.firing", "alert.firing"]
