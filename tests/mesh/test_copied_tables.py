"""What tests get in place of migrated files is the same."""

import sqlite3
from pathlib import Path

import pytest

from monitors.mesh.database import Database, sqlite_url
from tests.schemas import copied

PACKAGES = [f"monitors.{service}.migrations" for service in ("rules", "evaluator", "notifier")]


def made(file: Path, migrations: str) -> tuple[list[str], str]:
    """All that is in a new file, as SQL, and how it keeps its log. Indexes are made in any order."""
    database = Database(sqlite_url(file), name="test", migrations=migrations)
    database.prepare()
    database.close()
    connection = sqlite3.connect(file)
    try:
        return sorted(connection.iterdump()), connection.execute("PRAGMA journal_mode").fetchone()[0]
    finally:
        connection.close()


@pytest.mark.parametrize("migrations", PACKAGES)
def test_copied_tables_are_those_that_the_migrations_make(migrations: str, tmp_path: Path) -> None:
    migrated = made(tmp_path / "migrated.db", migrations)
    with copied():
        made(tmp_path / "first.db", migrations)
        assert made(tmp_path / "copied.db", migrations) == migrated
    assert migrated[1] == "wal"
    assert any("CREATE TABLE" in statement for statement in migrated[0])
