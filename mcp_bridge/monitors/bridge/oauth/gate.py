"""The gate before the tools: nobody comes in without a token of the issuer, or an API key where those are taken."""

import logging
import math
import time

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.routes import build_resource_metadata_url
from pydantic import AnyHttpUrl
from starlette.authentication import AuthCredentials
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitors.bridge.keys import KEY_PREFIX, Keys
from monitors.bridge.oauth.issuer import PAUSE_SECONDS, IssuerAway
from monitors.bridge.oauth.settings import OAuthSettings
from monitors.bridge.oauth.tokens import LEEWAY, TokenRefused, Tokens, UserRefused
from monitors.bridge.refusals import Refusal, bearer_of
from monitors.bridge.scopes import READ, WRITE

log = logging.getLogger(__name__)

OPEN = "/.well-known/"
"""Where it says how to get a token."""


class Gate:
    """Lets a request through to `app` with its caller as the scope's `user`, or answers 401, 403 or 503."""

    def __init__(self, app: ASGIApp, tokens: Tokens, keys: Keys, settings: OAuthSettings) -> None:
        self._app = app
        self._tokens, self._keys = tokens, keys
        self._accepts_keys = settings.accepts_keys
        self._metadata_url = build_resource_metadata_url(AnyHttpUrl(settings.resource_url))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] == "http" and not scope["path"].startswith(OPEN):
            try:
                await self._identify(scope)
            except Refusal as refusal:
                log.info("a request was answered %d %s: %s", refusal.status, refusal.error, refusal.description)
                await refusal.send(send)
                return
        await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent: list[Message] = []

        async def noted(message: Message) -> None:
            sent[:] = [message]
            await send(message)

        with anyio.move_on_after(_seconds_left(scope)) as life:
            await self._app(scope, receive, noted)
        if not life.cancelled_caught:
            return
        if not sent:
            await self._refused("invalid_token", 401, "the token has expired meanwhile").send(send)
        elif sent[0]["type"] == "http.response.start" or sent[0].get("more_body"):
            # A stream ends; its client comes back with a token that is still good.
            await send({"type": "http.response.body", "body": b""})

    async def _identify(self, scope: Scope) -> None:
        credential = bearer_of(Headers(scope=scope).getlist("authorization"))
        if not credential:
            raise Refusal(401, "", "send the header `Authorization: Bearer <access token>`, once", self._challenge())
        if self._accepts_keys and credential.startswith(KEY_PREFIX):
            if await self._keys.is_refused(credential):
                raise self._refused("invalid_token", 401, "the mesh doesn't know this API key")
            return
        try:
            token = await self._tokens.verify(credential)
        except TokenRefused as refusal:
            raise self._refused("invalid_token", 401, f"the token isn't taken: {refusal}") from None
        except UserRefused as refusal:
            # Without a challenge: signing in once more would give the same token.
            raise Refusal(403, "access_denied", f"the token is valid, but {refusal}", {}) from None
        except IssuerAway as away:
            raise Refusal(
                503,
                "temporarily_unavailable",
                f"the token can't be checked, since the keys of its issuer can't be had: {away}; try again later",
                {"retry-after": str(PAUSE_SECONDS)},
            ) from None
        if READ not in token.scopes:
            raise self._refused("insufficient_scope", 403, f"the token lacks the scope {READ}")
        scope["user"], scope["auth"] = AuthenticatedUser(token), AuthCredentials(token.scopes)
        # The token ends here: nothing behind can pass it on or write it down.
        scope["headers"] = [header for header in scope["headers"] if header[0] != b"authorization"]

    def _refused(self, error: str, status: int, description: str) -> Refusal:
        return Refusal(status, error, description, self._challenge(error, description))

    def _challenge(self, error: str = "", description: str = "") -> dict[str, str]:
        """How to get a token (RFC 6750, RFC 9728)."""
        parts = [f'resource_metadata="{self._metadata_url}"', f'scope="{READ} {WRITE}"']
        if error:
            quoted = description.replace("\\", "").replace('"', "'")
            parts = [f'error="{error}"', f'error_description="{quoted}"', *parts]
        return {"www-authenticate": f"Bearer {', '.join(parts)}"}


def _seconds_left(scope: Scope) -> float:
    """How long what a request began may go on: no longer than its token is good."""
    user = scope.get("user")
    if not isinstance(user, AuthenticatedUser) or user.access_token.expires_at is None:
        return math.inf
    return user.access_token.expires_at + LEEWAY - time.time()
