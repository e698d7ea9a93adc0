"""Many rows at once, without SQLAlchemy's work on each of them, which costs more than the database's own."""

from collections import namedtuple
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import CompoundSelect, Connection, Delete, Insert, Select, Table, Update, bindparam, insert, update
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Session

from monitors.mesh import driver
from monitors.mesh.tenancy import Verdict, check_rows

T = TypeVar("T")
Row: TypeAlias = Any
"""A row that was found: a tuple, whose values have the names of their columns as well."""
ROWS_A_STATEMENT = 250
Query: TypeAlias = Select[Any] | CompoundSelect[Any]
# Of SQLite. A few sizes, whose texts are made, and read by the database, once; fewer rows go one by one.
SIZES = (500, 100, 20)
MOST_PARAMETERS = 32_766


def insert_rows(
    session: Session,
    table: Table,
    columns: Sequence[str],
    rows: Iterable[tuple[Any, ...]],
    *,
    raised: tuple[str, int] | None = None,
) -> None:
    """Inserts rows whose values stand in the order of `columns`, as the driver takes them: numbers, texts, bytes.
    `raised` names a column, and what is added to its values."""
    _execute_rows(session, _insertion(table), columns, list(rows), raised)


def execute_rows(
    session: Session, statement: Insert | Update, names: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Executes a statement once for each row, whose values stand in the order of `names`: those of its parameters.

    For drivers whose parameters go by their position, as those of SQLite and MySQL do. The statement is compiled once:
    it should be made once as well. Raises ValueError if it has a parameter that isn't named.
    """
    _execute_rows(session, statement, names, list(rows), None)


def _execute_rows(
    session: Session,
    statement: Insert | Update,
    names: Sequence[str],
    rows: list[tuple[Any, ...]],
    raised: tuple[str, int] | None,
) -> None:
    if not rows:
        return
    connection = session.connection()
    text, order, verdict = _compiled(statement, tuple(names), connection.dialect)
    options = check_rows(connection, verdict, names, rows)
    # Column by column: what is done to all rows is done to a few columns.
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    if raised is not None:
        name, growth = raised
        columns[names.index(name)] = [value + growth for value in columns[names.index(name)]]
    if order is not None:
        columns = [columns[place] for place in order]
    done = 0
    if connection.dialect.name == "sqlite" and isinstance(statement, Insert):
        done = _insert_joined(connection, text, columns, options)
    if done < len(rows):
        _execute_each(connection, text, list(zip(*columns, strict=True))[done:], options)


def _execute_each(connection: Connection, text: str, rows: Sequence[Sequence[Any]], options: dict[str, Any]) -> None:
    if len(rows) == 1:
        driver.execute(connection, text, rows[0], options)
    elif rows:
        driver.execute(connection, text, rows, options, many=True)


def _insert_joined(connection: Connection, text: str, columns: Sequence[Sequence[Any]], options: dict[str, Any]) -> int:
    """Inserts rows, given column by column, by statements of many, on which SQLite works without the interpreter's
    lock, while other threads go on. What all have in common is given once. Returns how many are inserted: the last
    ones may be too few for a statement."""
    if len(columns[0]) < SIZES[-1]:
        return 0
    # One at least differs, for there must be something that is listed.
    same = (*map(_is_same, columns[:-1]), False)
    common = [values[0] for values, is_same in zip(columns, same, strict=True) if is_same]
    changing = list(zip(*[values for values, is_same in zip(columns, same, strict=True) if not is_same], strict=True))
    done = 0
    for part in _in_sizes(changing, MOST_PARAMETERS // len(same)):
        values = (*common, *chain.from_iterable(part))
        driver.execute(connection, _joined_insertion(text, same, len(part)), values, options)
        done += len(part)
    return done


def _is_same(values: Sequence[Any]) -> bool:
    # Where they differ, as keys do, the last one mostly tells it.
    return values[0] == values[-1] and values.count(values[0]) == len(values)


def _in_sizes(values: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """As many of the values as make parts of the SIZES, none larger than `most`."""
    done = 0
    for size in SIZES:
        while size <= min(most, len(values) - done):
            yield values[done : done + size]
            done += size


def update_rows(
    session: Session, table: Table, key: Sequence[str], columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Changes columns of rows, each named by the columns `key`; the values stand in the order of `key` and `columns`.

    A server gets many in one statement, for each would else be a round trip; in a file there is none to be spared, but
    rows that are changed alike are changed together. Of several changes of one row, either may be what stays.
    """
    listed = list(rows)
    connection = session.connection()
    change, names = _change(table, tuple(key), tuple(columns)), (*map(_named, key), *columns)
    *_, verdict = _compiled(change, names, connection.dialect)
    options = check_rows(connection, verdict, names, listed)
    quote = connection.dialect.identifier_preparer.quote
    quoted = quote(table.name), tuple(map(quote, key)), tuple(map(quote, columns))
    if connection.dialect.name == "sqlite":
        execute_rows(session, change, names, _change_alike(connection, quoted, listed, options))
        return
    for part in in_parts(listed, ROWS_A_STATEMENT):
        # What all have in common is sent once: the driver writes each value into the statement, in Python.
        same = tuple(map(_is_same, zip(*part, strict=True)))
        changing = [value for row in part for value, is_same in zip(row, same, strict=True) if not is_same]
        named, new = (
            [value for value, is_same in zip(part[0][place], same[place], strict=True) if is_same]
            for place in (slice(None, len(key)), slice(len(key), None))
        )
        if all(same[len(key) :]) and same.count(False) == 1:
            text, values = _common_change(*quoted, same.index(False), len(part)), (*new, *changing, *named)
        else:
            text, values = _joined_change(*quoted, same, len(part)), (*changing, *new, *named)
        driver.execute(connection, text, values, options)


def _change_alike(
    connection: Connection,
    quoted: tuple[str, tuple[str, ...], tuple[str, ...]],
    rows: list[tuple[Any, ...]],
    options: dict[str, Any],
) -> list[tuple[Any, ...]]:
    """Changes rows that get the same values and differ only in the last column of their key, by one statement for many.
    Returns the others."""
    place = len(quoted[1]) - 1
    alike: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    if rows and all(_is_same(values) for number, values in enumerate(zip(*rows, strict=True)) if number != place):
        alike[rows[0][place + 1 :] + rows[0][:place]] = rows
    else:
        for row in rows:
            alike.setdefault(row[place + 1 :] + row[:place], []).append(row)
    others: list[tuple[Any, ...]] = []
    for values, group in alike.items():
        done = 0
        for part in _in_sizes(group, MOST_PARAMETERS - len(values)):
            listed = [row[place] for row in part]
            text = _change_of_listed(*quoted, len(part))
            driver.execute(connection, text, (*values, *listed), options)
            done += len(part)
        others += group[done:]
    return others


def find_rows(
    session: Session, query: Query, given: Mapping[str, Any], listed: str, values: Sequence[Any]
) -> list[Row]:
    """The rows of a query whose parameter `listed` is a list, of `values`; the other parameters are `given`."""
    return read_rows(session, query, {**given, listed: values}) if values else []


def find_tuples(
    session: Session, query: Query, given: Mapping[str, Any], listed: str, values: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """The same without the columns' names, for many rows that are made something else at once."""
    if not values:
        return []
    _, cursor = _execute(session, query, {**given, listed: values})
    return list(cursor.fetchall())


def read_rows(session: Session, query: Query, given: Mapping[str, Any]) -> list[Row]:
    """The rows of a query by its parameters; none of the lists among these may be empty.

    What comes is as the driver has it: numbers, texts, bytes. The query should be made once.
    """
    kind, cursor = _execute(session, query, given)
    return list(map(kind._make, cursor.fetchall()))


def read_value(session: Session, query: Query, given: Mapping[str, Any]) -> Any:
    """The first value of the first row; None if there is no row."""
    _, cursor = _execute(session, query, given)
    rows = cursor.fetchall()
    return rows[0][0] if rows else None


def change_rows(session: Session, statement: Update | Delete, given: Mapping[str, Any]) -> int:
    """Executes an UPDATE or DELETE by its parameters, as `read_rows` does a query. Returns how many rows it found."""
    _, cursor = _execute(session, statement, given)
    count: int = cursor.rowcount
    return count


def _execute(session: Session, statement: Query | Update | Delete, given: Mapping[str, Any]) -> tuple[Any, Any]:
    """Gives what makes rows of it, and the driver's cursor."""
    session.flush()
    connection = session.connection()
    plain = _plain(statement, connection.dialect)
    values = {**plain.fixed, **given}
    options = check_rows(connection, plain.verdict, tuple(values), [tuple(values.values())])
    text, lists = plain.text, plain.lists
    for name in lists:
        text = text.replace(f"__[POSTCOMPILE_{name}]", ", ".join([plain.mark] * len(values[name])))
    parameters = [one for name in plain.order for one in (values[name] if name in lists else (values[name],))]
    return plain.kind, driver.execute(connection, text, tuple(parameters), options)


def row_kind(names: Sequence[str]) -> Any:
    """A kind of rows with columns of these names, to make them of plain values."""
    return namedtuple("kind", names, rename=True)


def in_parts(values: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    """The values, `size` at a time: as many as a statement takes well."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _named(column: str) -> str:
    """The parameter that names a row by a column; in an UPDATE the column's own name means its new value."""
    return f"is_{column}"


@lru_cache(maxsize=256)
def _change(table: Table, key: tuple[str, ...], columns: tuple[str, ...]) -> Update:
    named = [table.c[name] == bindparam(_named(name)) for name in key]
    return update(table).where(*named).values({name: bindparam(name) for name in columns})


@lru_cache(maxsize=256)
def _joined_insertion(text: str, same: tuple[bool, ...], count: int) -> str:
    """For SQLite: an INSERT of one row as one of many. First stand the values that all have in common, then, row by
    row, the others; `same` says which are. FAIL leaves it to the transaction to undo what was inserted before a
    conflict, so that the statement needn't keep the pages that it changes."""
    head = text[: text.rindex(" VALUES ")].replace("INSERT INTO", "INSERT OR FAIL INTO", 1)
    numbers = iter(range(1, len(same) + 1))
    chosen = ", ".join("?" if is_same else f"given.column{next(numbers)}" for is_same in same)
    row = f"({', '.join(['?'] * same.count(False))})"
    return f"{head} SELECT {chosen} FROM (VALUES {', '.join([row] * count)}) AS given"  # noqa: S608  # nosec B608


@lru_cache(maxsize=256)
def _change_of_listed(table: str, key: tuple[str, ...], columns: tuple[str, ...], count: int) -> str:
    """For SQLite: first stand the new values, then those of the key but for its last, then as many as `count` of it."""
    changes = ", ".join(f"{name} = ?" for name in columns)
    is_row = " AND ".join([*(f"{name} = ?" for name in key[:-1]), f"{key[-1]} IN ({', '.join(['?'] * count)})"])
    return f"UPDATE {table} SET {changes} WHERE {is_row}"  # noqa: S608  # nosec B608


@lru_cache(maxsize=256)
def _joined_change(
    table: str, key: tuple[str, ...], columns: tuple[str, ...], same: tuple[bool, ...], count: int
) -> str:
    """For MySQL and MariaDB, whose driver puts values in place of `%s`. First those stand that differ from row to row,
    row by row, then those that all have in common, the columns' before the key's; `same` says which are."""
    named = dict(zip((*key, *columns), same, strict=True))
    given = [name for name, is_same in named.items() if not is_same]
    source = table
    if given:
        first = ", ".join(f"%s AS {name}" for name in given)
        others = f" UNION ALL SELECT {', '.join(['%s'] * len(given))}" * (count - 1)
        source = f"(SELECT {first}{others}) AS given JOIN {table}"
    values = {name: "%s" if is_same else f"given.{name}" for name, is_same in named.items()}
    is_row = " AND ".join(f"{table}.{name} = {values[name]}" for name in key)
    changes = ", ".join(f"{table}.{name} = {values[name]}" for name in columns)
    return f"UPDATE {source} SET {changes} WHERE {is_row}"  # noqa: S608  # nosec B608


@lru_cache(maxsize=256)
def _common_change(table: str, key: tuple[str, ...], columns: tuple[str, ...], listed: int, count: int) -> str:
    """The same for rows that all get the same values, and of whose key a single column differs, the one at the place
    `listed`: which spares the server a join. First the columns' values stand, then the list, then the others' of the
    key."""
    is_row = [f"{key[listed]} IN ({', '.join(['%s'] * count)})"]
    is_row += [f"{name} = %s" for place, name in enumerate(key) if place != listed]
    changes = ", ".join(f"{name} = %s" for name in columns)
    return f"UPDATE {table} SET {changes} WHERE {' AND '.join(is_row)}"  # noqa: S608  # nosec B608


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


@dataclass(frozen=True)
class _Plain:
    """A statement as text, in which SQLAlchemy marks the places of lists."""

    text: str
    order: tuple[str, ...]
    lists: frozenset[str]
    fixed: dict[str, Any]
    """The parameters whose values are part of the statement."""
    mark: str
    kind: Any
    """Makes rows of what comes."""
    verdict: Verdict


@lru_cache(maxsize=1024)
def _plain(statement: Query | Update | Delete, dialect: Dialect) -> _Plain:
    compiled = statement.compile(dialect=dialect)
    order = tuple(compiled.positiontup or ())
    names = statement.selected_columns.keys() if isinstance(statement, Select | CompoundSelect) else ()
    return _Plain(
        text=str(compiled),
        order=order,
        lists=frozenset(name for name, bind in compiled.binds.items() if bind.expanding),
        fixed={name: bind.value for name, bind in compiled.binds.items() if not bind.required},
        mark="?" if dialect.name == "sqlite" else "%s",
        kind=row_kind(tuple(names)),
        verdict=getattr(compiled, "verdict", Verdict()),
    )
