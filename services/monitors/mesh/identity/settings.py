"""Which user systems are asked, from environment variables. A wrong value is refused at start with its name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from environs import Env, EnvError

from monitors.mesh.database_urls import check_database_url
from monitors.mesh.identity.principals import SCOPES
from monitors.mesh.masking import Secret, SecretUrl

LOOPBACK = ("127.0.0.1", "localhost", "::1")
NOWHERE = SecretUrl("")
_REDIS = re.compile(r"(redis|rediss|unix)://.+")


@dataclass(frozen=True)
class SessionSettings:
    """The session system that a team already has. It has Redis, a database, or both."""

    jwt_secret: Secret
    redis_url: SecretUrl = NOWHERE
    database_url: SecretUrl = NOWHERE
    permissions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What permissions of that system mean here, besides those that are understood anyway. `*` is for every session."""


@dataclass(frozen=True)
class OidcSettings:
    """An issuer of access tokens that are meant for the mesh itself."""

    issuer: str
    audience: str
    jwks_url: str = ""
    """Where the issuer's keys are; empty to find that in its metadata."""
    tenant: str = ""
    """The tenant of all users; empty to read it from `tenant_claim`."""
    tenant_claim: str = "tenant"


@dataclass(frozen=True)
class IdentitySettings:
    """Everybody who may say who somebody is, besides the mesh's own API keys."""

    sessions: SessionSettings | None = None
    oidc: OidcSettings | None = None
    database_url: SecretUrl = NOWHERE
    """The existing system's database, whose `monitors` also say whose points are. Empty if there is none."""


def read_identity(env: Env) -> IdentitySettings:
    """Reads the environment. Raises EnvError."""
    database_url = SecretUrl(env.str("IDENTITY_DATABASE_URL", "").strip())
    if database_url:
        try:
            check_database_url(database_url)
        except ValueError as error:
            raise EnvError(f"IDENTITY_DATABASE_URL {error}") from None
    return IdentitySettings(_sessions(env, database_url), _oidc(env), database_url)


def _sessions(env: Env, database_url: SecretUrl) -> SessionSettings | None:
    secret = env.str("JWT_SECRET", "")
    own = env.str("IDENTITY_REDIS_URL", "").strip()
    if own and not _REDIS.fullmatch(own):
        raise EnvError("IDENTITY_REDIS_URL must be `redis://`, `rediss://` or `unix://` and where it is")
    permissions = _permissions(env.str("IDENTITY_PERMISSIONS", ""))
    if not secret:
        return None
    redis_url = own or env.str("REDIS_URL", "").strip()
    if not (redis_url or database_url):
        raise EnvError(
            "JWT_SECRET is set, but neither IDENTITY_REDIS_URL nor IDENTITY_DATABASE_URL; say where its sessions are, "
            "so that who has signed out is known, or unset it"
        )
    return SessionSettings(Secret(secret), SecretUrl(redis_url), database_url, permissions)


def _permissions(text: str) -> dict[str, tuple[str, ...]]:
    """`alerts.manage=rules:write+alerts:write, viewer=rules:read`."""
    found: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, listed = part.rpartition("=")
        scopes = tuple(scope.strip() for scope in listed.split("+"))
        if not (equals and name.strip()) or not set(scopes) <= set(SCOPES):
            raise EnvError(
                f"IDENTITY_PERMISSIONS: {part!r} isn't `permission=scope+scope`, such as "
                f"`alerts.manage=rules:write+alerts:write`; there are the scopes {', '.join(SCOPES)}"
            )
        found[name.strip()] = scopes
    return found


def _oidc(env: Env) -> OidcSettings | None:
    names = ("OIDC_ISSUER", "OIDC_AUDIENCE", "OIDC_JWKS_URL", "OIDC_TENANT", "OIDC_TENANT_CLAIM")
    issuer, audience, jwks_url, tenant, claim = (env.str(name, "").strip() for name in names)
    if not issuer:
        for name, value in zip(names, (issuer, audience, jwks_url, tenant, claim), strict=True):
            if value:
                raise EnvError(f"{name} is set, but OIDC_ISSUER isn't; give the issuer's URL too, or unset {name}")
        return None
    if not audience:
        raise EnvError(
            "OIDC_AUDIENCE isn't set; give what the issuer's tokens for this mesh have as `aud`, so that a token for "
            "somebody else isn't taken"
        )
    if tenant and claim:
        raise EnvError(
            "OIDC_TENANT and OIDC_TENANT_CLAIM are both set; one tenant for all users, or a claim that names it"
        )
    for name, url in (("OIDC_ISSUER", issuer), ("OIDC_JWKS_URL", jwks_url)):
        if url and not is_safe(url):
            raise EnvError(f"{name} must be a URL with https (http on this machine alone), without user and query")
    return OidcSettings(issuer, audience, jwks_url, tenant, claim or OidcSettings.tenant_claim)


def is_safe(url: str) -> bool:
    """Whether nobody between can change what comes from the URL: https, or plain http on this machine."""
    try:
        parts = urlsplit(url)
        is_local = parts.scheme == "http" and parts.hostname in LOOPBACK
        is_bare = not (parts.query or parts.fragment or parts.username or parts.password)
        return bool(parts.hostname) and (parts.scheme == "https" or is_local) and is_bare
    except ValueError:
        return False


NOBODY_ELSE = IdentitySettings()
