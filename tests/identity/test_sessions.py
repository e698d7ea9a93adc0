"""Tokens of the user system that a team already has: which are taken, as whom, and what ends them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from monitors.mesh.errors import IdentityUnavailable, Unauthenticated
from monitors.mesh.identity import ORDINARY_SCOPES, Principal
from monitors.mesh.identity.settings import SessionSettings
from monitors.mesh.masking import Secret, SecretUrl
from monitors.mesh.times import SECOND
from monitors.rules.identity.live_sessions import LiveSessions
from monitors.rules.identity.sessions import Sessions
from tests.harness import LoopThread
from tests.identity.user_system import SECRET, SignedIn, UserSystem, UserTables, sqlite_at, url_of
from tests.servers.redis import RedisServer, redis_server


@dataclass
class World:
    """A user system, and the adapter that asks it."""

    system: UserSystem
    sessions: Sessions
    loop: LoopThread
    tenants: dict[str, str] = field(default_factory=dict)

    def who(self, token: str) -> Principal:
        principal = self.loop.run(self.sessions.identify(token))
        assert principal is not None
        return principal

    def refusal(self, token: str) -> str:
        with pytest.raises(Unauthenticated) as refused:
            self.who(token)
        assert token not in refused.value.message
        return refused.value.message


@contextmanager
def world(
    loop: LoopThread, tables: UserTables | None, server: RedisServer | None, secret: str = SECRET, **settings: Any
) -> Iterator[World]:
    """`tables` and `server` are where the user system keeps its sessions."""
    redis_url = SecretUrl(server.url if server else "")
    asked = SessionSettings(Secret(secret), redis_url, SecretUrl(tables.url if tables else ""), **settings)
    tenants: dict[str, str] = {}

    async def ensure(tenant: str, tier: str) -> None:
        tenants[tenant] = tier

    async def opened() -> LiveSessions:
        return LiveSessions(asked)

    live = loop.run(opened())
    client = server.client if server else None
    yield World(UserSystem(tables, client), Sessions(asked, live, ensure), loop, tenants)
    loop.run(live.close())
    if client:
        client.close()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture(params=["both", "redis", "tables"])
def users(
    request: pytest.FixtureRequest, loop_thread: LoopThread, tmp_path: Path, server: RedisServer
) -> Iterator[World]:
    """A user system that has Redis and a database, or one of them."""
    tables = UserTables(sqlite_at(tmp_path)) if request.param != "redis" else None
    with world(loop_thread, tables, server if request.param != "tables" else None) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "mariadb"])
def both(
    request: pytest.FixtureRequest, loop_thread: LoopThread, tmp_path: Path, server: RedisServer
) -> Iterator[World]:
    """A user system that has Redis and a database."""
    with world(loop_thread, UserTables(url_of(request.param, tmp_path)), server) as opened:
        yield opened


def test_the_user_of_a_live_session_is_a_tenant_with_their_tier_and_scopes(users: World) -> None:
    session = users.system.sign_in("user_ann", tier="pro")
    principal = users.who(session.token)
    assert (principal.tenant, principal.user, principal.tier) == ("user_ann", "user_ann", "pro")
    assert principal.scopes == frozenset(ORDINARY_SCOPES)
    assert not principal.is_service
    assert users.tenants == {"user_ann": "pro"}


def test_a_session_is_over_when_its_token_is(users: World) -> None:
    end = int(time.time()) + 100
    principal = users.who(users.system.sign_in(exp=end).token)
    assert principal.expire_time == end * SECOND


def test_who_has_signed_out_is_refused(users: World) -> None:
    session = users.system.sign_in()
    users.who(session.token)
    users.system.sign_out(session)
    assert users.refusal(session.token) == "the session has ended; sign in again"


def test_a_token_that_is_not_the_sessions_present_one_is_refused(users: World) -> None:
    session = users.system.sign_in()
    other = users.system.token(session.user_id, session.id, iat=int(time.time()) - 5)
    assert "isn't the session's present one" in users.refusal(other)


def test_the_session_of_another_user_is_refused(users: World) -> None:
    session = users.system.sign_in("user_ann")
    stolen = users.system.token("user_bob", session.id)
    assert "another user's" in users.refusal(stolen)


def test_a_session_that_never_was_is_refused(users: World) -> None:
    assert "has ended" in users.refusal(users.system.token("user_ann", "session-0"))


def test_a_user_who_is_not_active_is_refused(both: World) -> None:
    session = both.system.sign_in()
    assert both.system.tables
    both.system.tables.run("UPDATE users SET is_active = 0")
    assert "isn't active" in both.refusal(session.token)


def test_a_session_that_the_tables_have_ended_is_refused_though_redis_has_it_still(both: World) -> None:
    session = both.system.sign_in()
    assert both.system.tables
    both.system.tables.run("UPDATE sessions SET is_active = 0")
    assert "has ended" in both.refusal(session.token)


@pytest.mark.parametrize("end", ["2020-01-01 00:00:00", "soon"])
def test_a_session_whose_time_is_over_or_unreadable_is_refused(both: World, end: str) -> None:
    session = both.system.sign_in()
    assert both.system.tables
    both.system.tables.run("UPDATE sessions SET expires_at = :end", end=end)
    assert "session has" in both.refusal(session.token)


@pytest.mark.parametrize("end", ["2020-01-01T00:00:00Z", "soon"])
def test_a_session_whose_time_in_redis_is_over_or_unreadable_is_refused(both: World, end: str) -> None:
    session = both.system.sign_in()
    both.system.keep(session, expires_at=end)
    assert "session has" in both.refusal(session.token)


def test_a_session_that_redis_has_lost_is_found_in_the_tables(both: World) -> None:
    session = both.system.sign_in(tier="enterprise")
    both.system.evict(session)
    assert both.who(session.token).tier == "enterprise"


@pytest.mark.parametrize("document", ["no json", "[]", "[" * 5000])
def test_what_is_no_session_in_redis_is_as_if_it_were_not_there(both: World, document: str) -> None:
    session = both.system.sign_in()
    assert both.system.cache
    both.system.cache.set(f"session:{session.id}", document)
    assert both.who(session.token).tenant == "user_ann"


def test_a_session_that_redis_alone_knows_is_taken_if_the_tables_know_its_user(both: World) -> None:
    session = both.system.sign_in()
    assert both.system.tables
    both.system.tables.run("DELETE FROM sessions")
    assert both.who(session.token).tenant == "user_ann"
    both.system.tables.run("DELETE FROM users")
    assert "isn't active" in both.refusal(session.token)


def test_what_a_database_takes_for_the_same_is_another_all_the_same(both: World) -> None:
    session = both.system.sign_in("user_ann")
    both.system.evict(session)
    for session_id in (session.id.upper(), f"{session.id} "):
        assert "has ended" in both.refusal(both.system.token("user_ann", session_id))
    assert both.system.tables
    token = both.system.token("USER_ANN", "shouted")
    both.system.tables.add_session("shouted", "USER_ANN", token, ends=timedelta(hours=1))
    assert "isn't active" in both.refusal(token)


def test_permissions_are_those_of_the_session_and_else_the_tokens(both: World) -> None:
    session = both.system.sign_in(permissions=["rules:read", "admin"])
    both.system.keep(session, permissions=["alerts:read"])
    assert both.who(session.token).scopes == {"alerts:read"}
    both.system.keep(session, permissions=[])
    assert both.who(session.token).scopes == frozenset()
    both.system.keep(session, permissions=None)
    assert both.who(session.token).scopes == {"rules:read", "admin"}


def test_without_a_tier_that_is_known_a_user_has_the_free_one(both: World) -> None:
    for tier in ("unlimited", "platinum", ""):
        assert both.who(both.system.sign_in(tier=tier).token).tier == "free"


def test_a_team_says_itself_what_its_permissions_mean(
    loop_thread: LoopThread, tmp_path: Path, server: RedisServer
) -> None:
    own = {"alerts.manage": ("alerts:write",), "*": ("rules:read",)}
    with world(loop_thread, UserTables(sqlite_at(tmp_path)), server, permissions=own) as opened:
        session = opened.system.sign_in()
        opened.system.keep(session, permissions=["alerts.manage", "fly"])
        assert opened.who(session.token).scopes == {"alerts:write", "rules:read"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exp": int(time.time()) - 60}, "it has expired"),
        ({"exp": None}, "no claim 'exp'"),
        ({"iat": None}, "no claim 'iat'"),
        ({"iat": int(time.time()) + 86_400}, "isn't valid yet"),
        ({"user_id": None}, "no claim 'user_id'"),
        ({"session_id": None}, "no claim 'session_id'"),
        ({"session_id": ["x"]}, "'session_id' is no id"),
        ({"user_id": True}, "'user_id' is no id"),
        ({"aud": "somebody"}, "meant for somebody else"),
        ({"secret": "another secret of another system, which has 50"}, "signature is wrong"),
        ({"algorithm": "HS512", "secret": SECRET * 2}, "isn't signed in a way that is taken"),
        ({"algorithm": "none", "secret": ""}, "isn't signed in a way that is taken"),
    ],
)
def test_a_token_that_is_not_whole_is_refused_with_the_reason(both: World, changes: dict[str, Any], told: str) -> None:
    session = both.system.sign_in()
    assert told in both.refusal(both.system.token(session.user_id, session.id, **changes))


def test_a_number_is_an_id_too(both: World) -> None:
    session = both.system.sign_in("42", user_id=42)
    principal = both.who(session.token)
    assert (principal.tenant, principal.user) == ("user.42", "42")


def test_a_secret_of_few_characters_is_the_same_secret(
    loop_thread: LoopThread, tmp_path: Path, server: RedisServer
) -> None:
    with world(loop_thread, UserTables(sqlite_at(tmp_path)), server, secret="short") as opened:
        with pytest.warns(jwt.InsecureKeyLengthWarning):
            token = opened.system.token("user_ann", "s", secret="short")
        opened.system.sign_in()
        assert opened.system.tables
        opened.system.tables.add_session("s", "user_ann", token, ends=timedelta(hours=1))
        opened.system.keep(SignedIn("s", "user_ann", token))
        assert opened.who(token).tenant == "user_ann"


def test_with_redis_killed_slow_or_empty_the_tables_suffice(loop_thread: LoopThread, tmp_path: Path) -> None:
    with redis_server() as own, world(loop_thread, UserTables(sqlite_at(tmp_path)), own) as opened:
        session = opened.system.sign_in()
        with own.slow():
            assert opened.who(session.token).tenant == "user_ann"
        own.wipe()
        assert opened.who(session.token).tenant == "user_ann"
        own.kill()
        assert opened.who(session.token).tenant == "user_ann"
        assert opened.system.tables
        opened.system.tables.run("UPDATE sessions SET is_active = 0")
        assert "has ended" in opened.refusal(session.token)


def test_with_the_tables_away_redis_suffices(both: World) -> None:
    session = both.system.sign_in()
    assert both.system.tables
    both.system.tables.run("DROP TABLE users")
    assert both.who(session.token).tenant == "user_ann"


def test_with_both_away_nobody_is_let_in(loop_thread: LoopThread, tmp_path: Path) -> None:
    with redis_server() as own, world(loop_thread, UserTables(sqlite_at(tmp_path)), own) as opened:
        session = opened.system.sign_in()
        opened.who(session.token)
        assert opened.system.tables
        opened.system.tables.run("DROP TABLE sessions")
        own.wipe()
        with pytest.raises(IdentityUnavailable, match="neither Redis nor its database"):
            opened.who(session.token)
        own.kill()
        with pytest.raises(IdentityUnavailable, match="neither Redis nor its database"):
            opened.who(session.token)


def test_a_session_that_only_a_redis_that_is_away_could_know_is_not_called_ended(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    with redis_server() as own, world(loop_thread, UserTables(sqlite_at(tmp_path)), own) as opened:
        session = opened.system.sign_in()
        assert opened.system.tables
        opened.system.tables.run("DELETE FROM sessions")
        own.kill()
        with pytest.raises(IdentityUnavailable, match="Redis"):
            opened.who(session.token)


def test_without_tables_nobody_is_let_in_while_redis_is_away(loop_thread: LoopThread) -> None:
    with redis_server() as own, world(loop_thread, None, own) as opened:
        session = opened.system.sign_in()
        opened.who(session.token)
        own.kill()
        with pytest.raises(IdentityUnavailable, match="Redis"):
            opened.who(session.token)
