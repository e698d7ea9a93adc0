"""API keys at the door: whoever has none that the mesh knows gets no session."""

import json
import time
from hashlib import sha256

import grpc
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from monitors.bridge.settings import MeshSettings
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

PREFIX = "alk_"
_SECONDS = 5.0
_MOST_KNOWN = 10_000


class Keys:
    """Asks the mesh whose a key is, and remembers good ones for as long as the mesh allows."""

    def __init__(self, mesh: MeshSettings) -> None:
        self._address = mesh.address
        self._channel: grpc.aio.Channel | None = None
        self._good_until: dict[bytes, float] = {}

    async def is_refused(self, key: str) -> bool:
        """Whether the mesh doesn't know a key. While it's away nothing is known, and the call itself will say so."""
        digest, now = sha256(key.encode()).digest(), time.monotonic()
        if self._good_until.get(digest, 0.0) > now:
            return False
        # Made here, since a channel belongs to the loop that runs.
        self._channel = self._channel or grpc.aio.insecure_channel(self._address)
        try:
            answer = await RuleServiceStub(self._channel).Authenticate(
                pb.AuthenticateRequest(credential=key), timeout=_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            return error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INVALID_ARGUMENT)
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
            given = Headers(scope=scope).getlist("authorization")
            scheme, _, key = (given[0] if len(given) == 1 else "").partition(" ")
            if scheme.lower() != "bearer" or await self._keys.is_refused(key.strip()):
                await _refuse(send)
                return
        await self._app(scope, receive, send)


async def _refuse(send: Send) -> None:
    told = (
        "Send the header `Authorization: Bearer <API key>`, once, with a key that the mesh knows; "
        "`monitors keys create` makes one."
    )
    body = json.dumps({"error": "invalid_token", "error_description": told}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"www-authenticate", b"Bearer"),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})
