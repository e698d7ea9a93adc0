"""RuleService's audit: every change leaves one event, in its own transaction, and nothing else leaves any."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.orm import Session

from monitors.mesh.audit import LONGEST_STATE
from monitors.mesh.channel_links import open_token
from monitors.mesh.times import MINUTE, now_nanos, to_timestamp
from monitors.rules.identity.tenants import Tenants
from monitors.v1 import audit_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.auditing import Case, changing, states
from tests.rules.client import DEADLINE, Client
from tests.rules.test_channel_links import KEY, PAGE, notifier
from tests.tenants import of_all

SERVICE_DESCRIPTOR = pb.DESCRIPTOR.services_by_name["RuleService"]
RULE = rule_pb2.Rule(monitor_id="mon_host", title="CPU", condition_text="cpu_percent > 90")


def creating(client: Client) -> Case:
    return Case(pb.CreateRuleRequest(rule=RULE, request_id="1"), "rule", lambda made: made.rule.id)


def creating_some(client: Client) -> Case:
    request = pb.BatchCreateRulesRequest(rules=[RULE], request_id="1")
    return Case(request, "rule", lambda made: made.rules[0].id)


def changing_some(client: Client) -> Case:
    change = pb.RuleChange(delete=pb.DeleteRuleRequest(rule_id=client.create().id))
    request = pb.BatchChangeRulesRequest(changes=[change], request_id="1")
    return Case(request, "rule", lambda done: done.results[0].previous.id)


def updating(client: Client) -> Case:
    rule = rule_pb2.Rule(id=client.create().id, title="Load")
    return Case(pb.UpdateRuleRequest(rule=rule, request_id="1"), "rule", lambda changed: changed.rule.id)


def deleting(client: Client) -> Case:
    request = pb.DeleteRuleRequest(rule_id=client.create().id, request_id="1")
    return Case(request, "rule", lambda gone: gone.rule.id)


def acknowledging(client: Client) -> Case:
    alert_id = client.fire(client.create())
    return Case(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id], request_id="1"), "alert", lambda _: alert_id)


def resolving(client: Client) -> Case:
    alert_id = client.fire(client.create())
    return Case(pb.ResolveAlertRequest(alert_id=alert_id, request_id="1"), "alert", lambda _: alert_id)


def taking_in(client: Client) -> Case:
    now = to_timestamp(now_nanos())
    past = pb.PastAlert(key="17", rule_id=client.create().id, monitor_id="mon_host", fire_time=now, resolve_time=now)
    request = pb.ImportAlertsRequest(alerts=[past], request_id="1")
    return Case(request, "alert", lambda done: done.results[0].alert_id)


def registering(client: Client) -> Case:
    return Case(pb.RegisterMonitorRequest(monitor_id="mon_new", request_id="1"), "monitor", lambda _: "mon_new")


def making_a_key(client: Client) -> Case:
    return Case(pb.CreateKeyRequest(title="telegraf"), "key", lambda made: made.key_id)


def revoking(client: Client) -> Case:
    key_id = client.call(pb.CreateKeyRequest(title="telegraf")).key_id
    return Case(pb.RevokeKeyRequest(key_id=key_id, request_id="1"), "key", lambda _: key_id)


def making_a_link(client: Client) -> Case:
    def id_of(made: Any) -> str:
        return open_token(made.url.partition("?link=")[2], [KEY], now_nanos()).id

    return Case(pb.CreateChannelLinkRequest(channel_name="ops"), "channel_link", id_of)


CASES: dict[str, Callable[[Client], Case]] = {
    "CreateRule": creating,
    "BatchCreateRules": creating_some,
    "BatchChangeRules": changing_some,
    "UpdateRule": updating,
    "DeleteRule": deleting,
    "AcknowledgeAlerts": acknowledging,
    "ResolveAlert": resolving,
    "ImportAlerts": taking_in,
    "RegisterMonitor": registering,
    "CreateKey": making_a_key,
    "RevokeKey": revoking,
    "CreateChannelLink": making_a_link,
}


def events(client: Client, **query: Any) -> list[audit_pb2.AuditEvent]:
    """The tenant's events, newest first, page by page."""
    found: list[audit_pb2.AuditEvent] = []
    request = pb.ListAuditEventsRequest(page_size=3, query=audit_pb2.AuditQuery(**query))
    while True:
        response = client.call(request)
        found += response.events
        if not response.next_page_token:
            return found
        request.page_token = response.next_page_token


def test_every_call_that_changes_something_is_tried() -> None:
    assert set(changing(SERVICE_DESCRIPTOR)) == set(CASES)


@pytest.mark.parametrize("method", CASES)
def test_a_change_leaves_one_event_and_its_repeat_none(client: Client, method: str) -> None:
    with notifier(client, PAGE):
        case = CASES[method](client)
        before = events(client)
        answer = client.call(case.request)
        (event, *rest) = events(client)
        assert rest == before
        assert (event.method, event.kind, event.resource_id) == (method, case.kind, case.id_of(answer))
        assert client.key.split("_")[2] in event.user
        assert 0 <= now_nanos() - event.time.ToNanoseconds() < MINUTE
        if "request_id" in case.request.DESCRIPTOR.fields_by_name:
            assert client.call(case.request) == answer
            assert events(client) == [event, *before]


