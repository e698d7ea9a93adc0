"""The gate before the tools: a token ends there, and so does in time what it let in."""

import asyncio
import time
from collections.abc import Iterator

import httpx2
import pytest
from mcp.server.auth.provider import AccessToken
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitors.bridge.http import server_config
from monitors.bridge.keys import Keys
from monitors.bridge.oauth.gate import Gate
from monitors.bridge.oauth.issuer import IssuerKeys
from monitors.bridge.oauth.settings import OAuthSettings
from monitors.bridge.oauth.statements import voucher_of
from monitors.bridge.oauth.tokens import LEEWAY, TENANT_KEY, Tokens
from monitors.bridge.scopes import READ, WRITE
from monitors.bridge.settings import HttpSettings, MeshSettings
from tests.bridge.authorization_server import RESOURCE, AuthorizationServer, authorization_server
from tests.bridge.oauth_world import served
from tests.harness import LoopThread

SECRET = "s" * 32


@pytest.fixture
def issuer() -> Iterator[AuthorizationServer]:
    with authorization_server() as running:
        yield running


def gate_before(inner: ASGIApp, issuer: AuthorizationServer) -> Gate:
    oauth = OAuthSettings(issuer=issuer.url, resource_url=RESOURCE, secret=SECRET)
    return Gate(inner, Tokens(oauth, IssuerKeys(oauth)), Keys(MeshSettings("127.0.0.1:1")), oauth)


def test_the_token_ends_at_the_gate(issuer: AuthorizationServer, loop_thread: LoopThread) -> None:
    seen: list[Scope] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await PlainTextResponse("in")(scope, receive, send)

    gate = gate_before(inner, issuer)

    async def scenario() -> str:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=gate)) as client:
            token = issuer.mint()
            answer = await client.get("http://localhost/mcp", headers={"Authorization": f"Bearer {token}"})
            twice = [("Authorization", f"Bearer {token}"), ("Authorization", "Bearer alk_x")]
            assert (await client.get("http://localhost/mcp", headers=twice)).status_code == 401
            return answer.text

    assert loop_thread.run(scenario()) == "in"
    assert "authorization" not in Headers(scope=seen[0])
    assert not seen[0]["user"].access_token.token


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ([], (401, "has expired meanwhile")),
        (["start"], (200, "")),
        (["start", "event"], (200, "event")),
        (["start", "event", "end"], (200, "event")),
    ],
)
def test_what_a_token_began_ends_with_it(
    issuer: AuthorizationServer, loop_thread: LoopThread, sent: list[str], answer: tuple[int, str]
) -> None:
    messages: dict[str, Message] = {
        "start": {"type": "http.response.start", "status": 200, "headers": []},
        "event": {"type": "http.response.body", "body": b"event", "more_body": True},
        "end": {"type": "http.response.body", "body": b""},
    }

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for name in sent:
                await send(messages[name])
            await asyncio.Event().wait()

    gate = gate_before(endless, issuer)

    async def scenario() -> tuple[int, str]:
        async with served(server_config(gate, HttpSettings())) as port, httpx2.AsyncClient(timeout=20) as client:
            # Not for long: its time is over, but for what clocks may differ by.
            token = issuer.mint(exp=int(time.time()) - LEEWAY + 2)
            headers = {"Authorization": f"Bearer {token}"}
            got = await client.get(f"http://127.0.0.1:{port}/mcp", headers=headers)
            return got.status_code, got.text

    status, text = loop_thread.run(scenario())
    assert status == answer[0]
    assert answer[1] in text
    assert answer[1] or not text


def test_a_caller_is_the_same_in_every_request() -> None:
    voucher = voucher_of(SECRET)
    ann, again, reader, bob = (
        voucher(AccessToken(token="", client_id="", scopes=scopes, subject=user, claims={TENANT_KEY: "acme"}))
        for user, scopes in (("ann", [READ, WRITE]), ("ann", [WRITE, READ]), ("ann", [READ]), ("bob", [READ, WRITE]))
    )
    assert ann == again
    assert hash(ann) == hash(again)
    assert len({ann, reader, bob}) == 3
    assert SECRET not in repr(ann)
