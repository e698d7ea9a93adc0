"""Remembers who a credential belongs to: each process for itself, and all of them together where they share a Redis.

An answer is trusted for half a minute after it was given, however many caches it went through. What is shared is signed
with the token by which the services know each other, and so is its end: whoever can write to Redis can make nobody
somebody else, nor keep a credential going that has been revoked.
"""

import hmac
import time
from dataclasses import dataclass, field, replace

from google.protobuf.message import DecodeError

from monitors.mesh.identity import Authenticate, CachedAuthenticator, Principal, seconds_to_trust
from monitors.mesh.principals import principal_from_proto, principal_to_proto
from monitors.mesh.session_cache import SessionCache
from monitors.mesh.shared import Shared
from monitors.mesh.times import SECOND, now_nanos
from monitors.v1 import mesh_pb2

SIGNATURE_BYTES = 32
END_BYTES = 8
PURPOSE = b"monitors session cache, with its end"


def remembered(source: Authenticate, shared: Shared, service_token: str) -> Authenticate:
    """An authenticator that asks `source` only for whom nobody remembers."""
    if shared.redis is None:
        return CachedAuthenticator(source)
    return CachedAuthenticator(SharedAnswers(source, shared.sessions, service_token))


@dataclass(frozen=True)
class SharedAnswers:
    """Asks `source` for a credential that no process of the mesh has asked for within the last 30 seconds."""

    source: Authenticate
    sessions: SessionCache
    service_token: str = field(repr=False)

    async def __call__(self, credential: str) -> Principal:
        known = await self.sessions.get(credential)
        opened = known and self._opened(credential, known.value)
        if known and opened:
            principal, end = opened
            # Nobody may trust it for longer than whoever asked: with this it's taken for over when the entry is.
            end = min(end, now_nanos() + int(known.seconds_left * SECOND))
            return replace(principal, expire_time=min(end, principal.expire_time or end))
        # Taken before the question: who is revoked while it's asked isn't known for longer than that.
        asked = time.monotonic()
        principal = await self.source(credential)
        seconds = seconds_to_trust(principal) - (time.monotonic() - asked)
        end = now_nanos() + int(seconds * SECOND)
        body = end.to_bytes(END_BYTES) + principal_to_proto(principal).SerializeToString()
        await self.sessions.put(credential, self._signature(credential, body) + body, seconds)
        return principal

    def _opened(self, credential: str, value: bytes) -> tuple[Principal, int] | None:
        """The principal of an entry and until when it may be taken for true, in nanoseconds since 1970; None if it
        isn't one of ours for this credential, or over."""
        signature, body = value[:SIGNATURE_BYTES], value[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(credential, body)):
            return None
        end = int.from_bytes(body[:END_BYTES])
        try:
            principal = principal_from_proto(mesh_pb2.Principal.FromString(body[END_BYTES:]))
        except DecodeError:
            return None
        return (principal, end) if now_nanos() < end else None

    def _signature(self, credential: str, body: bytes) -> bytes:
        key = hmac.digest(self.service_token.encode(), PURPOSE, "sha256")
        bound = hmac.digest(key, credential.encode(errors="replace"), "sha256")
        return hmac.digest(bound, body, "sha256")
