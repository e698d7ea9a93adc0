"""The way to Redis. What is asked of it is answered within a tenth of a second or not at all.

Redis never holds the truth: whoever asks has a way to do without, which RedisAway tells them to take. After a failure
nobody waits for Redis any more until it has answered a probe, which a task of its own makes.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from monitors.mesh.config import RedisSettings

log = logging.getLogger(__name__)

T = TypeVar("T")
CALL_SECONDS = 0.1
# A new connection may have to shake hands first; only a probe and a subscription wait that long.
CONNECT_SECONDS = 2.0
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
# Who fails again within this time is asked less and less often.
STEADY_SECONDS = 10.0
# Trouble that comes and goes is told once a minute.
QUIET_SECONDS = 60.0
CONNECTIONS = 32
FAILURES = (RedisError, OSError, TimeoutError)
MEANWHILE = "meanwhile limits are counted by each process, and what others have changed is seen a little later"


class RedisAway(Exception):
    """Redis can't be asked now; do without."""


class RedisLink:
    """A client of one Redis, for any number of tasks of one event loop."""

    def __init__(self, settings: RedisSettings) -> None:
        self._place = settings.place
        self._client: Redis = Redis.from_url(
            "".join(settings.url),
            protocol=2,
            max_connections=CONNECTIONS,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._is_usable = False
        self._lost = asyncio.Event()
        self._lost.set()
        self._problem = ""
        self._told_time = float("-inf")
        self._was_told = False

    @property
    def is_used(self) -> bool:
        """Whether Redis is asked; not at first, and not after it has failed until a probe has found it well."""
        return self._is_usable

    @property
    def problem(self) -> str:
        """Why Redis isn't used, without saying where it is; empty if nothing is wrong."""
        return self._problem

    async def call(self, ask: Callable[[Redis], Awaitable[T]]) -> T:
        """What Redis answers. Raises RedisAway if it fails or takes longer than a tenth of a second."""
        if not self._is_usable:
            raise RedisAway
        try:
            async with asyncio.timeout(CALL_SECONDS):
                answer = await ask(self._client)
        except FAILURES as error:
            self.note(error)
            raise RedisAway from error
        self._problem = ""
        return answer

    def note(self, error: BaseException) -> None:
        """Takes a failure into account: unless Redis has answered, nobody asks it until a probe finds it well."""
        # A replica that takes no writes, or one without memory, is there and quick, but can't do what was asked.
        if not isinstance(error, ResponseError):
            self._is_usable = False
            self._lost.set()
        self._tell(error)

    @asynccontextmanager
    async def subscribed(self, channel: str) -> AsyncIterator[PubSub]:
        """A subscription with a connection of its own. Raises one of FAILURES, as reading from it does."""
        async with self._client.pubsub() as subscription:
            await subscription.subscribe(channel)
            yield subscription

    async def probe(self) -> None:
        """Connects and looks whether Redis is quick enough. Raises one of FAILURES."""
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._client.ping()
        async with asyncio.timeout(CALL_SECONDS):
            await self._client.ping()

    async def keep(self) -> None:
        """Probes Redis whenever it's lost, until it's cancelled."""
        pause, since = 0.0, time.monotonic()
        while True:
            await self._lost.wait()
            if time.monotonic() - since > STEADY_SECONDS:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(max(FIRST_PAUSE, 2 * pause), LONGEST_PAUSE)
            try:
                await self.probe()
            except FAILURES as error:
                self._tell(error)
            else:
                self._found()
            since = time.monotonic()

    def _found(self) -> None:
        self._is_usable = True
        self._lost.clear()
        self._problem = ""
        if self._was_told:
            log.warning("Redis at %s is used again", self._place)
            self._was_told = False

    def _tell(self, error: BaseException) -> None:
        said = _explain(error)
        self._problem = f"Redis {said}; {MEANWHILE}"
        if time.monotonic() - self._told_time >= QUIET_SECONDS:
            log.warning("Redis at %s %s; %s", self._place, said, MEANWHILE)
            self._told_time = time.monotonic()
            self._was_told = True

    async def close(self) -> None:
        """Closes all connections."""
        with suppress(*FAILURES):
            await self._client.aclose()


def _explain(error: BaseException) -> str:
    """What is wrong, in words of ours: those of a library may hold what is secret."""
    match error:
        case AuthenticationError():
            return "refuses the user name or the password of REDIS_URL"
        case ResponseError():
            return f"answers with the error {str(error).partition(' ')[0][:40]}"
        case TimeoutError():
            return f"doesn't answer within {CALL_SECONDS:g} s"
        case _ if "Timeout" in type(error).__name__:
            return f"doesn't answer within {CONNECT_SECONDS:g} s"
        case _:
            return "can't be reached; look whether it runs and REDIS_URL is right"


@asynccontextmanager
async def open_redis(settings: RedisSettings) -> AsyncIterator[RedisLink]:
    """The way to Redis, which needn't be there yet or all the time."""
    link = RedisLink(settings)
    keeping = asyncio.create_task(link.keep(), name="redis")
    try:
        yield link
    finally:
        await end(keeping)
        await link.close()


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancels tasks until they have ended: the library may take a cancellation for a time-out of its own."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CALL_SECONDS)
