"""The database: durable, off the event loop, and clear about what is wrong."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from monitors.mesh.checkpoints import Checkpoints
from monitors.mesh.database import Database, DatabaseUnusable, sqlite_url, storage_error
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.tenants import of_all

BLOB = 100_000


class Filling:
    """A database with a table that is filled with blobs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = Database(sqlite_url(path), name="a", migrations="monitors.mesh.migrations")

    async def write(self, count: int) -> None:
        make = text("create table if not exists t (x blob)")
        await self.database.write(of_all(lambda session: session.execute(make)))
        for _ in range(count):
            fill = text(f"insert into t values (zeroblob({BLOB}))")
            await self.database.write(of_all(lambda session: session.execute(fill)))  # noqa: B023

    async def count(self) -> int:
        return await self.database.read(
            of_all(lambda session: int(session.execute(text("select count(*) from t")).scalar_one()))
        )

    async def automatic_checkpoint(self) -> int:
        pragma = text("PRAGMA wal_autocheckpoint")
        return await self.database.write(lambda session: int(session.execute(pragma).scalar_one()))

    @property
    def log_bytes(self) -> int:
        return Path(f"{self.path}-wal").stat().st_size


def test_transactions_run_on_threads_of_their_own_and_are_synced(loop_thread: LoopThread, tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "a.db"), name="a", migrations="monitors.mesh.migrations")
    threads = []

    async def use() -> int:
        @of_all
        def write(session: Session) -> None:
            threads.append(threading.current_thread().name)
            session.execute(text("create table t (x int)"))

        await database.write(write)
        durability = text("select synchronous from pragma_synchronous")
        return await database.read(of_all(lambda session: int(session.execute(durability).scalar_one())))

    assert loop_thread.run(use()) == 2
    assert threads[0].startswith("a-writer")
    database.close()


@pytest.fixture
def filling(tmp_path: Path) -> Iterator[Filling]:
    filling = Filling(tmp_path / "a.db")
    yield filling
    filling.database.close()


def test_the_log_is_copied_and_emptied_beside_the_commits(
    loop_thread: LoopThread, filling: Filling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.mesh.checkpoints.PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("monitors.mesh.checkpoints.IDLE_SECONDS", 0.05)
    loop_thread.run(filling.write(3))
    assert loop_thread.run(filling.automatic_checkpoint()) == 0
    wait_for(lambda: filling.log_bytes == 0, "the log to be emptied")
    assert filling.path.stat().st_size > 3 * BLOB
    loop_thread.run(filling.write(1))
    wait_for(lambda: filling.log_bytes == 0, "the log to be emptied again")
    assert loop_thread.run(filling.count()) == 4


def test_a_log_that_is_too_long_is_emptied_at_once_but_not_under_a_reader(
    loop_thread: LoopThread, filling: Filling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.mesh.checkpoints.LIMIT_BYTES", 4 * BLOB)
    loop_thread.run(filling.write(2))
    with closing(sqlite3.connect(filling.path, isolation_level=None)) as reader:
        reader.execute("begin")
        assert reader.execute("select count(*) from t").fetchone() == (2,)
        loop_thread.run(filling.write(6))
        assert reader.execute("select count(*) from t").fetchone() == (2,)
        assert filling.log_bytes > 4 * BLOB
        reader.execute("rollback")
        wait_for(lambda: filling.log_bytes == 0, "the log to be emptied")
    assert loop_thread.run(filling.count()) == 8


def test_a_copy_that_a_commit_has_overtaken_is_made_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitors.mesh.checkpoints.PAUSE_SECONDS", 0.01)
    copies: list[bool] = []

    def copy() -> bool:
        copies.append(len(copies) == 1)
        return copies[-1]

    def empty() -> bool:
        raise AssertionError("a log that was copied to its end is written over, and not emptied")

    checkpoints = Checkpoints("a", tmp_path / "a.db-wal", copy, empty)
    checkpoints.committed()
    wait_for(lambda: copies == [False, True], "the second copy")
    checkpoints.close()
    assert copies == [False, True]


def test_used_bytes_leave_out_the_free_pages(loop_thread: LoopThread, filling: Filling) -> None:
    async def use() -> tuple[int, int]:
        await filling.write(4)
        full = await filling.database.used_bytes()
        await filling.database.write(of_all(lambda session: session.execute(text("delete from t"))))
        return full, await filling.database.used_bytes()

    full, emptied = loop_thread.run(use())
    assert full > 4 * BLOB
    assert emptied < BLOB


def test_a_damaged_file_is_named_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "rules.db"
    path.write_bytes(b"this is not a database" * 100)
    database = Database(sqlite_url(path), name="a", migrations="monitors.mesh.migrations")
    with pytest.raises(DatabaseUnusable, match=r"rules\.db.*backup"):
        database.upgrade()
    database.close()


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "full.db")
    connection.execute("pragma max_page_count = 2")
    with pytest.raises(sqlite3.DatabaseError) as raised:
        connection.executescript("create table a (x); create table b (x); create table c (x)")
    error = storage_error(raised.value)
    assert error is not None
    assert error.code == "UNAVAILABLE"
    assert "disk is full" in error.message
    connection.close()


@pytest.mark.parametrize("service", ["rules", "evaluator", "notifier"])
def test_a_migration_is_named_after_its_revision_and_a_current_schema_needs_no_alembic(
    tmp_path: Path, service: str
) -> None:
    url, migrations = sqlite_url(tmp_path / "a.db"), f"monitors.{service}.migrations"
    for _ in range(2):
        database = Database(url, name="a", migrations=migrations)
        database.upgrade()
        assert database.is_current()
        database.close()
