"""The bridge's word to RuleService: who calls and what they may do, signed, and over within a minute."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import jwt
from mcp.server.auth.provider import AccessToken

from monitors.bridge.oauth.tokens import TENANT_KEY
from monitors.bridge.scopes import MESH_SCOPES

LIFE_SECONDS = 60


@dataclass(frozen=True)
class Voucher:
    """What is said of a caller. Calling it gives a fresh statement; two of the same caller are equal."""

    tenant: str
    user: str
    scopes: tuple[str, ...]
    """Of the mesh."""
    secret: str = field(repr=False)

    def __call__(self) -> str:
        """A JWT (HS256), which RuleService takes as a credential."""
        now = int(time.time())
        claims = {
            "aud": "monitors-mesh",
            "iat": now,
            "exp": now + LIFE_SECONDS,
            "tenant": self.tenant,
            "sub": self.user,
            "scope": " ".join(self.scopes),
        }
        return jwt.encode(claims, self.secret, algorithm="HS256", headers={"typ": "monitors-principal+jwt"})


def voucher_of(secret: str) -> Callable[[AccessToken], Voucher]:
    """What makes a voucher of the access token that a caller was let in with."""

    def voucher(caller: AccessToken) -> Voucher:
        scopes = {scope for given in caller.scopes for scope in MESH_SCOPES.get(given, ())}
        return Voucher((caller.claims or {})[TENANT_KEY], caller.subject or "", tuple(sorted(scopes)), secret)

    return voucher
