"""The notifier's audit: every change leaves one event, in its own transaction, with secrets as fingerprints only."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from monitors.mesh.times import HOUR, to_timestamp
from monitors.v1 import audit_pb2, notification_pb2
from monitors.v1 import notifier_service_pb2 as pb
from tests.auditing import Case, changing, states
from tests.browser import fetch
from tests.notifier.test_channel_page import link
from tests.notifier.world import Receiver, Reply, World, notification

SERVICE = pb.DESCRIPTOR.services_by_name["NotifierService"]
URL = "http://127.0.0.1:1/hook?token=canary"


def webhook(name: str = "ops", url: str = URL) -> notification_pb2.Channel:
    return notification_pb2.Channel(name=name, webhook=notification_pb2.WebhookChannel(url=url))


def made(world: World, url: str = URL) -> notification_pb2.Channel:
    return world.stub.CreateChannel(pb.CreateChannelRequest(channel=webhook(url=url))).channel


def creating(world: World) -> Case:
    request = pb.CreateChannelRequest(channel=webhook(), request_id="1")
    return Case(request, "channel", lambda answer: answer.channel.id)


def updating(world: World) -> Case:
    channel = notification_pb2.Channel(id=made(world).id, is_default=True)
    return Case(pb.UpdateChannelRequest(channel=channel, request_id="1"), "channel", lambda answer: answer.channel.id)


def deleting(world: World) -> Case:
    channel_id = made(world).id
    return Case(pb.DeleteChannelRequest(channel_id=channel_id, request_id="1"), "channel", lambda _: channel_id)


def trying(world: World) -> Case:
    channel_id = made(world).id
    return Case(pb.TestChannelRequest(channel_id=channel_id), "channel", lambda _: channel_id)


def retrying(world: World) -> Case:
    made(world)
    world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="ops"))
    world.tell(notification("n1", channels=("ops",)))
    world.wait_for_states(("n1", "SUPPRESSED"))
    made(world)
    (delivery,) = world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries
    return Case(pb.RetryDeliveryRequest(delivery_id=delivery.id, request_id="1"), "delivery", lambda _: delivery.id)


def retrying_all(world: World) -> Case:
    delivery_id = retrying(world).request.delivery_id
    request = pb.RetryDeliveriesRequest(since_time=Timestamp(seconds=1), request_id="1")
    return Case(request, "delivery", lambda _: delivery_id)


def silencing(world: World) -> Case:
    matcher = notification_pb2.Matcher(name="team", operator=notification_pb2.MATCH_OPERATOR_EQUAL, value="web")
    end = to_timestamp(world.clock.now() + HOUR)
    sent = notification_pb2.Silence(matchers=[matcher], end_time=end, comment="why")
    request = pb.CreateSilenceRequest(silence=sent, request_id="1")
    return Case(request, "silence", lambda answer: answer.silence.id)


def changing_silence(world: World) -> Case:
    made = world.stub.CreateSilence(silencing(world).request).silence
    changed = notification_pb2.Silence(id=made.id, comment="another")
    return Case(pb.UpdateSilenceRequest(silence=changed, request_id="2"), "silence", lambda _: made.id)


def ending_silence(world: World) -> Case:
    made = world.stub.CreateSilence(silencing(world).request).silence
    return Case(pb.DeleteSilenceRequest(silence_id=made.id, request_id="2"), "silence", lambda _: made.id)


def timing(world: World) -> Case:
    sent = notification_pb2.MuteTiming(name="night", windows=[notification_pb2.TimeWindow(times=["00:00-06:00"])])
    request = pb.CreateMuteTimingRequest(mute_timing=sent, request_id="1")
    return Case(request, "mute_timing", lambda answer: answer.mute_timing.id)


def changing_timing(world: World) -> Case:
    made = world.stub.CreateMuteTiming(timing(world).request).mute_timing
    changed = notification_pb2.MuteTiming(id=made.id, name="another")
    return Case(pb.UpdateMuteTimingRequest(mute_timing=changed, request_id="2"), "mute_timing", lambda _: made.id)


def deleting_timing(world: World) -> Case:
    made = world.stub.CreateMuteTiming(timing(world).request).mute_timing
    request = pb.DeleteMuteTimingRequest(mute_timing_id=made.id, request_id="2")
    return Case(request, "mute_timing", lambda _: made.id)


def routing(world: World) -> Case:
    made(world)
    request = pb.CreateRouteRequest(route=notification_pb2.Route(name="all", channels=["ops"]), request_id="1")
    return Case(request, "route", lambda answer: answer.route.id)


def changing_route(world: World) -> Case:
    present = world.stub.CreateRoute(routing(world).request).route
    changed = notification_pb2.Route(id=present.id, name="another")
    return Case(pb.UpdateRouteRequest(route=changed, request_id="2"), "route", lambda _: present.id)


def deleting_route(world: World) -> Case:
    present = world.stub.CreateRoute(routing(world).request).route
    return Case(pb.DeleteRouteRequest(route_id=present.id, request_id="2"), "route", lambda _: present.id)


def escalating(world: World) -> Case:
    made(world)
    step = notification_pb2.EscalationStep(after=Duration(seconds=900), channels=["ops"])
    policy = notification_pb2.EscalationPolicy(name="night", steps=[step])
    request = pb.CreateEscalationPolicyRequest(escalation_policy=policy, request_id="1")
    return Case(request, "escalation_policy", lambda answer: answer.escalation_policy.id)


def changing_escalation(world: World) -> Case:
    made = world.stub.CreateEscalationPolicy(escalating(world).request).escalation_policy
    changed = notification_pb2.EscalationPolicy(id=made.id, name="another")
    request = pb.UpdateEscalationPolicyRequest(escalation_policy=changed, request_id="2")
    return Case(request, "escalation_policy", lambda _: made.id)


def deleting_escalation(world: World) -> Case:
    made = world.stub.CreateEscalationPolicy(escalating(world).request).escalation_policy
    request = pb.DeleteEscalationPolicyRequest(escalation_policy_id=made.id, request_id="2")
    return Case(request, "escalation_policy", lambda _: made.id)


def inhibiting(world: World) -> Case:
    matcher = notification_pb2.Matcher(name="team", operator=notification_pb2.MATCH_OPERATOR_EQUAL, value="web")
    sent = notification_pb2.Inhibition(name="web", source_matchers=[matcher], target_matchers=[matcher])
    request = pb.CreateInhibitionRequest(inhibition=sent, request_id="1")
    return Case(request, "inhibition", lambda answer: answer.inhibition.id)


def turning_off(world: World) -> Case:
    changed = notification_pb2.Inhibition(id="critical", enabled=False)
    request = pb.UpdateInhibitionRequest(inhibition=changed, request_id="2")
    return Case(request, "inhibition", lambda answer: answer.inhibition.id)


def deleting_inhibition(world: World) -> Case:
    present = world.stub.CreateInhibition(inhibiting(world).request).inhibition
    request = pb.DeleteInhibitionRequest(inhibition_id=present.id, request_id="2")
    return Case(request, "inhibition", lambda _: present.id)


CASES: dict[str, Callable[[World], Case]] = {
    "CreateChannel": creating,
    "UpdateChannel": updating,
    "DeleteChannel": deleting,
    "TestChannel": trying,
    "RetryDelivery": retrying,
    "RetryDeliveries": retrying_all,
    "CreateSilence": silencing,
    "UpdateSilence": changing_silence,
    "DeleteSilence": ending_silence,
    "CreateMuteTiming": timing,
    "UpdateMuteTiming": changing_timing,
    "DeleteMuteTiming": deleting_timing,
    "CreateRoute": routing,
    "UpdateRoute": changing_route,
    "DeleteRoute": deleting_route,
    "CreateEscalationPolicy": escalating,
    "UpdateEscalationPolicy": changing_escalation,
    "DeleteEscalationPolicy": deleting_escalation,
    "CreateInhibition": inhibiting,
    "UpdateInhibition": turning_off,
    "DeleteInhibition": deleting_inhibition,
}


WITH_MAIL = {"VerifyChannel", "SendVerification"}
"""What takes a mail server, and is tried where there is one: in test_verification."""


def events(world: World, **query: Any) -> list[audit_pb2.AuditEvent]:
    """The tenant's events, newest first, page by page."""
    found: list[audit_pb2.AuditEvent] = []
    request = pb.ListNotifierAuditEventsRequest(page_size=2, query=audit_pb2.AuditQuery(**query))
    while True:
        response = world.stub_of("acme-admin").ListNotifierAuditEvents(request)
        found += response.events
        if not response.next_page_token:
            return found
        request.page_token = response.next_page_token


