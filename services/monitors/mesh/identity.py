"""Who calls. The interceptor sets the principal once, whoever needs it reads it; it never comes from a request."""

import binascii
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from monitors.mesh.errors import Unauthenticated
from monitors.mesh.ids import new_id

SCOPES = (
    "rules:read", "rules:write", "alerts:read", "alerts:write", "channels:read", "channels:write",
    "samples:read", "samples:write", "admin",
)  # fmt: skip
ORDINARY_SCOPES = tuple(scope for scope in SCOPES if scope != "admin")
# A logout or a revoked key must bite within half a minute.
CACHE_SECONDS = 30.0


@dataclass(frozen=True)
class Principal:
    """Who calls and what they may do. `tenant` is empty for a service of the mesh."""

    tenant: str
    user: str
    scopes: frozenset[str] = frozenset()
    is_service: bool = False
    tier: str = ""
    """What the tenant may use: the name of a tier, see `quotas`. Empty for that of tenants that have none."""


SERVICE = Principal(tenant="", user="mesh", is_service=True)

_current: ContextVar[Principal] = ContextVar("principal")


def current_principal() -> Principal:
    """The caller of the RPC that is being served. Raises Unauthenticated outside of one."""
    try:
        return _current.get()
    except LookupError:
        raise Unauthenticated("no caller is known") from None


def bind_principal(principal: Principal) -> None:
    """Sets the caller for the RPC being served; the interceptor's business alone."""
    _current.set(principal)


def current_tenant() -> str:
    """The caller's tenant. A service has none of its own."""
    principal = current_principal()
    if not principal.tenant:
        raise Unauthenticated("a service has no tenant of its own; call with a user's credential")
    return principal.tenant


Authenticate = Callable[[str], Awaitable[Principal]]
"""Turns a credential into a principal or raises Unauthenticated."""


@dataclass
class CachedAuthenticator:
    """Asks `source` for a credential it doesn't know and keeps the answer for 30 seconds, by the credential's hash."""

    source: Authenticate
    _known: dict[bytes, tuple[float, Principal]] = field(default_factory=dict)

    async def __call__(self, credential: str) -> Principal:
        key = hashlib.sha256(credential.encode()).digest()
        known = self._known.get(key)
        if known and time.monotonic() < known[0]:
            return known[1]
        principal = await self.source(credential)
        if len(self._known) >= 10_000:
            self._known.clear()
        self._known[key] = (time.monotonic() + CACHE_SECONDS, principal)
        return principal


def with_service_token(token: str, others: Authenticate) -> Authenticate:
    """An authenticator that knows the mesh's own token and asks `others` for every other credential."""

    async def authenticate(credential: str) -> Principal:
        if token and secrets.compare_digest(credential.encode(), token.encode()):
            return SERVICE
        return await others(credential)

    return authenticate


@dataclass(frozen=True)
class ApiKey:
    """An API key, `alk_local_<id>_<43 random characters>_<checksum>`. Only its hash is ever stored."""

    key_id: str
    text: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """What is stored: SHA-256 of the whole key. 256 random bits need no slow hash."""
        return hashlib.sha256(self.text.encode()).digest()


def new_api_key(environment: str = "local") -> ApiKey:
    """Makes a key. The checksum lets a scanner and a typing error be told from a wrong key without asking anybody."""
    key_id = new_id("key")
    body = f"alk_{environment}_{key_id.removeprefix('key_')}_{secrets.token_urlsafe(32)}"
    return ApiKey(key_id, f"{body}_{binascii.crc32(body.encode()):08x}")


def parse_api_key(text: str) -> ApiKey:
    """The key's id from its text. Raises Unauthenticated if it isn't a key at all or is damaged."""
    body, _, checksum = text.rpartition("_")
    parts = body.split("_", 3)
    if len(parts) != 4 or parts[0] != "alk" or f"{binascii.crc32(body.encode()):08x}" != checksum:
        raise Unauthenticated("the credential isn't an API key or is damaged; it begins with `alk_` and must be whole")
    return ApiKey(f"key_{parts[2]}", text)
