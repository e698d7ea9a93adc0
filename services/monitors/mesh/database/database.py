"""Transactions that never run on the event loop, and the schema that they find."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from monitors.mesh.database.failures import DatabaseUnusable, unusable
from monitors.mesh.database.schema import Schema
from monitors.mesh.database.sqlite import Sqlite
from monitors.mesh.database_urls import is_server
from monitors.mesh.identity import tenant_of_caller
from monitors.mesh.tenancy import bound_to

T = TypeVar("T")
WRITE_CACHE = 4 * 1024 * 1024
CONNECTIONS = 10
ANSWER_SECONDS = 5.0


class Dialect(Protocol):
    """What differs between a file and a server. `write` and `read` run in threads of `writers` and `readers`."""

    is_shared: bool
    name: str
    write_engine: Engine
    writers: ThreadPoolExecutor
    readers: ThreadPoolExecutor

    def write(self, work: Callable[[Session], T], *, repeatable: bool) -> T:
        """Runs `work` in one transaction. Returns once that is committed."""

    def read(self, work: Callable[[Session], T]) -> T:
        """Runs `work` on one state of the database."""

    def now(self) -> int:
        """Nanoseconds since 1970."""

    def explain(self, error: DBAPIError) -> str:
        """Why the database can't be used and what to do about it."""

    def close(self) -> None:
        """Waits for what is being written and closes all connections."""


class Database:
    """A service's database. A transaction is bound to the tenant of the caller whose RPC is served, see `tenancy`.

    `url` is an SQLAlchemy URL. `migrations` is the package that holds the service's Alembic versions. Of a SQLite file,
    `write_cache` is how many bytes of pages the writer keeps in memory, for a batch that writes all over the indexes of
    large tables; to a server, `connections` are kept at most.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        migrations: str,
        write_cache: int = WRITE_CACHE,
        connections: int = CONNECTIONS,
    ) -> None:
        self._dialect = _dialect(url, name, write_cache, connections)
        self._schema = Schema(self._dialect.write_engine, migrations)

    @property
    def is_shared(self) -> bool:
        """Whether other processes may use it at the same time."""
        return self._dialect.is_shared

    def now(self) -> int:
        """The time in nanoseconds since 1970 by the one clock of all that use the database."""
        return self._dialect.now()

    async def write(
        self, work: Callable[[Session], T], *, repeatable: bool = False, then: Callable[[T], None] | None = None
    ) -> T:
        """Runs `work` in one transaction and returns its answer once it's durable. Cancelling doesn't undo it.

        A server may undo a transaction that stands in another's way, or break off the connection: then `work` runs
        again, in another transaction, so it must leave nothing behind but what it writes. `repeatable` says that it
        may run again even if it was committed before: else CommitUnknown is raised when that isn't known. `then` is
        called with the answer after the commit, in the same thread: of a file, before the next transaction begins.

        An error of the database that it raises carries a note that names the database and the fix.
        """
        bound = bound_to(tenant_of_caller(), work)

        def transaction() -> T:
            answer = self._dialect.write(bound, repeatable=repeatable)
            if then is not None:
                then(answer)
            return answer

        return await self._run(self._dialect.writers, transaction)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Runs `work` on one consistent state of the database; maybe again, as `write` does."""
        bound = bound_to(tenant_of_caller(), work)
        return await self._run(self._dialect.readers, lambda: self._dialect.read(bound))

    async def _run(self, executor: ThreadPoolExecutor, transaction: Callable[[], T]) -> T:
        def explained() -> T:
            try:
                return transaction()
            except DBAPIError as error:
                error.add_note(self._dialect.explain(error))
                raise

        return await asyncio.get_running_loop().run_in_executor(executor, explained)

    async def used_bytes(self) -> int:
        """How many bytes of a SQLite file are in use; the others are free for what is written next."""

        def count(session: Session) -> int:
            size, pages, free = (
                session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("page_size", "page_count", "freelist_count")
            )
            return int(size * (pages - free))

        return await self.read(count)

    def upgrade(self, to: str = "head") -> None:
        """Brings the schema to the newest version, or to another. Raises DatabaseUnusable if the database can't be
        used."""
        try:
            # Besides, this reads a server's clock.
            self._dialect.read(lambda session: None)
            if not self._schema.is_current():
                self._schema.upgrade(to)
        except DBAPIError as error:
            raise unusable(error, self._dialect.explain(error)) from error

    async def is_reached(self) -> bool:
        """Whether the database answers now, within a few seconds."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.read(lambda session: None)
        except (TimeoutError, DBAPIError):
            return False
        return True

    def prepare(self) -> None:
        """Sees that the schema can be worked with. A file is brought to the newest version, but a server, which others
        may use, only by `monitors db upgrade`. Raises DatabaseUnusable, which says what to do."""
        if not self.is_shared:
            self.upgrade()
        elif problem := self.schema_problem():
            raise DatabaseUnusable(f"the database {self._dialect.name} can't be used: {problem}")

    def schema_problem(self) -> str:
        """Why the schema can't be worked with; empty if it can. Raises DatabaseUnusable if that can't be seen."""
        try:
            # Besides, this reads a server's clock.
            self._dialect.read(lambda session: None)
            return self._schema.problem()
        except DBAPIError as error:
            raise unusable(error, self._dialect.explain(error)) from error

    @property
    def versions(self) -> tuple[str, str]:
        """The schema's version, empty if there is none, and the newest one."""
        return self._schema.version(), self._schema.newest()

    def is_current(self) -> bool:
        """Whether the schema's version is the newest one."""
        return self._schema.is_current()

    def close(self) -> None:
        """Waits for what is being written and closes all connections."""
        self._dialect.close()


def _dialect(url: str, name: str, write_cache: int, connections: int) -> Dialect:
    if not is_server(url):
        return Sqlite(url, name, write_cache)
    # Imported only where it's used: SQLite needs neither its driver nor its retries.
    from monitors.mesh.database.mysql import Mysql

    return Mysql(url, name, connections)
