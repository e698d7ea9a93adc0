"""Which tenant a session is bound to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session, SessionTransaction

from monitors.mesh.tenancy.verdict import NotBound, column_of, is_tenants

P = ParamSpec("P")
T = TypeVar("T")
OPTION = "tenancy"


class Scope:
    """What a session may touch: the rows of one tenant, of none, or of all for a stated reason."""

    __slots__ = ("reason", "tenant")

    def __init__(self, tenant: str | None = None, reason: str = "") -> None:
        self.tenant = tenant
        self.reason = reason


class TenantSession(Session):
    """A session that is bound to one tenant, or to none."""

    def __init__(self, engine: Engine, tenant: str | None = None) -> None:
        super().__init__(engine, expire_on_commit=False)
        self.scope = Scope(tenant)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """As usual; also what is known already, and needs no statement, must be the tenant's."""
        return self._checked(super().get(*args, **kwargs))

    def get_one(self, *args: Any, **kwargs: Any) -> Any:
        """As `get`."""
        return self._checked(super().get_one(*args, **kwargs))

    def _checked(self, found: Any) -> Any:
        if found is not None and not self.scope.reason and self._is_foreign(found):
            raise NotBound(f"a row of {type(found).__name__} isn't the tenant's to which the session is bound")
        return found

    def _is_foreign(self, row: Any) -> bool:
        table = row.__table__
        return is_tenants(table) and getattr(row, column_of(table)) != self.scope.tenant

    def write_waiting(self) -> None:
        """Writes what waits to be written, while what the session is bound to is still what it was made under."""
        if self.new or self.dirty or self.deleted:
            self.flush()

    def forget_others(self) -> None:
        """Forgets rows that were read and are another tenant's: what is known is found without a statement."""
        if self.scope.tenant is None or self.scope.reason:
            return
        for row in list(self.identity_map.values()):
            if self._is_foreign(row):
                self.expunge(row)


@event.listens_for(TenantSession, "after_begin")
def _mark(session: TenantSession, _: SessionTransaction, connection: Connection) -> None:
    connection.execution_options(**{OPTION: session.scope})


def bound_to(tenant: str | None, work: Callable[[Session], T]) -> Callable[[Session], T]:
    """The same work, in a session that is bound to a tenant from its first statement to its last."""

    def bound(session: Session) -> T:
        if isinstance(session, TenantSession):
            session.scope.tenant = tenant
        return work(session)

    return bound


def may_touch_all(connection: Connection, reason: str) -> None:
    """Lets a connection without a session touch all tenants' rows, until it's closed."""
    connection.execution_options(**{OPTION: Scope(reason=reason)})


@contextmanager
def across_tenants(session: Session, reason: str) -> Iterator[None]:
    """Lets statements concern several tenants. `reason` says why that is right, and isn't empty."""
    with _within(session, None, reason):
        yield


@contextmanager
def of_tenant(session: Session, tenant: str) -> Iterator[None]:
    """Binds a session of the mesh, which has no tenant of its own, to the tenant that its work is for.

    A session of a caller stays bound to theirs: another is refused with NotBound.
    """
    scope = getattr(session, "scope", None)
    if scope is not None and scope.tenant not in (None, tenant):
        raise NotBound("the session is bound to another tenant")
    with _within(session, tenant, ""):
        yield


@contextmanager
def _within(session: Session, tenant: str | None, reason: str) -> Iterator[None]:
    if not isinstance(session, TenantSession):
        yield  # On an engine that isn't guarded.
        return
    scope = session.scope
    if reason and scope.reason:
        yield
        return
    before = scope.tenant, scope.reason
    session.write_waiting()
    scope.tenant, scope.reason = tenant or scope.tenant, reason
    try:
        yield
        session.write_waiting()
    finally:
        scope.tenant, scope.reason = before
    session.forget_others()


def crosses_tenants(reason: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """For a function of a store that concerns several tenants by design, whose session is its first argument."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def crossing(*args: P.args, **kwargs: P.kwargs) -> T:
            session = next(each for each in args if isinstance(each, Session))
            with across_tenants(session, reason):
                return function(*args, **kwargs)

        return crossing

    return decorate
