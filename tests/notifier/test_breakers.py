"""Breakers: an endpoint that keeps failing is left alone, tried now and then, and holds nobody else up."""

from pathlib import Path

from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.times import HOUR, MINUTE, SECOND
from monitors.notifier.model.breaker import FAILURES, LONGEST_PAUSE, Breaker, after_attempt
from monitors.notifier.model.delivery import OutcomeKind
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, WebhookChannel
from tests.harness import LoopThread
from tests.notifier.test_delivery import make_webhook, wait_for_attempts
from tests.notifier.world import MovableClock, Receiver, Reply, World, notification, running

OK, FAILED, THROTTLED = OutcomeKind.OK, OutcomeKind.RETRYABLE, OutcomeKind.THROTTLED
START = 1_000 * SECOND


def after(outcomes: list[OutcomeKind], *, every: int = SECOND, breaker: Breaker | None = None) -> Breaker:
    breaker = breaker or Breaker()
    for number, outcome in enumerate(outcomes):
        breaker = after_attempt(breaker, outcome, START + number * every)
    return breaker


def test_five_failures_in_a_row_open_it() -> None:
    assert not after([FAILED] * 4).is_open(START + 3 * SECOND)
    breaker = after([FAILED] * 5)
    assert breaker.is_open(START + 4 * SECOND)
    assert not breaker.is_open(breaker.open_until)


def test_half_of_many_failures_open_it_though_none_are_in_a_row() -> None:
    alternating = [OK, FAILED] * 10
    assert not after(alternating[:-1]).lets_one_through
    assert after(alternating).lets_one_through
    # Spread over hours they're the weather.
    assert not after(alternating, every=MINUTE).lets_one_through


def test_a_throttled_endpoint_is_well() -> None:
    assert not after([THROTTLED] * 50).lets_one_through


def test_each_failed_trial_doubles_the_pause_up_to_ten_minutes() -> None:
    breaker, pauses = after([FAILED] * 5), []
    for _ in range(9):
        tried = breaker.open_until
        breaker = after_attempt(breaker, FAILED, tried)
        pauses.append((breaker.open_until - tried) // SECOND)
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_what_was_on_its_way_when_it_opened_changes_nothing() -> None:
    breaker = after([FAILED] * 5)
    assert after_attempt(breaker, FAILED, breaker.open_until - 1).open_until == breaker.open_until


def test_it_gives_up_after_five_days_of_failures_alone() -> None:
    breaker = after([FAILED])
    assert not breaker.gives_up(START + 119 * HOUR)
    assert breaker.gives_up(START + 120 * HOUR)
    assert not after([FAILED, OK, FAILED]).gives_up(START + 120 * HOUR)


@given(st.lists(st.tuples(st.sampled_from(OutcomeKind), st.integers(0, 5 * 60 * SECOND))))
def test_a_success_always_closes_it_and_no_pause_is_longer_than_ten_minutes(
    steps: list[tuple[OutcomeKind, int]],
) -> None:
    breaker, now = Breaker(), START
    for outcome, pause in steps:
        now += pause
        breaker = after_attempt(breaker, outcome, now)
        assert breaker.open_until - now <= LONGEST_PAUSE
        assert (breaker.failures > 0) == (outcome in FAILURES)
        if outcome not in FAILURES:
            assert not breaker.lets_one_through
        assert breaker.window_failures <= breaker.window_attempts


def fail_five_times(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    receiver.script = [Reply(500)] * 5
    streams = range(1, 6)
    world.tell(*(notification(f"note_{n}", alert=f"alert_{n}", stream=f"rule_{n}/a", sequence=n) for n in streams))
    for number in streams:
        wait_for_attempts(world, f"note_{number}", 1)


def test_a_dead_endpoint_is_left_alone_and_what_waits_for_it_uses_up_no_attempts(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    clock = MovableClock()
    with running(loop_thread, tmp_path, clock=clock) as world:
        fail_five_times(world, receiver)
        status = world.stub.GetNotifierStatus(pb.GetNotifierStatusRequest())
        assert list(status.open_breakers) == ["ops"]
        assert "'ops' keeps failing" in status.problems[0]
        # What comes meanwhile waits. After the pause a single one goes out, though all are due, and then the rest.
        world.tell(notification("note_9", alert="alert_9", stream="rule_9/a", sequence=9))
        world.rules.acknowledged.wait_for_count(6)
        receiver.script = [Reply(hold=True)]
        clock.advance(8)
        receiver.received.wait_for_count(6)
        listed = world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries
        assert [one.attempt_count for one in listed] == [1] * 6
        loop_thread.run(release(receiver))
        receiver.received.wait_for_count(11)
        world.wait_for_states(*((f"note_{number}", "DELIVERED") for number in (1, 2, 3, 4, 5, 9)))
        assert not world.stub.GetNotifierStatus(pb.GetNotifierStatusRequest()).open_breakers


async def release(receiver: Receiver) -> None:
    receiver.released.set()


def test_a_changed_channel_begins_anew(world: World, receiver: Receiver) -> None:
    fail_five_times(world, receiver)
    change = Channel(name="ops", webhook=WebhookChannel(url=f"{receiver.url}/other"))
    (present,) = world.stub.ListChannels(pb.ListChannelsRequest()).channels
    change.id = present.id
    world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=change, update_mask=FieldMask(paths=["webhook.url"])))
    assert not world.stub.GetNotifierStatus(pb.GetNotifierStatusRequest()).open_breakers


def test_a_channel_that_fails_for_five_days_is_turned_off_and_says_so(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    clock = MovableClock()
    with running(loop_thread, tmp_path, clock=clock) as world:
        fail_five_times(world, receiver)
        receiver.script = [Reply(500)] * 100
        clock.advance(120 * 3600)
        world.wait_for_states(("note_1", "SUPPRESSED"), *((f"note_{number}", "SUPPRESSED") for number in (2, 3, 4, 5)))
        (channel,) = world.stub.ListChannels(pb.ListChannelsRequest()).channels
        assert channel.disabled_reason.startswith("nothing has arrived for 120 hours: the endpoint answered 500")
