"""Access tokens of an issuer that are meant for the mesh itself."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest

from monitors.mesh.errors import IdentityUnavailable, Unauthenticated, UnknownTenant
from monitors.mesh.identity import Principal
from monitors.mesh.identity.settings import OidcSettings
from monitors.mesh.times import SECOND
from monitors.rules.identity.issuer_keys import PAUSE_SECONDS, STALE_SECONDS, IssuerKeys
from monitors.rules.identity.oidc import Oidc
from tests.bridge.authorization_server import AuthorizationServer, SigningKey, authorization_server
from tests.harness import LoopThread
from tests.identity.forgeries import confused
from tests.waiting import wait_for

AUDIENCE = "https://mesh.example.org"


@dataclass
class World:
    """An issuer, and the adapter that takes its tokens."""

    issuer: AuthorizationServer
    loop: LoopThread
    now: float = 1000.0
    tiers: dict[str, str] = field(default_factory=lambda: {"acme": "pro", "local": ""})
    oidc: Oidc = field(init=False)

    def __post_init__(self) -> None:
        self.configure()

    def configure(self, **settings: Any) -> None:
        async def tier_of(tenant: str) -> str | None:
            return self.tiers.get(tenant)

        asked = OidcSettings(**{"issuer": self.issuer.url, "audience": AUDIENCE} | settings)
        self.oidc = Oidc(asked, IssuerKeys(asked, lambda: self.now), tier_of)

    def token(self, signing: SigningKey | None = None, **claims: Any) -> str:
        return self.issuer.mint(signing, **{"aud": AUDIENCE, "scope": "openid alerts:read rules:write"} | claims)

    def who(self, token: str) -> Principal:
        principal = self.loop.run(self.oidc.identify(token))
        assert principal is not None
        return principal

    def refusal(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as refused:
            self.who(token)
        assert token not in refused.value.message
        return refused.value.message


@pytest.fixture
def world(loop_thread: LoopThread) -> Iterator[World]:
    with authorization_server() as issuer:
        issuer.metadata_path = "/.well-known/openid-configuration"
        yield World(issuer, loop_thread)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_token_of_the_issuer_says_who_calls(world: World, algorithm: str) -> None:
    world.issuer.published = [SigningKey.new("one", algorithm)]
    end = int(time.time()) + 100
    principal = world.who(world.token(exp=end))
    assert (principal.tenant, principal.user, principal.tier) == ("acme", "auth0|ann", "pro")
    assert principal.scopes == {"alerts:read", "rules:write"}
    assert principal.expire_time == end * SECOND


def test_scopes_may_be_a_list_and_others_than_the_meshs_count_for_nothing(world: World) -> None:
    token = world.token(scope=None, scp=["alerts:read", "email", 7])
    assert world.who(token).scopes == {"alerts:read"}
    assert world.who(world.token(scope=None)).scopes == frozenset()


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"exp": int(time.time()) - 60}, "it has expired"),
        ({"nbf": int(time.time()) + 86_400}, "isn't valid yet"),
        ({"aud": "https://elsewhere.example.org"}, f"isn't meant for {AUDIENCE}"),
        ({"aud": None}, "no claim 'aud'"),
        ({"exp": None}, "no claim 'exp'"),
        ({"iat": None}, "no claim 'iat'"),
        ({"sub": None}, "no claim 'sub'"),
        ({"iss": "https://issuer.example.org"}, "isn't of the issuer"),
        ({"sub": "x" * 101}, "'sub' isn't a name"),
        ({"sub": "a\nb"}, "'sub' isn't a name"),
        ({"tenant": None}, "'tenant' names no tenant"),
        ({"tenant": "../x"}, "'tenant' names no tenant"),
        ({"tenant": ["acme"]}, "'tenant' names no tenant"),
        ({"tenant": "local"}, "names 'local', which is kept for"),
        ({"tenant": "user_ann"}, "names 'user_ann', which is kept for"),
        ({"tenant": "user.42"}, "names 'user.42', which is kept for"),
        ({"tenant": f"user-{'0' * 32}"}, "which is kept for"),
    ],
)
def test_a_token_that_is_not_whole_is_refused_with_the_reason(world: World, claims: dict[str, Any], told: str) -> None:
    assert told in world.refusal(world.token(**claims))


def test_a_token_that_is_signed_otherwise_is_refused(world: World) -> None:
    published = world.issuer.published[0]
    claims = world.issuer.claims(aud=AUDIENCE)
    forged = SigningKey.new(published.id)
    assert "signature is wrong" in world.refusal(world.token(forged))
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": published.id})
    assert "isn't signed with one of" in world.refusal(unsigned)
    assert "isn't signed with one of" in world.refusal(confused(claims, published))
    other = jwt.encode(claims, SigningKey.new("x", "RS256").private, algorithm="RS256", headers={"kid": published.id})
    assert "key can't be used" in world.refusal(other)


def test_a_tenant_that_the_mesh_does_not_have_is_denied(world: World) -> None:
    with pytest.raises(UnknownTenant, match="nobody"):
        world.who(world.token(tenant="nobody"))


def test_the_tenant_may_be_in_another_claim_or_the_same_for_all(world: World) -> None:
    world.configure(tenant_claim="org")
    assert world.who(world.token(org="acme", tenant="x")).tenant == "acme"
    world.configure(tenant="local")
    assert world.who(world.token(tenant="acme")).tenant == "local"


def test_a_new_key_is_fetched_when_a_token_names_it_but_made_up_ones_are_asked_for_seldom(world: World) -> None:
    world.who(world.token())
    new = SigningKey.new("second")
    world.issuer.published.append(new)
    assert "doesn't have" in world.refusal(world.token(new))
    world.now += PAUSE_SECONDS + 1
    assert world.who(world.token(new)).tenant == "acme"
    fetched = world.issuer.key_fetches
    for number in range(20):
        world.refusal(world.token(SigningKey.new(f"made-up-{number}")))
    assert world.issuer.key_fetches == fetched


def test_who_gives_up_asking_does_not_keep_the_keys_from_everybody(world: World) -> None:
    world.issuer.answers.clear()
    asking = world.loop.submit(world.oidc.identify(world.token()))
    wait_for(lambda: world.issuer.asked, "the question to the issuer")
    asking.cancel()
    world.issuer.answers.set()
    assert world.who(world.token()).tenant == "acme"
    assert world.issuer.key_fetches == 1


def test_while_the_issuer_is_away_its_keys_are_good_for_an_hour_and_then_nobody_is_let_in(world: World) -> None:
    world.who(world.token())
    world.issuer.status = 503
    world.now += STALE_SECONDS / 2
    world.who(world.token())
    world.now += STALE_SECONDS
    with pytest.raises(IdentityUnavailable, match="issuer"):
        world.who(world.token())
    world.issuer.status = 200
    world.now += PAUSE_SECONDS + 1
    world.who(world.token())


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"keys": 1}', b'{"keys": [1, {"kid": "first"}]}', b"[" * 9000, b" " * 300_000]
)
def test_a_key_set_that_is_none_lets_nobody_in(world: World, body: bytes) -> None:
    world.issuer.body = body
    with pytest.raises((IdentityUnavailable, Unauthenticated)):
        world.who(world.token())


def test_the_metadata_of_another_issuer_or_keys_in_the_clear_are_not_taken(world: World) -> None:
    for metadata in ({"issuer": "https://x"}, {"jwks_uri": "http://x.example.org/keys"}, {"jwks_uri": 7}):
        world.configure()
        world.issuer.metadata = metadata
        with pytest.raises(IdentityUnavailable):
            world.who(world.token())
    world.issuer.metadata = {"issuer": "https://x"}
    world.configure(jwks_url=f"{world.issuer.url}/keys")
    assert world.who(world.token()).tenant == "acme"
