"""What the processes of a mesh share: through Redis if there is one, else each process for itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitors.mesh.config import RedisSettings
from monitors.mesh.limits import LocalBuckets, TokenBuckets
from monitors.mesh.session_cache import LocalSessionCache, SessionCache
from monitors.mesh.wakeups import LocalWakeups, Wakeups

if TYPE_CHECKING:
    from monitors.mesh.redis.link import RedisLink


@dataclass(frozen=True)
class Shared:
    """The ports, with what they are by default: this process alone."""

    wakeups: Wakeups = field(default_factory=LocalWakeups)
    buckets: TokenBuckets = field(default_factory=LocalBuckets)
    sessions: SessionCache = field(default_factory=LocalSessionCache)
    redis: "RedisLink | None" = None

    @property
    def problem(self) -> str:
        """Why Redis isn't used though it should be; empty if nothing is wrong."""
        return self.redis.problem if self.redis else ""


@asynccontextmanager
async def open_shared(settings: RedisSettings | None) -> AsyncIterator[Shared]:
    """What is shared, for as long as it's open. Redis needn't be there."""
    if settings is None:
        yield Shared()
        return
    # Its library takes a fifth of a second to import.
    from monitors.mesh.redis.buckets import RedisBuckets
    from monitors.mesh.redis.link import end, open_redis
    from monitors.mesh.redis.sessions import RedisSessionCache
    from monitors.mesh.redis.wakeups import RedisWakeups

    async with open_redis(settings) as link:
        wakeups = RedisWakeups(link)
        tasks = [asyncio.create_task(work) for work in (wakeups.tell(), wakeups.listen())]
        try:
            yield Shared(wakeups, RedisBuckets(link), RedisSessionCache(link), link)
        finally:
            await end(*tasks)
