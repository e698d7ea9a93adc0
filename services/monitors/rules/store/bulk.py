"""Many rows of one table at once, without what SQLAlchemy does for each: values go to the driver as they are."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Session


def insert_rows(session: Session, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """Inserts rows whose values are in the order of `columns`, each of a type that every driver takes: text, bytes,
    int, float or None."""
    if rows:
        connection = session.connection()
        connection.exec_driver_sql(_insertion(table, columns, connection.dialect), list(rows))


@lru_cache(maxsize=64)
def _insertion(table: Table, columns: tuple[str, ...], dialect: Dialect) -> str:
    compiled = insert(table).compile(dialect=dialect, column_keys=list(columns))
    order = tuple(compiled.positiontup or ())
    if order != columns:
        raise ValueError(f"the columns of {table.name} must be named in the table's order: {order}")
    return str(compiled)
