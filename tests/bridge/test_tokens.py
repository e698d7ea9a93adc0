"""Which access tokens are taken, and what is read from them: against an issuer that publishes its keys over HTTP."""

import base64
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from mcp.server.auth.provider import AccessToken

from monitors.bridge.oauth import issuer as issuer_module
from monitors.bridge.oauth.issuer import (
    FRESH_SECONDS,
    LARGEST_DOCUMENT,
    PAUSE_SECONDS,
    STALE_SECONDS,
    IssuerAway,
    IssuerKeys,
    metadata_urls,
)
from monitors.bridge.oauth.settings import OAuthSettings
from monitors.bridge.oauth.tokens import TENANT_KEY, TokenRefused, Tokens, UserRefused
from tests.bridge.authorization_server import RESOURCE, AuthorizationServer, SigningKey, authorization_server
from tests.harness import LoopThread
from tests.waiting import wait_for

SECRET = "s" * 32


@dataclass
class Verifier:
    """Verifies, at a time that the test says."""

    issuer: AuthorizationServer
    loop_thread: LoopThread
    options: dict[str, Any]
    now: float = 0.0

    def __post_init__(self) -> None:
        given = {"issuer": self.issuer.url, "resource_url": RESOURCE, "secret": SECRET}
        settings = OAuthSettings(**given | self.options)
        self.tokens = Tokens(settings, IssuerKeys(settings, clock=lambda: self.now))

    def __call__(self, token: str) -> AccessToken:
        return self.loop_thread.run(self.tokens.verify(token))

    def refusal(self, token: str, kind: type[Exception] = TokenRefused) -> str:
        with pytest.raises(kind) as raised:
            self(token)
        assert token not in str(raised.value)
        return str(raised.value)


@pytest.fixture
def issuer() -> Iterator[AuthorizationServer]:
    with authorization_server() as running:
        yield running


@pytest.fixture
def verify(issuer: AuthorizationServer, loop_thread: LoopThread) -> Verifier:
    return Verifier(issuer, loop_thread, {})


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_good_token_says_who_calls(issuer: AuthorizationServer, verify: Verifier, algorithm: str) -> None:
    issuer.published = [SigningKey.new("one", algorithm)]
    token = verify(issuer.mint(azp="claude", aud=["https://other.example", RESOURCE]))
    assert (token.subject, token.client_id, token.resource) == ("auth0|ann", "claude", RESOURCE)
    assert token.scopes == ["openid", "alerts:read", "alerts:write"]
    assert (token.claims or {})[TENANT_KEY] == "acme"
    assert not token.token


@pytest.mark.parametrize("scopes", [{"scp": "alerts:read"}, {"scp": ["alerts:read"]}, {"scope": "alerts:read"}])
def test_scopes_are_read_as_issuers_write_them(issuer: AuthorizationServer, verify: Verifier, scopes: Any) -> None:
    assert verify(issuer.mint(**{"scope": None} | scopes)).scopes == ["alerts:read"]


def test_clocks_may_differ_a_little(issuer: AuthorizationServer, verify: Verifier) -> None:
    now = int(time.time())
    assert verify(issuer.mint(exp=now - 10, nbf=now + 10, iat=now + 10))


def unsigned(issuer: AuthorizationServer) -> str:
    return jwt.encode(issuer.claims(), "", algorithm="none", headers={"kid": "first"})


