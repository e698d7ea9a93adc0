"""Silences: of what they hold for nobody is told for a while; what still fires when one ends is told then."""

import json
from collections.abc import Sequence

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.times import HOUR, SECOND, to_timestamp
from monitors.notifier.model.matching import Matcher, Operator, all_hold
from monitors.notifier.model.muting import mute_of
from monitors.notifier.model.silences import Silence
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1 import rule_pb2
from tests.notifier.test_delivery import make_webhook
from tests.notifier.test_repeats import told
from tests.notifier.world import ACKNOWLEDGED, RESOLVED, SEVERITY_CHANGED, Receiver, World, notification

EQUAL, NOT_EQUAL, MATCH, NOT_MATCH = (
    npb.MATCH_OPERATOR_EQUAL, npb.MATCH_OPERATOR_NOT_EQUAL, npb.MATCH_OPERATOR_MATCH, npb.MATCH_OPERATOR_NOT_MATCH,
)  # fmt: skip
OF_HOST = (("monitor_id", EQUAL, "mon_host"),)
Given = Sequence[tuple[str, npb.MatchOperator.ValueType, str]]


def silence(world: World, seconds: float, matchers: Given = OF_HOST, *, after: float = 0) -> npb.Silence:
    """Makes one that lasts so many seconds from now, or from `after` so many."""
    start = world.clock.now() + int(after * SECOND)
    sent = npb.Silence(
        matchers=[npb.Matcher(name=name, operator=operator, value=value) for name, operator, value in matchers],
        start_time=to_timestamp(start) if after else None,
        end_time=to_timestamp(start + int(seconds * SECOND)),
        comment="deploying",
    )
    return world.stub.CreateSilence(pb.CreateSilenceRequest(silence=sent)).silence


def types(receiver: Receiver, count: int) -> list[str]:
    return [json.loads(one.body)["type"] for one in receiver.received.wait_for_count(count)]


def details(world: World) -> dict[str, str]:
    found = world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries
    return {one.notification_id: one.detail for one in found}


def test_what_is_silenced_is_shown_with_the_reason_and_told_when_the_silence_ends(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    made = silence(world, 600)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "SUPPRESSED"))
    assert details(world) == {"note_1": f"silenced by {made.id}: deploying"}
    world.clock.advance(599)
    world.tell(notification("note_2", alert="alert_2", stream="rule_1/b"))
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"))
    world.clock.advance(2)
    world.wait_for_states(
        ("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"), ("note_1_0", "DELIVERED"), ("note_2_0", "DELIVERED")
    )
    assert types(receiver, 2) == ["alert.firing", "alert.firing"]


def test_what_is_over_when_the_silence_ends_was_never_told_and_neither_is_its_end(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    silence(world, 600)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "SUPPRESSED"))
    world.tell(notification("note_2", RESOLVED, sequence=2))
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_2", "SUPERSEDED"))
    world.clock.advance(601)
    world.tell(notification("note_3", alert="alert_3", sequence=3))
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_2", "SUPERSEDED"), ("note_3", "DELIVERED"))
    assert types(receiver, 1) == ["alert.firing"]


def test_n7_the_end_of_what_was_told_before_is_told_during_a_silence(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1"))
    told(world, "note_1")
    silence(world, 600)
    world.tell(notification("note_2", RESOLVED, sequence=2))
    told(world, "note_1", "note_2")
    assert types(receiver, 2) == ["alert.firing", "alert.resolved"]


def test_the_end_of_what_was_silenced_at_first_is_told_once_it_was_told(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    silence(world, 60)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "SUPPRESSED"))
    world.clock.advance(61)
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_1_0", "DELIVERED"))
    world.tell(notification("note_2", RESOLVED, sequence=2))
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_1_0", "DELIVERED"), ("note_2", "DELIVERED"))
    assert types(receiver, 2) == ["alert.firing", "alert.resolved"]


def test_what_somebody_takes_care_of_during_a_silence_isnt_told_when_it_ends(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    silence(world, 60)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "SUPPRESSED"))
    world.tell(notification("note_2", ACKNOWLEDGED, sequence=2))
    world.rules.acknowledged.wait_for_count(2)
    world.clock.advance(61)
    world.tell(notification("note_3", alert="alert_3", stream="rule_3/a", sequence=3))
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_3", "DELIVERED"))
    assert len(receiver.received.items) == 1


