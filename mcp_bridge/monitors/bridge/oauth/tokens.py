"""Access tokens: what a JWT must be to be taken, and what is read from it."""

from typing import Any

import jwt
from mcp.server.auth.provider import AccessToken

from monitors.bridge.oauth.issuer import IssuerKeys, Jwk
from monitors.bridge.oauth.settings import LOCAL_TENANT, TENANT_FORM, TENANT_IN_WORDS, OAuthSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones alone: who can check a token can't make one."""
LEEWAY = 30
"""Seconds by which the clocks of issuer and bridge may differ."""
LONGEST_USER = 100
TENANT_KEY = "monitors_tenant"
"""Where the caller's tenant stands among an AccessToken's claims."""


class TokenRefused(Exception):
    """A token isn't taken. The message says why, and holds nothing of the token."""


class UserRefused(Exception):
    """A token is good, but its user has no place here. The message says why."""


class Tokens:
    """Verifies tokens of the issuer that are meant for this bridge."""

    def __init__(self, settings: OAuthSettings, keys: IssuerKeys) -> None:
        self._settings = settings
        self._keys = keys

    async def verify(self, text: str) -> AccessToken:
        """What a token says of its caller. Raises TokenRefused, UserRefused and IssuerAway."""
        try:
            header = jwt.get_unverified_header(text)
        except jwt.PyJWTError:
            raise TokenRefused("it isn't a JWT") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise TokenRefused(f"it isn't signed with one of {', '.join(ALGORITHMS)}")
        key = await self._keys.find(key_id)
        if key is None or key.get("alg", algorithm) != algorithm:
            raise TokenRefused("it is signed with a key that the issuer doesn't have")
        return self._access(text, _decode(text, key, algorithm, self._settings))

    def _access(self, text: str, claims: dict[str, Any]) -> AccessToken:
        user = claims["sub"]
        if not (0 < len(user) <= LONGEST_USER and user.isprintable()):
            raise UserRefused(f"its claim 'sub' isn't a name of 1 to {LONGEST_USER} printable characters")
        return AccessToken(
            # Nothing behind this point has a use for the token itself, so it ends here.
            token="",
            client_id=_text(claims.get("azp")) or _text(claims.get("client_id")),
            scopes=_scopes(claims),
            expires_at=int(claims["exp"]),
            resource=self._settings.resource_url,
            subject=user,
            claims={"iss": claims["iss"], TENANT_KEY: self._tenant(claims)},
        )

    def _tenant(self, claims: dict[str, Any]) -> str:
        if self._settings.tenant:
            return self._settings.tenant
        name = self._settings.tenant_claim
        if name not in claims:
            raise UserRefused(
                f"it has no claim {name!r}, which names the tenant; let the issuer add it, or name another claim in "
                "MONITORS_MCP_TENANT_CLAIM, or one tenant for everybody in MONITORS_MCP_TENANT"
            )
        tenant = claims[name]
        if not (isinstance(tenant, str) and TENANT_FORM.fullmatch(tenant)):
            raise UserRefused(f"its claim {name!r} isn't a tenant: {TENANT_IN_WORDS}")
        if tenant == LOCAL_TENANT:
            raise UserRefused(
                f"its claim {name!r} names {tenant!r}, the tenant of whoever runs the mesh; name another, or set "
                "MONITORS_MCP_TENANT for everybody"
            )
        return tenant


def _decode(text: str, key: Jwk, algorithm: str, settings: OAuthSettings) -> dict[str, Any]:
    resource = settings.resource_url.rstrip("/")
    try:
        claims: dict[str, Any] = jwt.decode(
            text,
            jwt.PyJWK(dict(key), algorithm),
            algorithms=[algorithm],
            audience=[resource, f"{resource}/"],
            issuer=settings.issuer,
            leeway=LEEWAY,
            options={"require": ["iss", "aud", "exp", "iat", "sub"], "enforce_minimum_key_length": True},
        )
    except jwt.PyJWTError as error:
        raise TokenRefused(_reason(error, settings)) from None
    except (ValueError, TypeError):
        raise TokenRefused("its issuer's key can't be used") from None
    return claims


def _reason(error: jwt.PyJWTError, settings: OAuthSettings) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.ImmatureSignatureError():
            return "it isn't valid yet"
        case jwt.InvalidAudienceError():
            return f"it isn't meant for {settings.resource_url}"
        case jwt.InvalidIssuerError():
            return f"it isn't of the issuer {settings.issuer}"
        case jwt.MissingRequiredClaimError():
            return f"it has no claim {error.claim!r}"
        case jwt.InvalidSignatureError():
            return "its signature is wrong"
    return "it can't be read, or its key can't be used"


def _scopes(claims: dict[str, Any]) -> list[str]:
    """The scopes of `scope` (RFC 9068), or of `scp`, as some issuers call it: one text or a list."""
    found = claims.get("scope", claims.get("scp", ""))
    if isinstance(found, list):
        return [scope for scope in found if isinstance(scope, str)]
    return found.split() if isinstance(found, str) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
