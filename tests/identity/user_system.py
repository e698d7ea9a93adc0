"""The user system of a team as a test makes it: its tables on a SQLite file or a server, and its sessions in Redis."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

SECRET = "a-secret-of-the-user-system"
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
