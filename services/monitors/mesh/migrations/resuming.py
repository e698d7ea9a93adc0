"""Migrations of a server that go on where one was cut off.

MySQL and MariaDB commit each change of a table by itself, so whoever dies in the middle of a migration leaves a part of
it, under the version of before. What is there already is passed over when it's run again.
"""

from typing import Any

from alembic.ddl.mysql import MySQLImpl
from sqlalchemy import Column, Constraint, Index, Inspector, Table, inspect


class ResumingImpl(MySQLImpl):
    """What a migration does to a server's tables, each as far as it isn't done."""

    __dialect__ = "mysql"

    def create_table(self, table: Table, **kw: Any) -> None:
        """Makes a table with its indexes."""
        if not self._seen().has_table(table.name):
            super().create_table(table, **kw)
            return
        for index in table.indexes:
            self.create_index(index)

    def add_column(self, table_name: str, column: Column[Any], **kw: Any) -> None:
        """Adds a column."""
        if column.name not in {one["name"] for one in self._seen().get_columns(table_name)}:
            super().add_column(table_name, column, **kw)

    def create_index(self, index: Index, **kw: Any) -> None:
        """Makes an index."""
        if not self._has_index(index):
            super().create_index(index, **kw)

    def drop_index(self, index: Index, **kw: Any) -> None:
        """Drops an index."""
        if self._has_index(index):
            super().drop_index(index, **kw)

    def drop_constraint(self, const: Constraint, **kw: Any) -> None:
        """Drops a foreign key."""
        table: Any = const.table
        if const.name in {one["name"] for one in self._seen().get_foreign_keys(table.name)}:
            super().drop_constraint(const, **kw)

    def _has_index(self, index: Index) -> bool:
        table: Any = index.table
        return index.name in {one["name"] for one in self._seen().get_indexes(table.name)}

    def _seen(self) -> Inspector:
        # What an inspector has seen once it takes as it was.
        connection: Any = self.connection
        found: Inspector = inspect(connection)
        return found
