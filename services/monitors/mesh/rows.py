"""Many rows at once, without SQLAlchemy's work on each of them, which costs more than the database's own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Insert, Row, Select, Table, Update, bindparam, insert, update
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Session

from monitors.mesh.tenancy import Verdict, check_rows

ROWS_A_STATEMENT = 250


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
    text, order, verdict = _compiled(statement, tuple(names), connection.dialect)
    options = check_rows(connection, verdict, names, listed)
    if order is not None:
        listed = [tuple([row[place] for place in order]) for row in listed]
    connection.exec_driver_sql(text, listed, execution_options=options)


def update_rows(
    session: Session, table: Table, key: Sequence[str], columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Changes columns of rows, each named by the columns `key`; the values stand in the order of `key` and `columns`.

    A server gets many in one statement, for each would else be a round trip; in a file there is none to be spared.
    """
    listed = list(rows)
    connection = session.connection()
    change, names = _change(table, tuple(key), tuple(columns)), (*map(_named, key), *columns)
    if connection.dialect.name == "sqlite":
        execute_rows(session, change, names, listed)
        return
    *_, verdict = _compiled(change, names, connection.dialect)
    options = check_rows(connection, verdict, names, listed)
    quote = connection.dialect.identifier_preparer.quote
    for part in _parts(listed):
        text = _joined_change(quote(table.name), tuple(map(quote, key)), tuple(map(quote, columns)), len(part))
        values = tuple([value for row in part for value in row])
        connection.exec_driver_sql(text, values, execution_options=options)


def find_rows(
    session: Session, query: Select[Any], given: Mapping[str, Any], listed: str, values: Sequence[Any]
) -> Sequence[Row[Any]]:
    """The rows of a query whose parameter `listed` is a list, of `values`; the other parameters are `given`.

    What comes is as the driver has it: numbers, texts, bytes. The query should be made once.
    """
    if not values:
        return []
    connection = session.connection()
    text, order, verdict = _selection(query, connection.dialect)
    options = check_rows(connection, verdict, tuple(given), [tuple(given.values())])
    marks = ", ".join(["?" if connection.dialect.name == "sqlite" else "%s"] * len(values))
    parameters = [value for name in order for value in (values if name == listed else (given[name],))]
    text = text.replace(f"__[POSTCOMPILE_{listed}]", marks)
    return connection.exec_driver_sql(text, tuple(parameters), execution_options=options).all()


def _parts(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        yield rows[start : start + ROWS_A_STATEMENT]


def _named(column: str) -> str:
    """The parameter that names a row by a column; in an UPDATE the column's own name means its new value."""
    return f"is_{column}"


@lru_cache(maxsize=256)
def _change(table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> Update:
    named = [table.c[name] == bindparam(_named(name)) for name in key]
    return update(table).where(*named).values({name: bindparam(name) for name in columns})


@lru_cache(maxsize=256)
def _joined_change(table: str, key: tuple[str, ...], columns: tuple[str, ...], count: int) -> str:
    """For MySQL and MariaDB, whose driver puts values in place of `%s`."""
    first = ", ".join(f"%s AS {name}" for name in (*key, *columns))
    others = f" UNION ALL SELECT {', '.join(['%s'] * (len(key) + len(columns)))}" * (count - 1)
    same = " AND ".join(f"{table}.{name} = given.{name}" for name in key)
    changes = ", ".join(f"{table}.{name} = given.{name}" for name in columns)
    return f"UPDATE {table} JOIN (SELECT {first}{others}) AS given ON {same} SET {changes}"  # noqa: S608


@lru_cache(maxsize=256)
def _insertion(table: Table) -> Insert:
    return insert(table)


@lru_cache(maxsize=256)
def _compiled(
    statement: Insert | Update, names: tuple[str, ...], dialect: Dialect
) -> tuple[str, tuple[int, ...] | None, Verdict]:
    """The statement's text, and where its parameters stand among the names; None if they stand in the same order. And
    what it does with the tables of tenants."""
    compiled = statement.compile(dialect=dialect, column_keys=names if isinstance(statement, Insert) else None)
    order = tuple(names.index(name) for name in compiled.positiontup or ())
    verdict: Verdict = getattr(compiled, "verdict", Verdict())
    return str(compiled), None if order == tuple(range(len(names))) else order, verdict


@lru_cache(maxsize=256)
def _selection(query: Select[Any], dialect: Dialect) -> tuple[str, tuple[str, ...], Verdict]:
    """The query's text, in which SQLAlchemy marks the place of a list, and its parameters in their order."""
    compiled = query.compile(dialect=dialect)
    verdict: Verdict = getattr(compiled, "verdict", Verdict())
    return str(compiled), tuple(compiled.positiontup or ()), verdict
