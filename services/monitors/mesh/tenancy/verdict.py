"""What a statement does with the tables of tenants, found out from its parts: which values hold it to one tenant."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BindParameter, Join, TableClause
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, ColumnClause, Grouping
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import CTE, Alias, FromGrouping, Lateral, Subquery, TableValuedAlias, Values

OF_THE_MESH = "of_the_mesh"
"""In a table's `info`: why its rows belong to no tenant."""
TENANT_COLUMN = "tenant_column"
"""In a table's `info`: the column that names the tenant, where that isn't `tenant_id`."""


_TOUCHES_ROWS = re.compile(r"\b(from|join|into|update|delete|replace|table)\b", re.IGNORECASE)
_OF_THE_SCHEMA = re.compile(r"\bfrom\s+(\w*alembic_version\b|information_schema\.)", re.IGNORECASE)


class NotBound(Exception):
    """A statement would touch rows that aren't the session's tenant's, or might. It wasn't executed."""


@dataclass(frozen=True)
class Verdict:
    """`names` are the parameters that must be the tenant; `problem` is why the statement isn't held to one at all."""

    names: tuple[str, ...] = ()
    problem: str = ""


Operand = Any
"""A table (or alias) whose tenant is meant, or a BindParameter."""


@dataclass
class Frame:
    """One SELECT, UPDATE or DELETE within a statement: its tables, and what holds them to a tenant."""

    tables: list[Any] = field(default_factory=list)
    equalities: list[tuple[Operand, Operand]] = field(default_factory=list)
    """Tenants that are the same in each row."""
    optional: list[tuple[Any, Operand]] = field(default_factory=list)
    """A table on the far side of an outer join, and what its rows' tenant is the same as."""
    rendered: list[Any] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    children: list["Frame"] = field(default_factory=list)

    def read(self, froms: Iterable[Any], criteria: Iterable[Any]) -> None:
        """Takes in what stands behind FROM and WHERE."""
        for each in froms:
            self._read_from(each)
        self.equalities += _equalities(criteria)

    def _read_from(self, element: Any) -> None:
        match element:
            case Join():
                self._read_join(element)
            case FromGrouping():
                self._read_from(element.element)
            case Subquery() | CTE() | Lateral() | Values() | TableValuedAlias() | FunctionElement():
                pass  # What is within is looked at by itself, or holds no table.
            case Alias() if isinstance(element.element, TableClause):
                self.tables.append(origin(element))
            case TableClause():
                self.tables.append(origin(element))
            case _:
                self.unknown.append(type(element).__name__)

    def _read_join(self, join: Any) -> None:
        before = len(self.tables)
        self._read_from(join.left)
        middle = len(self.tables)
        self._read_from(join.right)
        found = list(_equalities([join.onclause]))
        if join.full:
            return
        if not join.isouter:
            self.equalities += found
            return
        # Rows of the near side come whatever the condition says: it holds the far side alone.
        far, near = set(self.tables[middle:]), set(self.tables[before:middle])
        for pair in found:
            for one, other in (pair, pair[::-1]):
                if _is_among(far, one) and (isinstance(other, BindParameter) or _is_among(far | near, other)):
                    self.optional.append((one, other))


def _is_among(tables: set[Any], operand: Operand) -> bool:
    return not isinstance(operand, BindParameter) and operand in tables


def origin(element: Any) -> Any:
    """The table or alias that something is a copy of."""
    while element._is_clone_of is not None:
        element = element._is_clone_of
    return element


def is_tenants(table: Any) -> bool:
    """Whether a table holds rows of tenants: any that doesn't say that it belongs to the mesh."""
    return OF_THE_MESH not in _plain(table).info


def column_of(table: Any) -> str:
    """The column that names the tenant."""
    return str(_plain(table).info.get(TENANT_COLUMN, "tenant_id"))


def _plain(table: Any) -> Any:
    table = origin(table)
    return table.element if isinstance(table, Alias) else table


def _equalities(criteria: Iterable[Any]) -> Iterator[tuple[Operand, Operand]]:
    for one in _conjuncts(criteria):
        if isinstance(one, BinaryExpression) and one.operator is operators.eq:
            left, right = _operand(one.left), _operand(one.right)
            if left is not None and right is not None:
                yield left, right


def _conjuncts(criteria: Iterable[Any]) -> Iterator[Any]:
    """What all must hold, each by itself."""
    for one in criteria:
        if isinstance(one, BooleanClauseList) and one.operator is operators.and_:
            yield from _conjuncts(one.clauses)
        elif isinstance(one, Grouping):
            yield from _conjuncts([one.element])
        else:
            yield one


def _operand(side: Any) -> Operand | None:
    if isinstance(side, BindParameter):
        return None if side.expanding else side
    if isinstance(side, ColumnClause) and isinstance(side.table, TableClause | Alias):
        table = side.table
        plain = _plain(table)
        if isinstance(plain, TableClause) and side.name == column_of(plain):
            return origin(table)
    return None


def judge(root: Frame, names_of: dict[Any, str]) -> Verdict:
    """The verdict on a statement whose outermost frame is `root`; `names_of` are its parameters' names."""
    names: dict[str, None] = {}
    problem = _judge(root, frozenset(), names_of, names)
    return Verdict(problem=problem) if problem else Verdict(tuple(names))


def _judge(frame: Frame, outer: frozenset[Any], names_of: dict[Any, str], names: dict[str, None]) -> str:
    """Why a frame isn't held to one tenant; empty if it is. `outer` are the tables around it that are."""
    if frame.unknown:
        return f"it has parts that can't be looked into ({', '.join(dict.fromkeys(frame.unknown))})"
    own = {table for table in frame.tables if is_tenants(table)}
    for table in frame.rendered:
        if is_tenants(table) and table not in own:
            return f"the table {_plain(table).name} is read where it can't be seen what holds it to a tenant"
    visible = outer - own
    bound = _bound(frame, own, visible, names_of, names)
    for table in own - bound:
        column = f"{_plain(table).name}.{column_of(table)}"
        return f"nothing holds {column} to one tenant, as a condition that always holds must"
    for child in frame.children:
        if problem := _judge(child, visible | bound, names_of, names):
            return problem
    return ""


def _bound(
    frame: Frame, own: set[Any], visible: frozenset[Any], names_of: dict[Any, str], names: dict[str, None]
) -> set[Any]:
    """The frame's tables that are held to a tenant. Adds the parameters that hold them to `names`."""
    edges = [*frame.equalities, *(pair[::-1] for pair in frame.equalities), *frame.optional]
    bound: set[Any] = set()
    growing = True
    while growing:
        growing = False
        for table, by in edges:
            if isinstance(table, BindParameter) or table not in own:
                continue
            if isinstance(by, BindParameter):
                name = names_of.get(by)
                if name is None:
                    continue
                names[name] = None
            elif by not in bound and by not in visible:
                continue
            if table not in bound:
                bound.add(table)
                growing = True
    return bound


def touches_rows(text: str) -> bool:
    """Whether SQL as text may read or change rows of tables other than those about the schema itself."""
    return bool(_TOUCHES_ROWS.search(_OF_THE_SCHEMA.sub("", text)))
