"""Every method of the contract, and every field in it that takes text: what is another tenant's is like what never was.

The cases come from the descriptors. A method or a field that nobody has thought about fails here.
"""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from monitors.v1 import evaluator_service_pb2 as evaluator
from monitors.v1 import rule_service_pb2 as rules
from tests.tenancy.requests import (
    FOR_SERVICES,
    FOR_USERS,
    Place,
    own_requests,
    places,
    request_kind,
    values_at,
    values_of,
    with_value,
)
from tests.tenancy.strangers import Stranger, like
from tests.tenancy.world import METHODS, Tenant, World

# How a right request ends, where that isn't well: it mustn't change what the next one finds.
ENDS = {
    "DeleteRule": "ABORTED", "DeleteChannel": "ABORTED", "ResolveAlert": "FAILED_PRECONDITION",
    "CreateChannel": "ALREADY_EXISTS", "RetryDelivery": "FAILED_PRECONDITION",
    "VerifyChannel": "INVALID_ARGUMENT", "SendVerification": "INVALID_ARGUMENT",
    "DeleteSilence": "ABORTED", "DeleteMuteTiming": "ABORTED", "CreateMuteTiming": "ALREADY_EXISTS",
    "DeleteRoute": "ABORTED", "CreateRoute": "ALREADY_EXISTS",
    "DeleteEscalationPolicy": "ABORTED", "CreateEscalationPolicy": "ALREADY_EXISTS",
    "DeleteInhibition": "ABORTED", "CreateInhibition": "ALREADY_EXISTS",
}  # fmt: skip
# Fields that name one thing, which must be there.
NAMES_ONE = {
    ("GetRule", "rule_id"), ("UpdateRule", "rule.id"), ("DeleteRule", "rule_id"), ("PreviewRule", "rule.id"),
    ("GetAlert", "alert_id"), ("AcknowledgeAlerts", "alert_ids"), ("ResolveAlert", "alert_id"),
    ("ImportAlerts", "alerts.rule_id"),
    ("ExplainRule", "rule_id"), ("ExplainRule", "alert_id"), ("RevokeKey", "key_id"), ("GetChannel", "channel_id"),
    ("UpdateChannel", "channel.id"), ("DeleteChannel", "channel_id"), ("TestChannel", "channel_id"),
    ("RetryDelivery", "delivery_id"), ("GetDelivery", "delivery_id"), ("UpdateSilence", "silence.id"),
    ("DeleteSilence", "silence_id"), ("UpdateMuteTiming", "mute_timing.id"), ("DeleteMuteTiming", "mute_timing_id"),
    ("UpdateInhibition", "inhibition.id"), ("DeleteInhibition", "inhibition_id"),
    ("UpdateRoute", "route.id"), ("DeleteRoute", "route_id"), ("ListDeliveries", "told_with"),
    ("UpdateEscalationPolicy", "escalation_policy.id"), ("DeleteEscalationPolicy", "escalation_policy_id"),
}  # fmt: skip


# What makes things of one's own under names that another has comes last: they are there from then on.
MAKING = (
    "CreateRule",
    "UpdateRule",
    "BatchCreateRules",
    "RegisterMonitor",
    "CreateChannel",
    "CreateSilence",
    "UpdateSilence",
    "CreateMuteTiming",
    "UpdateMuteTiming",
    "CreateRoute",
    "UpdateRoute",
    "CreateEscalationPolicy",
    "UpdateEscalationPolicy",
    "CreateInhibition",
    "UpdateInhibition",
    "WriteSamples",
    "ImportAlerts",
)
IN_ORDER = [*(name for name in FOR_USERS if name not in MAKING), *MAKING]


@pytest.fixture(scope="module", autouse=True)
def prepared(world: World) -> None:
    """Makes the requests of `ENDS` end as they do."""
    requests = own_requests(world.a)
    kinds = ("Channel", "MuteTiming", "Route", "EscalationPolicy", "Inhibition")
    for name in ("ResolveAlert", *(f"Create{kind}" for kind in kinds)):
        assert world.a.call(name, requests[name]).code == "OK"


def test_every_method_has_a_request(world: World) -> None:
    assert own_requests(world.a).keys() == FOR_USERS.keys()


