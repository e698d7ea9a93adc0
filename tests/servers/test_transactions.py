"""Transactions on MariaDB: what they see of each other, and what becomes of one that is undone by the server."""

import asyncio
import math
import re
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from monitors.mesh.database import Database, DatabaseUnusable, Session, storage_error
from monitors.mesh.errors import CommitUnknown
from monitors.mesh.times import now_nanos
from tests.harness import LoopThread
from tests.servers.backends import server_database_url
from tests.servers.mariadb import PASSWORD, shared_server
from tests.tenants import OpenDatabase

SECOND = 10**9
EARLIER = "UPDATE counters SET value = value + 1 WHERE name = 'a'"
LATER = "UPDATE counters SET value = value + 1 WHERE name = 'b'"


@pytest.fixture
def database(rules_url: str, loop_thread: LoopThread) -> Iterator[Database]:
    opened = OpenDatabase(rules_url, name="rules", migrations="monitors.rules.migrations")
    opened.upgrade()
    loop_thread.run(opened.write(lambda session: add(session, "a", "b")))
    yield opened
    opened.close()


def add(session: Session, *names: str) -> None:
    for name in names:
        session.execute(text("INSERT INTO counters (name, value) VALUES (:name, 0)"), {"name": name})


def value(session: Session, name: str) -> int:
    found: int = session.execute(text("SELECT value FROM counters WHERE name = :name"), {"name": name}).scalar_one()
    return found


def kill_own_connection(session: Session) -> None:
    number = session.execute(text("SELECT CONNECTION_ID()")).scalar_one()
    shared_server().execute(f"KILL CONNECTION {number}")


def test_texts_are_the_same_only_if_their_bytes_are(database: Database, loop_thread: LoopThread) -> None:
    names = ["cpu", "CPU", "cpu ", "cpü", "cpu\u0308", "ß", "ss", "😀", "😁"]
    loop_thread.run(database.write(lambda session: add(session, *names)))
    found = loop_thread.run(
        database.read(
            lambda session: session.scalars(
                text("SELECT name FROM counters WHERE name NOT IN ('a', 'b', 'leases') ORDER BY name")
            ).all()
        )
    )
    assert found == sorted(names, key=str.encode)


def test_a_session_is_strict_and_in_utc_however_the_server_is_set(database: Database, loop_thread: LoopThread) -> None:
    def zone_and_mode(session: Session) -> tuple[str, str]:
        zone, mode = session.execute(text("SELECT @@session.time_zone, @@session.sql_mode")).one()
        return zone, mode

    zone, mode = loop_thread.run(database.write(zone_and_mode))
    assert (zone, "STRICT_ALL_TABLES" in mode) == ("+00:00", True)
    with pytest.raises(DBAPIError, match="too long"):
        loop_thread.run(database.write(lambda session: add(session, 41 * "x")))


def test_the_clock_is_the_servers(database: Database, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    assert abs(database.now() - now_nanos()) < SECOND
    monkeypatch.setattr("time.time_ns", lambda: 0)
    assert loop_thread.run(database.write(lambda session: database.now())) > 1_700_000_000 * SECOND


@pytest.mark.parametrize("number", [math.inf, -math.inf, 0.1 + 0.2, 5e-324, -1.5e300, 60_001.0])
def test_a_number_is_kept_to_the_last_bit_and_infinity_too(
    database: Database, loop_thread: LoopThread, number: float
) -> None:
    def kept(session: Session) -> object:
        session.execute(text("CREATE TEMPORARY TABLE numbers (number DOUBLE)"))
        session.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})
        found = session.execute(text("SELECT number FROM numbers")).scalar_one()
        session.execute(text("DROP TEMPORARY TABLE numbers"))
        return found

    assert repr(loop_thread.run(database.write(kept))) == repr(number)


def test_two_transactions_in_each_others_way_are_both_made(database: Database, loop_thread: LoopThread) -> None:
    both_began = threading.Barrier(2)
    runs = []

    def cross(first: str, second: str) -> object:
        def work(session: Session) -> None:
            runs.append(first)
            session.execute(text(first))
            if len(runs) <= 2:
                both_began.wait(20)
            session.execute(text(second))

        return work

    async def both() -> None:
        await asyncio.gather(
            database.write(cross(EARLIER, LATER)),  # type: ignore[arg-type]
            database.write(cross(LATER, EARLIER)),  # type: ignore[arg-type]
        )

    loop_thread.run(both())
    assert loop_thread.run(database.read(lambda session: [value(session, "a"), value(session, "b")])) == [2, 2]
    assert len(runs) >= 3


