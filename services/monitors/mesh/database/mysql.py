"""MySQL 8 and MariaDB: several processes and threads write at once, each in a transaction of its own.

A write sees what was committed when each of its statements began (READ COMMITTED); what it decides by must be locked.
A read sees one state of the database (REPEATABLE READ). Times are UTC, texts compare byte by byte.
"""

import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from monitors.mesh.database.failures import CLASHED, LOST, code_of, storage_error
from monitors.mesh.errors import CommitUnknown
from monitors.mesh.tenancy import TenantSession, guard
from monitors.mesh.times import now_nanos

T = TypeVar("T")
GREATEST = sys.float_info.max
CONNECT_SECONDS = 5
# A statement that waits for a lock gives up before the driver gives up on the server.
LOCK_SECONDS = 10
ANSWER_SECONDS = 30
# Firewalls and proxies drop connections that are older or idle for longer.
LIFE_SECONDS = 1800
SETTINGS = (
    "SET SESSION time_zone = '+00:00', "
    "sql_mode = 'TRADITIONAL,ONLY_FULL_GROUP_BY', "
    f"innodb_lock_wait_timeout = {LOCK_SECONDS}"
)
CLOCK_SECONDS = 3.0
RACED = frozenset({1062, 1452})
"""A row was there already, or the row that it belongs to has gone: somebody else has been quicker."""


class ServerClock:
    """The database's clock, read now and then and carried on by this process's own steady one.

    So what several processes date, and how long leases last, doesn't depend on the clocks of their machines.
    """

    def __init__(self) -> None:
        self._read, self._at = now_nanos(), time.monotonic()
        self._is_due = True

    def is_due(self) -> bool:
        """Whether it should be read anew."""
        return self._is_due or time.monotonic() - self._at >= CLOCK_SECONDS

    def read(self, connection: Any) -> None:
        """Reads it from the server."""
        begun = time.monotonic()
        told: datetime = connection.exec_driver_sql("SELECT UTC_TIMESTAMP(6)").scalar_one()
        ended = time.monotonic()
        since = told.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        self._read, self._at = since // timedelta(microseconds=1) * 1000, (begun + ended) / 2
        self._is_due = False

    def now(self) -> int:
        """Nanoseconds since 1970."""
        return self._read + int((time.monotonic() - self._at) * 1e9)


class Mysql:
    """Transactions on a server. Half of the connections write, the others read."""

    is_shared = True

    def __init__(self, url: str, name: str, connections: int) -> None:
        self.name = make_url(url).render_as_string(hide_password=True)
        writers = max(1, connections // 2)
        readers = max(1, connections - writers)
        self.write_engine = _engine(url, "READ COMMITTED", writers)
        self.read_engine = _engine(url, "REPEATABLE READ", readers)
        self.writers = ThreadPoolExecutor(writers, thread_name_prefix=f"{name}-writer")
        self.readers = ThreadPoolExecutor(readers, thread_name_prefix=f"{name}-reader")
        self._clock = ServerClock()

    def write(self, work: Callable[[Session], T], *, repeatable: bool) -> T:
        """Runs `work` in one transaction, and again in another if that was undone by the server or overtaken.

        Raises CommitUnknown if the connection was lost at the commit, unless `work` is `repeatable`.
        """
        return _retrying(lambda: self._write(work, repeatable=repeatable))

    def _write(self, work: Callable[[Session], T], *, repeatable: bool) -> T:
        with TenantSession(self.write_engine) as session:
            self._look_at_clock(session)
            answer = work(session)
            session.flush()
            try:
                session.commit()
            except BaseException as error:
                # Else what wasn't committed would be along with what the connection is used for next.
                session.invalidate()
                if isinstance(error, DBAPIError) and code_of(error) in LOST and not repeatable:
                    raise CommitUnknown from error
                raise
            return answer

    def read(self, work: Callable[[Session], T]) -> T:
        """Runs `work` on one state of the database, and again if the connection was lost."""
        return _retrying(lambda: self._read(work))

    def _read(self, work: Callable[[Session], T]) -> T:
        with TenantSession(self.read_engine) as session, session.begin():
            self._look_at_clock(session)
            return work(session)

    def _look_at_clock(self, session: Session) -> None:
        if self._clock.is_due():
            self._clock.read(session.connection())

    def now(self) -> int:
        """The database's clock, as it was read within the last transaction or some seconds before."""
        return self._clock.now()

    def explain(self, error: DBAPIError) -> str:
        """Why the server can't be used and what to do about it. The password isn't in it."""
        known = storage_error(error)
        why = known.message.removesuffix("; nothing was changed") if known else f"it says: {error.orig}"
        return f"the database {self.name} can't be used: {why}"

    def close(self) -> None:
        """Waits for what is being written and closes all connections."""
        self.writers.shutdown(wait=True)
        self.readers.shutdown(wait=True)
        self.write_engine.dispose()
        self.read_engine.dispose()


def _number_text(value: float, mapping: object = None) -> str:
    """A number as it's sent. No column keeps infinity, as which the greatest one of all is kept."""
    text = repr(max(-GREATEST, min(value, GREATEST)))
    # Else it would be a decimal to the server.
    return text if "e" in text else f"{text}e0"


def _number(text: str) -> float:
    value = float(text)
    return math.copysign(math.inf, value) if abs(value) == GREATEST else value


def _engine(url: str, isolation: str, connections: int) -> Engine:
    engine = create_engine(
        url,
        isolation_level=isolation,
        # As `rows` needs it.
        paramstyle="format",
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=True,
        # Every transaction is ended by its session; to undo one more each time is another round trip.
        pool_reset_on_return=None,
        pool_recycle=LIFE_SECONDS,
        # Errors are logged with their statement, but tenants' data has no place in a log.
        hide_parameters=True,
        connect_args={
            "charset": "utf8mb4",
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": ANSWER_SECONDS,
            "write_timeout": ANSWER_SECONDS,
            "init_command": SETTINGS,
            "conv": {**conversions, float: _number_text, FIELD_TYPE.DOUBLE: _number},
        },
    )
    guard(engine)
    return engine


def _retrying(transaction: Callable[[], T]) -> T:
    retrying = Retrying(
        retry=retry_if_exception(lambda error: _most_tries(error) > 1),
        stop=_is_enough,
        wait=wait_random_exponential(multiplier=0.01, max=0.5),
        reraise=True,
    )
    return retrying(transaction)


def _is_enough(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return error is None or state.attempt_number >= _most_tries(error)


def _most_tries(error: BaseException) -> int:
    """How often a transaction that ends in such an error is tried."""
    code = code_of(error) if isinstance(error, DBAPIError) else None
    if code in CLASHED:
        return 10
    # All connections of the pool may have been lost at once, but a server that is away is told at once: whoever calls
    # tries again, and a thread that waits here would keep others waiting.
    return 3 if code in LOST or code in RACED else 1