def test_every_call_that_changes_something_is_tried() -> None:
    assert set(changing(SERVICE)) == CASES.keys() | WITH_MAIL


@pytest.mark.parametrize("method", CASES)
def test_a_change_leaves_one_event_and_its_repeat_none(world: World, method: str) -> None:
    case = CASES[method](world)
    before = events(world)
    call = getattr(world.stub, method)
    answer = call(case.request)
    (event, *rest) = [one for one in events(world) if one.method != "DisableChannel"]
    assert rest == before
    assert (event.method, event.kind, event.resource_id) == (method, case.kind, case.id_of(answer))
    assert event in events(world, kind=case.kind)
    assert (event.user, event.source.client) == ("ann", "grpc-python")
    assert "canary" not in str(event)
    if "request_id" in case.request.DESCRIPTOR.fields_by_name:
        assert call(case.request) == answer
        assert [one for one in events(world) if one.method != "DisableChannel"] == [event, *before]


@pytest.mark.parametrize(
    "request_",
    [
        pb.CreateChannelRequest(channel=webhook("no name")),
        pb.CreateChannelRequest(channel=webhook(url="canary")),
        pb.UpdateChannelRequest(channel=notification_pb2.Channel(id="chan_none")),
        pb.DeleteChannelRequest(channel_id="chan_none"),
        pb.TestChannelRequest(channel_id="chan_none"),
        pb.RetryDeliveryRequest(delivery_id="dlv_none"),
    ],
    ids=lambda request: type(request).__name__,
)
def test_what_is_refused_leaves_none(shared_world: World, request_: Any) -> None:
    before = events(shared_world)
    with pytest.raises(grpc.RpcError):
        getattr(shared_world.stub, type(request_).__name__.removesuffix("Request"))(request_)
    assert events(shared_world) == before