def test_a_read_sees_one_state_while_others_write(database: Database, loop_thread: LoopThread) -> None:
    async def read_around_a_write() -> tuple[int, int]:
        loop = asyncio.get_running_loop()

        def look(session: Session) -> tuple[int, int]:
            before = value(session, "a")
            write = asyncio.run_coroutine_threadsafe(database.write(lambda other: other.execute(text(EARLIER))), loop)
            write.result(20)
            return before, value(session, "a")

        return await database.read(look)

    assert loop_thread.run(read_around_a_write()) == (0, 0)
    assert loop_thread.run(database.read(lambda session: value(session, "a"))) == 1


def test_a_transaction_whose_connection_breaks_is_made_in_another(database: Database, loop_thread: LoopThread) -> None:
    runs = []

    def work(session: Session) -> None:
        runs.append(session)
        session.execute(text(EARLIER))
        if len(runs) == 1:
            kill_own_connection(session)
        session.execute(text(LATER))

    loop_thread.run(database.write(work))
    assert loop_thread.run(database.read(lambda session: [value(session, "a"), value(session, "b")])) == [1, 1]
    assert len(runs) == 2


def test_a_commit_whose_answer_is_lost_is_made_again_only_where_that_does_no_harm(
    database: Database, loop_thread: LoopThread
) -> None:
    runs = []

    def work(session: Session) -> None:
        runs.append(session)
        session.execute(text(EARLIER))
        if len(runs) == 1:
            kill_own_connection(session)

    with pytest.raises(CommitUnknown, match="whether it was saved isn't known"):
        loop_thread.run(database.write(work))
    runs.clear()
    loop_thread.run(database.write(work, repeatable=True))
    assert len(runs) == 2
    assert loop_thread.run(database.read(lambda session: value(session, "a"))) == 1


def test_who_was_overtaken_decides_anew(database: Database, loop_thread: LoopThread) -> None:
    both_looked = threading.Barrier(2)
    looks = []

    def ensure(session: Session) -> bool:
        looks.append(session)
        is_there = session.execute(text("SELECT 1 FROM counters WHERE name = 'c'")).first() is not None
        if len(looks) <= 2:
            both_looked.wait(20)
        if not is_there:
            add(session, "c")
        return not is_there

    async def both() -> list[bool]:
        return list(await asyncio.gather(database.write(ensure), database.write(ensure)))

    assert sorted(loop_thread.run(both())) == [False, True]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1290", "read-only"),
        ("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1021", "disk is full"),
        ("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1114", "disk is full"),
        ("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1040", "MONITORS_DATABASE_CONNECTIONS"),
        ("SELECT missing FROM counters", "monitors db upgrade"),
        ("SELECT 1 FROM missing", "monitors db upgrade"),
    ],
)
def test_what_ails_the_server_is_told_with_the_fix(
    database: Database, loop_thread: LoopThread, statement: str, told: str
) -> None:
    with pytest.raises(DBAPIError) as raised:
        loop_thread.run(database.write(lambda session: session.execute(text(statement))))
    error = storage_error(raised.value)
    assert error is not None
    assert (error.code, error.reason) == ("UNAVAILABLE", "STORAGE_UNAVAILABLE")
    assert told in error.message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((PASSWORD, "wr0ng-secret"), "refuses the user"),
        (("test_", "missing_"), "no such database"),
        ((r"127.0.0.1:\d+", "127.0.0.1:1"), "can't be reached"),
    ],
)
def test_a_server_that_cant_be_used_is_named_without_the_password(
    rules_url: str, change: tuple[str, str], told: str
) -> None:
    wrong = re.sub(*change, rules_url)
    database = Database(wrong, name="rules", migrations="monitors.rules.migrations")
    with pytest.raises(DatabaseUnusable, match=told) as raised:
        database.upgrade()
    assert "secret" not in str(raised.value)
    database.close()


def test_the_same_file_stands_for_the_same_database(tmp_path: Path, rules_url: str) -> None:
    assert server_database_url(tmp_path / "rules.db") == rules_url
    assert server_database_url(tmp_path / "other.db") != rules_url


def test_what_could_not_be_committed_is_not_committed_by_the_next(database: Database, loop_thread: LoopThread) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("the commit fails")

    def work(session: Session) -> None:
        event.listen(session.connection(), "commit", refuse)
        add(session, "never")

    def look(session: Session) -> int:
        query = text("SELECT COUNT(*) FROM counters WHERE name = 'never'")
        found: int = session.execute(query).scalar_one()
        return found

    with pytest.raises(RuntimeError):
        loop_thread.run(database.write(work))
    for _ in range(20):
        loop_thread.run(database.write(lambda session: add(session, secrets.token_hex(8))))
    assert loop_thread.run(database.read(look)) == 0
