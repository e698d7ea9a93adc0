"""Token buckets that all processes share."""

from redis.asyncio import Redis

from monitors.mesh.limits import LocalBuckets
from monitors.mesh.redis.link import RedisAway, RedisLink

PREFIX = "monitors:bucket:"
MICROSECONDS = 1_000_000

# `limits.decide`, in microseconds of Redis' own clock. The bucket is forgotten when it's full again.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step = 1000000 / tonumber(ARGV[1])
local size = step * tonumber(ARGV[2])
local full = tonumber(redis.call('GET', KEYS[1]) or now) or now
full = math.min(math.max(full, now), now + 2 * size)
local wait = full + step - now - size
if wait > 1 then
    return string.format('%.0f', wait)
end
full = full + math.min(step * tonumber(ARGV[3]), size)
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return '0'
"""

# `limits.take_some`, likewise.
_TAKE_SOME = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step = 1000000 / tonumber(ARGV[1])
local size = step * tonumber(ARGV[2])
local wanted = tonumber(ARGV[3])
local full = tonumber(redis.call('GET', KEYS[1]) or now) or now
full = math.min(math.max(full, now), now + 2 * size)
local taken = math.max(0, math.min(wanted, math.floor((now + size - full + 1) / step)))
if taken > 0 then
    full = full + taken * step
    redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.max(1, math.ceil((full - now) / 1000)))
end
local wait = taken < wanted and math.max(1, full + step - now - size) or 0
return {taken, string.format('%.0f', wait)}
"""


class RedisBuckets:
    """TokenBuckets in Redis. While Redis is away each process has buckets of its own."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._alone = LocalBuckets()

    async def take(self, key: str, rate: float, burst: int, count: int = 1) -> float:
        """As TokenBuckets says."""

        async def ask(redis: Redis) -> bytes:
            answer: bytes = await redis.register_script(_TAKE)(keys=[PREFIX + key], args=[rate, burst, count])
            return answer

        try:
            return int(await self._link.call(ask)) / MICROSECONDS
        except RedisAway:
            return await self._alone.take(key, rate, burst, count)

    async def take_some(self, key: str, rate: float, burst: int, count: int) -> tuple[int, float]:
        """As TokenBuckets says."""

        async def ask(redis: Redis) -> tuple[int, bytes]:
            taken, wait = await redis.register_script(_TAKE_SOME)(keys=[PREFIX + key], args=[rate, burst, count])
            return taken, wait

        try:
            taken, wait = await self._link.call(ask)
            return taken, int(wait) / MICROSECONDS
        except RedisAway:
            return await self._alone.take_some(key, rate, burst, count)
