"""Looks into statements while SQLAlchemy turns them into text: what is looked at is what will be executed.

Neither the statement as it was written nor the ORM's view of it would do: joins, correlation and the columns of
entities are settled only here. What can't be looked into, such as SQL as text, is never taken for bound.
"""

import re
from typing import Any

from sqlalchemy.sql.compiler import SQLCompiler

from monitors.mesh.tenancy.verdict import Frame, Verdict, column_of, is_tenants, judge, origin, touches_rows

# What may stand as text within a statement: a number, a star, and what SQLAlchemy puts around a text to look for.
_HARMLESS_TEXT = re.compile(r"[\d*]*|'%'")
_INDEX_HINT = re.compile(r"(use|force|ignore) (index|key) ?\([\w`, ]+\)|indexed by \w+|not indexed", re.IGNORECASE)
_WIDENING = re.compile(r"\b(or|union|select)\b", re.IGNORECASE)


class TenantCompiler(SQLCompiler):
    """Mixed into a dialect's own compiler."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._root = Frame()
        self._frames = [self._root]
        self._written: list[str] = []
        self._verdict: Verdict | None = None
        super().__init__(*args, **kwargs)

    @property
    def verdict(self) -> Verdict:
        """What the statement does with tenants' tables. The compiled statement is kept, and so is this."""
        if self._verdict is None:
            verdict = judge(self._root, dict(self.bind_names))
            names = dict.fromkeys((*verdict.names, *self._written))
            self._verdict = verdict if verdict.problem else Verdict(tuple(names))
        return self._verdict

    def _begin(self) -> Frame:
        frame = Frame()
        self._frames[-1].children.append(frame)
        self._frames.append(frame)
        return frame

    # --- reading ---------------------------------------------------------------------------------------------------

    def _compose_select_body(
        self, text: Any, select: Any, compile_state: Any, inner_columns: Any, froms: Any, *rest: Any, **kwargs: Any
    ) -> Any:
        frame = self._frames[-1]
        frame.read(froms, select._where_criteria)
        self._check_hints(select)
        return super()._compose_select_body(  # type: ignore[no-untyped-call]
            text, select, compile_state, inner_columns, froms, *rest, **kwargs
        )

    def visit_select(self, *args: Any, **kwargs: Any) -> Any:
        self._begin()
        try:
            return super().visit_select(*args, **kwargs)  # type: ignore[no-untyped-call]
        finally:
            self._frames.pop()

    def visit_table(self, table: Any, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs.get("asfrom") or kwargs.get("within_tstring"):
            alias = kwargs.get("enclosing_alias")
            is_aliased = alias is not None and origin(alias.element) == origin(table)
            self._frames[-1].rendered.append(origin(alias if is_aliased else table))
        return super().visit_table(table, *args, **kwargs)  # type: ignore[no-untyped-call]

    # --- changing --------------------------------------------------------------------------------------------------

    def visit_update(self, update_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        frame = self._begin()
        try:
            text = super().visit_update(update_stmt, *args, **kwargs)
        finally:
            self._frames.pop()
        self._read_change(frame)
        self._read_written(frame, is_needed=False)
        return text

    def visit_delete(self, delete_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        frame = self._begin()
        try:
            text = super().visit_delete(delete_stmt, *args, **kwargs)  # type: ignore[no-untyped-call]
        finally:
            self._frames.pop()
        self._read_change(frame)
        return text

    def visit_insert(self, insert_stmt: Any, *args: Any, **kwargs: Any) -> Any:
        frame = self._begin()
        try:
            text = super().visit_insert(insert_stmt, *args, **kwargs)  # type: ignore[no-untyped-call]
        finally:
            self._frames.pop()
        self._read_written(frame, is_needed=True)
        return text

    def _read_change(self, frame: Frame) -> None:
        state: Any = self.dml_compile_state
        if self.stack or state is None:
            frame.unknown.append("a change within another statement")
            return
        statement = state.statement
        self._check_hints(statement)
        frame.read([statement.table, *state._extra_froms], statement._where_criteria)

    def _read_written(self, frame: Frame, *, is_needed: bool) -> None:
        """What is written as a row's tenant must be given as a plain value, which can be compared."""
        state: Any = self.dml_compile_state
        if self.stack or state is None:
            frame.unknown.append("a change within another statement")
            return
        statement = state.statement
        if not is_tenants(statement.table):
            return
        if is_needed and (statement._prefixes or statement._post_values_clause is not None):
            frame.unknown.append("INSERT that may change a row that is there")
        column = column_of(statement.table)
        pattern = re.compile(rf"{re.escape(column)}(_m\d+)?")
        names = [name for name in self.binds if pattern.fullmatch(name)]
        is_written = is_needed or column in _columns_written(state)
        if is_written and len(names) != _rows_written(state):
            frame.unknown.append(f"{column} that isn't written as a plain value")
        self._written += names

    # --- text ------------------------------------------------------------------------------------------------------

    def _note_text(self, text: str) -> None:
        # A text by itself may tell what it reads; within a statement even `or 1` undoes what holds it to a tenant.
        is_harmful = touches_rows(text) if len(self._frames) == 1 else not _HARMLESS_TEXT.fullmatch(text.strip())
        if is_harmful:
            self._frames[-1].unknown.append("SQL as text")

    def _check_hints(self, statement: Any) -> None:
        for text in (*statement._hints.values(), *(text for _, text in getattr(statement, "_statement_hints", ()))):
            if not _INDEX_HINT.fullmatch(text.strip()):
                self._frames[-1].unknown.append("SQL as text")

    def visit_textclause(self, textclause: Any, *args: Any, **kwargs: Any) -> Any:
        self._note_text(textclause.text)
        return super().visit_textclause(textclause, *args, **kwargs)  # type: ignore[no-untyped-call]

    def visit_tstring(self, tstring: Any, *args: Any, **kwargs: Any) -> Any:
        self._note_text("a template")
        return super().visit_tstring(tstring, *args, **kwargs)  # type: ignore[no-untyped-call]

    def visit_column(self, column: Any, *args: Any, **kwargs: Any) -> Any:
        if column.is_literal:
            self._note_text(column.name)
        return super().visit_column(column, *args, **kwargs)

    def visit_custom_op_binary(self, element: Any, operator: Any, **kwargs: Any) -> Any:
        if touches_rows(operator.opstring) or _WIDENING.search(operator.opstring):
            self._frames[-1].unknown.append("SQL as text")
        return super().visit_custom_op_binary(element, operator, **kwargs)  # type: ignore[no-untyped-call]


def guarded(compiler: type[SQLCompiler]) -> type[SQLCompiler]:
    """A dialect's compiler that looks into what it compiles."""
    if issubclass(compiler, TenantCompiler):
        return compiler
    return type(f"Tenant{compiler.__name__}", (TenantCompiler, compiler), {})


def _rows_written(state: Any) -> int:
    return len(state._multi_parameters) if getattr(state, "_has_multi_parameters", False) else 1


def _columns_written(state: Any) -> set[str]:
    return {getattr(column, "name", column) for column in state._dict_parameters or ()}
