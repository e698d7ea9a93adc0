"""The audit and the rotation of master keys on a real MariaDB."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError

from monitors.mesh.audit import Change, Query, Source, events_of
from monitors.mesh.audit_keeping import forget_old
from monitors.mesh.audit_table import append, list_events, page_of
from monitors.mesh.config import NotifierSettings
from monitors.mesh.database import Database, Session
from monitors.mesh.master_keys import KeyUnusable, MasterKey
from monitors.mesh.secrets import Sealer
from monitors.notifier.main import open_notifier
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.targets import ConsoleTarget
from monitors.notifier.rotation import Rotation, open_rotation
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.sealed import keep_fingerprint_key
from monitors.notifier.store.tables import audit
from tests.harness import LoopThread
from tests.servers.backends import server_database_url
from tests.servers.mariadb import shared_server
from tests.tenants import OpenDatabase

OLD, NEW = MasterKey("old", b"o" * 32), MasterKey("new", b"n" * 32)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    url = server_database_url(tmp_path_factory.mktemp("audit") / "notifier.db", "notifier")
    opened = OpenDatabase(url, name="audit", migrations="monitors.notifier.migrations")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def filled(loop_thread: LoopThread, database: Database) -> Database:
    """Two thousand events of two tenants by twenty users."""

    def fill(session: Session) -> None:
        for number in range(200):
            changes = [Change("channel", f"chan_{n}", None, {"name": "x"}) for n in range(5)]
            for tenant in ("acme", "globex"):
                user = f"user{number % 20}"
                append(session, audit, events_of(tenant, user, Source("test"), "CreateChannel", number * 100, changes))

    loop_thread.run(database.write(fill))
    loop_thread.run(database.write(lambda session: session.connection().exec_driver_sql("ANALYZE TABLE audit").all()))
    return database


@pytest.mark.parametrize(
    "query",
    [Query(), Query(kind="channel"), Query(user="user3"), Query(resource_id="chan_3"), Query(start=500, end=15_000)],
    ids=str,
)
@pytest.mark.parametrize("after", [None, (9_901, "audit_x")])
def test_a_page_is_read_by_an_index_in_its_order(
    loop_thread: LoopThread, filled: Database, query: Query, after: tuple[int, str] | None
) -> None:
    statement = page_of(audit, "acme", query, after, 50)
    text = str(statement.compile(dialect=mysql.dialect(), compile_kwargs={"literal_binds": True}))

    def explain(session: Session) -> tuple[str, str]:
        (row,) = session.connection().exec_driver_sql(f"EXPLAIN {text}").mappings()
        return row["key"], row["Extra"]

    key, extra = loop_thread.run(filled.read(explain))
    assert key
    assert "filesort" not in extra
    found = loop_thread.run(filled.read(lambda session: list_events(session, audit, "acme", query, after, 50)))
    assert found == sorted(found, key=lambda event: (-event.time, event.id))
    assert {event.tenant for event in found} == {"acme"}


def test_what_is_too_old_goes(loop_thread: LoopThread, filled: Database) -> None:
    loop_thread.run(forget_old(filled, audit, 5_000))
    oldest = loop_thread.run(
        filled.read(lambda session: list_events(session, audit, "globex", Query(end=5_200), None, 100))
    )
    assert min(event.time for event in oldest) == 5_000


def test_the_server_itself_can_hold_that_nothing_of_it_is_changed(loop_thread: LoopThread, tmp_path: Path) -> None:
    """With the grants that the page on secrets shows."""
    server, url = shared_server(), server_database_url(tmp_path / "notifier.db", "notifier")
    name = url.rpartition("/")[2]
    server.execute(f"CREATE USER auditor_{name} IDENTIFIED BY 'x'")
    for (table,) in server.execute("SHOW TABLES", database=name):
        rights = "SELECT, INSERT" if table == audit.name else "SELECT, INSERT, UPDATE, DELETE"
        server.execute(f"GRANT {rights} ON {name}.{table} TO auditor_{name}")
    limited = f"mysql+pymysql://auditor_{name}:x@127.0.0.1:{server.port}/{name}"
    database = OpenDatabase(limited, name="limited", migrations="monitors.notifier.migrations")
    events = events_of("acme", "ann", Source("test"), "CreateChannel", 1, [Change("channel", "chan_1", None, {})])
    loop_thread.run(database.write(lambda session: append(session, audit, events)))
    for statement in (f"UPDATE {audit.name} SET user = 'bob'", f"DELETE FROM {audit.name}"):
        with pytest.raises(DBAPIError, match="1142"):
            loop_thread.run(database.write(lambda session: session.connection().exec_driver_sql(statement).rowcount))  # noqa: B023
    found = loop_thread.run(database.read(lambda session: list_events(session, audit, "acme", Query(), None, 9)))
    assert found == events
    database.close()


def test_a_new_key_takes_the_place_of_an_old_one(loop_thread: LoopThread, database: Database, tmp_path: Path) -> None:
    before, after = Sealer((OLD,)), Sealer((NEW, OLD))

    def fill(session: Session) -> None:
        keep_fingerprint_key(session, before)
        for number in range(250):
            ChannelStore(before).insert(session, Channel("acme", f"chan_{number}", f"ops{number}", ConsoleTarget()))

    loop_thread.run(database.write(fill))
    rotation = Rotation(database, after)
    assert loop_thread.run(rotation.look()).under == {"new": 0, "old": 251}
    rotated = loop_thread.run(rotation.run())
    assert (rotated.resealed, rotated.standing.under) == (251, {"new": 251, "old": 0})
    assert loop_thread.run(rotation.run()).resealed == 0
    only_new = Sealer((NEW,))
    kept = loop_thread.run(database.write(lambda session: keep_fingerprint_key(session, only_new)))
    assert kept == before.fingerprint_key


def test_a_notifier_that_lacks_the_others_key_doesnt_take_its_share_of_the_messages(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    url = server_database_url(tmp_path / "notifier.db", "notifier")

    async def start(key_file: str, *keys: MasterKey) -> None:
        settings = NotifierSettings(url, tmp_path / key_file, None, True, master_keys=keys)
        async with (
            grpc.aio.insecure_channel("127.0.0.1:1") as rules,
            open_notifier(settings, rules, asyncio.Event(), lambda _: None),
        ):
            pass

    for key_file in ("first.key", "first.key"):
        loop_thread.run(start(key_file))
    with pytest.raises(KeyUnusable, match="give all notifiers the same MONITORS_MASTER_KEYS"):
        loop_thread.run(start("second.key"))
    with pytest.raises(KeyUnusable, match=r"no key in MONITORS_MASTER_KEYS .*rotate --give-up-lost"):
        loop_thread.run(start("second.key", NEW))
    # A new key may come first while the old one is behind it.
    loop_thread.run(start("first.key", NEW))

    async def give_up() -> None:
        settings = NotifierSettings(url, tmp_path / "no.key", None, True, master_keys=(NEW,))
        async with open_rotation(settings) as rotation:
            assert (await rotation.run(give_up_lost=True)).lost == 1

    # Who has lost a key says so.
    loop_thread.run(give_up())
    loop_thread.run(start("no.key", NEW))
