"""The user system that a team already has: its tables, read and never written, and what its ids are called here.

    users(id, email, tier, is_active)
    sessions(id, user_id, token, expires_at, is_active)
    monitors(id, user_id, name, …)

Its database may compare texts without regard to case or to spaces at the end, as MySQL does unless told otherwise, and
takes `1x` for the number 1. So what it finds is compared once more, byte by byte.
"""

import asyncio
import hashlib
import logging
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    TextClause,
    bindparam,
    create_engine,
    event,
    inspect,
    literal_column,
    make_url,
    select,
    table,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from monitors.mesh.errors import IdentityUnavailable

log = logging.getLogger(__name__)

WORKERS = 4
CONNECT_SECONDS = 3
READ_SECONDS = 5
MOST_AT_ONCE = 500
_USERS_OWN = ("user_", "user.", "user-")
_VERBATIM = re.compile(r"user_[A-Za-z0-9_.-]{1,35}")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,35}")

_SESSION = text("SELECT id, user_id, token, expires_at, is_active FROM sessions WHERE id = :id")
_USER = text("SELECT id, tier, is_active FROM users WHERE id = :id")

Row = Mapping[str, Any]
T = TypeVar("T")


def tenant_of_user(user_id: str) -> str:
    """The tenant of a user of the existing system: each user is a tenant of their own.

    `user_7f3a` stays as it is, `42` becomes `user.42`, and what has other characters or more than 35 becomes `user-`
    with 32 hexadecimal digits of its SHA-256. So no two users share a tenant, and none gets one that isn't a user's.
    """
    if _VERBATIM.fullmatch(user_id):
        return user_id
    if _PLAIN.fullmatch(user_id):
        return f"user.{user_id}"
    return f"user-{hashlib.sha256(user_id.encode(errors='replace')).hexdigest()[:32]}"


def is_tenant_of_user(tenant: str) -> bool:
    """Whether a tenant's name is one that `tenant_of_user` gives."""
    return tenant.startswith(_USERS_OWN)


class ExistingDatabase:
    """The existing system's database at a SQLAlchemy URL, for MySQL, MariaDB or SQLite. Nothing is ever written."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="user-system")

    async def fetch(self, statement: TextClause, **values: object) -> list[Row]:
        """The rows that a SELECT finds. Raises IdentityUnavailable if the database can't be asked."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, lambda: self.read(statement, **values))

    def read(self, statement: TextClause, **values: object) -> list[Row]:
        """As `fetch`, for a thread that may wait."""
        return self._run(lambda connection: [dict(row._mapping) for row in connection.execute(statement, values)])

    def table_names(self) -> frozenset[str]:
        """The names of its tables. Raises IdentityUnavailable."""
        return self._run(lambda connection: frozenset(inspect(connection).get_table_names()))

    def rows_of(self, name: str) -> list[Row]:
        """All rows of a table, with whatever columns it has. Raises IdentityUnavailable."""
        return self._run(lambda connection: [dict(row) for row in connection.execute(_all_of(name)).mappings()])

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return work(connection)
        except SQLAlchemyError as error:
            # The driver's own words name the host, the user or the statement: they are for the log alone.
            log.warning("the user system's database can't be read: %s", _plainly(error))
            raise IdentityUnavailable("the user system's database") from None

    async def monitor_users(self, monitor_ids: Iterable[str]) -> dict[str, str]:
        """The id of the user of each monitor that there is. Raises IdentityUnavailable."""
        statement = text("SELECT id, user_id FROM monitors WHERE id IN :ids").bindparams(
            bindparam("ids", expanding=True)
        )
        found: dict[str, str] = {}
        asked = list(dict.fromkeys(monitor_ids))
        wanted = frozenset(asked)
        for start in range(0, len(asked), MOST_AT_ONCE):
            for row in await self.fetch(statement, ids=asked[start : start + MOST_AT_ONCE]):
                if str(row["id"]) in wanted and row["user_id"] is not None:
                    found[str(row["id"])] = str(row["user_id"])
        return found

    async def find_session(self, session_id: str) -> Row | None:
        """The session with exactly this id: its id, user_id, token, expires_at and is_active. Raises
        IdentityUnavailable."""
        return await self._find(_SESSION, session_id)

    async def find_user(self, user_id: str) -> Row | None:
        """The user with exactly this id: their id, tier and is_active. Raises IdentityUnavailable."""
        return await self._find(_USER, user_id)

    async def _find(self, statement: TextClause, identifier: str) -> Row | None:
        rows = await self.fetch(statement, id=identifier)
        return next((row for row in rows if str(row["id"]) == identifier), None)

    def close(self) -> None:
        """Waits for what is being read and closes all connections."""
        self._workers.shutdown(wait=True)
        self._engine.dispose()


def _all_of(name: str) -> Select[Any]:
    return select(literal_column("*")).select_from(table(name))


def _engine(url: str) -> Engine:
    """Raises ArgumentError if the URL can't be read."""
    parsed = make_url("".join(url))
    if parsed.get_backend_name() == "sqlite":
        # Opened for reading alone, and never made where there is none.
        file = f"file:{quote(parsed.database or '')}?mode=ro"
        return create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(file, uri=True, timeout=CONNECT_SECONDS, check_same_thread=False),
            poolclass=QueuePool,
            pool_size=WORKERS,
        )
    engine = create_engine(
        parsed,
        pool_size=WORKERS,
        pool_pre_ping=True,
        pool_recycle=300,
        isolation_level="READ COMMITTED",
        connect_args={"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "charset": "utf8mb4"},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            # A TIMESTAMP is shown in the session's zone, a DATETIME as it was written.
            cursor.execute("SET time_zone = '+00:00'")

    return engine


def _plainly(error: SQLAlchemyError) -> str:
    """What went wrong, without the statement and its values."""
    return f"{type(error).__name__}: {getattr(error, 'orig', None) or 'no further reason'}"


def is_true(value: object) -> bool:
    """A flag as drivers hand it out: a number, a boolean, a byte of a BIT column, or a text."""
    if isinstance(value, bytes):
        return any(value)
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "t", "yes", "y")
    return bool(value)


def moment_of(value: object) -> int | None:
    """Nanoseconds since 1970 of a time as drivers hand it out; None if it can't be read. Without a zone it's UTC.

    A DATETIME, a text as in ISO 8601, or a number of seconds (of milliseconds from 1e11 on).
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime):
        zoned = value if value.tzinfo else value.replace(tzinfo=UTC)
        return int(zoned.timestamp() * 1_000_000) * 1_000
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e14:
        return None
    return int(value * (1_000_000 if value >= 1e11 else 1_000_000_000))
