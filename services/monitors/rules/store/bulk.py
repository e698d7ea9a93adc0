"""One statement for many rows, without what SQLAlchemy does for each: values go to the driver as they are."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Insert, Table, Update, insert
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Session


def insert_rows(session: Session, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """Inserts rows whose values are in the order of `columns`, which is the table's. See `execute_rows`."""
    execute_rows(session, _insertion(table), columns, rows)


def execute_rows(
    session: Session, statement: Insert | Update, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Executes a statement for each row. `names` are its parameters in the order in which it has them; their values are
    of types that every driver takes: text, bytes, int, float or None. Raises ValueError if `names` are others."""
    if rows:
        connection = session.connection()
        connection.exec_driver_sql(_compiled(statement, names, connection.dialect), list(rows))


@lru_cache(maxsize=64)
def _insertion(table: Table) -> Insert:
    return insert(table)


@lru_cache(maxsize=64)
def _compiled(statement: Insert | Update, names: tuple[str, ...], dialect: Dialect) -> str:
    compiled = statement.compile(dialect=dialect, column_keys=list(names) if isinstance(statement, Insert) else None)
    order = tuple(compiled.positiontup or ())
    if order != names:
        raise ValueError(f"the statement's parameters are {order}, not {names}: {compiled}")
    return str(compiled)
