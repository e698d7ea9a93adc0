"""Wake-ups of all processes at the same Redis, by its publish and subscribe."""

import asyncio
import random
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from redis.asyncio import Redis

from monitors.mesh.events import Changes
from monitors.mesh.redis.link import FAILURES, RedisAway, RedisLink

CHANNEL = "monitors:changes"
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
# After this many seconds without a word a subscription is tried with a ping, and given up after as many again.
SILENCE_SECONDS = 5.0


class RedisWakeups:
    """Wakeups through Redis."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._topics: dict[str, Changes] = {}
        self._name = secrets.token_hex(8)
        self._untold: set[str] = set()
        self._something_to_tell = asyncio.Event()
        self.heard_count = 0
        """How many messages of other processes have come."""

    def topic(self, name: str) -> Changes:
        """As Wakeups says."""
        if name not in self._topics:
            self._topics[name] = Changes(partial(self._note, name))
        return self._topics[name]

    def _note(self, name: str) -> None:
        self._untold.add(name)
        self._something_to_tell.set()

    async def tell(self) -> None:
        """Tells the others of what is announced here, until it's cancelled. What comes meanwhile goes together."""
        while True:
            await self._something_to_tell.wait()
            self._something_to_tell.clear()
            names, self._untold = self._untold, set()
            message = " ".join((self._name, *sorted(names)))
            try:
                await self._link.call(partial(_publish, message))
            except RedisAway:
                # Not to be told later: until then the others will have looked by themselves.
                continue

    async def listen(self) -> None:
        """Wakes those who wait here for what others announce, until it's cancelled."""
        pause = FIRST_PAUSE

        def connected() -> None:
            nonlocal pause
            pause = FIRST_PAUSE

        while True:
            try:
                await self._listen(connected)
            except FAILURES as error:
                self._link.note(error)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen(self, connected: Callable[[], None]) -> None:
        async with self._link.subscribed(CHANNEL) as subscription:
            is_asked = False
            while True:
                message: dict[str, Any] | None = await subscription.get_message(timeout=SILENCE_SECONDS)
                if message is None and is_asked:
                    raise TimeoutError
                is_asked = message is None
                if message is None:
                    await subscription.ping()
                elif message["type"] == "subscribe":
                    connected()
                    # Whatever was told before this moment wasn't heard.
                    for changes in self._topics.values():
                        changes.wake()
                elif message["type"] == "message":
                    self._hear(message["data"])

    def _hear(self, message: bytes) -> None:
        sender, *names = message.decode(errors="replace").split(" ")
        if sender == self._name:
            return
        self.heard_count += 1
        for name in names:
            if name in self._topics:
                self._topics[name].wake()


async def _publish(message: str, redis: Redis) -> None:
    await redis.publish(CHANNEL, message)