def hmac_with_public_key(issuer: AuthorizationServer) -> str:
    # The library itself refuses to do this, so it's done by hand.
    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    header = json.dumps({"alg": "HS256", "kid": "first"}).encode()
    body = part(header) + b"." + part(json.dumps(issuer.claims()).encode())
    return (body + b"." + part(hmac.digest(issuer.published[0].pem, body, "sha256"))).decode()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda issuer: "garbage", "isn't a JWT"),
        (lambda issuer: "a.b.c", "isn't a JWT"),
        (lambda issuer: issuer.mint(exp=int(time.time()) - 60), "has expired"),
        (lambda issuer: issuer.mint(nbf=int(time.time()) + 60), "isn't valid yet"),
        (lambda issuer: issuer.mint(iss="https://evil.example"), "isn't of the issuer"),
        (lambda issuer: issuer.mint(aud="https://other.example/mcp"), f"isn't meant for {RESOURCE}"),
        (lambda issuer: issuer.mint(aud=None), "'aud'"),
        (lambda issuer: issuer.mint(exp=None), "'exp'"),
        (lambda issuer: issuer.mint(iat=None), "'iat'"),
        (lambda issuer: issuer.mint(sub=None), "'sub'"),
        (unsigned, "isn't signed with"),
        (hmac_with_public_key, "isn't signed with"),
        (lambda issuer: issuer.mint(SigningKey.new("other")), "a key that the issuer doesn't have"),
        (lambda issuer: issuer.mint(SigningKey.new("first")), "signature is wrong"),
        (lambda issuer: issuer.mint(SigningKey.new("first", "RS256")), "can't be used"),
    ],
)  # fmt: skip
def test_whatever_isnt_a_good_token_is_refused(
    issuer: AuthorizationServer, verify: Verifier, make: Any, told: str
) -> None:
    assert told in verify.refusal(make(issuer))


def test_a_symmetric_or_encrypting_key_among_the_published_ones_is_none(
    issuer: AuthorizationServer, verify: Verifier
) -> None:
    weak = {"kty": "oct", "k": "c2VjcmV0", "kid": "weak"}
    issuer.body = json.dumps({"keys": [weak, issuer.published[0].jwk | {"use": "enc"}]}).encode()
    assert "doesn't have" in verify.refusal(issuer.mint())
    assert "isn't signed with" in verify.refusal(jwt.encode(issuer.claims(), "secret" * 8, headers={"kid": "weak"}))


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"tenant": None}, "no claim 'tenant'"),
        ({"tenant": "../x"}, "isn't a tenant"),
        ({"tenant": 7}, "isn't a tenant"),
        ({"tenant": "local"}, "the tenant of whoever runs the mesh"),
        ({"sub": "x" * 101}, "'sub'"),
        ({"sub": "ann\nbob"}, "'sub'"),
    ],
)
def test_a_user_without_a_place_is_told_why(
    issuer: AuthorizationServer, verify: Verifier, claims: dict[str, Any], told: str
) -> None:
    assert told in verify.refusal(issuer.mint(**claims), UserRefused)


def test_the_tenant_is_another_claim_or_the_same_for_all(issuer: AuthorizationServer, loop_thread: LoopThread) -> None:
    by_claim = Verifier(issuer, loop_thread, {"tenant_claim": "org_id"})
    assert (by_claim(issuer.mint(org_id="org_1")).claims or {})[TENANT_KEY] == "org_1"
    fixed = Verifier(issuer, loop_thread, {"tenant": "local"})
    assert (fixed(issuer.mint(tenant="acme")).claims or {})[TENANT_KEY] == "local"


def test_keys_are_fetched_once_and_again_when_they_are_old(issuer: AuthorizationServer, verify: Verifier) -> None:
    for _ in range(3):
        verify(issuer.mint())
    assert issuer.key_fetches == 1
    verify.now += FRESH_SECONDS + 1
    verify(issuer.mint())
    assert issuer.key_fetches == 2


def test_a_new_key_is_found_but_made_up_ones_cant_make_us_ask_all_the_time(
    issuer: AuthorizationServer, verify: Verifier
) -> None:
    verify(issuer.mint())
    new, old = SigningKey.new("new"), issuer.published[0]
    for number in range(10):
        verify.refusal(issuer.mint(SigningKey.new(f"made-up-{number}")))
    assert issuer.key_fetches == 1
    issuer.published = [new]
    verify.now += PAUSE_SECONDS
    assert verify(issuer.mint(new))
    assert issuer.key_fetches == 2
    assert "doesn't have" in verify.refusal(issuer.mint(old))