def test_what_got_worse_during_a_silence_is_told_when_it_ends_as_it_is_then(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1", severity=rule_pb2.SEVERITY_LOW))
    told(world, "note_1")
    silence(world, 60)
    world.tell(notification("note_2", SEVERITY_CHANGED, sequence=2, severity=rule_pb2.SEVERITY_CRITICAL))
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "SUPPRESSED"))
    world.clock.advance(61)
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "SUPPRESSED"), ("note_1_1", "DELIVERED"))
    last = json.loads(receiver.received.wait_for_count(2)[1].body)
    assert (last["type"], last["data"]["severity"]) == ("alert.still_firing", "critical")


def test_a_repeat_that_is_silenced_is_shown_once_and_told_when_the_silence_ends(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    world.tell(notification("note_1", repeat=100))
    told(world, "note_1")
    silence(world, 350)
    world.clock.advance(101)
    world.wait_for_states(("note_1", "DELIVERED"), ("note_1_1", "SUPPRESSED"))
    world.clock.advance(200)
    world.clock.advance(60)
    world.wait_for_states(("note_1", "DELIVERED"), ("note_1_1", "SUPPRESSED"), ("note_1_2", "DELIVERED"))


@pytest.mark.parametrize("how", ["deleted", "shortened", "about something else"])
def test_what_isnt_silenced_any_more_is_told_at_once(world: World, receiver: Receiver, how: str) -> None:
    make_webhook(world, receiver)
    made = silence(world, 3600)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "SUPPRESSED"))
    if how == "deleted":
        world.stub.DeleteSilence(pb.DeleteSilenceRequest(silence_id=made.id, etag=made.etag))
    elif how == "shortened":
        soon = npb.Silence(id=made.id, end_time=to_timestamp(world.clock.now() + 60 * SECOND))
        world.stub.UpdateSilence(pb.UpdateSilenceRequest(silence=soon))
        world.clock.advance(61)
    else:
        other = npb.Silence(id=made.id, matchers=[npb.Matcher(name="cpu", operator=EQUAL, value="1")])
        world.stub.UpdateSilence(pb.UpdateSilenceRequest(silence=other))
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_1_0", "DELIVERED"))


def test_what_another_silence_holds_for_stays_untold_until_that_ends_too(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    silence(world, 60)
    silence(world, 600, after=30)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "SUPPRESSED"))
    world.clock.advance(61)
    world.tell(notification("note_2", alert="alert_2", stream="rule_1/b", sequence=2))
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"))
    world.clock.advance(600)
    world.wait_for_states(
        ("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"), ("note_1_0", "DELIVERED"), ("note_2_0", "DELIVERED")
    )


