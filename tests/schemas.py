"""Gives new files the tables that the migrations make, without running all of them for each test.

The migrations run once in each process of the tests, for each service. Later files get a copy of what that made, as
databases on MariaDB do in `tests.servers.backends`. Where files have tables, or another version is wanted, and in tests
of schemas, the migrations themselves run.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from monitors.mesh.database.schema import Schema

FOLDERS = ("mesh", "servers")
"""Of tests of databases themselves."""
_made: dict[str, sqlite3.Connection] = {}
_one_at_a_time = Lock()


def is_about_schemas(file: Path) -> bool:
    """Whether the tests of a file need the migrations themselves."""
    return "schema" in file.name or file.relative_to(Path(__file__).parent).parts[0] in FOLDERS


@contextmanager
def copied() -> Iterator[None]:
    """Copies tables instead of making them."""
    migrate = Schema.upgrade

    def upgrade(self: Schema, to: str) -> None:
        if self._engine.dialect.name != "sqlite" or to != "head":
            migrate(self, to)
            return
        with _one_at_a_time, _file(self) as file:
            is_new = not file.execute("SELECT 1 FROM sqlite_master").fetchone()
            if is_new and self._migrations in _made:
                _made[self._migrations].backup(file)
                return
            migrate(self, to)
            if is_new:
                made = _made[self._migrations] = sqlite3.connect(":memory:", check_same_thread=False)
                file.backup(made)

    Schema.upgrade = upgrade  # type: ignore[method-assign]
    try:
        yield
    finally:
        Schema.upgrade = migrate  # type: ignore[method-assign]


@contextmanager
def _file(schema: Schema) -> Iterator[sqlite3.Connection]:
    """The driver's own connection to a schema's file, in no transaction."""
    with schema._engine.connect() as connection:
        connection.rollback()
        file = connection.connection.driver_connection
        assert isinstance(file, sqlite3.Connection)
        yield file