def test_a_token_without_a_key_id_is_checked_with_the_only_key(issuer: AuthorizationServer, verify: Verifier) -> None:
    key = issuer.published[0]
    token = jwt.encode(issuer.claims(), key.private, algorithm=key.algorithm)
    assert verify(token)
    issuer.published.append(SigningKey.new("second"))
    verify.now += FRESH_SECONDS + 1
    assert "doesn't have" in verify.refusal(token)


def test_who_gives_up_asking_does_not_keep_the_keys_from_everybody(
    issuer: AuthorizationServer, verify: Verifier
) -> None:
    issuer.answers.clear()
    asking = verify.loop_thread.submit(verify.tokens.verify(issuer.mint()))
    wait_for(lambda: issuer.asked, "the question to the issuer")
    asking.cancel()
    issuer.answers.set()
    assert verify(issuer.mint()).subject == "auth0|ann"
    assert issuer.key_fetches == 1


def test_known_keys_outlive_an_outage_of_the_issuer_for_an_hour(issuer: AuthorizationServer, verify: Verifier) -> None:
    token = issuer.mint(exp=int(time.time()) + 10_000)
    verify(token)
    issuer.status = 500
    verify.now += FRESH_SECONDS + 1
    assert verify(token)
    assert "answered 500" in verify.refusal(issuer.mint(SigningKey.new("new")), IssuerAway)
    verify.now += STALE_SECONDS
    assert "answered 500" in verify.refusal(token, IssuerAway)
    issuer.status = 200
    verify.now += PAUSE_SECONDS
    assert verify(token)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"body": b"x" * (LARGEST_DOCUMENT + 1)}, "has more than 256 KiB"),
        ({"body": b"[]"}, "isn't a JSON object"),
        ({"body": b"[" * 100_000}, "isn't a JSON object"),
        ({"body": b"{}"}, "has no key set"),
        ({"status": 302}, "no metadata"),
        ({"metadata_path": "/elsewhere"}, "no metadata"),
        ({"metadata": {"issuer": "https://evil.example"}}, "metadata of another issuer"),
        ({"metadata": {"jwks_uri": "http://evil.example/keys"}}, "names no jwks_uri with https"),
        ({"metadata": {"jwks_uri": "file:///etc/passwd"}}, "names no jwks_uri with https"),
    ],
)
def test_what_an_issuer_gives_is_taken_with_care(
    issuer: AuthorizationServer, verify: Verifier, changes: dict[str, Any], told: str
) -> None:
    for name, value in changes.items():
        setattr(issuer, name, value)
    assert told in verify.refusal(issuer.mint(), IssuerAway)


def test_an_issuer_that_cant_be_reached_or_is_slow_is_away(
    issuer: AuthorizationServer, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = Verifier(issuer, loop_thread, {"jwks_url": "http://127.0.0.1:1/keys"})
    assert "can't be reached" in nowhere.refusal(issuer.mint(), IssuerAway)
    monkeypatch.setattr(issuer_module, "FETCH_SECONDS", 0.2)
    issuer.drips = True
    assert "didn't answer within" in Verifier(issuer, loop_thread, {}).refusal(issuer.mint(), IssuerAway)
    issuer.answers.clear()
    assert Verifier(issuer, loop_thread, {}).refusal(issuer.mint(), IssuerAway)


def test_metadata_is_looked_for_where_either_standard_says(issuer: AuthorizationServer, verify: Verifier) -> None:
    assert metadata_urls("https://id.example/realms/acme") == (
        "https://id.example/.well-known/oauth-authorization-server/realms/acme",
        "https://id.example/.well-known/openid-configuration/realms/acme",
        "https://id.example/realms/acme/.well-known/openid-configuration",
    )
    issuer.metadata_path = "/.well-known/openid-configuration"
    assert verify(issuer.mint())
