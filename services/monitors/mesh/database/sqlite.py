"""SQLite: one thread writes, a few read, and a commit is on the disk when it returns.

What was committed moves from the write-ahead log into the file later, by a thread of its own.
"""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from monitors.mesh.checkpoints import PASSIVE, Checkpoints
from monitors.mesh.database_urls import SQLITE
from monitors.mesh.tenancy import TenantSession, guard
from monitors.mesh.times import now_nanos

T = TypeVar("T")
READERS = 4
BUSY_SECONDS = 30
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    # See `checkpoints`.
    "wal_autocheckpoint=0",
    # Some distributions' SQLite writes zeros over every page that it frees: deleting would cost as much as writing.
    "secure_delete=FAST",
)


class Sqlite:
    """Transactions on a file that one process uses alone. `write_cache` is in bytes."""

    is_shared = False

    def __init__(self, url: str, name: str, write_cache: int) -> None:
        self._url = url
        self.name = url.removeprefix(SQLITE)
        self.write_engine = _engine(url, "BEGIN IMMEDIATE", f"cache_size=-{write_cache // 1024}")
        self.read_engine = _engine(url, "BEGIN")
        self.writers = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-writer")
        self.readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"{name}-reader")
        log_file = Path(url.removeprefix(SQLITE) + "-wal")
        self._checkpoints = Checkpoints(
            name, log_file, self._copy_log, lambda: self.writers.submit(self._empty_log).result()
        )

    def write(self, work: Callable[[Session], T], *, repeatable: bool) -> T:
        """Runs `work` in one transaction, alone. Nothing needs to be repeated."""
        answer = _run(self.write_engine, work)
        self._checkpoints.committed()
        return answer

    def read(self, work: Callable[[Session], T]) -> T:
        """Runs `work` on one state of the file."""
        return _run(self.read_engine, work)

    def now(self) -> int:
        """The machine's clock."""
        return now_nanos()

    def explain(self, error: DBAPIError) -> str:
        """Why the file can't be used and what to do about it."""
        return (
            f"the database {self._url.removeprefix(SQLITE)} can't be used ({error.orig}). If it's damaged, move it "
            "away together with its -wal and -shm files and restore a backup, or start without it; if it's a disk or "
            "permission problem, mend that. Nothing was changed"
        )

    def _copy_log(self) -> bool:
        with closing(self.read_engine.raw_connection()) as connection:
            ((_, pages, copied),) = connection.cursor().execute(PASSIVE).fetchall()
            return bool(pages == copied)

    def _empty_log(self) -> bool:
        with closing(self.write_engine.raw_connection()) as connection:
            cursor = connection.cursor()
            # Commits wait meanwhile, so this doesn't wait for readers.
            cursor.execute("PRAGMA busy_timeout=0")
            try:
                ((busy, _, _),) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                # nosemgrep: sql-with-values-in-it (a PRAGMA takes no parameters)
                cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1_000}")
            return not busy

    def close(self) -> None:
        """Waits for what is being written and closes all connections."""
        self._checkpoints.close()
        self.writers.shutdown(wait=True)
        self.readers.shutdown(wait=True)
        self.write_engine.dispose()
        self.read_engine.dispose()


def _engine(url: str, begin: str, *pragmas: str) -> Engine:
    engine = create_engine(
        url,
        pool_size=READERS,
        # The connection that was used last has the pages at hand.
        pool_use_lifo=True,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        # The driver's own transaction handling would begin late and not at all before a SELECT.
        connection.isolation_level = None
        for pragma in (*PRAGMAS, *pragmas):
            # nosemgrep: sql-with-values-in-it (they are ours, and take no parameters)
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        try:
            # SQLAlchemy's way to a statement costs more than all the rest of beginning.
            connection.connection.driver_connection.execute(begin)
        except sqlite3.Error as error:
            raise DBAPIError.instance(begin, None, error, sqlite3.Error, dialect=connection.dialect) from error

    guard(engine)
    return engine


def _run(engine: Engine, work: Callable[[Session], T]) -> T:
    with TenantSession(engine) as session, session.begin():
        return work(session)


def sqlite_url(path: Path) -> str:
    """The SQLAlchemy URL of a SQLite file."""
    return f"{SQLITE}{path}"
