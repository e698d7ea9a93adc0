"""`monitors-mcp --http` as an OAuth resource server, before a real RuleService: who gets in, and as whom."""

import time
from collections.abc import Iterator

import httpx2
import pytest
from mcp import Client as McpClient
from mcp import MCPError
from mcp.client.streamable_http import streamable_http_client

from monitors.v1 import rule_service_pb2 as pb
from tests.bridge.authorization_server import RESOURCE, SigningKey
from tests.bridge.conftest import ERAS, HttpBridge, answer_of, stdio_parameters
from tests.bridge.oauth_world import LoggedBridge, World, open_world, post
from tests.harness import LoopThread

pytestmark = pytest.mark.process

RULE = {"monitor": "mon_host", "title": "CPU is high", "condition": "cpu_percent > 90"}
METADATA = "https://alerts.example.org/.well-known/oauth-protected-resource/mcp"
READ = "alerts:read"


@pytest.fixture(scope="module")
def world(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(loop_thread, tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture(scope="module")
def bridge(world: World) -> Iterator[HttpBridge]:
    running = HttpBridge(**world.environment)
    yield running
    running.close()


def test_the_metadata_says_where_tokens_come_from(world: World, bridge: HttpBridge) -> None:
    found = httpx2.get(bridge.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"))
    assert found.status_code == 200
    described = found.json()
    assert described["resource"] == RESOURCE
    assert described["authorization_servers"] == [world.issuer.url]
    assert described["scopes_supported"] == ["alerts:read", "alerts:write"]


@pytest.mark.parametrize("mode", ERAS)
def test_without_a_token_one_is_told_how_to_get_it(bridge: HttpBridge, mode: str) -> None:
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}):
        refused = post(bridge.url, mode, **headers)
        assert refused.status_code == 401
        challenge = refused.headers["www-authenticate"]
        assert challenge == f'Bearer resource_metadata="{METADATA}", scope="alerts:read alerts:write"'


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"exp": int(time.time()) - 3600}, "has expired"),
        ({"nbf": int(time.time()) + 3600}, "isn't valid yet"),
        ({"aud": "https://other.example/mcp"}, f"isn't meant for {RESOURCE}"),
        ({"iss": "https://evil.example"}, "isn't of the issuer"),
        ({"signing": SigningKey.new("unknown")}, "that the issuer doesn't have"),
    ],
)
def test_a_bad_token_is_401_and_says_why(
    world: World, bridge: HttpBridge, mode: str, claims: dict[str, object], told: str
) -> None:
    refused = post(bridge.url, mode, Authorization=f"Bearer {world.token(**claims)}")
    assert refused.status_code == 401
    challenge = refused.headers["www-authenticate"]
    assert 'error="invalid_token"' in challenge
    assert told in challenge
    assert told in refused.json()["error_description"]
    assert f'resource_metadata="{METADATA}"' in challenge


@pytest.mark.parametrize("mode", ERAS)
def test_a_token_without_our_scopes_is_403(world: World, bridge: HttpBridge, mode: str) -> None:
    for scope in ("openid profile", "", None):
        refused = post(bridge.url, mode, Authorization=f"Bearer {world.token(scope=scope)}")
        assert refused.status_code == 403
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
        assert READ in refused.headers["www-authenticate"]


@pytest.mark.parametrize("mode", ERAS)
def test_a_user_without_a_tenant_is_403_and_isnt_sent_round_again(world: World, bridge: HttpBridge, mode: str) -> None:
    refused = post(bridge.url, mode, Authorization=f"Bearer {world.token(tenant=None)}")
    assert refused.status_code == 403
    assert "www-authenticate" not in refused.headers
    assert "MONITORS_MCP_TENANT_CLAIM" in refused.json()["error_description"]


def test_an_unknown_tenant_is_told_how_its_operator_adds_it(world: World, bridge: HttpBridge) -> None:
    answer = world.call(bridge.url, world.token(tenant="nobody"), "create_alert_rule", **RULE)
    assert answer.is_error
    for part in ("'nobody'", "MONITORS_TENANTS", "othing was changed"):
        assert part in answer.text


