"""Keys: the local one in its file, others made by an administrator; and who a credential belongs to."""

import asyncio
import stat
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from socket import gethostname

import pytest
from sqlalchemy import select

from monitors.app.serve import make_tenants
from monitors.mesh.config import RulesSettings, load_settings
from monitors.mesh.database import Database, DatabaseUnusable, Session, sqlite_url
from monitors.mesh.errors import Unauthenticated
from monitors.mesh.identity import ORDINARY_SCOPES, SCOPES, new_api_key
from monitors.mesh.masking import Secret
from monitors.mesh.times import SECOND, now_nanos, to_timestamp
from monitors.rules.main import Rules, open_rules
from monitors.rules.store import keys
from monitors.rules.store.tables import keys as table
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import Client, refused
from tests.rules.running import Running, running
from tests.servers.backends import database_url
from tests.tenants import of_all


@pytest.fixture
def other(stub: RuleServiceStub, service: Running, loop_thread: LoopThread) -> Client:
    """A client of another tenant."""
    return Client.of_new_tenant(stub, service.rules, loop_thread)


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
    assert answer.cache_for.seconds == 25


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
    database = Database(database_url(tmp_path / "rules.db"), name="keys", migrations="monitors.rules.migrations")
    database.upgrade()
    key, other = new_api_key(), new_api_key()

    @of_all
    def work(session: Session) -> None:
        keys.add_tenant(session, "t", 1)
        keys.add_key(session, key.digests()[0], keys.StoredKey("t", key.key_id, ("admin",), 100, create_time=1))
        assert keys.find_key(session, key.key_id, key.digests(), 99).tenant == "t"
        for key_id, digests, now, told in (
            (key.key_id, key.digests(), 100, "expired"),
            (other.key_id, other.digests(), 1, "isn't known"),
            (key.key_id, other.digests(), 1, "isn't known"),
        ):
            with pytest.raises(Unauthenticated, match=told):
                keys.find_key(session, key_id, digests, now)

    loop_thread.run(database.write(work))
    database.close()


def peppered(folder: Path, *peppers: str, takes_bare: bool = True) -> AbstractAsyncContextManager[Rules]:
    settings = RulesSettings(
        database_url(folder / "rules.db"), key_peppers=tuple(map(Secret, peppers)), takes_bare_keys=takes_bare
    )
    return open_rules(settings, asyncio.Event(), None)


async def with_peppers(
    folder: Path, *peppers: str, keys: Sequence[str] = (), takes_bare: bool = True
) -> tuple[str, list[bool]]:
    """A new key, the first under the peppers; and which keys are taken under them."""
    async with peppered(folder, *peppers, takes_bare=takes_bare) as rules:
        taken = []
        for key in keys:
            try:
                await rules.authenticate(key)
            except Unauthenticated:
                taken.append(False)
            else:
                taken.append(True)
        return await rules.add_tenant("acme"), taken


def test_keys_go_on_working_when_a_pepper_comes_and_is_replaced(loop_thread: LoopThread, tmp_path: Path) -> None:
    old, new = "o" * 32, "n" * 32
    bare, _ = loop_thread.run(with_peppers(tmp_path))
    first, taken = loop_thread.run(with_peppers(tmp_path, old, keys=[bare]))
    assert taken == [True]
    second, taken = loop_thread.run(with_peppers(tmp_path, new, old, keys=[first]))
    assert taken == [True]
    # The first was used under the new one, the bare one only under the old one.
    _, taken = loop_thread.run(with_peppers(tmp_path, new, keys=[bare, first, second]))
    assert taken == [False, True, True]
    _, taken = loop_thread.run(with_peppers(tmp_path, keys=[bare, first, second]))
    assert taken == [False, False, False]


