"""Refuses statements that aren't bound to their session's tenant, on the way to the database."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, event

from monitors.mesh.tenancy.compiler import guarded
from monitors.mesh.tenancy.scope import OPTION, Scope
from monitors.mesh.tenancy.verdict import NotBound, Verdict, touches_rows

_NOWHERE = Scope()
_CHECKED = "tenancy_checked"


def guard(engine: Engine) -> None:
    """From now on, whatever isn't bound is refused on this engine with NotBound."""
    dialect: Any = engine.dialect
    dialect.statement_compiler = guarded(dialect.statement_compiler)
    # What is returned is what is executed; SQLAlchemy would else wrap the function in another.
    event.listen(engine, "before_cursor_execute", _check, retval=True)


def _check(conn: Connection, _: Any, statement: str, parameters: Any, context: Any, __: bool) -> tuple[str, Any]:
    scope = scope_of(conn)
    if not scope.reason:
        _refuse_unbound(scope, statement, context)
    return statement, parameters


def _refuse_unbound(scope: Scope, statement: str, context: Any) -> None:
    verdict = getattr(context.compiled, "verdict", None) if context is not None else None
    if verdict is not None:
        if verdict.problem:
            raise _refusal(verdict.problem)
        if verdict.names:
            _check_values(scope, verdict, context.compiled_parameters)
    elif not (context is not None and context.execution_options.get(_CHECKED) is scope):
        _check_text(statement)


def _check_values(scope: Scope, verdict: Verdict, parameters: Sequence[dict[str, Any]]) -> None:
    tenant = scope.tenant
    if tenant is None:
        raise _refusal("the session is bound to no tenant")
    for row in parameters:
        for name in verdict.names:
            if row[name] != tenant:
                raise _refusal(f"its {name} isn't the tenant to which the session is bound")


def _check_text(statement: str) -> None:
    if touches_rows(statement):
        raise _refusal("it's SQL as text, which can't be looked into")


def scope_of(conn: Connection) -> Scope:
    """What the session of a connection may touch. A connection without one may touch no tenant's rows."""
    scope: Scope = conn.get_execution_options().get(OPTION, _NOWHERE)
    return scope


def check_rows(
    conn: Connection, verdict: Verdict, names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> dict[str, Any]:
    """For a statement that is executed as text, once for each row of values in the order of `names`: raises NotBound
    unless all are bound. Returns the execution options that say so."""
    scope = scope_of(conn)
    if not scope.reason:
        if verdict.problem:
            raise _refusal(verdict.problem)
        if verdict.names and scope.tenant is None:
            raise _refusal("the session is bound to no tenant")
        for name in verdict.names:
            place = names.index(name)
            if any(row[place] != scope.tenant for row in rows):
                raise _refusal(f"its {name} isn't the tenant to which the session is bound")
    return {_CHECKED: scope}


def _refusal(problem: str) -> NotBound:
    return NotBound(
        f"the statement was refused: {problem}. Hold it to the session's tenant, or say within `across_tenants` why it "
        "concerns several"
    )
