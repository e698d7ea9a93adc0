"""Tokens of the user system that a team already has: JWTs of its sessions, HS256 with its `JWT_SECRET`.

They have `user_id`, `session_id`, `tier`, `permissions`, `exp` and `iat`, and neither `iss` nor `aud`. So the signature
says little: what counts is that the session is live, and that this very token is its.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import jwt

from monitors.mesh.errors import Unauthenticated
from monitors.mesh.identity import Principal
from monitors.mesh.identity.existing import tenant_of_user
from monitors.mesh.identity.settings import SessionSettings
from monitors.mesh.identity.tokens import read_unverified, refusal_of
from monitors.mesh.times import SECOND, now_nanos
from monitors.rules.identity.live_sessions import SIGN_IN, Asked, LiveSessions
from monitors.rules.identity.permissions import scopes_of, tier_of

log = logging.getLogger(__name__)

ALGORITHM = "HS256"
LEEWAY = 5
"""Seconds by which the clocks of the user system and the mesh may differ."""
REQUIRED = ("exp", "iat", "user_id", "session_id")
LONGEST_USER = 100
SAFE_SECRET = 32
END_OF_TIME = 2**62

EnsureTenant = Callable[[str, str], Awaitable[None]]
"""Makes a tenant unless it's there, and gives it a tier."""


class Sessions:
    """Whose a session's token is. Its user is a tenant, which is made when they are first seen."""

    def __init__(self, settings: SessionSettings, sessions: LiveSessions, ensure_tenant: EnsureTenant) -> None:
        secret = settings.jwt_secret.reveal().encode()
        if len(secret) < SAFE_SECRET:
            log.warning("JWT_SECRET has fewer than %d bytes: somebody may guess it", SAFE_SECRET)
        # HMAC fills a short key with zeros itself; done here, the library has nothing to warn of at each token.
        self._secret = secret.ljust(SAFE_SECRET, b"\0")
        self._permissions = settings.permissions
        self._sessions = sessions
        self._ensure_tenant = ensure_tenant

    async def identify(self, credential: str) -> Principal | None:
        """The user of a live session; None for what is no JWT, has an issuer, or is of another type.

        Raises Unauthenticated and IdentityUnavailable.
        """
        token = read_unverified(credential)
        if token is None or "iss" in token.claims or str(token.header.get("typ", "JWT")).upper() != "JWT":
            return None
        claims = self._verified(credential)
        now = now_nanos()
        user_id = _identifier(claims, "user_id")
        asked = Asked(_identifier(claims, "session_id"), user_id, credential)
        session = await self._sessions.find(asked, now)
        granted = session.permissions if session.permissions is not None else claims.get("permissions")
        tenant, tier = tenant_of_user(user_id), tier_of(session.tier)
        await self._ensure_tenant(tenant, tier)
        return Principal(
            tenant,
            user_id if len(user_id) <= LONGEST_USER and user_id.isprintable() else tenant,
            scopes_of(granted if isinstance(granted, list) else (), self._permissions),
            tier=tier,
            expire_time=min(int(min(claims["exp"], 1e10)) * SECOND, session.expire_time or END_OF_TIME),
            account=user_id,
        )

    def _verified(self, credential: str) -> Mapping[str, Any]:
        try:
            # nosemgrep: token-read-without-its-checks (the user system's tokens name no audience)
            claims: dict[str, Any] = jwt.decode(
                credential, self._secret, algorithms=[ALGORITHM], leeway=LEEWAY, options={"require": list(REQUIRED)}
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"the session's token isn't taken: {refusal_of(error)}; {SIGN_IN}") from None
        return claims


def _identifier(claims: Mapping[str, Any], name: str) -> str:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Unauthenticated(f"the session's token isn't taken: its claim {name!r} is no id; {SIGN_IN}")
    return str(value)
