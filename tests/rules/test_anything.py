"""Whatever a client sends: never INTERNAL, and never anything of another tenant."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitors.mesh.scopes import SCOPE_OF_METHOD, SERVICE_ONLY
from monitors.v1 import condition_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import Client

CALLS = [
    method
    for method in pb.DESCRIPTOR.services_by_name["RuleService"].methods
    if not method.server_streaming and method.name != "CreateKey"
]
HOSTILE = [
    "",
    "\0",
    "*",
    "mon_host",
    "cpu_percent > 90",
    "cpu_percent",
    "rule_x",
    '{"a":',
    "severity=low",
    "💥",
    "\u202e",
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=12))
NUMBERS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 9)),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: texts,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=9),
    FieldDescriptor.TYPE_ENUM: st.integers(0, 8),
}


EXPECTED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAUTHENTICATED,
)


def code_of(call: Callable[[Any], Any], request: Any) -> grpc.StatusCode | None:
    """How a call failed; None if it didn't. Whatever failed says why, in words of ours or the request's own."""
    try:
        call(request)
    except grpc.RpcError as raised:
        error: Any = raised
        assert error.details()
        assert "sqlite" not in error.details().lower() or "sqlite" in str(request).lower()
        code: grpc.StatusCode = error.code()
        return code
    return None


def values(field: Any, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type:
        return messages(GetMessageClass(field.message_type), depth - 1)
    return NUMBERS[field.type]


def messages(kind: Callable[[], Message], depth: int = 6) -> st.SearchStrategy[Any]:
    """Any message of a kind at all, some levels deep."""

    @st.composite
    def build(draw: st.DrawFn) -> Message:
        message = kind()
        for field in message.DESCRIPTOR.fields:
            if (depth == 0 and field.message_type) or not draw(st.booleans()):
                continue
            if field.is_repeated and field.message_type and field.message_type.GetOptions().map_entry:
                pairs = draw(st.dictionaries(texts, texts, max_size=2))
                getattr(message, field.name).update(pairs)
            elif field.is_repeated:
                getattr(message, field.name).extend(draw(st.lists(values(field, depth), max_size=2)))
            elif field.message_type:
                getattr(message, field.name).CopyFrom(draw(values(field, depth)))
            else:
                setattr(message, field.name, draw(values(field, depth)))
        return message

    return build()


@pytest.mark.parametrize("method", CALLS, ids=lambda method: method.name)
@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.data())
def test_no_request_at_all_is_a_fault_of_ours(method: Any, client: Client, data: st.DataObject) -> None:
    request = data.draw(messages(GetMessageClass(method.input_type)))
    is_service = SCOPE_OF_METHOD[f"/monitors.v1.RuleService/{method.name}"] == SERVICE_ONLY
    code = code_of(client.mesh if is_service else client.call, request)
    # No notifier is here to which a link could lead.
    away = [grpc.StatusCode.UNAVAILABLE] if method.name == "CreateChannelLink" else []
    assert code in (None, *EXPECTED, *away)


@settings(max_examples=50, suppress_health_check=list(HealthCheck), deadline=None)
@given(messages(condition_pb2.Condition, depth=4))
def test_no_condition_at_all_is_a_fault_of_ours(client: Client, condition: Any) -> None:
    rule = rule_pb2.Rule(monitor_id="mon_host", title="x", condition=condition)
    code = code_of(client.call, pb.CreateRuleRequest(rule=rule))
    assert code in (None, grpc.StatusCode.INVALID_ARGUMENT)


def test_the_longest_errors_still_arrive(client: Client) -> None:
    client.report("mon_wide", [("é" * 60, "ü" * 200 + str(number), "FIELD_TYPE_FLOAT") for number in range(60)])
    names = ["ö" * 5000] * 30
    rule = rule_pb2.Rule(
        monitor_id="mon_wide", title="é" * 300, condition_text="x > 1", notify=names, labels={"é" * 99: "ü" * 300}
    )
    error = client.refused(pb.CreateRuleRequest(rule=rule))
    assert (error.code, error.metadata["field"]) == ("INVALID_ARGUMENT", "rule.title")


def test_another_tenants_things_are_like_those_that_never_existed(client: Client) -> None:
    other = Client.of_new_tenant(client.stub, client.rules, client.loop)
    rule = other.create(title="canary")
    alert_id = other.fire(rule)
    other.report("mon_canary", [("m", "x", "FIELD_TYPE_FLOAT")])
    other.mirror(("canary", True))
    for request, own in (
        (pb.GetRuleRequest(rule_id=rule.id), pb.GetRuleRequest(rule_id="rule_none")),
        (pb.DeleteRuleRequest(rule_id=rule.id), pb.DeleteRuleRequest(rule_id="rule_none")),
        (
            pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, title="x")),
            pb.UpdateRuleRequest(rule=rule_pb2.Rule(id="rule_none", title="x")),
        ),
        (
            pb.PreviewRuleRequest(rule=rule_pb2.Rule(id=rule.id)),
            pb.PreviewRuleRequest(rule=rule_pb2.Rule(id="rule_none")),
        ),
        (pb.GetAlertRequest(alert_id=alert_id), pb.GetAlertRequest(alert_id="alert_none")),
        (pb.ResolveAlertRequest(alert_id=alert_id), pb.ResolveAlertRequest(alert_id="alert_none")),
        (pb.AcknowledgeAlertsRequest(alert_ids=[alert_id]), pb.AcknowledgeAlertsRequest(alert_ids=["alert_none"])),
    ):
        theirs, never = client.refused(request), client.refused(own)
        assert (theirs.code, theirs.reason) == (never.code, never.reason) == ("NOT_FOUND", "NOT_FOUND")
        told = theirs.message.replace(rule.id, "rule_none").replace(alert_id, "alert_none")
        assert told == never.message
    for listing in (
        pb.ListRulesRequest(),
        pb.ListRulesRequest(filter="title=canary"),
        pb.ListAlertsRequest(),
        pb.ListAlertsRequest(filter=f"rule_id={rule.id}"),
        pb.ListMonitorsRequest(),
        pb.ListChannelNamesRequest(),
    ):
        assert "canary" not in str(client.call(listing))
    wrong = pb.CreateRuleRequest(
        rule=rule_pb2.Rule(monitor_id="mon_canary", title="x", condition_text="x > 1", notify=["canary"])
    )
    assert client.refused(wrong).message == (
        "rule.monitor_id: there is no monitor 'mon_canary'; there are mon_host; "
        "rule.notify: there is no channel 'canary'; there are night, ops"
    )
    assert other.alert(alert_id).alert.title == "canary"


def test_a_request_id_of_another_tenant_is_free(client: Client) -> None:
    other = Client.of_new_tenant(client.stub, client.rules, client.loop)
    request = pb.CreateRuleRequest(
        rule=rule_pb2.Rule(monitor_id="mon_host", title="x", condition_text="cpu_percent > 1"), request_id="same"
    )
    assert client.call(request).rule.id != other.call(request).rule.id
