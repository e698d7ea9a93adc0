"""Access tokens of an OpenID Connect issuer that are meant for the mesh itself (RFC 9068)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt

from monitors.mesh.config import LOCAL_TENANT, TENANT
from monitors.mesh.errors import Unauthenticated, UnknownTenant
from monitors.mesh.identity import SCOPES, Principal
from monitors.mesh.identity.existing import is_tenant_of_user
from monitors.mesh.identity.settings import OidcSettings
from monitors.mesh.identity.tokens import read_unverified, refusal_of
from monitors.mesh.times import SECOND
from monitors.rules.identity.issuer_keys import IssuerKeys, Jwk

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones alone: who can check a token can't make one."""
REQUIRED = ("iss", "aud", "exp", "iat", "sub")
LEEWAY = 30
"""Seconds by which the clocks of issuer and mesh may differ."""
LONGEST_USER = 100

TierOf = Callable[[str], Awaitable[str | None]]
"""A tenant's tier, empty if it has none of its own; None if there is no such tenant."""


class Oidc:
    """Whose a token of the issuer is. Their tenant is one that the mesh's operator has made."""

    def __init__(self, settings: OidcSettings, keys: IssuerKeys, tier_of: TierOf) -> None:
        self._settings = settings
        self._keys = keys
        self._tier_of = tier_of

    async def identify(self, credential: str) -> Principal | None:
        """The user of a token; None for what is no JWT, or has no issuer. Raises Unauthenticated, UnknownTenant and
        IdentityUnavailable."""
        token = read_unverified(credential)
        if token is None or "iss" not in token.claims:
            return None
        algorithm = token.header.get("alg")
        if algorithm not in ALGORITHMS:
            raise _refused(f"it isn't signed with one of {', '.join(ALGORITHMS)}")
        if token.claims["iss"] != self._settings.issuer:
            # Nobody else's keys are here, and none are asked for.
            raise _refused(f"it isn't of the issuer {self._settings.issuer}")
        key = await self._keys.find(token.header.get("kid"))
        if key is None or key.get("alg", algorithm) != algorithm:
            raise _refused("it is signed with a key that the issuer doesn't have")
        claims = self._verified(credential, key, algorithm)
        user, tenant = claims["sub"], self._tenant(claims)
        if not (0 < len(user) <= LONGEST_USER and user.isprintable()):
            raise _refused(f"its claim 'sub' isn't a name of 1 to {LONGEST_USER} printable characters")
        tier = await self._tier_of(tenant)
        if tier is None:
            raise UnknownTenant(tenant)
        end = int(min(claims["exp"], 1e10)) * SECOND
        return Principal(tenant, user, _scopes(claims), tier=tier, expire_time=end)

    def _verified(self, credential: str, key: Jwk, algorithm: str) -> Mapping[str, Any]:
        settings = self._settings
        try:
            claims: dict[str, Any] = jwt.decode(
                credential,
                jwt.PyJWK(dict(key), algorithm),
                algorithms=[algorithm],
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=LEEWAY,
                options={"require": list(REQUIRED), "enforce_minimum_key_length": True},
            )
        except jwt.PyJWTError as error:
            raise _refused(refusal_of(error, audience=settings.audience, issuer=settings.issuer)) from None
        except (ValueError, TypeError):
            raise _refused("its issuer's key can't be used") from None
        return claims

    def _tenant(self, claims: Mapping[str, Any]) -> str:
        if self._settings.tenant:
            return self._settings.tenant
        tenant = claims.get(self._settings.tenant_claim)
        if not (isinstance(tenant, str) and TENANT.fullmatch(tenant)):
            raise _refused(
                f"its claim {self._settings.tenant_claim!r} names no tenant (1 to 40 letters, digits, '_', '.' or '-')"
            )
        if tenant == LOCAL_TENANT or is_tenant_of_user(tenant):
            raise _refused(
                f"its claim {self._settings.tenant_claim!r} names {tenant!r}, which is kept for who runs the mesh and "
                "for users of the user system; name another tenant, or set OIDC_TENANT"
            )
        return tenant


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"the access token isn't taken: {why}")


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """The mesh's scopes among those of `scope` (RFC 9068), or of `scp`, as some issuers call it: one text or a list."""
    found = claims.get("scope", claims.get("scp", ""))
    listed = found.split() if isinstance(found, str) else found if isinstance(found, list) else ()
    return frozenset(scope for scope in listed if isinstance(scope, str)) & frozenset(SCOPES)
