"""Keys: the local one in its file, others made by an administrator; and who a credential belongs to."""

import asyncio
import stat
from pathlib import Path

import pytest
from sqlalchemy import select

from monitors.mesh.config import RulesSettings
from monitors.mesh.database import Database, DatabaseUnusable, Session, sqlite_url
from monitors.mesh.errors import Unauthenticated
from monitors.mesh.identity import ORDINARY_SCOPES, SCOPES, new_api_key
from monitors.mesh.times import SECOND, now_nanos, to_timestamp
from monitors.rules.main import open_rules
from monitors.rules.store import keys
from monitors.rules.store.tables import keys as table
from monitors.v1 import rule_service_pb2 as pb
from tests.harness import LoopThread
from tests.rules.client import Client
from tests.rules.running import running


async def first_key(folder: Path) -> tuple[str, frozenset[str]]:
    async with running(folder) as opened:
        principal = await opened.rules.authenticate(opened.local_key)
        assert principal.tenant == "local"
        return opened.local_key, principal.scopes


def test_the_local_key_is_made_once_and_only_its_owner_can_read_it(loop_thread: LoopThread, tmp_path: Path) -> None:
    key, scopes = loop_thread.run(first_key(tmp_path))
    file = tmp_path / "home" / "key"
    assert file.read_text().strip() == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert scopes == frozenset(SCOPES)
    assert loop_thread.run(first_key(tmp_path))[0] == key


def test_a_database_that_was_moved_away_learns_the_key_again(loop_thread: LoopThread, tmp_path: Path) -> None:
    key, _ = loop_thread.run(first_key(tmp_path))
    for file in tmp_path.glob("rules.db*"):
        file.unlink()
    assert loop_thread.run(first_key(tmp_path))[0] == key


@pytest.mark.parametrize("content", [None, "", "alk_local_damaged", "\0"])
def test_a_key_file_that_is_gone_or_damaged_is_replaced(
    loop_thread: LoopThread, tmp_path: Path, content: str | None
) -> None:
    key, _ = loop_thread.run(first_key(tmp_path))
    file = tmp_path / "home" / "key"
    file.unlink() if content is None else file.write_text(content)
    assert loop_thread.run(first_key(tmp_path))[0] != key


def test_an_administrator_makes_keys(client: Client) -> None:
    made = client.call(pb.CreateKeyRequest(title="telegraf", scopes=["samples:write"]))
    assert made.key.startswith("alk_")
    principal = client.stub.Authenticate(pb.AuthenticateRequest(credential=made.key)).principal
    assert (principal.tenant_id, principal.user, list(principal.scopes)) == (
        client.tenant,
        made.key_id,
        ["samples:write"],
    )
    limited = Client(client.stub, client.tenant, made.key, client.rules, client.loop)
    error = limited.refused(pb.ListRulesRequest())
    assert (error.code, error.metadata["scope"]) == ("PERMISSION_DENIED", "rules:read")
    ordinary = client.call(pb.CreateKeyRequest(title="x")).key
    answer = client.stub.Authenticate(pb.AuthenticateRequest(credential=ordinary))
    assert set(answer.principal.scopes) == set(ORDINARY_SCOPES)
    assert answer.cache_for.seconds == 30


def test_a_key_that_cannot_be_made_says_why(client: Client) -> None:
    past = to_timestamp(now_nanos() - SECOND)
    for request, told in (
        (pb.CreateKeyRequest(), "title: is empty"),
        (pb.CreateKeyRequest(title="x", scopes=["rule:read"]), "did you mean 'rules:read'?"),
        (pb.CreateKeyRequest(title="x", expire_time=past), "expire_time: isn't ahead"),
    ):
        assert told in client.refused(request).message


def test_a_key_ends_when_it_was_told_to(client: Client) -> None:
    ahead = to_timestamp(now_nanos() + 20 * SECOND)
    key = client.call(pb.CreateKeyRequest(title="x", expire_time=ahead)).key
    answer = client.stub.Authenticate(pb.AuthenticateRequest(credential=key))
    assert answer.principal.expire_time == ahead
    assert 0 < answer.cache_for.seconds < 20


def test_an_expired_or_wrong_key_is_refused(loop_thread: LoopThread, tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "rules.db"), name="keys", migrations="monitors.rules.migrations")
    database.upgrade()
    key, other = new_api_key(), new_api_key()
    forged = type(key)(key.key_id, other.text)

    def work(session: Session) -> None:
        keys.add_tenant(session, "t", 1)
        keys.add_key(session, key, keys.StoredKey("t", key.key_id, ("admin",), 100), "x", 1)
        assert keys.find_key(session, key, 99).tenant == "t"
        for wrong, now, told in ((key, 100, "expired"), (other, 1, "isn't known"), (forged, 1, "isn't known")):
            with pytest.raises(Unauthenticated, match=told):
                keys.find_key(session, wrong, now)

    loop_thread.run(database.write(work))
    database.close()


def test_the_use_of_a_key_is_noted_and_no_text_of_it_is_kept(loop_thread: LoopThread, tmp_path: Path) -> None:
    key, _ = loop_thread.run(first_key(tmp_path))
    content = b"".join(file.read_bytes() for file in tmp_path.glob("rules.db*"))
    assert key.encode() not in content
    secret = key.split("_", 3)[3].rpartition("_")[0]
    assert secret.encode() not in content
    database = Database(sqlite_url(tmp_path / "rules.db"), name="keys", migrations="monitors.rules.migrations")
    used = loop_thread.run(database.read(lambda session: session.scalar(select(table.c.last_use_time))))
    assert used is not None
    database.close()


def test_a_damaged_database_says_so_at_the_start(loop_thread: LoopThread, tmp_path: Path) -> None:
    (tmp_path / "rules.db").write_bytes(b"not a database" * 500)

    async def start() -> None:
        async with open_rules(RulesSettings(sqlite_url(tmp_path / "rules.db")), asyncio.Event(), None):
            pytest.fail("it opened")

    with pytest.raises(DatabaseUnusable, match=r"rules\.db"):
        loop_thread.run(start())


def test_a_tenant_has_the_tier_that_it_was_given_last(client: Client) -> None:
    def tier() -> str:
        answer = client.stub.Authenticate(pb.AuthenticateRequest(credential=client.key))
        return str(answer.principal.tier)

    assert tier() == ""
    for given in ("free", "pro", ""):
        client.loop.run(client.rules.add_tenant(client.tenant, given))
        assert tier() == given


def test_the_local_tenant_is_bounded_by_no_quota(loop_thread: LoopThread, tmp_path: Path) -> None:
    async def local_tier() -> str:
        async with running(tmp_path) as opened:
            return (await opened.rules.authenticate(opened.local_key)).tier

    assert loop_thread.run(local_tier()) == "unlimited"
