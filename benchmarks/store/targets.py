"""The databases that are measured, each as the product uses it and as its plain driver sees it."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from sqlalchemy import Table, make_url

from monitors.mesh.database import Database, sqlite_url
from tests.servers.mariadb import own_server

# As the product sets them, so that both pay for the same durability.
PRAGMAS = "pragma journal_mode=wal; pragma synchronous=full; pragma foreign_keys=on; pragma cache_size=-32768"
DURABLE = ("--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=512M")
KEPT = "innodb_flush_log_at_trx_commit", "innodb_flush_method", "innodb_doublewrite", "innodb_buffer_pool_size"


class NoServer(Exception):
    """A database's server isn't installed."""


class Bare:
    """A connection of the plain driver. Statements have `?` where a value goes, on every database."""

    def __init__(self, connection: Any, mark: str) -> None:
        self._connection, self._mark = connection, mark
        self._cursor = connection.cursor()

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Sequence[Any]]:
        """Executes a statement and returns all its rows."""
        self._cursor.execute(statement.replace("?", self._mark), values)
        return list(self._cursor.fetchall())

    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Executes a statement for each row, as the driver does it best."""
        self._cursor.executemany(statement.replace("?", self._mark), rows)

    def insert(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Inserts rows with all columns of a table, in its order."""
        # Both databases take names in backticks.
        names = ", ".join(f"`{column.name}`" for column in table.columns)
        marks = ", ".join("?" * len(table.columns))
        self.execute_many(f"INSERT INTO `{table.name}` ({names}) VALUES ({marks})", rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is done within is committed at its end, and synced."""
        self._cursor.execute("BEGIN")
        yield
        self._cursor.execute("COMMIT")

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


@dataclass(frozen=True)
class Target:
    """A database to measure. `new_url` makes an empty one and names it."""

    name: str
    settings: str
    new_url: Callable[[], str]

    def database(self, service: str) -> str:
        """The URL of a new database with a service's tables, as its migrations make them."""
        url = self.new_url()
        database = Database(url, name=service, migrations=f"monitors.{service}.migrations")
        database.upgrade()
        database.close()
        return url

    @contextmanager
    def bare(self, url: str) -> Iterator[Bare]:
        """The plain driver on a database."""
        place = make_url(url)
        if place.get_backend_name() == "sqlite":
            connection = sqlite3.connect(str(place.database), isolation_level=None)
            connection.executescript(PRAGMAS)
            opened = Bare(connection, "?")
        else:
            opened = Bare(
                pymysql.connect(
                    host=place.host,
                    port=place.port or 3306,
                    user=place.username,
                    password=place.password or "",
                    database=place.database,
                    charset="utf8mb4",
                ),
                "%s",
            )
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def sqlite() -> Iterator[Target]:
    """Files in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder:
        numbers = iter(range(1_000))
        settings = f"SQLite {sqlite3.sqlite_version}, WAL, synchronous FULL"
        yield Target("SQLite", settings, lambda: sqlite_url(Path(folder) / f"{next(numbers)}.db"))


@contextmanager
def mariadb() -> Iterator[Target]:
    """A server of our own, which syncs every commit. Raises NoServer."""
    if shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin") is None:
        raise NoServer("mariadbd isn't installed: apt-get install mariadb-server brings it")
    with own_server(DURABLE) as server:
        (version,) = server.execute("SELECT version()")[0]
        told = dict(server.execute(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN {KEPT}"))
        settings = ", ".join([f"MariaDB {version}", *(f"{name} {told[name]}" for name in KEPT)])
        yield Target("MariaDB", settings, lambda: server.url(server.create_database()))


TARGETS = {"sqlite": sqlite, "mariadb": mariadb}
