"""Deliveries that were given up or held back, seen one by one and tried again, one or many at once."""

from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from monitors.mesh.times import HOUR, to_timestamp
from monitors.v1 import alert_pb2
from monitors.v1 import notifier_service_pb2 as pb
from tests.notifier.test_delivery import make_webhook
from tests.notifier.world import Receiver, Reply, World, notification

DEAD, SUPPRESSED = alert_pb2.DELIVERY_STATE_DEAD, alert_pb2.DELIVERY_STATE_SUPPRESSED


def give_up(world: World, receiver: Receiver, *numbers: int, channel: str = "ops") -> None:
    receiver.script = [Reply(400)] * len(numbers)
    names = [f"note_{number}" for number in numbers]
    world.tell(*(notification(f"note_{n}", stream=f"r{n}", alert=f"alert_{n}", channels=(channel,)) for n in numbers))
    world.rules.reports.wait(
        lambda reports: {r.delivery.notification_id for r in reports if r.delivery.state == DEAD} >= set(names)
    )


def retry(world: World, **what: Any) -> tuple[int, int, bool]:
    answer = world.stub.RetryDeliveries(pb.RetryDeliveriesRequest(**what))
    return answer.retried_count, answer.skipped_count, answer.has_more


def test_a_delivery_is_shown_with_every_attempt(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver, default=False)
    give_up(world, receiver, 1)
    (listed,) = world.stub.ListDeliveries(pb.ListDeliveriesRequest(include_attempts=True)).deliveries
    shown = world.stub.GetDelivery(pb.GetDeliveryRequest(delivery_id=listed.id)).delivery
    assert shown == listed
    assert [attempt.status for attempt in shown.attempts] == [400]
    with pytest.raises(grpc.RpcError) as refused:
        world.stub_of("globex").GetDelivery(pb.GetDeliveryRequest(delivery_id=listed.id))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_many_are_tried_again_by_channel_alert_state_and_time(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver, default=False)
    make_webhook(world, receiver, "other", default=False, path="other")
    world.tell(notification("note_9", stream="r9", alert="alert_9", channels=("later",)))
    give_up(world, receiver, 1, 2)
    give_up(world, receiver, 3, channel="other")
    since = Timestamp(seconds=1)
    later = to_timestamp(world.clock.now() + HOUR)
    assert retry(world, since_time=later) == (0, 0, False)
    assert retry(world, since_time=since, alert_id="alert_2") == (1, 0, False)
    assert retry(world, since_time=since, channel="other", state=DEAD) == (1, 0, False)
    assert retry(world, since_time=since, state=SUPPRESSED) == (0, 1, False)
    make_webhook(world, receiver, "later", default=False, path="later")
    request = pb.RetryDeliveriesRequest(since_time=since, request_id="once")
    answers = [world.stub.RetryDeliveries(request) for _ in range(2)]
    assert answers[0] == answers[1] == pb.RetryDeliveriesResponse(retried_count=2)
    world.wait_for_states(*((f"note_{number}", "DELIVERED") for number in (1, 2, 3, 9)))
    # Each attempt has a number of its own.
    listed = world.stub.ListDeliveries(pb.ListDeliveriesRequest(include_attempts=True)).deliveries
    assert sorted(len(one.attempts) for one in listed if one.alert_id) == [1, 2, 2, 2]


def test_what_went_to_a_channel_that_is_off_is_left_alone(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver, default=False)
    give_up(world, receiver, 1, 2)
    world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="ops"))
    make_webhook(world, receiver, default=False)
    # It has the same name, but it's another one.
    assert retry(world, since_time=Timestamp(seconds=1)) == (0, 2, False)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (pb.RetryDeliveriesRequest(), "since_time: is empty; send since when"),
        (
            pb.RetryDeliveriesRequest(since_time=Timestamp(seconds=1), state=alert_pb2.DELIVERY_STATE_DELIVERED),
            "state: DELIVERED isn't retried; send DEAD, SUPPRESSED, or none for both",
        ),
    ],
)
def test_what_can_not_be_meant_is_refused(world: World, request_: pb.RetryDeliveriesRequest, words: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.RetryDeliveries(request_)
    assert words in str(refused.value.details())


def test_what_is_given_up_again_stays_dead_for_no_waits_are_added(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver, default=False)
    give_up(world, receiver, 1)
    receiver.script = [Reply(400)]
    assert retry(world, since_time=Timestamp(seconds=1)) == (1, 0, False)
    world.rules.reports.wait(lambda reports: reports[-1].delivery.attempt_count == 2)
    (delivery,) = world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries
    assert (delivery.state, delivery.attempt_count) == (DEAD, 2)
