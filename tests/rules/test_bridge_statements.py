"""What a bridge says of its callers, straight at RuleService: what is believed, what isn't, and what the audit has."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import grpc
import jwt
import pytest
from mcp.server.auth.provider import AccessToken

from monitors.bridge.oauth.statements import voucher_of
from monitors.bridge.oauth.tokens import TENANT_KEY
from monitors.mesh import interceptors
from monitors.rules.service import base
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import Client, refused
from tests.rules.running import SERVICE_TOKEN, Running, running

OLD, NEW = "old-secret-" * 4, "new-secret-" * 4
LIST = pb.ListRulesRequest()
# How a stream mustn't end for which a bridge, of this version or the one before, is to begin another: it would end its
# user's listening. From any other end it goes on within 0.1 s; the one before then has listeners look at all alerts.
ENDS_LISTENING = {"UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"}


@pytest.fixture(scope="module")
def service(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A RuleService that believes bridges with either of two secrets."""
    folder = tmp_path_factory.mktemp("rules")
    with loop_thread.opened(running(folder, bridge_secrets=(NEW, OLD))) as opened:
        yield opened


@pytest.fixture(scope="module")
def stub(service: Running) -> Iterator[RuleServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield RuleServiceStub(channel)


@pytest.fixture
def client(stub: RuleServiceStub, service: Running, loop_thread: LoopThread) -> Client:
    return Client.of_new_tenant(stub, service.rules, loop_thread)


def vouched(client: Client, secret: str = NEW, scopes: str = "alerts:read alerts:write", user: str = "ann") -> Client:
    """The same tenant, by the word of a bridge."""
    caller = AccessToken(
        token="", client_id="", scopes=scopes.split(), subject=user, claims={TENANT_KEY: client.tenant}
    )
    return Client(client.stub, client.tenant, voucher_of(secret)(caller)(), client.rules, client.loop)


def stated(
    client: Client, secret: str = NEW, algorithm: str = "HS256", kind: str = "monitors-principal+jwt", **claims: Any
) -> Client:
    """The tenant by a statement made by hand; None takes a claim away."""
    now = int(time.time())
    usual = {
        "aud": "monitors-mesh", "iat": now, "exp": now + 60, "tenant": client.tenant, "sub": "ann",
        "scope": "rules:read",
    }  # fmt: skip
    given = {name: value for name, value in (usual | claims).items() if value is not None}
    text = jwt.encode(given, secret, algorithm=algorithm, headers={"typ": kind})
    return Client(client.stub, client.tenant, text, client.rules, client.loop)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_a_bridge_is_believed_by_either_secret(client: Client, secret: str) -> None:
    client.create()
    assert len(vouched(client, secret).call(LIST).rules) == 1
    assert len(stated(client, secret).call(LIST).rules) == 1


def test_it_isnt_believed_for_longer_than_it_says(client: Client) -> None:
    now = int(time.time())
    # The last moment of its life, which a cache of thirty seconds would make longer.
    brief = stated(client, iat=now - 63, exp=now - 3)
    assert not brief.call(LIST).rules

    def is_over() -> bool:
        try:
            brief.call(LIST)
        except grpc.RpcError:
            return True
        return False

    deadline = time.monotonic() + 10
    while not is_over():
        assert time.monotonic() < deadline


def test_what_it_began_ends_with_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interceptors, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(base, "HEARTBEAT_SECONDS", 0.05)
    now = int(time.time())
    brief = stated(client, iat=now - 63, exp=now - 3, scope="alerts:read")
    stream: Any = brief.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=brief.metadata, timeout=30)
    next(stream)
    error = refused(lambda: list(stream))
    assert (error.code, error.reason) == ("ABORTED", "STATEMENT_OVER")
    assert error.code not in ENDS_LISTENING
    assert "begin another with a fresh one" in error.message
    another: Any = brief.stub.WatchAlerts(
        pb.WatchAlertsRequest(), metadata=stated(client, scope="alerts:read").metadata, timeout=30
    )
    assert next(another)
    another.cancel()
    assert stated(client, iat=now - 90, exp=now - 30).refused(LIST).code == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"secret": "another-secret-" * 4}, "same MONITORS_BRIDGE_SECRET"),
        ({"secret": SERVICE_TOKEN * 4}, "same MONITORS_BRIDGE_SECRET"),
        ({"algorithm": "HS384", "secret": NEW * 2}, "isn't valid"),
        ({"algorithm": "none", "secret": ""}, "isn't valid"),
        ({"kind": "JWT"}, "an access token to the MCP bridge"),
        ({"aud": "https://alerts.example.org/mcp"}, "isn't valid"),
        ({"aud": None}, "isn't valid"),
        ({"aud": ["monitors-mesh", "another"]}, "isn't valid"),
        ({"exp": None}, "isn't valid"),
        ({"iat": None}, "isn't valid"),
        ({"sub": None}, "isn't valid"),
        ({"iat": int(time.time()) + 86_400, "exp": int(time.time()) + 86_430}, "isn't valid"),
        ({"iat": int(time.time()) - 100, "exp": int(time.time()) - 40}, "has expired"),
        ({"exp": int(time.time()) + 3600}, "60 seconds at most"),
        ({"iat": int(time.time()) - 61}, "60 seconds at most"),
        ({"iat": int(time.time()) + 0.5}, "60 seconds at most"),
        ({"tenant": None}, "must name a tenant"),
        ({"tenant": ["acme"]}, "must name a tenant"),
        ({"sub": "x" * 101}, "must name a tenant"),
        ({"sub": "a\nINFO b"}, "must name a tenant"),
        ({"tenant": "\ud800"}, "must name a tenant"),
        ({"scope": "rules:read admin"}, "no others"),
        ({"scope": "channels:read"}, "no others"),
        ({"scope": ""}, "no others"),
        ({"scope": None}, "no others"),
    ],
)
def test_whatever_isnt_a_good_statement_is_refused(client: Client, claims: dict[str, Any], told: str) -> None:
    error = stated(client, **claims).refused(LIST)
    assert error.code == "UNAUTHENTICATED"
    assert told in error.message
    assert "another-secret" not in error.message


