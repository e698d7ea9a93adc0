"""Remembers for half a minute who a credential belongs to, for all processes in Redis, or for each by itself.

It's a cache: an entry may be gone at any time, and is never older than a logout may take to bite.
"""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Protocol

from monitors.mesh.identity import CACHE_SECONDS

MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered, and for how many seconds more."""

    value: bytes
    seconds_left: float


class SessionCache(Protocol):
    """Values by keys, each for a while. Keys may be secret: only their hashes are remembered."""

    async def get(self, key: str) -> Entry | None:
        """What is remembered; None if nothing is any more."""
        ...

    async def put(self, key: str, value: bytes, seconds: float = CACHE_SECONDS) -> None:
        """Remembers a value for some seconds, 30 at most; not at all for 0 or less."""
        ...


@dataclass
class LocalSessionCache:
    """A cache of this process."""

    _entries: dict[bytes, tuple[float, bytes]] = field(default_factory=dict)

    async def get(self, key: str) -> Entry | None:
        """As SessionCache says."""
        end, value = self._entries.get(hashed(key), (0.0, b""))
        left = end - time.monotonic()
        return Entry(value, left) if left > 0 else None

    async def put(self, key: str, value: bytes, seconds: float = CACHE_SECONDS) -> None:
        """As SessionCache says."""
        now = time.monotonic()
        if len(self._entries) >= MOST_ENTRIES:
            self._entries = {known: entry for known, entry in self._entries.items() if now < entry[0]}
            if len(self._entries) >= MOST_ENTRIES:
                self._entries.clear()
        self._entries[hashed(key)] = (now + min(seconds, CACHE_SECONDS), value)


def hashed(key: str) -> bytes:
    """What is remembered of a key."""
    return hashlib.sha256(key.encode(errors="replace")).digest()
