"""TLS to a mesh that wants it: the bridge's certificate out of files that may be replaced while it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc

from monitors.bridge.settings import TlsFiles

LOOK_SECONDS = 1.0
"""How often the files are looked at, at most."""
LONGEST_CALL = 365 * 86_400.0
"""Seconds. Streams go on for as long as both sides live."""


class TlsChannel(grpc.aio.Channel):
    """A channel that makes its connections by the files as they are. Calls go on where they are: new files are for new
    calls, and the connections of the old ones are closed when their last call has ended."""

    def __init__(self, files: TlsFiles, open_channel: Callable[[grpc.ChannelCredentials], grpc.aio.Channel]) -> None:
        self._files, self._open = files, open_channel
        self._pem, self._looked = files.read(), time.monotonic()
        self._present = open_channel(grpc.ssl_channel_credentials(*self._pem))
        self._ending: dict[asyncio.Task[None], grpc.aio.Channel] = {}

    def present(self) -> grpc.aio.Channel:
        """The channel of gRPC's that a call is made on now."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._take_changes()
        return self._present

    def _take_changes(self) -> None:
        try:
            pem = self._files.read()
        except OSError:
            # They are being replaced; what there was is good until they're there again.
            return
        if pem != self._pem:
            before, self._pem = self._present, pem
            self._present = self._open(grpc.ssl_channel_credentials(*pem))
            ending = asyncio.get_running_loop().create_task(before.close(LONGEST_CALL))
            self._ending[ending] = before
            ending.add_done_callback(self._ending.pop)

    async def __aenter__(self) -> TlsChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Ends everything, also what goes on by files from before."""
        ending = dict(self._ending)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await asyncio.gather(*(channel.close(grace) for channel in (*ending.values(), self._present)))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Of the channel that a call would be made on now."""
        return self.present().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Of the channel that a call would be made on now."""
        await self.present().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Of the channel that a call would be made on now."""
        await self.present().channel_ready()

    def _method(self, kind: str, arguments: Any, named: Any) -> Any:
        made: list[Any] = [None, None]

        def call(*given: Any, **more: Any) -> Any:
            present = self.present()
            if made[0] is not present:
                made[:] = present, getattr(present, kind)(*arguments, **named)
            return made[1](*given, **more)

        return call

    def unary_unary(self, *arguments: Any, **named: Any) -> Any:
        return self._method("unary_unary", arguments, named)

    def unary_stream(self, *arguments: Any, **named: Any) -> Any:
        return self._method("unary_stream", arguments, named)

    def stream_unary(self, *arguments: Any, **named: Any) -> Any:
        return self._method("stream_unary", arguments, named)

    def stream_stream(self, *arguments: Any, **named: Any) -> Any:
        return self._method("stream_stream", arguments, named)
