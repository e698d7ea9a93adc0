"""What holds for every kind of credential: the contract of the port, tried on each adapter."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.auth.provider import AccessToken

from monitors.bridge.oauth.statements import voucher_of
from monitors.bridge.oauth.tokens import TENANT_KEY
from monitors.mesh.config import RulesSettings
from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.errors import MeshError, Unauthenticated
from monitors.mesh.identity import (
    Authenticate,
    CachedAuthenticator,
    IdentityProvider,
    Principal,
    ServiceToken,
    first_of,
)
from monitors.mesh.identity.providers import LONGEST_CREDENTIAL
from monitors.mesh.identity.settings import OidcSettings, SessionSettings
from monitors.mesh.masking import Secret, SecretUrl
from monitors.mesh.statements import BridgeStatements
from monitors.mesh.times import SECOND, now_nanos
from monitors.rules.identity.api_keys import ApiKeys
from monitors.rules.identity.issuer_keys import IssuerKeys
from monitors.rules.identity.live_sessions import LiveSessions
from monitors.rules.identity.oidc import Oidc
from monitors.rules.identity.sessions import Sessions
from monitors.rules.identity.tenants import Tenants
from monitors.rules.main import open_rules
from tests.bridge.authorization_server import authorization_server
from tests.harness import LoopThread
from tests.identity.forgeries import tampered
from tests.identity.user_system import SECRET, UserSystem, UserTables, sqlite_at

AUDIENCE = "https://mesh.example.org"
BRIDGE_SECRET = "bridge-secret-" * 3
SERVICE_TOKEN = "service-token-" * 3
KINDS = ("key", "session", "oidc", "statement", "service")


@dataclass(frozen=True)
class Kind:
    """An adapter, how a good credential of its is made, and of which tenant that is."""

    provider: IdentityProvider
    make: Callable[[], str]
    tenant: str


@dataclass(frozen=True)
class World:
    """Every adapter on one database."""

    kinds: dict[str, Kind]
    loop: LoopThread

    def identify(self, kind: str, credential: str) -> Principal | None:
        return self.loop.run(self.kinds[kind].provider.identify(credential))


@pytest.fixture(scope="module")
def world(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("identity")
    with ExitStack() as stack:
        issuer = stack.enter_context(authorization_server())
        settings = RulesSettings(sqlite_url(folder / "rules.db"))
        rules = stack.enter_context(loop_thread.opened(open_rules(settings, asyncio.Event(), None)))
        database = Database(settings.database_url, name="identity", migrations="monitors.rules.migrations")
        stack.callback(database.close)
        key = loop_thread.run(rules.add_tenant("acme"))
        url = sqlite_at(folder)
        users = UserSystem(UserTables(url), None)
        kinds = loop_thread.run(_kinds(database, issuer.url, url))
        loop_thread.run(Tenants(database).ensure("acme", ""))
        caller = AccessToken(token="", client_id="", scopes=["alerts:read"], subject="ann", claims={TENANT_KEY: "acme"})
        makers: dict[str, tuple[Callable[[], str], str]] = {
            "key": (lambda: key, "acme"),
            "session": (lambda: users.sign_in("user_ann").token, "user_ann"),
            "oidc": (lambda: issuer.mint(aud=AUDIENCE, tenant="acme"), "acme"),
            "statement": (lambda: voucher_of(BRIDGE_SECRET)(caller)(), "acme"),
            "service": (lambda: SERVICE_TOKEN, ""),
        }
        yield World({kind: Kind(kinds[kind], *makers[kind]) for kind in KINDS}, loop_thread)


async def _kinds(database: Database, issuer: str, users: str) -> dict[str, IdentityProvider]:
    tenants = Tenants(database)
    asked = SessionSettings(Secret(SECRET), database_url=SecretUrl(users))
    oidc = OidcSettings(issuer, AUDIENCE, f"{issuer}/keys")
    return {
        "key": ApiKeys(database),
        "session": Sessions(asked, LiveSessions(asked), tenants.ensure),
        "oidc": Oidc(oidc, IssuerKeys(oidc), tenants.tier_of),
        "statement": BridgeStatements([BRIDGE_SECRET], tenants.tier_of),
        "service": ServiceToken(SERVICE_TOKEN),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_credential_says_whose_it_is(world: World, kind: str) -> None:
    principal = world.identify(kind, world.kinds[kind].make())
    assert principal is not None
    assert (principal.tenant, principal.is_service) == (world.kinds[kind].tenant, kind == "service")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_what_is_of_another_kind_is_left_to_the_others(world: World, kind: str, other: str) -> None:
    if kind != other:
        assert world.identify(kind, world.kinds[other].make()) is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_changed_by_a_character_is_refused_and_not_told(world: World, kind: str) -> None:
    changed = tampered(world.kinds[kind].make())
    if kind == "service":
        # It has no form by which it's known to be one.
        assert world.identify(kind, changed) is None
        return
    with pytest.raises(Unauthenticated) as refused:
        world.identify(kind, changed)
    assert changed not in f"{refused.value.message} {refused.value.metadata}"


@pytest.mark.parametrize("kind", KINDS)
@given(
    text=st.text(max_size=200)
    | st.from_regex(r"alk_[a-z_]{0,80}", fullmatch=True)
    | st.builds("{}.{}.{}".format, *[st.text(alphabet="eyJhbGciOiJIUzI1NiJ9AZ09-_=", max_size=60)] * 3)
)
def test_whatever_is_sent_is_nobodys_or_refused_in_words(world: World, kind: str, text: str) -> None:
    with suppress(Unauthenticated):
        assert world.identify(kind, text) is None


@pytest.mark.parametrize("kind", KINDS)
def test_among_all_kinds_each_finds_its_own(world: World, kind: str) -> None:
    authenticate = first_of(*(each.provider for each in world.kinds.values()))
    principal = world.loop.run(_ask(authenticate, world.kinds[kind].make()))
    assert principal.tenant == world.kinds[kind].tenant


@pytest.mark.parametrize(
    ("credential", "told"),
    [
        ("", "isn't an API key"),
        ("x" * (LONGEST_CREDENTIAL + 1), "7,169 characters"),
        ("schlüssel", "characters that none has"),
        ("alk_local\n", "characters that none has"),
        ("a.b.c", "an access token to the MCP bridge"),
        ("Bearer alk_x", "isn't an API key"),
    ],
)
def test_what_nobody_knows_is_refused_with_what_to_send(world: World, credential: str, told: str) -> None:
    authenticate = first_of(*(each.provider for each in world.kinds.values()))
    with pytest.raises(Unauthenticated, match=told):
        world.loop.run(_ask(authenticate, credential))


def test_a_remembered_answer_ends_with_its_credential(loop_thread: LoopThread) -> None:
    asked = []

    async def source(credential: str) -> Principal:
        asked.append(credential)
        ends = {"over": now_nanos() - SECOND, "lasting": now_nanos() + 3600 * SECOND, "endless": None}
        return Principal("acme", "x", expire_time=ends[credential])

    authenticate = CachedAuthenticator(source)
    for credential in ("over", "lasting", "endless") * 2:
        loop_thread.run(_ask(authenticate, credential))
    assert asked == ["over", "lasting", "endless", "over"]


async def _ask(authenticate: Authenticate, credential: str) -> Principal:
    return await authenticate(credential)


def test_a_refusal_is_not_remembered(loop_thread: LoopThread) -> None:
    answers: list[Principal | MeshError] = [Unauthenticated("no"), Principal("acme", "x")]

    async def source(_: str) -> Principal:
        answer = answers.pop(0)
        if isinstance(answer, MeshError):
            raise answer
        return answer

    authenticate = CachedAuthenticator(source)
    with pytest.raises(Unauthenticated):
        loop_thread.run(_ask(authenticate, "x"))
    assert loop_thread.run(_ask(authenticate, "x")).tenant == "acme"
