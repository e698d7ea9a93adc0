"""A session cache that all processes share."""

from redis.asyncio import Redis

from monitors.mesh.identity import CACHE_SECONDS
from monitors.mesh.redis.link import RedisAway, RedisLink
from monitors.mesh.session_cache import Entry, LocalSessionCache, hashed

PREFIX = "monitors:session-cache:"


class RedisSessionCache:
    """SessionCache in Redis. While Redis is away each process has one of its own."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._alone = LocalSessionCache()

    async def get(self, key: str) -> Entry | None:
        """As SessionCache says."""

        async def ask(redis: Redis) -> Entry | None:
            async with redis.pipeline() as both:
                both.get(_name(key))
                both.pttl(_name(key))
                value, milliseconds = await both.execute()
            # Less than 0 for an entry without an end, which none of ours is.
            return Entry(value, milliseconds / 1_000) if value is not None and milliseconds > 0 else None

        try:
            return await self._link.call(ask)
        except RedisAway:
            return await self._alone.get(key)

    async def put(self, key: str, value: bytes, seconds: float = CACHE_SECONDS) -> None:
        """As SessionCache says."""
        milliseconds = int(min(seconds, CACHE_SECONDS) * 1_000)
        if milliseconds < 1:
            return

        async def ask(redis: Redis) -> None:
            await redis.set(_name(key), value, px=milliseconds)

        try:
            await self._link.call(ask)
        except RedisAway:
            await self._alone.put(key, value, seconds)


def _name(key: str) -> str:
    return PREFIX + hashed(key).hex()
