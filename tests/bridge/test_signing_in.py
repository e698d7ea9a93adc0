"""From the bridge's URL alone to a tool's answer: the SDK's own client finds the issuer, registers, and signs in."""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp import Client as McpClient
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.bridge.authorization_server import AuthorizationServer
from tests.bridge.conftest import ERAS, HttpBridge, answer_of
from tests.bridge.oauth_world import World, open_world
from tests.end_to_end.test_bridge_over_http import free_port
from tests.harness import LoopThread

pytestmark = pytest.mark.process

RETURN = "http://127.0.0.1:1/callback"


@dataclass
class SignIn:
    """A person who agrees to all that a client asks for, and the issuer's part in it (RFC 6749, 7591, 7636, 8707)."""

    issuer: AuthorizationServer
    tenant: str
    asked: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        endpoints = {"authorization": "/authorize", "token": "/token", "registration": "/register"}
        self.issuer.metadata = {f"{name}_endpoint": f"{self.issuer.url}{path}" for name, path in endpoints.items()}
        self.issuer.metadata |= {"response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"]}
        self.issuer.posts = {"/register": self.register, "/token": self.give_token}

    def register(self, body: bytes) -> dict[str, Any]:
        return {**json.loads(body), "client_id": "client-1"}

    async def agree(self, url: str) -> None:
        """The page on which a person signs in."""
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}

    async def come_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code="code-1", state=self.asked["state"], iss=None)

    def give_token(self, body: bytes) -> dict[str, Any]:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == self.asked["code_challenge"]
        token = self.issuer.mint(aud=form["resource"], scope=self.asked["scope"], tenant=self.tenant, azp="client-1")
        return {"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": self.asked["scope"]}


class Memory:
    """Where a client keeps what it's given."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@pytest.fixture(scope="module")
def world(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(loop_thread, tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture(scope="module")
def bridge(world: World) -> Iterator[HttpBridge]:
    port = str(free_port())
    public = {"MONITORS_MCP_RESOURCE_URL": f"http://127.0.0.1:{port}/mcp"}
    running = HttpBridge("--port", port, **world.environment | public)
    yield running
    running.close()


@pytest.mark.parametrize("mode", ERAS)
def test_the_url_is_all_that_a_client_needs(world: World, bridge: HttpBridge, mode: str) -> None:
    person = SignIn(world.issuer, world.ann.tenant)
    metadata = OAuthClientMetadata(client_name="test", redirect_uris=[AnyUrl(RETURN)])
    auth = OAuthClientProvider(bridge.url, metadata, Memory(), person.agree, person.come_back)
    rule = {"monitor": "mon_host", "title": f"CPU {mode}", "condition": "cpu_percent > 90"}

    async def scenario() -> str:
        http = httpx2.AsyncClient(auth=auth)
        async with http, McpClient(streamable_http_client(bridge.url, http_client=http), mode=mode) as client:
            return str(answer_of(await client.call_tool("create_alert_rule", rule)).data["rule"]["id"])

    assert world.ann.get(world.loop_thread.run(scenario())).creator == "auth0|ann"
    assert person.asked["resource"] == bridge.url
    assert person.asked["scope"] == "alerts:read alerts:write"
