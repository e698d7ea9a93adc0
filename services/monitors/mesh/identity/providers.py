"""From a credential to a principal: one port for every kind of credential, and who is asked in which order."""

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from monitors.mesh.errors import Unauthenticated
from monitors.mesh.identity.principals import SERVICE, Principal
from monitors.mesh.times import SECOND, now_nanos

# A logout or a revoked key must bite within half a minute, of which a stream may take some seconds to be looked at.
CACHE_SECONDS = 25.0
LONGEST_CREDENTIAL = 7 * 1024
"""Characters. From 8 KiB on gRPC itself refuses all of a call's metadata, and can't say why as plainly."""

Authenticate = Callable[[str], Awaitable[Principal]]
"""Turns a credential into a principal or raises Unauthenticated."""


class IdentityProvider(Protocol):
    """Knows one kind of credential."""

    async def identify(self, credential: str) -> Principal | None:
        """Whose a credential is; None if it's of another kind.

        Raises Unauthenticated, MissingScope or UnknownTenant with the reason if it's of this kind and isn't taken, and
        IdentityUnavailable if that can't be found out now: nobody is let in on a guess.
        """


def first_of(*providers: IdentityProvider) -> Authenticate:
    """An authenticator that asks each provider until one knows the credential's kind."""

    async def authenticate(credential: str) -> Principal:
        check_form(credential)
        for provider in providers:
            principal = await provider.identify(credential)
            if principal is not None:
                return principal
        raise Unauthenticated(
            "the credential is none that is taken here; send an API key, which begins with `alk_`, and an access token "
            "to the MCP bridge"
            if credential.count(".") == 2
            else "the credential isn't an API key or is damaged; it begins with `alk_` and must be whole"
        )

    return authenticate


def check_form(credential: str) -> None:
    """Raises Unauthenticated for what can't be a credential of any kind, so that nobody has to look at it."""
    if len(credential) > LONGEST_CREDENTIAL:
        raise Unauthenticated(
            f"the credential has {len(credential):,} characters; one has at most {LONGEST_CREDENTIAL:,}"
        )
    if not (credential.isascii() and credential.isprintable()):
        raise Unauthenticated("the credential has characters that none has; send it as it was given, and nothing else")


@dataclass
class CachedAuthenticator:
    """Asks `source` for a credential it doesn't know and keeps the answer for 25 seconds, by the credential's hash, or
    until the credential ends."""

    source: Authenticate
    _known: dict[bytes, tuple[float, Principal]] = field(default_factory=dict)

    async def __call__(self, credential: str) -> Principal:
        key = hashlib.sha256(credential.encode(errors="replace")).digest()
        known = self._known.get(key)
        if known and time.monotonic() < known[0]:
            return known[1]
        # Taken before the question: who is revoked while it's asked isn't known for longer than that.
        asked = time.monotonic()
        principal = await self.source(credential)
        if len(self._known) >= 10_000:
            self._known.clear()
        self._known[key] = (asked + seconds_to_trust(principal), principal)
        return principal


def seconds_to_trust(principal: Principal) -> float:
    """For how long a principal that was found out now may be taken as known: 25 seconds, or less if it ends before."""
    if principal.expire_time is None:
        return CACHE_SECONDS
    return max(0.0, min(CACHE_SECONDS, (principal.expire_time - now_nanos()) / SECOND))


def ahead_of(others: Authenticate, provider: IdentityProvider) -> Authenticate:
    """An authenticator that asks the provider first, each time anew, and `others` for what isn't of its kind."""

    async def authenticate(credential: str) -> Principal:
        return await provider.identify(credential) or await others(credential)

    return authenticate


@dataclass(frozen=True)
class ServiceToken:
    """The token by which the services of a mesh know each other."""

    token: str = field(repr=False)

    async def identify(self, credential: str) -> Principal | None:
        """The mesh itself, for exactly its token."""
        is_same = secrets.compare_digest(credential.encode(errors="replace"), self.token.encode())
        return SERVICE if self.token and is_same else None


def with_service_token(token: str, others: Authenticate) -> Authenticate:
    """An authenticator that knows the mesh's own token and asks `others` for every other credential."""
    return ahead_of(others, ServiceToken(token))
