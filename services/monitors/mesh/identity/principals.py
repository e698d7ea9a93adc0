"""Who calls. The interceptor sets the principal once, whoever needs it reads it; it never comes from a request."""

from contextvars import ContextVar
from dataclasses import dataclass

from monitors.mesh.audit import Source
from monitors.mesh.errors import Unauthenticated

SCOPES = (
    "rules:read", "rules:write", "alerts:read", "alerts:write", "channels:read", "channels:write",
    "samples:read", "samples:write", "admin",
)  # fmt: skip
ORDINARY_SCOPES = tuple(scope for scope in SCOPES if scope != "admin")


@dataclass(frozen=True)
class Principal:
    """Who calls and what they may do. `tenant` is empty for a service of the mesh.

    `tier` is what the tenant may use, see `quotas`; empty for that of tenants that have none. `expire_time` is when the
    credential ends, in nanoseconds since 1970; None if it doesn't. `account` is the id of the account in the existing
    user system with which everything ends that is made with the credential; empty if there is none.
    """

    tenant: str
    user: str
    scopes: frozenset[str] = frozenset()
    is_service: bool = False
    tier: str = ""
    expire_time: int | None = None
    account: str = ""


SERVICE = Principal(tenant="", user="mesh", is_service=True)

_current: ContextVar[Principal] = ContextVar("principal")
_source: ContextVar[Source] = ContextVar("source")


def current_principal() -> Principal:
    """The caller of the RPC that is being served. Raises Unauthenticated outside of one."""
    try:
        return _current.get()
    except LookupError:
        raise Unauthenticated("no caller is known") from None


def bind_principal(principal: Principal, source: Source | None = None) -> None:
    """Sets the caller for the RPC being served, and the program it comes through; the interceptor's business alone."""
    _current.set(principal)
    _source.set(source or Source())


def current_source() -> Source:
    """The program through which the RPC came that is being served."""
    return _source.get(Source())


def tenant_of_caller() -> str | None:
    """The tenant of the caller whose RPC is being served; None if that is a service, or outside of an RPC."""
    principal = _current.get(None)
    return principal.tenant or None if principal else None


def current_tenant() -> str:
    """The caller's tenant. A service has none of its own."""
    principal = current_principal()
    if not principal.tenant:
        raise Unauthenticated("a service has no tenant of its own; call with a user's credential")
    return principal.tenant
