"""If nothing can be delivered any more, the status says so, the log does once, and the operator is told another way."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.config import BadSetting, load_settings
from monitors.mesh.times import MINUTE, SECOND
from monitors.notifier.model.delivery import OutcomeKind
from monitors.notifier.model.outage import ARRIVED, WORTH_TELLING, nothing_since, outage
from monitors.v1 import notifier_service_pb2 as pb
from tests.harness import LoopThread
from tests.notifier.test_delivery import make_webhook, wait_for_attempts
from tests.notifier.world import MovableClock, Receiver, Reply, World, notification, running


@given(st.lists(st.tuples(st.sampled_from(OutcomeKind), st.integers(0, 4 * MINUTE)), max_size=20))
def test_it_is_an_outage_if_nothing_has_arrived_for_minutes_though_it_was_tried(
    attempts: list[tuple[OutcomeKind, int]],
) -> None:
    since, now = 0, SECOND
    times: list[tuple[OutcomeKind, int]] = []
    for outcome, pause in attempts:
        now += pause
        since = nothing_since(since, outcome, now)
        times.append((outcome, now))
    last = max((number for number, (outcome, _) in enumerate(times) if outcome in ARRIVED), default=-1)
    failed = [time for _, time in times[last + 1 :]]
    assert bool(outage(since, now)) == (bool(failed) and now - failed[0] >= WORTH_TELLING)


def test_the_status_the_log_and_the_operator_tell_of_an_outage_and_of_its_end(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    clock = MovableClock()

    def told() -> list[str]:
        received = [one for one in receiver.received.items if one.path == "/operator"]
        return [json.loads(one.body)["data"]["title"] for one in received]

    with running(loop_thread, tmp_path, clock=clock, operator=f"{receiver.url}/operator") as world:

        def problems() -> list[str]:
            return list(world.stub.GetNotifierStatus(pb.GetNotifierStatusRequest()).problems)

        make_webhook(world, receiver)
        receiver.script = [Reply(500)] * 3
        world.tell(notification("note_1"))
        wait_for_attempts(world, "note_1", 1)
        clock.advance(7)
        wait_for_attempts(world, "note_1", 2)
        assert not any("nothing could be delivered" in one for one in problems())
        clock.advance(370)
        wait_for_attempts(world, "note_1", 3)
        assert "nothing could be delivered for 6m" in problems()[0]
        receiver.received.wait(lambda _: told() == ["No message of the mesh can be delivered"])
        clock.advance(2200)
        wait_for_attempts(world, "note_1", 4)
        assert problems() == []
        receiver.received.wait(lambda _: told()[1:] == ["Messages of the mesh are delivered again"])
    logged = [record.getMessage() for record in caplog.records]
    assert [line for line in logged if "nothing could be delivered" in line] == [
        "in the whole mesh nothing could be delivered for 6m; `monitors deliveries list` shows why"
    ]


def test_what_has_been_due_for_minutes_is_a_problem(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(429, {"retry-after": "3600"})]
    world.tell(notification("note_1"))
    wait_for_attempts(world, "note_1", 1)
    world.tell(notification("note_2", stream="rule_2/a", sequence=2))
    world.rules.acknowledged.wait_for_count(2)
    world.clock.advance(430)
    problems = world.stub.GetNotifierStatus(pb.GetNotifierStatusRequest()).problems
    assert "the oldest message that waits has been due for 7m" in problems


@pytest.mark.parametrize("url", ["ftp://example.org", "example.org/x", "https://", "https://example.org/a b"])
def test_an_operators_webhook_that_is_no_url_is_refused_at_start(url: str) -> None:
    with pytest.raises(BadSetting, match="MONITORS_OPERATOR_WEBHOOK"):
        load_settings({"MONITORS_OPERATOR_WEBHOOK": url})
    settings = load_settings({"MONITORS_OPERATOR_WEBHOOK": "http://pager.internal/x?token=canary"})
    assert "canary" not in repr(settings)
    assert settings.notifier.operator_webhook is not None