def test_bare_keys_are_refused_on_demand_but_for_those_that_were_used_with_the_pepper(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    pepper = "p" * 32
    used, _ = loop_thread.run(with_peppers(tmp_path))
    unused, _ = loop_thread.run(with_peppers(tmp_path, keys=[used]))
    loop_thread.run(with_peppers(tmp_path, pepper, keys=[used]))
    _, taken = loop_thread.run(with_peppers(tmp_path, pepper, keys=[used, unused], takes_bare=False))
    assert taken == [True, False]

    async def refusal() -> str:
        async with peppered(tmp_path, pepper, takes_bare=False) as rules:
            with pytest.raises(Unauthenticated) as refused:
                await rules.authenticate(unused)
            return str(refused.value)

    told = loop_thread.run(refusal())
    assert "before MONITORS_KEY_PEPPER was set" in told
    assert "monitors keys create" in told


def test_the_key_in_the_file_is_hashed_anew_when_bare_keys_are_refused(loop_thread: LoopThread, tmp_path: Path) -> None:
    async def key_under(*peppers: str, takes_bare: bool) -> str:
        async with peppered(tmp_path, *peppers, takes_bare=takes_bare) as rules:
            key = await rules.ensure_local_key(tmp_path / "key")
            await rules.authenticate(key)
            return key

    key = loop_thread.run(key_under(takes_bare=True))
    assert loop_thread.run(key_under("p" * 32, takes_bare=False)) == key


def test_the_key_in_the_file_survives_a_lost_pepper(loop_thread: LoopThread, tmp_path: Path) -> None:
    async def key_under(*peppers: str) -> str:
        async with peppered(tmp_path, *peppers) as rules:
            key = await rules.ensure_local_key(tmp_path / "key")
            await rules.authenticate(key)
            return key

    key = loop_thread.run(key_under("o" * 32))
    assert loop_thread.run(key_under()) == key
    assert loop_thread.run(key_under("n" * 32)) == key


def test_of_all_that_serve_a_database_one_makes_the_first_key_and_the_others_say_where(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    url = database_url(tmp_path / "rules.db")
    files = [tmp_path / name / "key" for name in ("one", "two", "three")]

    async def places() -> list[str]:
        async with AsyncExitStack() as stack:
            opening = [open_rules(RulesSettings(url), asyncio.Event(), None) for _ in files]
            served = [await stack.enter_async_context(each) for each in opening]
            making = (one.first_keys.ensure("acme", file) for one, file in zip(served, files, strict=True))
            return await asyncio.gather(*making)

    found = loop_thread.run(places())
    (made,) = [file for file in files if file.exists()]
    assert [place == "" for place in found] == [file == made for file in files]
    assert {place for place in found if place} == {f"{made} on {gethostname()}"}
    made_again = made.read_text()
    # Those that have their key make it known; and nothing is made when all start again.
    assert loop_thread.run(places()) == found
    assert made.read_text() == made_again


def test_a_first_key_whose_file_is_lost_is_made_anew(loop_thread: LoopThread, tmp_path: Path) -> None:
    here, there = tmp_path / "here" / "key", tmp_path / "there" / "key"

    async def work() -> None:
        async with peppered(tmp_path) as rules:
            ensure = rules.first_keys.ensure
            assert await ensure("acme", here) == ""
            first = here.read_text().strip()
            here.unlink()
            assert await ensure("acme", here) == ""
            assert here.read_text().strip() != first
            assert await ensure("acme", there) != ""
            # Another tenant's isn't this one's.
            assert await ensure("globex", tmp_path / "globex") == ""
            assert await ensure("acme", there, anew=True) == ""
            for text in (first, here.read_text().strip(), there.read_text().strip()):
                assert (await rules.authenticate(text)).tenant == "acme"

    loop_thread.run(work())


def test_a_second_service_prints_where_the_first_keys_are_unless_it_shall_make_them(
    loop_thread: LoopThread, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def told(home: str, **more: str) -> str:
        folder = tmp_path / home
        settings = load_settings({"MONITORS_HOME": str(folder), "MONITORS_TENANTS": "acme", **more})
        async with peppered(tmp_path) as rules:
            await make_tenants(rules, settings)
        return capsys.readouterr().out

    assert loop_thread.run(told("one")) == ""
    local, acme = loop_thread.run(told("two")).splitlines()
    assert f"the first key of local was put into {tmp_path}/one/key on {gethostname()}" in local
    assert f"the first key of acme was put into {tmp_path}/one/tenants/acme.key on" in acme
    assert "MONITORS_MAKE_FIRST_KEYS=again" in acme
    assert not (tmp_path / "two" / "key").exists()
    assert loop_thread.run(told("two", MONITORS_MAKE_FIRST_KEYS="again")) == ""
    assert (tmp_path / "two" / "key").exists()


def test_a_revoked_key_is_refused_and_listed_as_such(client: Client) -> None:
    made = client.call(pb.CreateKeyRequest(title="telegraf"))
    first, second = client.call(pb.ListKeysRequest()).keys
    assert (first.id, first.title, first.HasField("revoke_time")) == (made.key_id, "telegraf", False)
    assert first.creator == second.id
    assert second.creator == "operator"
    revoked = client.call(pb.RevokeKeyRequest(key_id=made.key_id)).key
    assert revoked.HasField("revoke_time")
    assert client.call(pb.RevokeKeyRequest(key_id=made.key_id)).key.revoke_time == revoked.revoke_time
    error = refused(lambda: client.stub.Authenticate(pb.AuthenticateRequest(credential=made.key)))
    assert (error.code, error.reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    assert "revoked" in error.message
    assert [key.HasField("revoke_time") for key in client.call(pb.ListKeysRequest()).keys] == [True, False]


def test_keys_come_page_by_page(client: Client) -> None:
    for number in range(5):
        client.call(pb.CreateKeyRequest(title=f"key {number}"))
    titles, token = [], ""
    while True:
        page = client.call(pb.ListKeysRequest(page_size=2, page_token=token))
        titles += [key.title for key in page.keys]
        token = page.next_page_token
        if not token:
            break
    assert titles == ["key 4", "key 3", "key 2", "key 1", "key 0", client.tenant]


def test_another_tenants_key_is_as_unknown_as_one_that_never_was(client: Client, other: Client) -> None:
    theirs = other.call(pb.CreateKeyRequest(title="theirs")).key_id
    for key_id in (theirs, "key_neverwas0000"):
        error = client.refused(pb.RevokeKeyRequest(key_id=key_id))
        assert (error.code, error.message.replace(key_id, "ID")) == (
            "NOT_FOUND",
            "there is no key 'ID'; ListKeys shows those that there are",
        )
    for request in (
        pb.ListKeysRequest(tenant_id=other.tenant),
        pb.CreateKeyRequest(title="x", tenant_id=other.tenant),
        pb.RevokeKeyRequest(key_id=theirs, tenant_id=other.tenant),
    ):
        assert client.refused(request).code == "UNAUTHENTICATED"
    assert not other.call(pb.ListKeysRequest()).keys[0].HasField("revoke_time")


def test_a_service_of_the_mesh_makes_and_revokes_keys_of_a_tenant_that_it_names(client: Client) -> None:
    tenant = f"{client.tenant}-new"
    made = client.mesh(pb.CreateKeyRequest(title="x", tenant_id=tenant, scopes=["rules:read"]))
    principal = client.stub.Authenticate(pb.AuthenticateRequest(credential=made.key)).principal
    assert (principal.tenant_id, list(principal.scopes)) == (tenant, ["rules:read"])
    assert [key.id for key in client.mesh(pb.ListKeysRequest(tenant_id=tenant)).keys] == [made.key_id]
    assert client.mesh(pb.RevokeKeyRequest(key_id=made.key_id, tenant_id=tenant)).key.creator == "mesh"
    error = refused(lambda: client.mesh(pb.CreateKeyRequest(title="x", tenant_id="a b")))
    assert (error.code, error.metadata["field"]) == ("INVALID_ARGUMENT", "tenant_id")


def test_the_use_of_a_key_is_noted_and_no_text_of_it_is_kept(loop_thread: LoopThread, tmp_path: Path) -> None:
    key, _ = loop_thread.run(first_key(tmp_path))
    content = b"".join(file.read_bytes() for file in tmp_path.glob("rules.db*"))
    assert key.encode() not in content
    secret = key.split("_", 3)[3].rpartition("_")[0]
    assert secret.encode() not in content
    database = Database(database_url(tmp_path / "rules.db"), name="keys", migrations="monitors.rules.migrations")
    used = loop_thread.run(database.read(of_all(lambda session: session.scalar(select(table.c.last_use_time)))))
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
