"""A source that is found when it's first asked, and again and again until it's there."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from monitors.evaluator.points import Points
from monitors.evaluator.sources.port import Selection, Source, SourceSeries, Version


class Connecting:
    """Implements Source. `connect` raises SourceUnavailable and SourceRefused as long as there is nothing to ask."""

    def __init__(self, connect: Callable[[], Awaitable[Source]]) -> None:
        self._connect = connect
        self._source: Source | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def version(self) -> Version:
        """See Source; 0 if it hasn't answered yet."""
        return self._source.version if self._source else Version(0, "")

    @property
    def series(self) -> Sequence[SourceSeries]:
        """See Source."""
        return self._source.series if self._source else ()

    async def read(self, selection: Selection, start: int, end: int) -> AsyncGenerator[Points]:
        """See Source."""
        source = await self._connected()
        async with aclosing(source.read(selection, start, end)) as parts:
            async for part in parts:
                yield part

    async def newest(self, selection: Selection, start: int, end: int) -> AsyncGenerator[Points]:
        """See Source."""
        source = await self._connected()
        async with aclosing(source.newest(selection, start, end)) as parts:
            async for part in parts:
                yield part

    async def write(self, lines: bytes) -> None:
        """See Source."""
        source = await self._connected()
        await source.write(lines)

    async def close(self) -> None:
        """See Source."""
        if self._source:
            await self._source.close()

    async def _connected(self) -> Source:
        async with self._one_at_a_time:
            if self._source is None:
                self._source = await self._connect()
            return self._source
