"""The database: durable, off the event loop, and clear about what is wrong."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from monitors.mesh.database import Database, DatabaseUnusable, sqlite_url, storage_error
from tests.harness import LoopThread


def test_transactions_run_on_threads_of_their_own_and_are_synced(loop_thread: LoopThread, tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "a.db"), name="a", migrations="monitors.mesh.migrations")
    threads = []

    async def use() -> int:
        def write(session: Session) -> None:
            threads.append(threading.current_thread().name)
            session.execute(text("create table t (x int)"))

        await database.write(write)
        durability = text("select synchronous from pragma_synchronous")
        return await database.read(lambda session: int(session.execute(durability).scalar_one()))

    assert loop_thread.run(use()) == 2
    assert threads[0].startswith("a-writer")
    database.close()


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
        assert database._is_current()
        database.close()