def test_a_silence_is_its_tenants_alone(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    globex = world.stub_of("globex")
    hook = npb.Channel(name="hook", webhook=npb.WebhookChannel(url=receiver.url), is_default=True)
    globex.CreateChannel(pb.CreateChannelRequest(channel=hook))
    made = silence(world, 3600)
    world.tell(notification("note_1"), notification("note_g", tenant="globex"))
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_g", "DELIVERED"))
    assert not globex.ListSilences(pb.ListSilencesRequest()).silences
    with pytest.raises(grpc.RpcError) as refused:
        globex.DeleteSilence(pb.DeleteSilenceRequest(silence_id=made.id))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


def test_silences_are_listed_newest_first_and_those_that_are_over_on_demand(world: World) -> None:
    made = [silence(world, seconds) for seconds in (60, 3600, 7200)]
    world.stub.DeleteSilence(pb.DeleteSilenceRequest(silence_id=made[2].id))
    world.clock.advance(61)
    present = world.stub.ListSilences(pb.ListSilencesRequest())
    assert [one.id for one in present.silences] == [made[1].id]
    ids, request = list[str](), pb.ListSilencesRequest(include_expired=True, page_size=2)
    while True:
        page = world.stub.ListSilences(request)
        ids += [one.id for one in page.silences]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert ids == [one.id for one in reversed(made)]
    assert (present.silences[0].creator, present.silences[0].comment) == ("ann", "deploying")


def test_a_repeat_of_a_request_makes_one_silence(world: World) -> None:
    sent = npb.Silence(
        matchers=[npb.Matcher(name="title", operator=MATCH, value="CPU.*")],
        end_time=to_timestamp(world.clock.now() + HOUR),
        comment="why",
    )
    answers = [world.stub.CreateSilence(pb.CreateSilenceRequest(silence=sent, request_id="1")) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(world.stub.ListSilences(pb.ListSilencesRequest()).silences) == 1


WRONG: dict[str, tuple[npb.Silence, str]] = {
    "no matcher": (npb.Silence(comment="c"), "silence.matchers: there is none"),
    "all alerts by mistake": (
        npb.Silence(matchers=[npb.Matcher(name="team", operator=NOT_EQUAL, value="a")], comment="c"),
        "silence.matchers: they hold for an alert without",
    ),
    "no operator": (
        npb.Silence(matchers=[npb.Matcher(name="a", value="a")], comment="c"), "silence.matchers[0].operator: send one",
    ),
    "no name": (
        npb.Silence(matchers=[npb.Matcher(operator=EQUAL, value="a")], comment="c"),
        "silence.matchers[0].name: '' can't name a fact",
    ),
    "no expression": (
        npb.Silence(matchers=[npb.Matcher(name="a", operator=MATCH, value="a(")], comment="c"),
        "silence.matchers[0].value: 'a(' is no regular expression",
    ),
    "no severity": (
        npb.Silence(matchers=[npb.Matcher(name="severity", operator=EQUAL, value="bad")], comment="c"),
        "silence.matchers[0].value: 'bad' is no severity",
    ),
    "too many": (
        npb.Silence(matchers=[npb.Matcher(name="a", operator=EQUAL, value="b")] * 21, comment="c"),
        "silence.matchers: there are 21; send at most 20",
    ),
    "no comment": (
        npb.Silence(matchers=[npb.Matcher(name="a", operator=EQUAL, value="b")]), "silence.comment: send why",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_silence_that_cannot_be_is_refused_with_the_fix(world: World, name: str) -> None:
    sent, expected = WRONG[name]
    sent.end_time.CopyFrom(to_timestamp(world.clock.now() + HOUR))
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.CreateSilence(pb.CreateSilenceRequest(silence=sent))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert expected in str(refused.value.details())


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, "is empty; send until when"),
        (0, -60, "it isn't after start_time"),
        (-120, -60, "it's over already"),
        (60, 60, "it isn't after start_time"),
        (0, 367 * 86400, "it would last for more than 366 days"),
    ],
)
def test_when_a_silence_cannot_end_is_told(world: World, start: int, end: int | None, expected: str) -> None:
    now = world.clock.now()
    sent = npb.Silence(matchers=[npb.Matcher(name="a", operator=EQUAL, value="b")], comment="c")
    sent.start_time.CopyFrom(to_timestamp(now + start * SECOND))
    if end is not None:
        sent.end_time.CopyFrom(to_timestamp(now + end * SECOND))
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.CreateSilence(pb.CreateSilenceRequest(silence=sent))
    assert expected in str(refused.value.details())


def test_a_silence_that_is_over_or_was_changed_by_another_isnt_changed(world: World) -> None:
    made = silence(world, 60)
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.DeleteSilence(pb.DeleteSilenceRequest(silence_id=made.id, etag="another"))
    assert refused.value.code() is grpc.StatusCode.ABORTED
    wrong = pb.UpdateSilenceRequest(silence=npb.Silence(id=made.id))
    wrong.update_mask.paths.append("creator")
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.UpdateSilence(wrong)
    assert "'creator' can't be changed" in str(refused.value.details())
    world.clock.advance(61)
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.UpdateSilence(pb.UpdateSilenceRequest(silence=npb.Silence(id=made.id, comment="again")))
    assert "is over; make a new one" in str(refused.value.details())
    world.stub.DeleteSilence(pb.DeleteSilenceRequest(silence_id=made.id))


WORDS = st.sampled_from(["", "a", "b", "ab"])
MATCHERS = st.builds(Matcher, st.sampled_from(["x", "y"]), st.sampled_from(Operator), WORDS)


@given(st.lists(MATCHERS, max_size=3), st.dictionaries(st.sampled_from(["x", "y"]), WORDS))
def test_a_matcher_and_its_opposite_never_both_hold(matchers: list[Matcher], facts: dict[str, str]) -> None:
    opposite = {
        Operator.EQUAL: Operator.NOT_EQUAL, Operator.NOT_EQUAL: Operator.EQUAL,
        Operator.MATCH: Operator.NOT_MATCH, Operator.NOT_MATCH: Operator.MATCH,
    }  # fmt: skip
    for one in matchers:
        assert one.holds(facts) is not Matcher(one.name, opposite[one.operator], one.value).holds(facts)
    assert all_hold(matchers, facts) is (not any(not one.holds(facts) for one in matchers))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=5), st.integers(0, 9))
def test_an_alert_is_muted_until_the_last_end_of_what_holds_for_it_now(
    spans: list[tuple[int, int, bool]], now: int
) -> None:
    def of(is_ours: bool) -> tuple[Matcher, ...]:
        return (Matcher("x", Operator.EQUAL, "a" if is_ours else "b"),)

    silences = [Silence("t", "sil", of(ours), start, end, "c") for start, end, ours in spans]
    ends = [end for start, end, ours in spans if ours and start <= now < end]
    mute = mute_of({"x": "a"}, silences, now)
    assert (mute.until if mute else None) == (max(ends) if ends else None)
