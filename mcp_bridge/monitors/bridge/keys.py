"""API keys at the door: whoever has none that the mesh knows gets no session."""

import time
from hashlib import sha256

import grpc
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from monitors.bridge.client import Caller, Mesh, channel_to
from monitors.bridge.errors import RpcFailed
from monitors.bridge.refusals import Refusal, bearer_of
from monitors.bridge.settings import MeshSettings
from monitors.v1 import rule_service_pb2 as pb

KEY_PREFIX = "alk_"
_SECONDS = 5.0
_MOST_KNOWN = 10_000
# RESOURCE_EXHAUSTED is said of a key that isn't known when too many weren't: through here they all have one address.
_REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
_NO_KEY = Refusal(
    401,
    "invalid_token",
    "Send the header `Authorization: Bearer <API key>`, once, with a key that the mesh knows; "
    "`monitors keys create` makes one.",
    {"www-authenticate": "Bearer"},
)


class Keys:
    """Asks the mesh whose a key is, and remembers good ones for as long as the mesh allows."""

    def __init__(self, settings: MeshSettings) -> None:
        self._settings = settings
        self._mesh: Mesh | None = None
        self._good_until: dict[bytes, float] = {}

    async def is_refused(self, key: str) -> bool:
        """Whether the mesh doesn't know a key. While it's away nothing is known, and the call itself will say so."""
        digest, now = sha256(key.encode()).digest(), time.monotonic()
        if self._good_until.get(digest, 0.0) > now:
            return False
        # Opened here, since a channel belongs to the loop that runs; it lasts as long as the process.
        self._mesh = self._mesh or Mesh(channel_to(self._settings), self._settings)
        caller = Caller(self._mesh, key)
        try:
            answer = await caller.read(
                caller.stub.Authenticate, pb.AuthenticateRequest(credential=key), seconds=_SECONDS
            )
        except RpcFailed as error:
            return error.code in _REFUSED
        if len(self._good_until) >= _MOST_KNOWN:
            self._good_until.clear()
        self._good_until[digest] = now + answer.cache_for.seconds
        return False


class KeyGate:
    """Lets a request through to `app` that comes with a good key, or answers 401."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] == "http":
            key = bearer_of(Headers(scope=scope).getlist("authorization"))
            if not key or await self._keys.is_refused(key):
                await _NO_KEY.send(send)
                return
        await self._app(scope, receive, send)
