"""Where a test's services keep what they know: in files of the test's folder, or on real servers.

MONITORS_TESTS_BACKENDS says which: `embedded`, the default, or `servers`.
"""

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Engine, create_engine, inspect, text

from monitors.mesh.database import sqlite_url
from tests.servers.influxdb import shared_influx
from tests.servers.mariadb import MariaDB, migrate, shared_server
from tests.servers.redis import shared_redis

BACKENDS = os.environ.get("MONITORS_TESTS_BACKENDS", "embedded")
assert BACKENDS in ("embedded", "servers"), f"MONITORS_TESTS_BACKENDS={BACKENDS!r} is neither embedded nor servers"
ON_SERVERS = BACKENDS == "servers"
_NUMBERS = itertools.count()


def database_url(file: Path, service: str = "rules") -> str:
    """The URL of the database for `rules` or `notifier` that `file` stands for, on whichever backend. On a server it's
    there, with its newest tables; the same file always stands for the same database."""
    return server_database_url(file, service) if ON_SERVERS else sqlite_url(file)


@cache
def server_database_url(file: Path, service: str = "rules") -> str:
    """The same, on MariaDB whatever the backend."""
    server = shared_server()
    name = server.create_database()
    server.execute("SET foreign_key_checks = 0", *_statements(service), database=name)
    return server.url(name)


def addresses(home: Path, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process with this home folder is to have in its environment. Embedded that's nothing: its databases are
    `rules.db`, `notifier.db` and `samples.db` in the folder. Who names an InfluxDB among its `own` gets no other."""
    if not ON_SERVERS:
        return {}
    has_influx = "INFLUXDB_URL" in (own or {})
    return {
        "DATABASE_URL": database_url(home / "rules.db"),
        "MONITORS_NOTIFIER_DATABASE_URL": database_url(home / "notifier.db", "notifier"),
        "REDIS_URL": shared_redis().url,
        **({} if has_influx else influx_addresses(home)),
    }


@cache
def influx_addresses(home: Path) -> dict[str, str]:
    """The InfluxDB of a process with this home folder: a database of its own on a server that is shared. Everything is
    written by way of the mesh, so that no point comes late."""
    server, name = shared_influx(), f"test_{next(_NUMBERS)}"
    server.create_database(name)
    return {
        "INFLUXDB_URL": server.url,
        "INFLUXDB_BUCKET": name,
        "MONITORS_INFLUXDB_POLL_SECONDS": "0.2",
        "MONITORS_INFLUXDB_LATENESS_SECONDS": "0",
    }


def keeping_points() -> dict[str, str]:
    """For a test whose mesh is to keep points itself, whatever the backend."""
    return {"INFLUXDB_URL": ""}


def in_files(home: Path) -> dict[str, str]:
    """The same for a test of the files themselves, whatever the backend."""
    return {
        "DATABASE_URL": sqlite_url(home / "rules.db"),
        "MONITORS_NOTIFIER_DATABASE_URL": sqlite_url(home / "notifier.db"),
        **keeping_points(),
    }


def engine_of(file: Path, service: str = "rules") -> Engine:
    """A bare connection to the same database, past the product."""
    return create_engine(database_url(file, service))


def everything_in(file: Path, service: str = "rules") -> bytes:
    """All that lies in a database: the file with its log, or every row of every table."""
    if not ON_SERVERS:
        return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    engine = engine_of(file, service)
    found = every_row(engine)
    engine.dispose()
    return found


def every_row(engine: Engine) -> bytes:
    """What every column of every row of every table holds."""
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        rows = [row for table in tables for row in connection.execute(text(f"SELECT * FROM `{table}`"))]
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)


@dataclass
class Refusal:
    """A database that can be made to refuse new rows of a table."""

    engine: Engine
    table: str

    def begin(self) -> None:
        """Refuses from now on."""
        refuse = "FOR EACH ROW SIGNAL SQLSTATE '45000'" if ON_SERVERS else "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        self._execute(f"CREATE TRIGGER refuse BEFORE INSERT ON {self.table} {refuse}")

    def end(self) -> None:
        """Takes them again."""
        self._execute("DROP TRIGGER refuse")

    def _execute(self, statement: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement))


@contextmanager
def refusing(file: Path, service: str, table: str) -> Iterator[Refusal]:
    """Lets a test refuse new rows."""
    engine = engine_of(file, service)
    yield Refusal(engine, table)
    engine.dispose()


@cache
def _statements(service: str) -> list[str]:
    """What makes a service's tables as its migrations do, only faster: each test has a database of its own."""
    server = shared_server()
    name = server.create_database()
    upgrade(server, name, service)
    tables = [row[0] for row in server.execute("SHOW TABLES", database=name)]
    made = [server.execute(f"SHOW CREATE TABLE `{table}`", database=name)[0][1] for table in tables]
    filled = [f"INSERT INTO `{table}` SELECT * FROM `{name}`.`{table}`" for table in tables]
    return made + filled


def upgrade(server: MariaDB, name: str, service: str) -> None:
    """Makes a service's tables by its migrations."""
    migrate(server.url(name), service)
