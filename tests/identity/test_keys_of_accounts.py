"""Keys that users of an existing user system make: they end with their maker's account."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from monitors.mesh.errors import IdentityUnavailable, Unauthenticated
from monitors.mesh.identity import SCOPES, Principal
from monitors.mesh.identity.settings import NOBODY_ELSE, IdentitySettings, SessionSettings
from monitors.mesh.masking import Secret, SecretUrl
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.identity.user_system import SECRET, UserSystem, UserTables, sqlite_at
from tests.rules.client import refused
from tests.rules.running import Running, running
from tests.servers.redis import redis_server


@dataclass
class World:
    """A RuleService that knows a user system."""

    service: Running
    stub: RuleServiceStub
    loop: LoopThread

    def make(self, credential: str) -> str:
        request = pb.CreateKeyRequest(title="telegraf", scopes=["samples:write", "admin"])
        key: str = self.stub.CreateKey(request, metadata=bearer(credential), timeout=20).key
        return key

    def who(self, credential: str) -> Principal:
        """As it is known now, and not from a memory."""

        async def ask() -> Principal:
            return await self.service.rules.authenticate(credential)

        return self.loop.run(ask())


def bearer(credential: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {credential}"),)


@contextmanager
def world(loop: LoopThread, folder: Path, identity: IdentitySettings) -> Iterator[World]:
    with (
        loop.opened(running(folder, identity=identity)) as service,
        grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        yield World(service, RuleServiceStub(channel), loop)


@pytest.fixture
def tables(tmp_path: Path) -> UserTables:
    return UserTables(sqlite_at(tmp_path))


def asking(tables: UserTables) -> IdentitySettings:
    return IdentitySettings(SessionSettings(Secret(SECRET), database_url=SecretUrl(tables.url)))


def test_a_key_ends_with_the_account_of_whoever_made_it_and_comes_back_with_it(
    loop_thread: LoopThread, tmp_path: Path, tables: UserTables
) -> None:
    with world(loop_thread, tmp_path, asking(tables)) as mesh:
        users = UserSystem(tables, None)
        session = users.sign_in("user_ann", permissions=["*"])
        key = mesh.make(session.token)
        users.sign_out(session)
        known = mesh.who(key)
        assert (known.tenant, sorted(known.scopes)) == ("user_ann", ["admin", "samples:write"])
        tables.run("UPDATE users SET is_active = :no WHERE id = 'user_ann'", no=False)
        with pytest.raises(Unauthenticated, match="the account of whoever made the API key isn't active"):
            mesh.who(key)
        tables.run("UPDATE users SET is_active = :yes WHERE id = 'user_ann'", yes=True)
        assert mesh.who(key).tenant == "user_ann"
        tables.run("DELETE FROM users")
        with pytest.raises(Unauthenticated, match="isn't active"):
            mesh.who(key)


def test_a_key_that_such_a_key_has_made_ends_with_the_account_too(
    loop_thread: LoopThread, tmp_path: Path, tables: UserTables
) -> None:
    with world(loop_thread, tmp_path, asking(tables)) as mesh:
        # The id is too long to stand as it is in the tenant's name.
        session = UserSystem(tables, None).sign_in(f"ann@{'x' * 50}.example.org", permissions=["*"])
        second = mesh.make(mesh.make(session.token))
        assert mesh.who(second).tenant.startswith("user-")
        tables.run("UPDATE users SET is_active = :no", no=False)
        with pytest.raises(Unauthenticated, match="isn't active"):
            mesh.who(second)


def test_an_operators_key_ends_with_nobodys_account(
    loop_thread: LoopThread, tmp_path: Path, tables: UserTables
) -> None:
    with world(loop_thread, tmp_path, asking(tables)) as mesh:
        key = mesh.make(mesh.service.local_key)
        tables.run("DROP TABLE users")
        assert mesh.who(key).scopes == {"samples:write", "admin"}
        assert mesh.who(mesh.service.local_key).scopes == frozenset(SCOPES)


def test_while_accounts_cannot_be_looked_at_nobody_is_let_in_on_a_guess(
    loop_thread: LoopThread, tmp_path: Path, tables: UserTables
) -> None:
    with world(loop_thread, tmp_path, asking(tables)) as mesh:
        key = mesh.make(UserSystem(tables, None).sign_in("user_ann", permissions=["*"]).token)
        tables.run("DROP TABLE users")
        with pytest.raises(IdentityUnavailable):
            mesh.who(key)
    unset = "IDENTITY_DATABASE_URL of RuleService aren't set any more"
    with world(loop_thread, tmp_path, NOBODY_ELSE) as mesh, pytest.raises(Unauthenticated, match=unset):
        mesh.who(key)


def test_where_accounts_cannot_be_looked_at_a_user_is_told_who_makes_keys(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    with redis_server() as server:
        identity = IdentitySettings(SessionSettings(Secret(SECRET), SecretUrl(server.url)))
        with world(loop_thread, tmp_path, identity) as mesh:
            users = UserSystem(None, server.client)
            session = users.sign_in("user_ann", permissions=["*"])
            users.keep(session, permissions=["*"])
            error = refused(lambda: mesh.make(session.token))
            assert (error.code, error.reason) == ("FAILED_PRECONDITION", "WRONG_STATE")
            assert "monitors keys create --tenant user_ann" in error.message
