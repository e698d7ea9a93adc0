"""Where a test's services keep what they know: in files of the test's folder, or on real servers.

MONITORS_TESTS_BACKENDS says which: `embedded`, the default, or `servers`.
"""

import os
from functools import cache
from pathlib import Path

from monitors.mesh.database import Database, sqlite_url
from tests.servers.mariadb import MariaDB, shared_server

BACKENDS = os.environ.get("MONITORS_TESTS_BACKENDS", "embedded")
assert BACKENDS in ("embedded", "servers"), f"MONITORS_TESTS_BACKENDS={BACKENDS!r} is neither embedded nor servers"
ON_SERVERS = BACKENDS == "servers"


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


@cache
def _statements(service: str) -> list[str]:
    """What makes a service's tables as its migrations do, only faster: each test has a database of its own."""
    server = shared_server()
    name = server.create_database()
    _upgrade(server, name, service)
    tables = [row[0] for row in server.execute("SHOW TABLES", database=name)]
    made = [server.execute(f"SHOW CREATE TABLE `{table}`", database=name)[0][1] for table in tables]
    filled = [f"INSERT INTO `{table}` SELECT * FROM `{name}`.`{table}`" for table in tables]
    return made + filled


def _upgrade(server: MariaDB, name: str, service: str) -> None:
    database = Database(server.url(name), name=service, migrations=f"monitors.{service}.migrations")
    try:
        database.upgrade()
    finally:
        database.close()