def test_a_watch_tells_of_ones_own_alone(world: World) -> None:
    # Before the tests in which a tenant sends another's words itself: its own alerts have them from then on.
    for tenant, other in ((world.a, world.b), (world.b, world.a)):
        outcome = tenant.call("WatchAlerts", rules.WatchAlertsRequest(include_firing=True), most=2)
        assert outcome.responses
        assert other.canary not in str(outcome.responses)


@pytest.mark.parametrize("name", FOR_USERS)
def test_a_request_of_ones_own_is_right(world: World, name: str) -> None:
    outcome = world.a.call(name, own_requests(world.a)[name], most=3)
    assert outcome.code == ENDS.get(name, "OK"), outcome.details


@pytest.mark.parametrize("name", IN_ORDER)
def test_what_is_another_tenants_is_like_what_never_was(world: World, stranger: Stranger, name: str) -> None:
    request, values = own_requests(world.a)[name], values_of(world.b)
    for place in places(FOR_USERS[name].input_type):
        for value in values_at(place, values):
            if place.path[-1] == "page_token":
                tokens_of_others_are_none(world, stranger, name, request)
                continue
            never = stranger.instead_of(place, value)
            theirs = world.a.call(name, with_value(request, place, value), most=3)
            nobodys = world.a.call(name, with_value(request, place, never), most=3)
            assert stranger.seen(theirs, value) == stranger.seen(nobodys), (name, place, value)
            if (name, ".".join(place.path)) in NAMES_ONE:
                assert theirs.code == "NOT_FOUND", (place, value, theirs)


def tokens_of_others_are_none(world: World, stranger: Stranger, name: str, request: Message) -> None:
    outcome = world.b.call(name, request)
    token = outcome.responses[0].next_page_token  # type: ignore[attr-defined]
    assert token, f"{name} has no second page"
    place = Place(("page_token",), f"{name}Request.page_token", is_map=False, is_repeated=False)
    assert world.b.call(name, with_value(request, place, token)).code == "OK"
    theirs, broken = (world.a.call(name, with_value(request, place, each)) for each in (token, "AAAA"))
    assert theirs.code == "INVALID_ARGUMENT"
    assert stranger.seen(theirs) == stranger.seen(broken)


@pytest.fixture(scope="module")
def stranger(world: World) -> Stranger:
    return Stranger(world.b)


@pytest.mark.parametrize("name", sorted(FOR_SERVICES))
def test_what_is_for_services_is_refused_to_users(world: World, name: str) -> None:
    outcome = world.a.call(name, request_kind(METHODS[name])())
    assert outcome.code == "PERMISSION_DENIED"
    assert outcome.details == world.b.call(name, request_kind(METHODS[name])()).details


def test_a_point_for_a_monitor_of_another_tenants_name_is_ones_own(world: World) -> None:
    a, b = world.a, world.b
    before = b.get("ExportSeries", evaluator.ExportSeriesRequest(monitor_id=b.monitor))
    theirs, never = b.monitor, f"mon_c{like('0' * 16)}"
    answers = [a.push(a.point(1.0, monitor)) for monitor in (theirs, never)]
    assert answers[0] == answers[1]
    own = a.get("ListSeries", evaluator.ListSeriesRequest(monitor_ids=[theirs])).series
    assert {each.key.measurement for each in own} == {f"meas_{a.canary}"}
    assert b.get("ExportSeries", evaluator.ExportSeriesRequest(monitor_id=b.monitor)) == before


def test_the_same_request_id_is_another_request_to_another_tenant(world: World) -> None:
    request = own_requests(world.a)["RegisterMonitor"]
    request.request_id = "same"  # type: ignore[attr-defined]
    made = [each.get("RegisterMonitor", _of(each)).monitor.id for each in _both(world)]
    assert made == [world.a.monitor, world.b.monitor]


def _both(world: World) -> Iterator[Tenant]:
    yield from (world.a, world.b)


def _of(tenant: Tenant) -> Message:
    return rules.RegisterMonitorRequest(monitor_id=tenant.monitor, request_id="same")


def test_the_status_counts_nothing_of_others(world: World) -> None:
    for tenant, other in ((world.a, world.b), (world.b, world.a)):
        status = tenant.get("GetEvaluatorStatus", evaluator.GetEvaluatorStatusRequest())
        listed = tenant.get("ListSeries", evaluator.ListSeriesRequest())
        assert status.series_count == len(listed.series)
        assert not any((status.rule_count, status.instance_count, status.accepted_point_count, status.history_bytes))
        assert other.canary not in str(status)
