"""A channel that makes its connections with the certificate that there is, though gRPC's own keeps its first one.

Calls go on where they are: a new certificate is for new calls, and the connections of the old one are closed when their
last call has ended.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

from monitors.mesh.tls.certificates import Certificates

LONGEST_CALL = 365 * 86_400.0
"""Seconds. Streams go on for as long as both sides live."""

Open = Callable[[grpc.ChannelCredentials], grpc.aio.Channel]


class RotatingChannel(grpc.aio.Channel):
    """What `open_channel` makes of the present credentials."""

    def __init__(self, certificates: Certificates, open_channel: Open) -> None:
        self._certificates, self._open = certificates, open_channel
        self._pem = certificates.present
        self._present = open_channel(self._pem.client)
        self._ending: dict[asyncio.Task[None], grpc.aio.Channel] = {}

    def present(self) -> grpc.aio.Channel:
        """The channel of gRPC's that a call is made on now."""
        pem = self._certificates.present
        if pem is not self._pem:
            before, self._pem, self._present = self._present, pem, self._open(pem.client)
            ending = asyncio.get_running_loop().create_task(before.close(LONGEST_CALL))
            self._ending[ending] = before
            ending.add_done_callback(self._ending.pop)
        return self._present

    async def __aenter__(self) -> "RotatingChannel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Ends everything, also what goes on with certificates from before."""
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

    def unary_unary(self, *arguments: Any, **named: Any) -> Any:
        return _Method(self, "unary_unary", arguments, named)

    def unary_stream(self, *arguments: Any, **named: Any) -> Any:
        return _Method(self, "unary_stream", arguments, named)

    def stream_unary(self, *arguments: Any, **named: Any) -> Any:
        return _Method(self, "stream_unary", arguments, named)

    def stream_stream(self, *arguments: Any, **named: Any) -> Any:
        return _Method(self, "stream_stream", arguments, named)


class _Method:
    """What a stub calls: the method on the channel that there is when it's called."""

    def __init__(self, channel: RotatingChannel, kind: str, arguments: Any, named: Any) -> None:
        self._channel, self._kind, self._arguments, self._named = channel, kind, arguments, named
        self._made: tuple[grpc.aio.Channel, Any] | None = None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        present = self._channel.present()
        if self._made is None or self._made[0] is not present:
            self._made = present, getattr(present, self._kind)(*self._arguments, **self._named)
        return self._made[1](*arguments, **named)
