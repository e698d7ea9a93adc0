"""Alembic's environment, the same for each service; `Schema.upgrade` passes the connection."""

from typing import Any

from alembic import context
from sqlalchemy import Connection, Table, event

# Alembic takes it for servers because it's there.
from monitors.mesh.migrations.resuming import ResumingImpl as ResumingImpl

connection: Connection = context.config.attributes["connection"]
dialect = connection.dialect


def compare_by_byte(table: Table, *_: Any, **__: Any) -> None:
    """Lets texts of MySQL and MariaDB be the same only if their bytes are, spaces at the end too, as SQLite does."""
    is_mariadb = getattr(dialect, "is_mariadb", False)
    table.dialect_kwargs.update(
        {
            f"{dialect.name}_engine": "InnoDB",
            f"{dialect.name}_default_charset": "utf8mb4",
            f"{dialect.name}_collate": "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin",
        }
    )


# SQLite can't alter a table in place: batch mode copies it. A server commits each change of a table by itself.
is_file = dialect.name == "sqlite"
context.configure(
    connection=connection,
    version_table=context.config.attributes["version_table"],
    render_as_batch=True,
    transactional_ddl=is_file,
)
if not is_file:
    event.listen(Table, "before_create", compare_by_byte)
try:
    with context.begin_transaction():
        context.run_migrations()
finally:
    if not is_file:
        event.remove(Table, "before_create", compare_by_byte)
