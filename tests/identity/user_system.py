"""The user system of a team as a test makes it: its tables on a SQLite file or a server, and its sessions in Redis."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import redis
from sqlalchemy import create_engine, text

from tests.servers.mariadb import shared_server

SECRET = "a secret of the user system, which has 40"
TABLES = (
    "CREATE TABLE users (id VARCHAR(64) PRIMARY KEY, email VARCHAR(200), tier VARCHAR(20), is_active BOOLEAN)",
    """CREATE TABLE sessions (id VARCHAR(64) PRIMARY KEY, user_id VARCHAR(64), token VARCHAR(2000),
  expires_at DATETIME, is_active BOOLEAN)""",
    "CREATE TABLE monitors (id VARCHAR(64) PRIMARY KEY, user_id VARCHAR(64), name VARCHAR(200))",
)


def sqlite_at(folder: Path) -> str:
    """The URL of a user system's file in the folder, with its tables."""
    url = f"sqlite:///{folder / 'users.db'}"
    UserTables(url).make()
    return url


def mariadb() -> str:
    """The URL of a user system's database on MariaDB, with its tables, which compare without regard to case."""
    server = shared_server()
    name = server.create_database()
    server.execute(f"ALTER DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    url = server.url(name)
    UserTables(url).make()
    return url


def url_of(kind: str, folder: Path) -> str:
    """The URL of a user system's new database: `sqlite` or `mariadb`."""
    return sqlite_at(folder) if kind == "sqlite" else mariadb()


@dataclass
class UserTables:
    """The tables as the user system itself writes them."""

    url: str

    def run(self, *statements: str, **values: Any) -> None:
        engine = create_engine(self.url)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), values)
        engine.dispose()

    def make(self) -> None:
        self.run(*TABLES)

    def add_user(self, user_id: str, tier: str = "pro", *, is_active: bool = True) -> None:
        self.run(
            "INSERT INTO users (id, email, tier, is_active) VALUES (:id, :email, :tier, :active)",
            id=user_id, email=f"{user_id}@example.org", tier=tier, active=is_active,
        )  # fmt: skip

    def add_monitor(self, monitor_id: str, user_id: str | None) -> None:
        self.run(
            "INSERT INTO monitors (id, user_id, name) VALUES (:id, :user, 'a monitor')", id=monitor_id, user=user_id
        )

    def add_session(
        self, session_id: str, user_id: str, token: str, *, ends: timedelta, is_active: bool = True
    ) -> None:
        self.run(
            "INSERT INTO sessions (id, user_id, token, expires_at, is_active)"
            " VALUES (:id, :user, :token, :end, :active)",
            id=session_id, user=user_id, token=token, end=datetime.now(UTC).replace(tzinfo=None) + ends,
            active=is_active,
        )  # fmt: skip


@dataclass(frozen=True)
class SignedIn:
    """A session of a user's, with its token."""

    id: str
    user_id: str
    token: str = field(repr=False)


@dataclass
class UserSystem:
    """Signs users in and out. Without `cache` it has no Redis, without `tables` no database."""

    tables: UserTables | None
    cache: redis.Redis | None
    _count: int = 0

    def claims(self, user_id: str, session_id: str, /, **changes: Any) -> dict[str, Any]:
        """What a token says; None takes a claim away."""
        now = int(time.time())
        claims = {
            "user_id": user_id, "session_id": session_id, "tier": "pro", "permissions": ["read", "write"],
            "iat": now, "exp": now + 3600,
        }  # fmt: skip
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(
        self, user_id: str, session_id: str, /, secret: str = SECRET, algorithm: str = "HS256", **claims: Any
    ) -> str:
        """A token, whether or not there is such a session."""
        return jwt.encode(self.claims(user_id, session_id, **claims), secret, algorithm=algorithm)

    def sign_in(self, user_id: str = "user_ann", /, *, tier: str = "pro", **claims: Any) -> SignedIn:
        """A new session of a user, who is made if they aren't there; `claims` are its token's."""
        self._count += 1
        session_id = f"session-{self._count}-{time.monotonic_ns()}"
        signed_in = SignedIn(session_id, user_id, self.token(user_id, session_id, **claims))
        if self.tables:
            self.tables.run("DELETE FROM users WHERE id = :id", id=user_id)
            self.tables.add_user(user_id, tier)
            self.tables.add_session(session_id, user_id, signed_in.token, ends=timedelta(hours=1))
        self.keep(signed_in, tier=tier)
        return signed_in

    def keep(self, session: SignedIn, *, tier: str = "pro", **changes: Any) -> None:
        """Writes a session to Redis; None takes a part of it away."""
        if self.cache is None:
            return
        user = {"id": session.user_id, "email": f"{session.user_id}@example.org", "tier": tier}
        document = {
            "session_id": session.id, "token": session.token, "user": user, "permissions": ["read", "write"]
        } | changes  # fmt: skip
        kept = {name: value for name, value in document.items() if value is not None}
        self.cache.set(f"session:{session.id}", json.dumps(kept))

    def evict(self, session: SignedIn) -> None:
        """Redis forgets the session."""
        if self.cache is not None:
            self.cache.delete(f"session:{session.id}")

    def sign_out(self, session: SignedIn) -> None:
        """Ends a session."""
        self.evict(session)
        if self.tables:
            self.tables.run("UPDATE sessions SET is_active = :no WHERE id = :id", id=session.id, no=False)
