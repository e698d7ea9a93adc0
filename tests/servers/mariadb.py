"""A MariaDB server for tests: started once by each pytest process, a database for each test that asks for one."""

import atexit
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.connections import Connection

from monitors.mesh.database import Database
from tests.ports import free_port
from tests.waiting import wait_for

USER, PASSWORD = "monitors", "n0t-a-secret"
START_SECONDS = 60.0
OPTIONS = (
    "--skip-name-resolve",
    "--skip-log-bin",
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=64M",
    "--performance-schema=OFF",
    "--max-connections=500",
    "--table-open-cache=4000",
    "--character-set-server=latin1",
    "--collation-server=latin1_swedish_ci",
    # Neither the schema nor our sessions may lean on how a server happens to be set.
    "--default-time-zone=+05:00",
    "--sql-mode=",
)
FAST = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    # Each test has a database of its own, with forty tables: no files for each of them, and none is waited for.
    "--innodb-file-per-table=OFF",
    "--sync-frm=OFF",
)
"""For tests that crash nothing: what is written reaches the disk some time."""


class MariaDB:
    """A server that can be stopped, killed and started again. `options` are those of mariadbd, beyond our own; `prefix`
    is a command that runs it, in which `{folder}` stands for the server's folder."""

    def __init__(self, folder: Path, options: Sequence[str] = FAST, prefix: Sequence[str] = ()) -> None:
        self.folder = folder
        self.socket = folder / "mysqld.sock"
        self.port = free_port()
        self.options, self.prefix = list(options), list(prefix)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = iter(range(1, 1_000_000))
        # When it starts, a server deletes whatever others that share its temporary folder are at.
        self._environment = {**os.environ, "TMPDIR": str(folder)}
        self._run(
            "mariadb-install-db",
            "--no-defaults",
            "--user=root",
            f"--datadir={folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=64M",
        )

    def _run(self, name: str, *arguments: str) -> None:
        command = [program(name), *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Starts it and waits until it serves."""
        command = [
            *(part.format(folder=self.folder) for part in self.prefix),
            program("mariadbd"),
            "--no-defaults",
            "--user=root",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            *OPTIONS,
            *self.options,
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        wait_for(self._serves, f"MariaDB, whose log is in {self.folder / 'log'}", START_SECONDS)

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        # Not the driver: it leaves a socket open that it can't connect.
        with socket.socket(socket.AF_UNIX) as trial:
            if trial.connect_ex(str(self.socket)):
                return False
        user = f"'{USER}'@'%'"
        self.execute(f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{PASSWORD}'", f"GRANT ALL ON *.* TO {user}")
        return True

    def stop(self) -> None:
        """Shuts it down in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it, as a crash does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Shuts it down and starts it again, at the same address."""
        self.stop()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)

    def execute(self, *statements: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Executes statements as root, one after the other, and returns what the last one answers."""
        rows: list[tuple[Any, ...]] = []
        with self.connected(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    def connected(self, database: str | None = None) -> "Connection[Any]":
        """A connection of root."""
        return pymysql.connect(
            user="root", unix_socket=str(self.socket), database=database, charset="utf8mb4", autocommit=True
        )

    def create_database(self) -> str:
        """Makes an empty database and returns its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def migrated_database(self, *services: str) -> str:
        """The URL of a new database that has the tables of services: `rules`, `notifier`."""
        url = self.url(self.create_database())
        for service in services:
            migrate(url, service)
        return url

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database, with its user's password."""
        return f"mysql+pymysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"


def migrate(url: str, service: str) -> None:
    """Makes a service's tables, as `monitors db upgrade` does."""
    database = Database(url, name=service, migrations=f"monitors.{service}.migrations")
    try:
        database.upgrade()
    finally:
        database.close()


@contextmanager
def quick_connections() -> Iterator[None]:
    """Lets the driver believe any server at once where no certificate is given: for each connection it would read all
    authorities that the machine knows, which takes 20 ms, and ask none of them."""
    # The driver's types don't know it.
    make: Any = vars(Connection)["_create_ssl_ctx"]
    anything: list[ssl.SSLContext] = []

    def context(self: "Connection[Any]", options: dict[str, Any]) -> ssl.SSLContext:
        found: ssl.SSLContext = anything[0] if anything and not options else make(self, options)
        if not options:
            anything[:] = [found]
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_create_ssl_ctx", context)
        yield


def program(name: str) -> str:
    """The path of a program. Skips the test if it isn't installed."""
    found = shutil.which(name, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip(f"{name} isn't installed; `apt-get install mariadb-server` brings it")
    return found


@contextmanager
def own_server(options: Sequence[str] = (), prefix: Sequence[str] = ()) -> Iterator[MariaDB]:
    """A server for tests that stop, kill or set it otherwise. It syncs each commit, as servers do by default."""
    # Paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="monitors-mariadb-"))
    server = MariaDB(folder, options, prefix)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@cache
def shared_server() -> MariaDB:
    """The server that all tests of this process share. It ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="monitors-mariadb-"))
    server = MariaDB(folder)

    def end() -> None:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    server.start()
    return server
