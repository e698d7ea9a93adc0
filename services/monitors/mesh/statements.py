"""A bridge's statement of who calls through it: a JWT, signed with a secret that it shares with RuleService.

A bridge verifies the tokens of its callers itself and passes none on. It has no key and is no service of the mesh: a
statement is all that it can send, and what that can say is bounded here, so that its secret makes nobody an
administrator.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import jwt

from monitors.mesh.errors import Unauthenticated, UnknownTenant
from monitors.mesh.identity import Authenticate, Principal, ahead_of
from monitors.mesh.identity.tokens import read_unverified

ALGORITHM = "HS256"
TYPE = "monitors-principal+jwt"
AUDIENCE = "monitors-mesh"
LONGEST_LIFE = 60
"""Seconds from `iat` to `exp`."""
LEEWAY = 5
"""Seconds by which the clocks of bridge and mesh may differ."""
SCOPES = frozenset({"rules:read", "rules:write", "alerts:read", "alerts:write", "channels:write"})
"""All that a bridge may vouch for."""
LONGEST_USER = 100

TierOf = Callable[[str], Awaitable[str | None]]
"""A tenant's tier, empty if it has none of its own; None if there is no such tenant."""


@dataclass(frozen=True)
class BridgeStatements:
    """Takes statements signed with any of the secrets."""

    secrets: Sequence[str] = field(repr=False)
    tier_of: TierOf

    async def identify(self, credential: str) -> Principal | None:
        """Whom a statement names; None if it's no statement. Raises Unauthenticated and UnknownTenant."""
        if not is_statement(credential):
            return None
        principal = read_statement(credential, self.secrets)
        tier = await self.tier_of(principal.tenant)
        if tier is None:
            raise UnknownTenant(principal.tenant)
        return replace(principal, tier=tier)


def with_statements(secrets: Sequence[str], tier_of: TierOf, others: Authenticate) -> Authenticate:
    """An authenticator that takes statements signed with any of the secrets, and asks `others` for what isn't one.
    Never from a cache: a statement is over when it says so."""
    return ahead_of(others, BridgeStatements(secrets, tier_of))


def is_statement(credential: str) -> bool:
    """Whether a credential has the form of a statement."""
    token = read_unverified(credential)
    return token is not None and token.header.get("typ") == TYPE


def read_statement(text: str, secrets: Sequence[str]) -> Principal:
    """The principal that a statement names. Raises Unauthenticated unless all of it is as it must be."""
    if not secrets:
        raise Unauthenticated(
            "the statement of an MCP bridge isn't taken here; set MONITORS_BRIDGE_SECRET of RuleService to the bridge's"
        )
    try:
        claims = _verified(text, secrets)
    except jwt.ExpiredSignatureError:
        raise Unauthenticated(
            "the bridge's statement has expired; set the clocks of bridge and mesh, or call again if the mesh was busy"
        ) from None
    except jwt.PyJWTError:
        raise Unauthenticated(
            "the bridge's statement isn't valid; bridge and RuleService need the same MONITORS_BRIDGE_SECRET, and "
            "clocks that agree within five seconds"
        ) from None
    return _principal(claims)


def _verified(text: str, secrets: Sequence[str]) -> dict[str, Any]:
    for secret in secrets:
        try:
            return jwt.decode(
                text,
                secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                leeway=LEEWAY,
                options={"require": ["aud", "exp", "iat", "sub"], "strict_aud": True},
            )
        except jwt.InvalidSignatureError:
            continue
    raise jwt.InvalidSignatureError


def _is_line(text: Any) -> TypeGuard[str]:
    return isinstance(text, str) and bool(text) and text.isprintable()


def _principal(claims: dict[str, Any]) -> Principal:
    tenant, user, scope = (claims.get(name) for name in ("tenant", "sub", "scope"))
    issued, expires = claims["iat"], claims["exp"]
    if not (isinstance(issued, int) and isinstance(expires, int) and 0 < expires - issued <= LONGEST_LIFE):
        raise Unauthenticated(f"the bridge's statement may live for {LONGEST_LIFE} seconds at most; update the bridge")
    if not (_is_line(tenant) and _is_line(user) and len(user) <= LONGEST_USER):
        raise Unauthenticated("the bridge's statement must name a tenant, and a user of 1 to 100 printable characters")
    scopes = frozenset(scope.split()) if isinstance(scope, str) else frozenset()
    if not scopes or not scopes <= SCOPES:
        raise Unauthenticated(f"a bridge may vouch for the scopes {', '.join(sorted(SCOPES))} and for no others")
    return Principal(tenant, user, scopes)
