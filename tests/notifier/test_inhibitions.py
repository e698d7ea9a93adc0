"""Inhibitions: while some alerts fire, nobody is told of others; what still fires when those end is told then.

The cases of Alertmanager's are in test_inhibiting_cases.py.
"""

from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.notifier.model.inhibitions import (
    Inhibiting,
    Inhibition,
    built_in,
    places_of_source,
    places_of_target,
)
from monitors.notifier.model.matching import Matcher, Operator, all_hold
from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from tests.harness import LoopThread
from tests.notifier.test_delivery import make_webhook
from tests.notifier.test_routes import make_channel
from tests.notifier.test_silences import details, types
from tests.notifier.world import (
    ACKNOWLEDGED,
    REPEAT_CHANGED,
    RESOLVED,
    SEVERITY_CHANGED,
    MovableClock,
    Receiver,
    World,
    notification,
    running,
)

CRITICAL, MEDIUM, LOW = rule_pb2.SEVERITY_CRITICAL, rule_pb2.SEVERITY_MEDIUM, rule_pb2.SEVERITY_LOW
EQUAL = npb.MATCH_OPERATOR_EQUAL


def source(identifier: str = "note_s", kind: alert_pb2.AlertEventKind.ValueType = alert_pb2.ALERT_EVENT_KIND_FIRING,
           sequence: int = 1, **more: object) -> npb.Notification:  # fmt: skip
    """A critical alert's."""
    given_ = {"severity": CRITICAL, "alert": "alert_s", "stream": "rule_s/a"} | more
    return notification(identifier, kind, sequence=sequence, **given_)  # type: ignore[arg-type]


def target(identifier: str = "note_t", kind: alert_pb2.AlertEventKind.ValueType = alert_pb2.ALERT_EVENT_KIND_FIRING,
           sequence: int = 1, **more: object) -> npb.Notification:  # fmt: skip
    """A medium alert's, of the same monitor."""
    given_ = {"severity": MEDIUM, "alert": "alert_t", "stream": "rule_t/a"} | more
    return notification(identifier, kind, sequence=sequence, **given_)  # type: ignore[arg-type]


def matcher(text: str) -> npb.Matcher:
    name, _, value = text.partition("=")
    return npb.Matcher(name=name, operator=EQUAL, value=value)


def inhibition(world: World, name: str, while_: str, mutes: str, *equal: str) -> npb.Inhibition:
    sent = npb.Inhibition(name=name, source_matchers=[matcher(while_)], target_matchers=[matcher(mutes)], equal=equal)
    return world.stub.CreateInhibition(pb.CreateInhibitionRequest(inhibition=sent)).inhibition


def wait_for(world: World, name: str, state: alert_pb2.DeliveryState.ValueType) -> None:
    """Whatever else is reported."""
    world.rules.reports.wait(
        lambda reports: (name, state) in {(one.delivery.notification_id, one.delivery.state) for one in reports}
    )


def turn(world: World, name: str, *, on: bool) -> npb.Inhibition:
    sent = npb.Inhibition(id=name, enabled=on)
    return world.stub.UpdateInhibition(pb.UpdateInhibitionRequest(inhibition=sent)).inhibition