@pytest.mark.parametrize("mode", ERAS)
def test_a_reader_reads_and_is_told_which_scope_writing_needs(world: World, bridge: HttpBridge, mode: str) -> None:
    reader = world.token(scope=READ)
    assert not world.call(bridge.url, reader, "list_alert_rules", mode).is_error
    assert not world.call(bridge.url, reader, "list_alerts", mode).is_error
    for tool, arguments in (
        ("create_alert_rule", RULE),
        ("update_alert_rule", {"title": "CPU is high", "severity": "high"}),
        ("delete_alert_rule", {"title": "CPU is high", "confirm_title": "CPU is high"}),
        ("acknowledge_alert", {"alert_id": "alert_x"}),
    ):
        answer = world.call(bridge.url, reader, tool, mode, **arguments)
        assert answer.is_error
        assert "alerts:write" in answer.text
        assert "Nothing was changed." in answer.text
    assert not world.ann.call(pb.ListRulesRequest()).rules


@pytest.mark.parametrize("mode", ERAS)
def test_the_user_stands_in_all_that_they_change(world: World, bridge: HttpBridge, mode: str) -> None:
    token = world.token(sub=f"auth0|{mode}")
    rule = world.call(bridge.url, token, "create_alert_rule", mode, **RULE).data["rule"]
    assert world.ann.get(rule["id"]).creator == f"auth0|{mode}"
    updated = world.call(bridge.url, token, "update_alert_rule", mode, rule_id=rule["id"], severity="high")
    assert updated.data["rule"]["updated_by"] == f"auth0|{mode}"
    alert_id = world.ann.fire(world.ann.get(rule["id"]))
    world.call(bridge.url, token, "acknowledge_alert", mode, alert_id=alert_id, note="mine")
    deleted = world.call(bridge.url, token, "delete_alert_rule", mode, rule_id=rule["id"], confirm_title="CPU is high")
    assert deleted.data["deleted"]
    seen = world.ann.alert(alert_id)
    assert seen.alert.acknowledgement.user == f"auth0|{mode}"
    assert [event.user for event in seen.timeline] == ["", f"auth0|{mode}", f"auth0|{mode}"]


def test_a_writer_may_be_given_links_for_channels(world: World, bridge: HttpBridge) -> None:
    answer = world.call(bridge.url, world.token(), "create_alert_rule", **RULE, notify=["nobody"])
    # There is no notifier here that would have a page.
    assert "monitors channels create" in answer.text
    assert "channels:write" not in answer.text


def test_tenants_dont_see_each_other(world: World, bridge: HttpBridge) -> None:
    mine = world.call(bridge.url, world.token(), "create_alert_rule", **RULE).data["rule"]["id"]
    alert_id = world.ann.fire(world.ann.get(mine))
    others = world.token(tenant=world.bob.tenant, sub="auth0|bob")
    assert not world.call(bridge.url, others, "list_alert_rules").data["rules"]
    assert not world.call(bridge.url, others, "list_alerts").data["alerts"]
    for tool, arguments in (
        ("list_alert_rules", {"rule_id": mine}),
        ("list_alerts", {"alert_id": alert_id}),
        ("acknowledge_alert", {"alert_id": alert_id}),
        ("update_alert_rule", {"rule_id": mine, "severity": "low"}),
        ("delete_alert_rule", {"rule_id": mine, "confirm_title": "CPU is high"}),
    ):
        answer = world.call(bridge.url, others, tool, **arguments)
        assert answer.is_error
        assert "there is no" in answer.text
    world.ann.call(pb.DeleteRuleRequest(rule_id=mine))


