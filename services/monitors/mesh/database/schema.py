"""The versions of a schema, each made by a migration whose file's name begins with its number."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

from sqlalchemy import Connection, Engine, inspect, text

from monitors.mesh.tenancy import may_touch_all

LOCK = "monitors.schema"
LOCK_SECONDS = 600


class Schema:
    """One service's tables in a database. `migrations` is its package, such as `monitors.rules.migrations`."""

    def __init__(self, engine: Engine, migrations: str) -> None:
        self._engine = engine
        self._migrations = migrations
        # A file has one service's tables; those of several may be in one database of a server.
        self._service = migrations.split(".")[1]
        self._table = "alembic_version" if engine.dialect.name == "sqlite" else f"{self._service}_alembic_version"

    @property
    def service(self) -> str:
        """Whose tables they are: `rules`, for example."""
        return self._service

    def newest(self) -> str:
        """The newest version that this program knows; empty if there is none."""
        names = (file.name for file in files(self._migrations).iterdir())
        return max((name.partition("_")[0] for name in names if name[0].isdigit()), default="")

    def version(self) -> str:
        """The version that the database has; empty if it has none."""
        with self._engine.connect() as connection:
            if not inspect(connection).has_table(self._table):
                return ""
            # nosemgrep: sql-with-values-in-it (the table's name is ours)
            return connection.scalar(text(f"SELECT version_num FROM {self._table}")) or ""  # noqa: S608  # nosec B608

    def is_current(self) -> bool:
        """Whether the schema's version is the newest one."""
        return self.version() == self.newest()

    def problem(self) -> str:
        """Why this program can't work with the schema, and what to do; empty if it can.

        It can with the newest one that it knows, and with the next one: that only adds to it, so that programs of both
        versions run side by side while they are being replaced.
        """
        has, knows = self.version(), self.newest()
        if has == knows or (has and int(has) == int(knows) + 1):
            return ""
        if has > knows:
            return (
                f"it has the tables of {self._service} in version {has}, of a much newer program: update this one, "
                f"which knows version {knows}"
            )
        there = f"in version {has}" if has else "not yet"
        return (
            f"it has the tables of {self._service} {there}, and this program needs version {knows}: run `monitors db "
            "upgrade` with the same environment, then start again"
        )

    def upgrade(self, to: str) -> None:
        """Brings it to a version; `head` is the newest one."""
        # Alembic takes a third of a second to import, and only a schema that isn't current needs it.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(files("monitors.mesh") / "migrations"))
        config.set_main_option("version_locations", str(files(self._migrations)))
        config.set_main_option("path_separator", "newline")
        with self._engine.connect() as connection, _alone(connection):
            may_touch_all(connection, "migrations change what is there of all tenants")
            config.attributes["connection"] = connection
            config.attributes["version_table"] = self._table
            command.upgrade(config, to)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Lets nobody else change schemas meanwhile; a SQLite file belongs to one process anyway."""
    if connection.dialect.name == "sqlite":
        yield
        return
    connection.execute(text("SELECT GET_LOCK(:name, :seconds)"), {"name": LOCK, "seconds": LOCK_SECONDS})
    connection.commit()
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": LOCK})