def test_a_critical_alert_mutes_lower_ones_of_its_monitor_and_says_that_it_did(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    world.tell(source())
    world.wait_for_states(("note_s", "DELIVERED"))
    world.tell(target(), target("note_o", alert="alert_o", stream="rule_o/a", monitor="mon_web"))
    world.tell(source("note_c", alert="alert_c", stream="rule_c/a"))
    world.wait_for_states(
        ("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"), ("note_o", "DELIVERED"), ("note_c", "DELIVERED")
    )
    assert details(world)["note_t"] == "inhibited by alert_s: a critical alert of the same monitor"


def test_what_still_fires_when_it_ends_is_told_then_and_nothing_else_is(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(source(), target(), target("note_o", alert="alert_o", stream="rule_o/a"))
    world.wait_for_states(("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"), ("note_o", "SUPPRESSED"))
    world.tell(target("note_oo", RESOLVED, 2, alert="alert_o", stream="rule_o/a"))
    world.tell(source("note_ss", RESOLVED, 2))
    world.wait_for_states(
        ("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"), ("note_o", "SUPPRESSED"), ("note_oo", "SUPERSEDED"),
        ("note_ss", "DELIVERED"), ("note_t_0", "DELIVERED"),
    )  # fmt: skip
    assert sorted(types(receiver, 3)) == ["alert.firing", "alert.firing", "alert.resolved"]


@pytest.mark.parametrize("order", [0, 1])
def test_what_comes_together_with_what_inhibits_it_is_muted_in_either_order(
    world: World, receiver: Receiver, order: int
) -> None:
    make_webhook(world, receiver)
    both = [source(), target()]
    world.tell(both[order], both[1 - order])
    world.wait_for_states(("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"))


def test_what_ends_in_the_same_batch_inhibits_nothing(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(source(), target(), source("note_ss", RESOLVED, 2))
    world.wait_for_states(("note_s", "DELIVERED"), ("note_t", "DELIVERED"), ("note_ss", "DELIVERED"))


def test_as_long_as_another_one_inhibits_it_it_stays_untold(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    other: dict[str, Any] = {"alert": "alert_z", "stream": "rule_z/a"}
    world.tell(source(), source("note_z", **other), target())
    world.wait_for_states(("note_s", "DELIVERED"), ("note_z", "DELIVERED"), ("note_t", "SUPPRESSED"))
    world.tell(source("note_ss", RESOLVED, 2))
    expected = [("note_s", "DELIVERED"), ("note_z", "DELIVERED"), ("note_t", "SUPPRESSED"), ("note_ss", "DELIVERED")]
    world.wait_for_states(*expected)
    # Whatever ends afterwards, it's looked at again now and then, and muted still.
    world.clock.advance(700)
    world.tell(notification("note_x", alert="alert_x", stream="x", monitor="mon_web"))
    expected += [("note_x", "DELIVERED")]
    world.wait_for_states(*expected)
    world.tell(source("note_zz", RESOLVED, 2, **other))
    world.wait_for_states(*expected, ("note_zz", "DELIVERED"), ("note_t_0", "DELIVERED"))


def test_one_that_somebody_has_acknowledged_inhibits_on(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(source())
    world.wait_for_states(("note_s", "DELIVERED"))
    world.tell(source("note_a", ACKNOWLEDGED, 2))
    world.rules.acknowledged.wait_for_count(2)
    world.tell(target())
    world.wait_for_states(("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"))


def test_one_that_gets_worse_begins_to_inhibit_and_one_that_gets_better_ends(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(source(severity=MEDIUM))
    world.wait_for_states(("note_s", "DELIVERED"))
    world.tell(source("note_w", SEVERITY_CHANGED, 2), target())
    expected = [("note_s", "DELIVERED"), ("note_w", "DELIVERED"), ("note_t", "SUPPRESSED")]
    world.wait_for_states(*expected)
    world.tell(source("note_b", REPEAT_CHANGED, 3, severity=LOW))
    world.wait_for_states(*expected, ("note_t_0", "DELIVERED"))


def test_what_gets_critical_itself_is_told_that_it_got_worse(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(source(), target())
    world.wait_for_states(("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"))
    world.tell(target("note_w", SEVERITY_CHANGED, 2, severity=CRITICAL))
    world.wait_for_states(("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"), ("note_w", "DELIVERED"))


def test_n7_the_end_of_what_was_told_before_is_told_while_it_is_inhibited(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(target(repeat=60))
    world.wait_for_states(("note_t", "DELIVERED"))
    world.tell(source())
    world.wait_for_states(("note_t", "DELIVERED"), ("note_s", "DELIVERED"))
    world.clock.advance(61)
    expected = [("note_t", "DELIVERED"), ("note_s", "DELIVERED"), ("note_t_1", "SUPPRESSED")]
    world.wait_for_states(*expected)
    world.tell(target("note_tt", RESOLVED, 2))
    world.wait_for_states(*expected, ("note_tt", "DELIVERED"))


def test_after_a_restart_what_fires_inhibits_still(loop_thread: LoopThread, tmp_path: Path, receiver: Receiver) -> None:
    clock = MovableClock()
    with running(loop_thread, tmp_path, clock=clock) as world:
        make_webhook(world, receiver)
        world.tell(source(), target("note_1", alert="alert_1", stream="rule_1/a"))
        world.wait_for_states(("note_s", "DELIVERED"), ("note_1", "SUPPRESSED"))
    with running(loop_thread, tmp_path, clock=clock) as world:
        world.tell(target())
        wait_for(world, "note_t", alert_pb2.DELIVERY_STATE_SUPPRESSED)
        world.tell(source("note_ss", RESOLVED, 2))
        for name in ("note_ss", "note_t_0", "note_1_0"):
            wait_for(world, name, alert_pb2.DELIVERY_STATE_DELIVERED)


def test_turned_off_it_mutes_nothing_and_what_it_muted_is_told_at_once(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(source(), target())
    world.wait_for_states(("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"))
    assert turn(world, "critical", on=False).enabled is False
    expected = [("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"), ("note_t_0", "DELIVERED")]
    world.wait_for_states(*expected)
    world.tell(target("note_2", alert="alert_2", stream="rule_2/a"))
    expected.append(("note_2", "DELIVERED"))
    world.wait_for_states(*expected)
    # Turned on again it counts what fires already.
    assert turn(world, "inh_critical", on=True).enabled is True
    world.tell(target("note_3", alert="alert_3", stream="rule_3/a"))
    world.wait_for_states(*expected, ("note_3", "SUPPRESSED"))


def test_ones_own_counts_what_fires_already_and_what_it_no_longer_mutes_is_told(
    world: World, receiver: Receiver
) -> None:
    make_webhook(world, receiver)
    core: dict[str, Any] = {"labels": {"part": "core", "site": "a"}, "severity": LOW, "monitor": "mon_core"}
    world.tell(source(**core))
    world.wait_for_states(("note_s", "DELIVERED"))
    made = inhibition(world, "core", "part=core", "part=leaf", "site")
    leaf = {"part": "leaf", "site": "a"}
    world.tell(
        target(labels=leaf),
        target("note_b", alert="alert_b", stream="b", labels=leaf | {"site": "b"}),
        target("note_n", alert="alert_n", stream="n", labels={"part": "leaf"}),
    )
    expected = [("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"), ("note_b", "DELIVERED"), ("note_n", "DELIVERED")]
    world.wait_for_states(*expected)
    assert details(world)["note_t"] == f"inhibited by alert_s: 'core' ({made.id})"
    world.stub.DeleteInhibition(pb.DeleteInhibitionRequest(inhibition_id="core", etag=made.etag))
    world.wait_for_states(*expected, ("note_t_0", "DELIVERED"))


def test_an_end_that_was_missed_is_noticed_after_a_while(world: World, receiver: Receiver) -> None:
    make_webhook(world, receiver)
    world.tell(source(), target())
    world.wait_for_states(("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"))
    # As a notifier of the former version ends it: by deliveries alone. Here no inhibition is on while it ends.
    turn(world, "critical", on=False)
    expected = [("note_s", "DELIVERED"), ("note_t", "SUPPRESSED"), ("note_t_0", "DELIVERED")]
    world.wait_for_states(*expected)
    world.tell(source("note_ss", RESOLVED, 2))
    world.wait_for_states(*expected, ("note_ss", "DELIVERED"))
    turn(world, "critical", on=True)
    world.tell(target("note_2", alert="alert_2", stream="rule_2/a"))
    world.wait_for_states(*expected, ("note_ss", "DELIVERED"), ("note_2", "DELIVERED"))


def test_the_one_that_is_built_in_is_listed_and_can_only_be_turned_off(world: World) -> None:
    listed = world.stub.ListInhibitions(pb.ListInhibitionsRequest()).inhibitions
    assert [(one.id, one.name, one.enabled, list(one.equal)) for one in listed] == [
        ("inh_critical", "critical", True, ["monitor_id"])
    ]
    for name in ("a", "z"):
        inhibition(world, name, "x=1", "y=1")
    turn(world, "critical", on=False)
    names: list[str] = []
    request = pb.ListInhibitionsRequest(page_size=1)
    while True:
        page = world.stub.ListInhibitions(request)
        names += [f"{one.name} {one.enabled}" for one in page.inhibitions]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert names == ["a True", "critical False", "z True"]
    for call, code, words in (
        (lambda: world.stub.DeleteInhibition(pb.DeleteInhibitionRequest(inhibition_id="critical")),
         grpc.StatusCode.FAILED_PRECONDITION, "turn it off"),
        (lambda: world.stub.UpdateInhibition(
            pb.UpdateInhibitionRequest(inhibition=npb.Inhibition(id="critical", equal=["x"]))),
         grpc.StatusCode.INVALID_ARGUMENT, "only enabled can be changed"),
        (lambda: inhibition(world, "critical", "x=1", "y=1"), grpc.StatusCode.ALREADY_EXISTS, "critical"),
    ):  # fmt: skip
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert refused.value.code() is code
        assert words in str(refused.value.details())


def test_pages_show_the_one_that_is_built_in_once(world: World) -> None:
    for name in ("a", "b", "z"):
        inhibition(world, name, "x=1", "y=1")
    names: list[str] = []
    request = pb.ListInhibitionsRequest(page_size=2)
    while True:
        page = world.stub.ListInhibitions(request)
        names += [one.name for one in page.inhibitions]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert names == ["a", "b", "critical", "z"]


WRONG: dict[str, tuple[npb.Inhibition, str]] = {
    "no source": (
        npb.Inhibition(name="a", target_matchers=[matcher("x=1")]), "inhibition.source_matchers: there is none",
    ),
    "no target": (
        npb.Inhibition(name="a", source_matchers=[matcher("x=1")]), "inhibition.target_matchers: there is none",
    ),
    "no name": (
        npb.Inhibition(source_matchers=[matcher("x=1")], target_matchers=[matcher("x=1")]), "inhibition.name: send",
    ),
    "nothing equal": (
        npb.Inhibition(name="a", source_matchers=[matcher("x=1")], target_matchers=[matcher("x=1")], equal=[""]),
        "inhibition.equal[0]: send a name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_inhibition_that_cannot_be_is_refused_with_the_fix(shared_world: World, name: str) -> None:
    sent, expected = WRONG[name]
    with pytest.raises(grpc.RpcError) as refused:
        shared_world.stub.CreateInhibition(pb.CreateInhibitionRequest(inhibition=sent))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert expected in str(refused.value.details())


def test_inhibitions_are_their_tenants_alone(world: World) -> None:
    make_channel(world, "main", default=True)
    globex = world.stub_of("globex")
    there = npb.Channel(name="there", console=npb.ConsoleChannel(), is_default=True)
    globex.CreateChannel(pb.CreateChannelRequest(channel=there))
    made = inhibition(world, "mine", "x=1", "y=1")
    turn(world, "critical", on=False)
    (builtin,) = globex.ListInhibitions(pb.ListInhibitionsRequest()).inhibitions
    assert builtin.enabled
    for strange in (made.id, "mine"):
        with pytest.raises(grpc.RpcError) as refused:
            globex.DeleteInhibition(pb.DeleteInhibitionRequest(inhibition_id=strange))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    # Another tenant's alert of a monitor of the same name inhibits nothing here.
    world.tell(source(tenant="acme"), target(tenant="globex"))
    world.wait_for_states(("note_s", "DELIVERED"), ("note_t", "DELIVERED"))


def test_who_would_be_told_knows_what_inhibits(world: World) -> None:
    make_channel(world, "main", default=True)
    world.tell(source())
    world.wait_for_states(("note_s", "DELIVERED"))
    answer = world.stub.PreviewRouting(pb.PreviewRoutingRequest(monitor_id="mon_host"))
    assert answer.muted_reason == "inhibited by alert_s: a critical alert of the same monitor"


WORDS = st.sampled_from(["", "a", "b"])
FACTS = st.dictionaries(st.sampled_from(["x", "y"]), WORDS)
SIDES = st.lists(st.builds(Matcher, st.sampled_from(["x", "y"]), st.sampled_from(Operator), WORDS), max_size=2)
INHIBITIONS = st.lists(
    st.builds(
        lambda number, sources, targets, equal: Inhibition(
            "t", f"inh_{number}", f"n{number}", tuple(sources), tuple(targets), tuple(equal)
        ),
        st.integers(0, 1000),
        SIDES,
        SIDES,
        st.lists(st.sampled_from(["x", "y"]), max_size=2, unique=True),
    ),
    max_size=3,
    unique_by=lambda one: one.id,
)


def obvious(inhibitions: list[Inhibition], firing: dict[str, dict[str, str]], alert: str) -> bool:
    """Alertmanager's words, one pair after the other."""
    facts = firing[alert]
    for one in inhibitions:
        is_source, is_target = all_hold(one.sources, facts), all_hold(one.targets, facts)
        for other in firing.values():
            same = all(facts.get(each, "") == other.get(each, "") for each in one.equal)
            both = is_source and all_hold(one.targets, other)
            if is_target and all_hold(one.sources, other) and same and not both:
                return True
    return False


@given(INHIBITIONS, st.dictionaries(st.sampled_from(["a1", "a2", "a3", "a4"]), FACTS, min_size=1))
def test_what_is_inhibited_is_what_is_obvious(inhibitions: list[Inhibition], firing: dict[str, dict[str, str]]) -> None:
    found = {place: alert for alert, facts in firing.items() for place in places_of_source(inhibitions, facts)}
    for alert, facts in firing.items():
        mute = Inhibiting(inhibitions, found).mute(facts, 0)
        assert (mute is not None) is obvious(inhibitions, firing, alert)


@given(FACTS, st.sampled_from(["low", "medium", "high", "critical"]))
def test_nothing_inhibits_itself(facts: dict[str, str], severity: str) -> None:
    own = [built_in("t"), Inhibition("t", "inh_1", "all", (), (), ())]
    known = {**facts, "severity": severity}
    sources = set(places_of_source(own, known))
    assert not sources & {place for place, _ in places_of_target(own, known)}