UNKNOWN = rule_pb2.Rule(monitor_id="mon_none", title="CPU", condition_text="cpu_percent > 1")


@pytest.mark.parametrize(
    "request_",
    [
        pb.CreateRuleRequest(rule=UNKNOWN),
        pb.BatchCreateRulesRequest(rules=[RULE, UNKNOWN]),
        pb.DeleteRuleRequest(rule_id="rule_none"),
        pb.AcknowledgeAlertsRequest(alert_ids=["alert_none"]),
        pb.ImportAlertsRequest(alerts=[pb.PastAlert(key="1", rule_id="rule_none", monitor_id="mon_host")]),
        pb.CreateKeyRequest(title="x", scopes=["none"]),
        pb.CreateChannelLinkRequest(channel_name="x" * 100),
    ],
    ids=lambda request: type(request).__name__,
)
def test_what_is_refused_leaves_none(client: Client, request_: Any) -> None:
    before = events(client)
    assert client.refused(request_).code in ("INVALID_ARGUMENT", "NOT_FOUND")
    assert events(client) == before


def test_what_changes_nothing_leaves_none(client: Client) -> None:
    rule = client.create()
    alert_id = client.fire(rule)
    client.call(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id]))
    before = events(client)
    change = pb.RuleChange(create=pb.CreateRuleRequest(rule=RULE))
    client.call(pb.BatchChangeRulesRequest(changes=[change], validate_only=True))
    client.call(pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, title=rule.title)))
    client.call(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id]))
    client.call(pb.RegisterMonitorRequest(monitor_id="mon_host"))
    client.call(pb.PreviewRuleRequest(rule=RULE))
    assert events(client) == before


def test_an_event_says_what_differs_before_and_after(client: Client) -> None:
    rule = client.create(severity=rule_pb2.SEVERITY_LOW)
    client.call(pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, severity=rule_pb2.SEVERITY_HIGH)))
    client.call(pb.DeleteRuleRequest(rule_id=rule.id))
    deleted, updated, created = events(client, resource_id=rule.id)
    (nothing, made), (old, new), (last, gone) = states(created), states(updated), states(deleted)
    assert (nothing, gone) == (None, None)
    assert (made["title"], made["severity"]) == ("CPU", "SEVERITY_LOW")
    assert (old.pop("severity"), new.pop("severity")) == ("SEVERITY_LOW", "SEVERITY_HIGH")
    assert set(old) == set(new) == {"etag", "updateTime"}
    assert (last["title"], last["severity"]) == ("CPU", "SEVERITY_HIGH")
    assert created.after_json == json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_of_a_state_that_is_too_long_the_longest_values_are_told_by_size_and_digest(client: Client) -> None:
    annotations = {f"note{n}": "x" * 2000 for n in range(12)}
    rule = client.create(annotations=annotations)
    (event,) = events(client, resource_id=rule.id)
    _, made = states(event)
    text = json.dumps(annotations, sort_keys=True, separators=(",", ":"))
    assert made["annotations"] == f"… {len(text):,} characters, SHA-256 {hashlib.sha256(text.encode()).hexdigest()}"
    assert made["title"] == "CPU"
    assert len(event.after_json) <= LONGEST_STATE


def test_several_resources_of_one_call_have_an_event_each(client: Client) -> None:
    made = client.call(pb.BatchCreateRulesRequest(rules=[RULE] * 5)).rules
    told = [event.resource_id for event in events(client, kind="rule")]
    assert told == [rule.id for rule in reversed(made)]


def test_events_are_found_by_kind_id_user_and_time(client: Client) -> None:
    rule, begin = client.create(), now_nanos()
    key = client.call(pb.CreateKeyRequest(title="x", scopes=["rules:write"]))
    by_key = Client(client.stub, client.tenant, key.key, client.rules, client.loop)
    other = by_key.call(pb.CreateRuleRequest(rule=RULE)).rule
    assert [event.resource_id for event in events(client, kind="rule")] == [other.id, rule.id]
    assert next(event.resource_id for event in events(client, kind="key")) == key.key_id
    assert [event.resource_id for event in events(client, user=key.key_id)] == [other.id]
    assert [event.method for event in events(client, resource_id=rule.id)] == ["CreateRule"]
    assert [event.resource_id for event in events(client, start_time=to_timestamp(begin))] == [other.id, key.key_id]
    assert events(client, end_time=to_timestamp(begin))[0].resource_id == rule.id
    assert events(client, kind="rule", user=key.key_id, end_time=to_timestamp(begin)) == []


