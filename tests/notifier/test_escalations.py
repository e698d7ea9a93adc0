"""Escalation: what nobody acknowledges is told to others, step by step, until somebody does or it's over."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from monitors.mesh.times import HOUR, MINUTE
from monitors.notifier.model.escalation import IS_OVER
from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from tests.harness import LoopThread
from tests.notifier.test_delivery import make_webhook, wait_for_attempts
from tests.notifier.test_silences import EQUAL, silence
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

LOW, HIGH, CRITICAL = rule_pb2.SEVERITY_LOW, rule_pb2.SEVERITY_HIGH, rule_pb2.SEVERITY_CRITICAL
CRITICAL_ONLY = npb.Matcher(name="severity", operator=EQUAL, value="critical")


def escalate(
    world: World,
    *steps: tuple[int, str],
    name: str = "on call",
    position: int = 0,
    matchers: tuple[npb.Matcher, ...] = (),
    tenant: str = "acme",
) -> npb.EscalationPolicy:
    """Makes a policy with steps after so many minutes, each to channels whose names a space parts."""
    policy = npb.EscalationPolicy(name=name, position=position, matchers=matchers, steps=[step(*one) for one in steps])
    request = pb.CreateEscalationPolicyRequest(escalation_policy=policy)
    return world.stub_of(tenant).CreateEscalationPolicy(request).escalation_policy


def step(minutes: int, names: str) -> npb.EscalationStep:
    return npb.EscalationStep(after=Duration(seconds=minutes * 60), channels=names.split())


@pytest.fixture(autouse=True)
def channels(world: World, receiver: Receiver) -> None:
    """A default channel, and two that only escalations tell."""
    for name in ("ops", "pager", "boss"):
        make_webhook(world, receiver, name, default=name == "ops", path=name)


def deliveries(world: World) -> dict[tuple[str, str], str]:
    """The states by notification and channel."""
    found = world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries
    name = alert_pb2.DeliveryState.Name
    return {(one.notification_id, one.channel): name(one.state).removeprefix("DELIVERY_STATE_") for one in found}


def received(receiver: Receiver, count: int) -> list[str]:
    """What arrived, as `path type`."""
    return [f"{one.path} {json.loads(one.body)['type']}" for one in receiver.received.wait_for_count(count)]


def told(world: World, receiver: Receiver, *expected: str) -> None:
    """Waits until exactly this has arrived, in any order, and is recorded."""
    assert sorted(received(receiver, len(expected))) == sorted(expected)
    world.rules.reports.wait(
        lambda reports: (
            sum(one.delivery.state == alert_pb2.DELIVERY_STATE_DELIVERED for one in reports) >= len(expected)
        )
    )


def pass_by(world: World, receiver: Receiver, number: int) -> None:
    """Something else is told: whatever was due by now would have been told before, or with it."""
    count = len(receiver.received.items)
    other = notification(f"other_{number}", alert=f"other_{number}", stream=f"other/{number}", channels=("boss",))
    other.alert.monitor_id = "mon_other"
    world.tell(other)
    receiver.received.wait_for_count(count + 1)
    assert [one.path for one in receiver.received.items[count:]] == ["/boss"]
    del receiver.received.items[count:]


def test_what_nobody_acknowledges_is_told_step_by_step_and_says_so(world: World, receiver: Receiver) -> None:
    escalate(world, (15, "pager"), (30, "boss ops"))
    world.tell(notification("note_1", severity=HIGH))
    told(world, receiver, "/ops alert.firing")
    world.clock.advance(14 * 60)
    world.clock.advance(60)
    told(world, receiver, "/ops alert.firing", "/pager alert.escalated")
    world.clock.advance(15 * 60)
    expected = ["/ops alert.firing", "/pager alert.escalated", "/boss alert.escalated", "/ops alert.escalated"]
    told(world, receiver, *expected)
    first, second = (json.loads(receiver.received.items[place].body)["data"] for place in (1, 2))
    assert first["text"] == "not acknowledged for 15 min, step 1 of 2, told before: ops"
    assert second["text"] == "not acknowledged for 30 min, step 2 of 2, told before: ops, pager"
    assert (first["escalation_policy"], first["severity"], first["state"]) == ("on call", "high", "firing")
    assert first["acknowledge_command"] == "monitors alerts ack alert_1"
    listed = world.stub.ListDeliveries(pb.ListDeliveriesRequest(channel="boss")).deliveries
    (shown,) = [world.stub.GetDelivery(pb.GetDeliveryRequest(delivery_id=one.id)).delivery for one in listed]
    assert (shown.kind, shown.escalation.step, shown.escalation.step_count) == (
        alert_pb2.ALERT_EVENT_KIND_ESCALATED, 2, 2,
    )  # fmt: skip
    assert list(shown.escalation.told_before) == ["ops", "pager"]
    world.clock.advance(24 * 3600)
    pass_by(world, receiver, 1)


def test_n10_acknowledging_stops_the_escalation_of_this_episode_only(world: World, receiver: Receiver) -> None:
    escalate(world, (15, "pager"), (30, "boss"))
    world.tell(notification("note_1"), notification("note_b", alert="alert_b", stream="rule_1/b"))
    world.rules.acknowledged.wait_for_count(2)
    world.tell(notification("note_2", ACKNOWLEDGED, sequence=2))
    world.rules.acknowledged.wait_for_count(3)
    world.clock.advance(15 * 60)
    told(world, receiver, "/ops alert.firing", "/ops alert.firing", "/pager alert.escalated")
    assert json.loads(receiver.received.items[-1].body)["data"]["alert_id"] == "alert_b"
    world.tell(notification("note_3", RESOLVED, sequence=3), notification("note_4", alert="alert_2", sequence=4))
    told(
        world, receiver, *["/ops alert.firing"] * 3, "/pager alert.escalated", "/ops alert.resolved",
    )  # fmt: skip
    world.clock.advance(15 * 60)
    receiver.received.wait_for_count(7)
    last = [(one.path, json.loads(one.body)["data"]["alert_id"]) for one in receiver.received.items[5:]]
    assert sorted(last) == [("/boss", "alert_b"), ("/pager", "alert_2")]


def test_who_was_told_by_escalation_hears_that_it_is_acknowledged_and_that_it_is_over(
    world: World, receiver: Receiver
) -> None:
    escalate(world, (15, "pager"), (30, "boss"))
    world.tell(notification("note_1"))
    told(world, receiver, "/ops alert.firing")
    world.clock.advance(15 * 60)
    told(world, receiver, "/ops alert.firing", "/pager alert.escalated")
    world.tell(notification("note_2", ACKNOWLEDGED, sequence=2))
    expected = ["/ops alert.firing", "/pager alert.escalated", "/pager alert.acknowledged"]
    told(world, receiver, *expected)
    world.clock.advance(24 * 3600)
    world.tell(notification("note_3", RESOLVED, sequence=3))
    told(world, receiver, *expected, "/ops alert.resolved", "/pager alert.resolved")


def test_a_channel_that_does_not_want_ends_hears_of_none_after_an_escalation(world: World, receiver: Receiver) -> None:
    world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=npb.Channel(id="pager", send_resolved=False)))
    escalate(world, (15, "pager"))
    world.tell(notification("note_1"))
    told(world, receiver, "/ops alert.firing")
    world.clock.advance(15 * 60)
    told(world, receiver, "/ops alert.firing", "/pager alert.escalated")
    world.tell(notification("note_3", RESOLVED, sequence=3))
    told(world, receiver, "/ops alert.firing", "/pager alert.escalated", "/ops alert.resolved")
    pass_by(world, receiver, 1)


def test_the_first_policy_in_order_whose_matchers_hold_applies(world: World, receiver: Receiver) -> None:
    escalate(world, (5, "boss"), name="all")
    escalate(world, (5, "pager"), name="bad", position=1, matchers=(CRITICAL_ONLY,))
    listed = world.stub.ListEscalationPolicies(pb.ListEscalationPoliciesRequest()).escalation_policies
    assert [one.name for one in listed] == ["bad", "all"]
    calm = notification("note_2", alert="alert_2", stream="b", severity=LOW)
    # A critical alert would inhibit it on the same monitor.
    calm.alert.monitor_id = "mon_other"
    world.tell(notification("note_1", severity=CRITICAL), calm)
    told(world, receiver, *["/ops alert.firing"] * 2)
    world.clock.advance(5 * 60)
    told(world, receiver, *["/ops alert.firing"] * 2, "/pager alert.escalated", "/boss alert.escalated")
    by_path = {one.path: json.loads(one.body)["data"]["alert_id"] for one in receiver.received.items[2:]}
    assert by_path == {"/pager": "alert_1", "/boss": "alert_2"}


def test_what_gets_worse_begins_anew_by_the_policy_that_is_for_it_then(world: World, receiver: Receiver) -> None:
    escalate(world, (60, "boss"), name="all")
    escalate(world, (15, "pager"), name="bad", position=1, matchers=(CRITICAL_ONLY,))
    world.tell(notification("note_1", severity=LOW))
    told(world, receiver, "/ops alert.firing")
    world.clock.advance(59 * 60)
    worse = notification("note_2", SEVERITY_CHANGED, sequence=2, severity=CRITICAL)
    worse.former_severity = LOW
    world.tell(worse)
    told(world, receiver, "/ops alert.firing", "/ops alert.severity_changed")
    world.clock.advance(14 * 60)
    pass_by(world, receiver, 1)
    world.clock.advance(60)
    told(world, receiver, "/ops alert.firing", "/ops alert.severity_changed", "/pager alert.escalated")
    assert json.loads(receiver.received.items[2].body)["data"]["severity"] == "critical"


def test_a_step_that_is_due_during_a_silence_waits_says_why_and_is_told_at_its_end(
    world: World, receiver: Receiver
) -> None:
    escalate(world, (15, "pager"), (30, "boss"))
    world.tell(notification("note_1"))
    told(world, receiver, "/ops alert.firing")
    made = silence(world, 3600)
    world.clock.advance(15 * 60)
    world.rules.reports.wait(lambda reports: reports[-1].delivery.channel == "pager")
    waiting = {("note_1", "ops"): "DELIVERED", ("note_1_e1", "pager"): "SUPPRESSED"}
    assert deliveries(world) == waiting
    (shown,) = world.stub.ListDeliveries(pb.ListDeliveriesRequest(channel="pager")).deliveries
    assert shown.detail == f"step 1 of 2 waits: silenced by {made.id}: deploying"
    world.clock.advance(30 * 60)
    assert deliveries(world) == waiting
    world.clock.advance(15 * 60 + 1)
    told(world, receiver, "/ops alert.firing", "/pager alert.escalated", "/boss alert.escalated")
    assert deliveries(world) == {**waiting, ("note_1_e2", "pager"): "DELIVERED", ("note_1_e2", "boss"): "DELIVERED"}
    assert json.loads(receiver.received.items[1].body)["data"]["text"] == (
        "not acknowledged for 1 h, step 2 of 2, told before: ops"
    )


@pytest.mark.parametrize("how", ["ended", "acknowledged", "over"])
def test_a_step_that_waits_is_told_as_soon_as_the_silence_ends_unless_somebody_took_care(
    world: World, receiver: Receiver, how: str
) -> None:
    escalate(world, (15, "pager"))
    world.tell(notification("note_1"))
    told(world, receiver, "/ops alert.firing")
    made = silence(world, 3600)
    world.clock.advance(15 * 60)
    world.rules.reports.wait(lambda reports: reports[-1].delivery.channel == "pager")
    if how != "ended":
        world.tell(notification("note_2", ACKNOWLEDGED if how == "acknowledged" else RESOLVED, sequence=2))
        world.rules.acknowledged.wait_for_count(2)
    world.stub.DeleteSilence(pb.DeleteSilenceRequest(silence_id=made.id))
    if how == "ended":
        told(world, receiver, "/ops alert.firing", "/pager alert.escalated")
    else:
        pass_by(world, receiver, 1)
        # A step that waited was for nobody yet, so nobody is told what became of it.
        assert [key for key in deliveries(world) if key[1] == "pager"] == [("note_1_e1", "pager")]


def test_a_step_that_is_due_while_a_worse_alert_inhibits_waits_for_the_end_of_that(
    world: World, receiver: Receiver
) -> None:
    high = npb.Matcher(name="severity", operator=EQUAL, value="high")
    escalate(world, (15, "pager"), matchers=(high,))
    world.tell(notification("note_1", severity=HIGH))
    told(world, receiver, "/ops alert.firing")
    world.tell(notification("note_c", alert="alert_c", stream="rule_2/c", severity=CRITICAL))
    told(world, receiver, *["/ops alert.firing"] * 2)
    world.clock.advance(15 * 60)
    world.rules.reports.wait(lambda reports: reports[-1].delivery.channel == "pager")
    (shown,) = world.stub.ListDeliveries(pb.ListDeliveriesRequest(channel="pager")).deliveries
    assert shown.detail == "step 1 of 1 waits: inhibited by alert_c: a critical alert of the same monitor"
    world.tell(notification("note_d", RESOLVED, alert="alert_c", stream="rule_2/c", sequence=2))
    told(world, receiver, *["/ops alert.firing"] * 2, "/ops alert.resolved")
    world.clock.advance(11)
    told(world, receiver, *["/ops alert.firing"] * 2, "/ops alert.resolved", "/pager alert.escalated")


def test_an_escalation_never_waits_for_others_of_its_group(world: World, receiver: Receiver) -> None:
    grouping = npb.Grouping(by=npb.GROUP_BY_RULE, wait=Duration(seconds=600), interval=Duration(seconds=600))
    world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=npb.Channel(id="pager", grouping=grouping)))
    escalate(world, (5, "pager"))
    world.tell(notification("note_1"))
    told(world, receiver, "/ops alert.firing")
    world.clock.advance(60)
    world.tell(notification("note_2", alert="alert_2", stream="rule_1/b", sequence=2))
    told(world, receiver, *["/ops alert.firing"] * 2)
    world.clock.advance(4 * 60)
    told(world, receiver, *["/ops alert.firing"] * 2, "/pager alert.escalated")
    world.clock.advance(60)
    told(world, receiver, *["/ops alert.firing"] * 2, *["/pager alert.escalated"] * 2)


def test_a_step_that_is_due_while_its_rule_is_snoozed_waits_for_the_end_of_that(
    world: World, receiver: Receiver
) -> None:
    escalate(world, (15, "pager"))
    world.tell(notification("note_1"))
    told(world, receiver, "/ops alert.firing")
    world.tell(notification("note_2", REPEAT_CHANGED, sequence=2, repeat_after=world.clock.now() + HOUR))
    world.rules.acknowledged.wait_for_count(2)
    world.clock.advance(15 * 60)
    world.rules.reports.wait(lambda reports: reports[-1].delivery.channel == "pager")
    (shown,) = world.stub.ListDeliveries(pb.ListDeliveriesRequest(channel="pager")).deliveries
    assert shown.detail == "step 1 of 1 waits: its rule is snoozed"
    world.clock.advance(44 * 60)
    pass_by(world, receiver, 1)
    world.clock.advance(61)
    told(world, receiver, "/ops alert.firing", "/pager alert.escalated")


def test_after_an_outage_all_steps_that_are_late_are_taken_as_one(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    clock, folder = MovableClock(), tmp_path / "late"
    folder.mkdir()
    with running(loop_thread, folder, clock=clock) as world:
        for name in ("ops", "pager", "boss"):
            make_webhook(world, receiver, name, default=name == "ops", path=name)
        escalate(world, (15, "pager"), (30, "boss pager"), (120, "ops"))
        world.tell(notification("note_1"))
        told(world, receiver, "/ops alert.firing")
    clock.advance(3600)
    with running(loop_thread, folder, clock=clock) as world:
        # The order of the two is no matter.
        assert sorted(received(receiver, 3)[1:]) == ["/boss alert.escalated", "/pager alert.escalated"]
        texts = {json.loads(one.body)["data"]["text"] for one in receiver.received.items[1:]}
        assert texts == {"not acknowledged for 1 h, step 2 of 3, told before: ops"}
        clock.advance(3601)
        receiver.received.wait_for_count(4)


def test_what_was_not_told_yet_when_somebody_took_care_is_not_told_any_more_nor_is_its_end(
    world: World, receiver: Receiver
) -> None:
    escalate(world, (15, "pager"))
    world.tell(notification("note_1"))
    told(world, receiver, "/ops alert.firing")
    receiver.script = [Reply(500)]
    world.clock.advance(15 * 60)
    wait_for_attempts(world, "note_1_e1", 1)
    world.tell(notification("note_2", ACKNOWLEDGED, sequence=2), notification("note_3", RESOLVED, sequence=3))
    world.wait_for_states(
        ("note_1", "DELIVERED"), ("note_1_e1", "SUPERSEDED"), ("note_2", "SUPERSEDED"), ("note_3", "DELIVERED"),
        ("note_3", "SUPERSEDED"),
    )  # fmt: skip
    assert IS_OVER in {report.delivery.detail for report in world.rules.reports.items}
    assert received(receiver, 3) == ["/ops alert.firing", "/pager alert.escalated", "/ops alert.resolved"]


def test_who_may_have_been_told_is_told_the_end(world: World, receiver: Receiver) -> None:
    escalate(world, (15, "pager"))
    world.tell(notification("note_1"))
    told(world, receiver, "/ops alert.firing")
    receiver.script = [Reply(drop=True)]
    world.clock.advance(15 * 60)
    wait_for_attempts(world, "note_1_e1", 1)
    world.tell(notification("note_3", RESOLVED, sequence=3))
    world.wait_for_states(
        ("note_1", "DELIVERED"), ("note_1_e1", "SUPERSEDED"), ("note_3", "DELIVERED"), ("note_3", "DELIVERED")
    )


def test_an_attempt_that_fails_after_somebody_took_care_is_the_last(world: World, receiver: Receiver) -> None:
    escalate(world, (15, "pager"))
    world.tell(notification("note_1"))
    told(world, receiver, "/ops alert.firing")
    receiver.script = [Reply(500, hold=True)]
    world.clock.advance(15 * 60)
    receiver.received.wait_for_count(2)
    world.tell(notification("note_2", ACKNOWLEDGED, sequence=2))
    world.rules.acknowledged.wait_for_count(2)

    async def release() -> None:
        receiver.released.set()

    world.loop.run(release())
    world.wait_for_states(("note_1", "DELIVERED"), ("note_1_e1", "SUPERSEDED"), ("note_2", "SUPERSEDED"))


def test_an_alert_that_nobody_could_be_told_of_is_escalated_all_the_same(world: World, receiver: Receiver) -> None:
    escalate(world, (15, "pager"))
    world.tell(notification("note_1", channels=("nowhere",)))
    world.wait_for_states(("note_1", "SUPPRESSED"))
    world.clock.advance(15 * 60)
    told(world, receiver, "/pager alert.escalated")
    text = json.loads(receiver.received.items[0].body)["data"]["text"]
    assert text == "not acknowledged for 15 min, step 1 of 1, told before: nobody"


def test_a_changed_policy_is_followed_by_the_alerts_that_have_it_and_a_deleted_one_no_further(
    world: World, receiver: Receiver
) -> None:
    made = escalate(world, (60, "pager"))
    world.tell(notification("note_1"))
    told(world, receiver, "/ops alert.firing")
    world.clock.advance(20 * 60)
    changed = npb.EscalationPolicy(id=made.id, steps=[step(15, "pager"), step(30, "boss")], etag=made.etag)
    answer = world.stub.UpdateEscalationPolicy(pb.UpdateEscalationPolicyRequest(escalation_policy=changed))
    assert answer.escalation_policy.etag != made.etag
    told(world, receiver, "/ops alert.firing", "/pager alert.escalated")
    world.stub.DeleteEscalationPolicy(pb.DeleteEscalationPolicyRequest(escalation_policy_id=made.id))
    world.clock.advance(3600)
    pass_by(world, receiver, 1)
    # Who was told of it hears the end nevertheless.
    world.tell(notification("note_3", RESOLVED, sequence=3))
    expected = ["/ops alert.firing", "/pager alert.escalated", "/ops alert.resolved", "/pager alert.resolved"]
    told(world, receiver, *expected)


def test_a_channel_that_a_policy_tells_is_not_deleted(world: World, receiver: Receiver) -> None:
    made = escalate(world, (15, "pager"))
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="pager"))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "the escalation policy 'on call' would tell the channel 'pager'" in str(refused.value.details())
    assert "pager" in world.rules.mirrored.items[-1][1]
    world.stub.DeleteEscalationPolicy(pb.DeleteEscalationPolicyRequest(escalation_policy_id=made.id))
    world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="pager"))


def test_a_channel_that_is_turned_off_is_shown_as_not_told(world: World, receiver: Receiver) -> None:
    escalate(world, (15, "pager"))
    receiver.script = [Reply(410), Reply(410)]
    world.tell(notification("note_0", alert="alert_0", stream="s", channels=("pager",)))
    wait_for_attempts(world, "note_0", 1)
    world.clock.advance(7)
    world.wait_for_states(("note_0", "DEAD"), *[("note_0", "DEAD")] * 0)
    count = len(receiver.received.items)
    world.tell(notification("note_1"))
    world.rules.reports.wait(lambda reports: any(one.delivery.notification_id == "note_1" for one in reports))
    world.clock.advance(15 * 60)
    world.rules.reports.wait(lambda reports: any(one.delivery.notification_id == "note_1_e1" for one in reports))
    assert deliveries(world)["note_1_e1", "pager"] == "SUPPRESSED"
    assert all(one.path != "/pager" for one in receiver.received.items[count:])


def test_policies_and_escalations_are_their_tenants_alone(world: World, receiver: Receiver) -> None:
    globex = world.stub_of("globex")
    hook = npb.Channel(name="pager", webhook=npb.WebhookChannel(url=f"{receiver.url}/globex"), is_default=True)
    globex.CreateChannel(pb.CreateChannelRequest(channel=hook))
    made = escalate(world, (15, "pager"))
    # The alert of another tenant has the same id, and no policy.
    world.tell(notification("note_1"), notification("note_g", tenant="globex"))
    told(world, receiver, "/ops alert.firing", "/globex alert.firing")
    world.clock.advance(15 * 60)
    told(world, receiver, "/ops alert.firing", "/globex alert.firing", "/pager alert.escalated")
    world.tell(notification("note_h", RESOLVED, sequence=2, tenant="globex"))
    expected = ["/ops alert.firing", "/globex alert.firing", "/pager alert.escalated", "/globex alert.resolved"]
    told(world, receiver, *expected)
    assert not globex.ListEscalationPolicies(pb.ListEscalationPoliciesRequest()).escalation_policies
    calls: list[tuple[Any, Any]] = [
        (globex.DeleteEscalationPolicy, pb.DeleteEscalationPolicyRequest(escalation_policy_id=made.id)),
        (
            globex.UpdateEscalationPolicy,
            pb.UpdateEscalationPolicyRequest(escalation_policy=npb.EscalationPolicy(id=made.id, name="mine")),
        ),
    ]
    for call, request in calls:
        with pytest.raises(grpc.RpcError) as refused:
            call(request)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as refused:
        escalate(world, (15, "boss"), tenant="globex")
    assert "there is no channel 'boss'" in str(refused.value.details())


WRONG: dict[str, tuple[npb.EscalationPolicy, str]] = {
    "no name": (npb.EscalationPolicy(steps=[step(15, "pager")]), "escalation_policy.name: send a name of 1 to 64"),
    "no step": (npb.EscalationPolicy(name="a"), "escalation_policy.steps: there are 0; send 1 to 5"),
    "six steps": (
        npb.EscalationPolicy(name="a", steps=[step(n, "pager") for n in range(1, 7)]),
        "escalation_policy.steps: there are 6; send 1 to 5",
    ),
    "too soon": (
        npb.EscalationPolicy(name="a", steps=[step(0, "pager")]),
        "escalation_policy.steps[0].after: 0s is out of bounds; send 1m to 7d",
    ),
    "not later": (
        npb.EscalationPolicy(name="a", steps=[step(15, "pager"), step(15, "boss")]),
        "escalation_policy.steps[1].after: 15m isn't later than the step before it",
    ),
    "nobody": (
        npb.EscalationPolicy(name="a", steps=[step(15, "")]),
        "escalation_policy.steps[0].channels: there are 0; send 1 to 10 names",
    ),
    "a channel that there isn't": (
        npb.EscalationPolicy(name="a", steps=[step(15, "pager nowhere")]),
        "escalation_policy.steps[0].channels: there is no channel 'nowhere'; make it first",
    ),
    "a matcher": (
        npb.EscalationPolicy(
            name="a", matchers=[npb.Matcher(name="severity", operator=EQUAL, value="bad")], steps=[step(15, "pager")]
        ),
        "escalation_policy.matchers[0].value: 'bad' is no severity",
    ),
    "a position": (
        npb.EscalationPolicy(name="a", position=-1, steps=[step(15, "pager")]),
        "escalation_policy.position: -1 is negative; send 1 for the first, 0 for the last",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_policy_that_cannot_be_is_refused_with_the_fix(world: World, name: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.CreateEscalationPolicy(pb.CreateEscalationPolicyRequest(escalation_policy=WRONG[name][0]))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert WRONG[name][1] in str(refused.value.details())


def test_a_policy_is_made_once_and_a_change_of_another_isnt_overwritten(world: World) -> None:
    policy = npb.EscalationPolicy(name="a", steps=[step(15, "pager")])
    request = pb.CreateEscalationPolicyRequest(escalation_policy=policy, request_id="1")
    first, again = (world.stub.CreateEscalationPolicy(request).escalation_policy for _ in range(2))
    assert first == again
    for change, expected in (
        (npb.EscalationPolicy(id=first.id, name="b", etag="another"), grpc.StatusCode.ABORTED),
        (npb.EscalationPolicy(id="esc_1", name="b"), grpc.StatusCode.NOT_FOUND),
        (npb.EscalationPolicy(id=first.id, steps=[step(15, "nowhere")]), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            world.stub.UpdateEscalationPolicy(pb.UpdateEscalationPolicyRequest(escalation_policy=change))
        assert refused.value.code() is expected
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.CreateEscalationPolicy(pb.CreateEscalationPolicyRequest(escalation_policy=policy))
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


def test_policies_are_listed_page_by_page_in_their_order(world: World) -> None:
    for name, position in (("c", 0), ("a", 0), ("b", 1)):
        escalate(world, (15, "pager"), name=name, position=position)
    first = world.stub.ListEscalationPolicies(pb.ListEscalationPoliciesRequest(page_size=2))
    request = pb.ListEscalationPoliciesRequest(page_size=2, page_token=first.next_page_token)
    rest = world.stub.ListEscalationPolicies(request)
    assert [one.name for one in (*first.escalation_policies, *rest.escalation_policies)] == ["b", "c", "a"]
    assert not rest.next_page_token
    moved = npb.EscalationPolicy(id="a", position=1)
    world.stub.UpdateEscalationPolicy(pb.UpdateEscalationPolicyRequest(escalation_policy=moved))
    listed = world.stub.ListEscalationPolicies(pb.ListEscalationPoliciesRequest()).escalation_policies
    assert [one.name for one in listed] == ["a", "b", "c"]
    assert listed[0].steps[0].after.ToNanoseconds() == 15 * MINUTE
