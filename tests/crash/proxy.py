"""A TCP proxy with faults: connections that are reset, that go silent, or that can't be made."""

import asyncio
import socket
import struct
from collections.abc import Awaitable
from contextlib import suppress

CHUNK = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to wait: closing sends a RST."""


class FaultProxy:
    """Forwards connections to a port of this machine. To be used on one event loop."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._port = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._forwarding: set[asyncio.Task[None] | None] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False

    async def start(self) -> None:
        """Listens, on a free port."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cuts everything."""
        assert self._server
        self._server.close()
        # What was accepted just before begins to be forwarded first.
        await asyncio.sleep(0)
        self.thaw()
        self.reset()
        for task in filter(None, self._forwarding):
            task.cancel()
        await asyncio.gather(*filter(None, self._forwarding), return_exceptions=True)
        # A transport that is aborted closes in the loop's next turn.
        await asyncio.sleep(0)

    def reset(self) -> None:
        """Resets all connections, as a crashed peer or an impatient firewall does."""
        for writer in list(self._writers):
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    def freeze(self) -> None:
        """Nothing comes through any more, and nobody is told: half-open connections, as a cut cable leaves them."""
        self._flowing.clear()

    def thaw(self) -> None:
        """What was held back goes on its way."""
        self._flowing.set()

    def refuse(self, *, refusing: bool) -> None:
        """Whether new connections are closed at once."""
        self._refusing = refusing

    def _target(self) -> tuple[str, int]:
        """Where the next connection leads."""
        return "127.0.0.1", self._port

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._forwarding.add(task)
        try:
            # What one side hears, the end or a reset, the other must hear as well, which may be waiting for an answer.
            with suppress(OSError):
                if not self._refusing:
                    await self._connect(reader, writer)
        finally:
            self._forwarding.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target())
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._writers -= {writer, far_writer}
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def started(*proxies: FaultProxy) -> None:
    """Starts several."""
    starting: list[Awaitable[None]] = [proxy.start() for proxy in proxies]
    await asyncio.gather(*starting)
