"""Many rows at once, without SQLAlchemy's work on each of them, which costs more than the database's own."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session


def insert_rows(session: Session, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Inserts rows whose values stand in the order of `columns`, as the driver takes them: numbers, texts, bytes.

    For drivers whose parameters go by their position, as those of SQLite and MySQL do.
    """
    listed = list(rows)
    if not listed:
        return
    connection = session.connection()
    statement = insert(table).compile(dialect=connection.dialect, column_keys=columns)
    order = [columns.index(name) for name in statement.positiontup or ()]
    if order != list(range(len(columns))):
        listed = [tuple([row[place] for place in order]) for row in listed]
    connection.exec_driver_sql(str(statement), listed)