def test_a_session_follows_its_users_newest_token_and_no_other_user(world: World, bridge: HttpBridge) -> None:
    http = httpx2.AsyncClient()

    def use(token: str) -> None:
        http.headers["Authorization"] = f"Bearer {token}"

    async def scenario() -> str:
        use(world.token(scope=READ))
        transport = streamable_http_client(bridge.url, http_client=http)
        async with http, McpClient(transport, mode="legacy") as client:
            assert "alerts:write" in answer_of(await client.call_tool("create_alert_rule", RULE)).text
            use(world.token())
            made = answer_of(await client.call_tool("create_alert_rule", RULE)).data["rule"]["id"]
            use(world.token(sub="auth0|bob"))
            with pytest.raises(MCPError, match=r"(?i)session"):
                await client.call_tool("list_alerts", {})
            use(world.token())
            return str(made)

    world.ann.call(pb.DeleteRuleRequest(rule_id=world.loop_thread.run(scenario())))


def test_the_token_is_written_nowhere(world: World) -> None:
    bridge = LoggedBridge(**world.environment)
    good, expired = world.token(), world.token(exp=int(time.time()) - 60)
    for mode in ERAS:
        assert not world.call(bridge.url, good, "list_alerts", mode).is_error
    answers = [post(bridge.url, Authorization=f"Bearer {token}").text for token in (good, expired, f"{good}x")]
    answers.append(post(bridge.url, Host="evil.example", Authorization=f"Bearer {good}").text)
    output = bridge.end()
    for text in (output, *answers):
        assert not [part for token in (good, expired) for part in token.split(".") if part in text]
        assert world.environment["MONITORS_BRIDGE_SECRET"] not in text


def test_without_its_issuer_the_bridge_says_so_with_503(world: World) -> None:
    bridge = LoggedBridge(**world.environment | {"MONITORS_MCP_JWKS_URL": "http://127.0.0.1:1/keys"})
    refused = post(bridge.url, Authorization=f"Bearer {world.token()}")
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert "issuer" in refused.json()["error_description"]
    assert "can't be reached" in bridge.end()


def test_keys_of_the_mesh_are_taken_only_where_that_is_configured(world: World, bridge: HttpBridge) -> None:
    assert post(bridge.url, Authorization=f"Bearer {world.ann.key}").status_code == 401
    both = HttpBridge(**world.environment | {"MONITORS_MCP_ACCEPT_KEYS": "yes"})
    try:
        rule = world.call(both.url, world.ann.key, "create_alert_rule", **RULE).data["rule"]["id"]
        assert world.ann.get(rule).creator.startswith("key_")
        world.ann.call(pb.DeleteRuleRequest(rule_id=rule))
        assert not world.call(both.url, world.token(), "list_alert_rules").is_error
        # The local key is never lent.
        assert post(both.url).status_code == 401
        # A made-up one doesn't get as far as a session.
        assert post(both.url, Authorization="Bearer alk_made_up").status_code == 401
    finally:
        both.close()


def test_another_secret_than_the_meshs_is_told_from_a_bad_token(world: World) -> None:
    bridge = HttpBridge(**world.environment | {"MONITORS_BRIDGE_SECRET": "another-" * 5})
    try:
        text = world.call(bridge.url, world.token(), "list_alerts").text
        assert "same MONITORS_BRIDGE_SECRET" in text
        assert "MONITORS_KEY" not in text
    finally:
        bridge.close()


@pytest.mark.parametrize("mode", ERAS)
def test_over_stdio_a_key_is_all_that_counts(world: World, mode: str) -> None:
    environment = {**world.environment, "MONITORS_KEY": world.ann.key, "MONITORS_MCP_ISSUER": "nonsense"}

    async def scenario() -> str:
        async with McpClient(stdio_parameters(**environment), mode=mode) as client:
            return str(answer_of(await client.call_tool("create_alert_rule", RULE)).data["rule"]["id"])

    rule = world.loop_thread.run(scenario())
    assert world.ann.get(rule).creator.startswith("key_")
    world.ann.call(pb.DeleteRuleRequest(rule_id=rule))