def test_a_statement_that_was_changed_is_refused(client: Client) -> None:
    good, other = stated(client), stated(client, tenant="local")
    head, body, signature = good.key.split(".")
    for text in (f"{head}.{other.key.split('.')[1]}.{signature}", f"{head}.{body}.", f"{head}.{body}.AAAA", "a.b.c"):
        changed = Client(client.stub, client.tenant, text, client.rules, client.loop)
        assert changed.refused(LIST).code == "UNAUTHENTICATED"


def test_it_makes_nobody_more_than_a_user_of_one_tenant(client: Client, stub: RuleServiceStub) -> None:
    bridge = vouched(client)
    assert bridge.refused(pb.CreateKeyRequest(title="x")).code == "PERMISSION_DENIED"
    watch = refused(lambda: list(stub.WatchRules(pb.WatchRulesRequest(), metadata=bridge.metadata, timeout=20)))
    assert watch.code == "PERMISSION_DENIED"
    assert bridge.refused(pb.MirrorChannelsRequest(tenant_id=client.tenant)).code == "PERMISSION_DENIED"
    reader = vouched(client, scopes="alerts:read")
    assert reader.refused(pb.DeleteRuleRequest(rule_id="rule_x")).metadata == {"scope": "rules:write"}
    # To the other services it's no credential at all.
    error = refused(lambda: stub.Authenticate(pb.AuthenticateRequest(credential=bridge.key), timeout=20))
    assert error.code == "UNAUTHENTICATED"


def test_an_unknown_tenant_is_refused_and_its_operator_told_how_to_add_it(client: Client) -> None:
    error = stated(client, tenant="nobody").refused(LIST)
    assert (error.code, error.reason, error.metadata) == ("PERMISSION_DENIED", "UNKNOWN_TENANT", {"tenant": "nobody"})
    assert "MONITORS_TENANTS" in error.message
    client.loop.run(client.rules.add_tenant("nobody"))
    assert not stated(client, tenant="nobody").call(LIST).rules


def test_without_a_secret_no_bridge_is_believed(loop_thread: LoopThread, client: Client, tmp_path: Any) -> None:
    with loop_thread.opened(running(tmp_path)) as opened, grpc.insecure_channel(f"127.0.0.1:{opened.port}") as channel:
        other = Client(RuleServiceStub(channel), "local", stated(client, tenant="local").key, opened.rules, loop_thread)
        assert "set MONITORS_BRIDGE_SECRET" in other.refused(LIST).message


def test_who_did_what_stands_in_the_audit(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "monitors.audit")
    ann, bob = vouched(client, user="auth0|ann"), vouched(client, user='bob" x')
    rule = ann.create()
    assert (rule.creator, rule.updater) == ("auth0|ann", "auth0|ann")
    alert_id = ann.fire(rule)
    rule.severity = rule_pb2.SEVERITY_HIGH
    changed = bob.call(pb.UpdateRuleRequest(rule=rule)).rule
    assert (changed.creator, changed.updater) == ("auth0|ann", 'bob" x')
    assert ann.call(pb.UpdateRuleRequest(rule=changed)).rule.updater == 'bob" x'
    acknowledged = ann.call(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id], request_id="once"))
    ann.call(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id], request_id="once"))
    assert acknowledged.alerts[0].acknowledgement.user == "auth0|ann"
    ann.call(pb.DeleteRuleRequest(rule_id=rule.id))
    ann.refused(pb.DeleteRuleRequest(rule_id=rule.id))
    assert [event.user for event in ann.alert(alert_id).timeline] == ["", "auth0|ann", "auth0|ann"]
    tenant = f"tenant={client.tenant!r}"
    assert [record.getMessage() for record in caplog.records if client.tenant in record.getMessage()] == [
        f"CreateRule {rule.id} {tenant} user='auth0|ann'",
        f"UpdateRule {rule.id} {tenant} user='bob\" x'",
        f"AcknowledgeAlerts {alert_id} {tenant} user='auth0|ann'",
        f"DeleteRule {rule.id} {tenant} user='auth0|ann'",
    ]


def test_keys_that_are_made_stand_there_too(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "monitors.audit")
    made = client.call(pb.CreateKeyRequest(title="telegraf"))
    assert made.key_id in caplog.text
    assert made.key not in caplog.text
