"""Many rows at once, without SQLAlchemy's work on each of them, which costs more than the database's own."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Insert, Table, Update, insert
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Session


def insert_rows(session: Session, table: Table, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Inserts rows whose values stand in the order of `columns`, as the driver takes them: numbers, texts, bytes."""
    execute_rows(session, _insertion(table), columns, rows)


def execute_rows(
    session: Session, statement: Insert | Update, names: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Executes a statement once for each row, whose values stand in the order of `names`: those of its parameters.

    For drivers whose parameters go by their position, as those of SQLite and MySQL do. The statement is compiled once:
    it should be made once as well. Raises ValueError if it has a parameter that isn't named.
    """
    listed = list(rows)
    if not listed:
        return
    connection = session.connection()
    text, order = _compiled(statement, tuple(names), connection.dialect)
    if order is not None:
        listed = [tuple([row[place] for place in order]) for row in listed]
    connection.exec_driver_sql(text, listed)


@lru_cache(maxsize=256)
def _insertion(table: Table) -> Insert:
    return insert(table)


@lru_cache(maxsize=256)
def _compiled(
    statement: Insert | Update, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, tuple[int, ...] | None]:
    """The statement's text, and where its parameters stand among the names; None if they stand in the same order."""
    compiled = statement.compile(dialect=dialect, column_keys=names if isinstance(statement, Insert) else None)
    order = tuple(names.index(name) for name in compiled.positiontup or ())
    return str(compiled), None if order == tuple(range(len(names))) else order