def test_what_rule_service_cannot_be_told_leaves_none(world: World) -> None:
    before = events(world)
    world.rules.away = True
    with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
        made(world)
    assert events(world) == before


def test_secrets_are_fingerprints_that_tell_one_from_another(world: World) -> None:
    channel = made(world)
    secret = notification_pb2.WebhookChannel(secret="whsec_" + "Y2FuYXJ5" * 4)
    request = pb.UpdateChannelRequest(channel=notification_pb2.Channel(id=channel.id, webhook=secret))
    request.update_mask.paths.append("webhook.secret")
    world.stub.UpdateChannel(request)
    old, new = states(events(world)[0])
    prints = [state["webhook"]["secretFingerprint"] for state in (old, new)]
    assert prints[0] != prints[1]
    assert [len(each) for each in prints] == [8, 8]
    text = str(events(world))
    assert "canary" not in text
    assert "Y2FuYXJ5" not in text


def test_a_channel_that_is_added_on_the_page_is_its_users(world: World) -> None:
    assert fetch(link(world)).submit({"kind": "console"}).status == 201
    (event,) = events(world)
    assert (event.user, event.source.client, event.kind) == ("ann", "channel page", "channel")


def test_what_the_notifier_does_by_itself_stands_there_too(world: World, receiver: Receiver) -> None:
    channel = made(world, receiver.url)
    receiver.script = [Reply(410), Reply(410)]
    world.tell(notification("n1", channels=("ops",)))
    world.wait_for_states(("n1", "PENDING"))
    world.clock.advance(6.1)
    world.wait_for_states(("n1", "DEAD"))
    event = events(world)[0]
    assert (event.method, event.user, event.resource_id) == ("DisableChannel", "mesh", channel.id)
    old, new = states(event)
    assert (old, bool(new["disabledReason"])) == ({"disabledReason": ""}, True)
    world.loop.run(world.notifier.ensure_console("globex"))
    (event,) = events_of_globex(world)
    assert (event.method, event.user, event.source.client) == ("CreateChannel", "mesh", "monitors")


def events_of_globex(world: World) -> list[audit_pb2.AuditEvent]:
    response = world.stub_of("globex-admin").ListNotifierAuditEvents(pb.ListNotifierAuditEventsRequest())
    return list(response.events)


def test_the_audit_is_for_administrators_of_the_tenant(world: World) -> None:
    made(world)
    with pytest.raises(grpc.RpcError, match="admin"):
        world.stub.ListNotifierAuditEvents(pb.ListNotifierAuditEventsRequest())
    assert events_of_globex(world) == []
