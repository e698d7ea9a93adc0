"""Keeps points from moving while somebody reads page by page, who would miss or repeat what moves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Moves:
    """Any number may read at once; points move when nobody reads."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._readers = 0
        self._moving = False

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """While this is entered, nothing moves."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._moving)
            self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            async with self._changed:
                self._changed.notify_all()

    @asynccontextmanager
    async def moving(self) -> AsyncIterator[None]:
        """Entered once nobody reads; who wants to read waits until it's left."""
        async with self._changed:
            await self._changed.wait_for(lambda: not (self._moving or self._readers))
            self._moving = True
        try:
            yield
        finally:
            self._moving = False
            async with self._changed:
                self._changed.notify_all()