def test_a_tenant_sees_its_own_events_alone(client: Client) -> None:
    other = Client.of_new_tenant(client.stub, client.rules, client.loop)
    rule = other.create(title="Canary")
    assert "Canary" not in "".join(str(event) for event in events(client))
    assert events(client, resource_id=rule.id) == []
    assert [event.resource_id for event in events(client, kind="tenant")] == [client.tenant]


def test_the_audit_is_for_administrators(client: Client) -> None:
    client.key = client.call(pb.CreateKeyRequest(title="x")).key
    refused = client.refused(pb.ListAuditEventsRequest())
    assert (refused.code, refused.metadata["scope"]) == ("PERMISSION_DENIED", "admin")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (pb.ListAuditEventsRequest(page_size=-1), "page_size"),
        (pb.ListAuditEventsRequest(page_token="x"), "page_token"),
        (pb.ListAuditEventsRequest(query=audit_pb2.AuditQuery(kind="rules")), "query.kind: 'rules' isn't a kind"),
        (pb.ListAuditEventsRequest(query=audit_pb2.AuditQuery(user="x" * 300)), "query.user"),
        (
            pb.ListAuditEventsRequest(query=audit_pb2.AuditQuery(start_time=Timestamp(seconds=2**40))),
            "query.start_time",
        ),
    ],
)
def test_a_wrong_question_says_what_is_wrong(client: Client, request_: Any, words: str) -> None:
    refused = client.refused(request_)
    assert refused.code == "INVALID_ARGUMENT"
    assert words in refused.message


def called(client: Client, *metadata: tuple[str, str]) -> audit_pb2.AuditSource:
    """The source of a change that comes with metadata."""
    request = pb.RegisterMonitorRequest(monitor_id="mon_source")
    client.stub.RegisterMonitor(request, metadata=(*client.metadata, *metadata), timeout=DEADLINE)
    return events(client, kind="monitor")[0].source


def test_an_event_names_the_program_that_the_call_came_through(client: Client) -> None:
    source = called(
        client,
        ("x-monitors-client", "monitors-mcp/1.2.3"),
        ("x-monitors-mcp-client", "Claude%20Desktop%20%E2%98%83/1.0"),
        ("x-monitors-tool", "create_alert_rule"),
    )
    assert (source.client, source.client_version) == ("monitors-mcp", "1.2.3")
    assert (source.mcp_client, source.tool) == ("Claude Desktop ☃/1.0", "create_alert_rule")


def test_a_client_that_says_nothing_is_known_by_its_library(client: Client) -> None:
    source = called(client)
    assert (source.client, source.client_version) == ("grpc-python", grpc.__version__)


def test_what_a_program_says_of_itself_is_cleaned_and_cut(client: Client) -> None:
    source = called(client, ("x-monitors-client", "a%0Ab%1B[31m/%E2%80%AE" + "v" * 1000), ("x-monitors-tool", "%FF"))
    assert source.client == "a\ufffdb\ufffd[31m"
    assert source.client_version == "\ufffd" + "v" * 98 + "…"
    assert source.tool == "\ufffd"


def test_a_new_tenant_and_its_first_key_stand_there(client: Client) -> None:
    key, tenant = events(client)
    assert (tenant.kind, tenant.resource_id, tenant.user) == ("tenant", client.tenant, "operator")
    assert (tenant.method, key.kind, key.method) == ("AddTenant", "key", "CreateKey")
    assert client.key.split("_")[2] in key.resource_id
    assert client.key.split("_")[3] not in str(key)
    assert client.loop.run(client.rules.add_tenant(client.tenant))
    assert [event.kind for event in events(client)] == ["key", "key", "tenant"]


def test_a_tenant_that_comes_with_its_first_user_stands_there_once(client: Client) -> None:
    tenants = Tenants(client.rules._database)
    before = events(client)
    client.loop.run(tenants.ensure(client.tenant, "pro"))
    client.loop.run(tenants.ensure(client.tenant, "pro"))
    (event, *rest) = events(client)
    assert rest == before
    assert (event.kind, event.resource_id, event.user) == ("tenant", client.tenant, "mesh")
    assert event.method == "ChangeTenant"
    assert states(event) == ({"tier": ""}, {"tier": "pro"})


def test_what_the_mesh_records_for_itself_leaves_none(client: Client) -> None:
    before = events(client)
    client.fire(client.create())
    client.mirror()
    assert [event.method for event in events(client)[: -len(before)]] == ["CreateRule"]


def test_the_change_and_its_event_are_one_transaction(client: Client) -> None:
    database = client.rules._database

    def rename(old: str, new: str) -> None:
        @of_all
        def work(session: Session) -> None:
            session.connection().exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

        client.loop.run(database.write(work))

    rename("audit", "audit_away")
    try:
        assert client.refused(pb.CreateRuleRequest(rule=RULE)).code in ("INTERNAL", "UNAVAILABLE")
    finally:
        rename("audit_away", "audit")
    assert not client.call(pb.ListRulesRequest()).rules
    client.create()
    assert [event.method for event in events(client)] == ["CreateRule", "CreateKey", "AddTenant"]
