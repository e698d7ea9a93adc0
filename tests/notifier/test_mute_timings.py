"""Mute timings: at some hours nobody is told; what still fires at their end is told then."""

from datetime import UTC, datetime

import grpc
import pytest

from monitors.mesh.times import SECOND
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from tests.notifier.test_delivery import make_webhook
from tests.notifier.test_repeats import told
from tests.notifier.world import RESOLVED, Receiver, World, notification

CALM = npb.Matcher(name="severity", operator=npb.MATCH_OPERATOR_NOT_EQUAL, value="critical")


@pytest.fixture(autouse=True)
def middle_of_an_hour(world: World) -> None:
    """No hour ends while a test asks which it is."""
    minute = datetime.fromtimestamp(world.clock.now() / SECOND, UTC).minute
    world.clock.advance(((30 - minute) % 60) * 60)


def window_around(world: World, hours: int = 0) -> npb.TimeWindow:
    """The hour of now, or that in so many hours."""
    hour = (datetime.fromtimestamp(world.clock.now() / SECOND, UTC).hour + hours) % 24
    return npb.TimeWindow(times=[f"{hour:02}:00-{hour + 1:02}:00"])


def make(world: World, window: npb.TimeWindow, *, active: bool = False, name: str = "night") -> npb.MuteTiming:
    timing = npb.MuteTiming(name=name, matchers=[CALM], windows=[window], active=active)
    return world.stub.CreateMuteTiming(pb.CreateMuteTimingRequest(mute_timing=timing)).mute_timing


@pytest.mark.parametrize("active", [False, True])
def test_n6_what_still_fires_is_told_at_the_end_of_the_window(world: World, receiver: Receiver, active: bool) -> None:
    make_webhook(world, receiver)
    made = make(world, window_around(world, 2 if active else 0), active=active)
    world.tell(notification("note_1"), notification("note_2", alert="alert_2", stream="rule_1/b"))
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"))
    (delivery, _) = world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries
    assert delivery.detail == f"muted by the timing 'night' ({made.id})"
    world.tell(notification("note_3", RESOLVED, alert="alert_2", stream="rule_1/b", sequence=2))
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"), ("note_3", "SUPERSEDED"))
    world.clock.advance(2 * 3600 if active else 3600)
    world.wait_for_states(
        ("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"), ("note_3", "SUPERSEDED"), ("note_1_0", "DELIVERED")
    )


def test_what_the_matchers_dont_hold_for_and_what_comes_at_other_hours_is_told(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    make(world, window_around(world, 3))
    world.tell(notification("note_1"))
    told(world, "note_1")
    make(world, window_around(world), name="now")
    world.tell(notification("note_2", alert="alert_2", stream="rule_1/b", severity=4))  # type: ignore[arg-type]
    told(world, "note_1", "note_2")


@pytest.mark.parametrize("how", ["deleted", "changed"])
def test_what_isnt_muted_any_more_is_told_at_once(world: World, receiver: Receiver, how: str) -> None:
    make_webhook(world, receiver)
    made = make(world, window_around(world))
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "SUPPRESSED"))
    if how == "deleted":
        world.stub.DeleteMuteTiming(pb.DeleteMuteTimingRequest(mute_timing_id=made.id, etag=made.etag))
        assert not world.stub.ListMuteTimings(pb.ListMuteTimingsRequest()).mute_timings
    else:
        changed = npb.MuteTiming(id=made.id, windows=[window_around(world, 5)])
        answer = world.stub.UpdateMuteTiming(pb.UpdateMuteTimingRequest(mute_timing=changed)).mute_timing
        assert (answer.name, answer.matchers, answer.windows) != (made.name, made.matchers, made.windows)
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_1_0", "DELIVERED"))


def test_mute_timings_are_listed_by_name_as_they_were_made(world: World) -> None:
    whole = npb.TimeWindow(
        times=["00:00-09:00", "17:30-24:00"], weekdays=["monday:friday", "sunday"], days_of_month=["1:5", "-3:-1"],
        months=["january:march", "december"], years=["2026:2027"], time_zone="Europe/Berlin",
    )  # fmt: skip
    for name in ("c", "a", "b"):
        make(world, whole, name=name)
    first = world.stub.ListMuteTimings(pb.ListMuteTimingsRequest(page_size=2))
    rest = world.stub.ListMuteTimings(pb.ListMuteTimingsRequest(page_size=2, page_token=first.next_page_token))
    assert [one.name for one in (*first.mute_timings, *rest.mute_timings)] == ["a", "b", "c"]
    assert first.mute_timings[0].windows[0] == whole
    assert not rest.next_page_token


WRONG: dict[str, tuple[npb.MuteTiming, str]] = {
    "no window": (npb.MuteTiming(name="a"), "mute_timing.windows: there are 0; send 1 to 20"),
    "an empty window": (npb.MuteTiming(name="a", windows=[npb.TimeWindow()]), "mute_timing.windows[0]: nothing is set"),
    "no name": (npb.MuteTiming(windows=[npb.TimeWindow(years=["2026"])]), "mute_timing.name: send a name"),
    "past midnight": (
        npb.MuteTiming(name="a", windows=[npb.TimeWindow(times=["22:00-06:00"])]),
        "mute_timing.windows[0].times[0]: '22:00-06:00': its start must be before its end; write what goes on past",
    ),
    "no zone": (
        npb.MuteTiming(name="a", windows=[npb.TimeWindow(years=["2026"], time_zone="Mars")]),
        "mute_timing.windows[0].time_zone: 'Mars': isn't an IANA time zone",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mute_timing_that_cannot_be_is_refused_with_the_fix(world: World, name: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.CreateMuteTiming(pb.CreateMuteTimingRequest(mute_timing=WRONG[name][0]))
    assert WRONG[name][1] in str(refused.value.details())


def test_a_name_is_one_timings_alone_and_a_change_of_another_isnt_overwritten(world: World) -> None:
    made, other = make(world, window_around(world)), make(world, window_around(world), name="other")
    with pytest.raises(grpc.RpcError) as refused:
        make(world, window_around(world))
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    for change, expected in (
        (npb.MuteTiming(id=other.id, name="night"), grpc.StatusCode.ALREADY_EXISTS),
        (npb.MuteTiming(id=made.id, name="day", etag="another"), grpc.StatusCode.ABORTED),
        (npb.MuteTiming(id="mute_1", name="day"), grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            world.stub.UpdateMuteTiming(pb.UpdateMuteTimingRequest(mute_timing=change))
        assert refused.value.code() is expected
    with pytest.raises(grpc.RpcError) as refused:
        world.stub_of("globex").DeleteMuteTiming(pb.DeleteMuteTimingRequest(mute_timing_id=made.id))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
