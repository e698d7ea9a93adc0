"""A service's own database: migrations, and transactions that never run on the event loop."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session as Session

from monitors.mesh.checkpoints import PASSIVE, Checkpoints
from monitors.mesh.errors import MeshError, StorageUnavailable
from monitors.mesh.masking import masked_url

T = TypeVar("T")
READERS = 4
BUSY_SECONDS = 30
SQLITE = "sqlite:///"
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    # See `checkpoints`.
    "wal_autocheckpoint=0",
    # Some distributions' SQLite writes zeros over every page that it frees: deleting would cost as much as writing.
    "secure_delete=FAST",
)
WRITE_CACHE = 4 * 1024 * 1024


class DatabaseUnusable(Exception):
    """The database can't be opened. The message names the file and the fix."""


class Database:
    """Transactions on a SQLite file: one thread writes, a few read, and a commit is on the disk when it returns.

    What was committed moves from the write-ahead log into the file later, by a thread of its own.

    `url` is an SQLAlchemy URL. `migrations` is the package that holds the service's Alembic versions. `write_cache` is
    how many bytes of pages the writer keeps in memory, for a batch that writes all over the indexes of large tables.
    """

    def __init__(self, url: str, *, name: str, migrations: str, write_cache: int = WRITE_CACHE) -> None:
        self._url = url
        self._migrations = migrations
        self._write_engine = self._engine(url, "BEGIN IMMEDIATE", f"cache_size=-{write_cache // 1024}")
        self._read_engine = self._engine(url, "BEGIN")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"{name}-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix=f"{name}-reader")
        log_file = Path(url.removeprefix(SQLITE) + "-wal")
        self._checkpoints = Checkpoints(
            name, log_file, self._copy_log, lambda: self._writer.submit(self._empty_log).result()
        )

    def _engine(self, url: str, begin: str, *pragmas: str) -> Engine:
        engine = create_engine(
            url, pool_size=READERS, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}
        )

        @event.listens_for(engine, "connect")
        def configure(connection: Any, _: Any) -> None:
            # The driver's own transaction handling would begin late and not at all before a SELECT.
            connection.isolation_level = None
            for pragma in (*PRAGMAS, *pragmas):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def start(connection: Any) -> None:
            connection.exec_driver_sql(begin)

        return engine

    async def write(self, work: Callable[[Session], T]) -> T:
        """Runs `work` in one transaction and returns its answer once it's durable. Cancelling doesn't undo it.

        A DatabaseError that it raises carries a note that names the file and the fix.
        """
        return await self._run(self._writer, self._write_engine, work, self._checkpoints.committed)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Runs `work` on one consistent state of the database."""
        return await self._run(self._readers, self._read_engine, work)

    async def _run(
        self,
        executor: ThreadPoolExecutor,
        engine: Engine,
        work: Callable[[Session], T],
        done: Callable[[], None] = lambda: None,
    ) -> T:
        def transaction() -> T:
            try:
                with Session(engine, expire_on_commit=False) as session, session.begin():
                    answer = work(session)
                done()
                return answer
            except DatabaseError as error:
                error.add_note(explain_unusable(self._url, error))
                raise

        return await asyncio.get_running_loop().run_in_executor(executor, transaction)

    async def used_bytes(self) -> int:
        """How many bytes of the file are in use; the others are free for what is written next."""

        def count(session: Session) -> int:
            size, pages, free = (
                session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("page_size", "page_count", "freelist_count")
            )
            return int(size * (pages - free))

        return await self.read(count)

    def _copy_log(self) -> bool:
        with closing(self._read_engine.raw_connection()) as connection:
            ((_, pages, copied),) = connection.cursor().execute(PASSIVE).fetchall()
            return bool(pages == copied)

    def _empty_log(self) -> bool:
        with closing(self._write_engine.raw_connection()) as connection:
            cursor = connection.cursor()
            # Commits wait meanwhile, so this doesn't wait for readers.
            cursor.execute("PRAGMA busy_timeout=0")
            try:
                ((busy, _, _),) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1_000}")
            return not busy

    def upgrade(self) -> None:
        """Brings the schema to the newest version. Raises DatabaseUnusable if the file can't be used."""
        try:
            if not self._is_current():
                self._migrate()
        except DatabaseError as error:
            raise DatabaseUnusable(explain_unusable(self._url, error)) from error

    def _is_current(self) -> bool:
        """Whether the schema's version is the newest migration, with whose revision its file's name begins."""
        names = (file.name for file in files(self._migrations).iterdir())
        newest = max((name.partition("_")[0] for name in names if name[0].isdigit()), default=None)
        with self._read_engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == newest

    def _migrate(self) -> None:
        # Alembic takes a third of a second to import, and only a schema that isn't current needs it.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(files("monitors.mesh") / "migrations"))
        config.set_main_option("version_locations", str(files(self._migrations)))
        config.set_main_option("path_separator", "newline")
        with self._write_engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Waits for what is being written and closes all connections."""
        self._checkpoints.close()
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._write_engine.dispose()
        self._read_engine.dispose()


def sqlite_url(path: Path) -> str:
    """The SQLAlchemy URL of a SQLite file."""
    return f"{SQLITE}{path}"


def explain_unusable(url: str, error: DatabaseError) -> str:
    """Why a database can't be opened and what to do about it."""
    path = masked_url(url).removeprefix(SQLITE)
    return (
        f"the database {path} can't be used ({error.orig}). If it's damaged, move it away together with its -wal and "
        "-shm files and restore a backup, or start without it; if it's a disk or permission problem, mend that. "
        "Nothing was changed"
    )


def storage_error(error: BaseException) -> MeshError | None:
    """A database error as the caller should see it; None if it isn't one, or one that is a fault of ours."""
    cause = error.orig if isinstance(error, DatabaseError) else error
    if not isinstance(cause, sqlite3.DatabaseError):
        return None
    name = getattr(cause, "sqlite_errorname", "")
    for prefix, what in (
        ("SQLITE_FULL", "the disk is full: free some space and try again"),
        ("SQLITE_READONLY", "the database is read-only: make its folder writable and try again"),
        ("SQLITE_IOERR", "the disk can't be read or written: check it and try again"),
        ("SQLITE_CANTOPEN", "the database can't be opened: check its folder and try again"),
        ("SQLITE_BUSY", "the database is busy: try again in a moment"),
        ("SQLITE_CORRUPT", "the database is damaged: stop the service and restore a backup"),
        ("SQLITE_NOTADB", "the database is damaged: stop the service and restore a backup"),
    ):
        if name.startswith(prefix):
            return StorageUnavailable(what)
    return None
