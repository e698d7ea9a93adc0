"""What one client may take of the bridge over HTTP, so that it can't take all."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LARGEST_BODY = 1024 * 1024
"""Bytes of a request. Arguments of the tools have some kilobytes at most."""
LARGEST_HEAD = 16 * 1024
"""Bytes of a request's head, an access token included."""
IDLE_SECONDS = 1800
"""After which a session of the older protocol ends that nobody uses."""
REQUEST_SECONDS = 20.0
"""Within which a request must have arrived."""


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on whoever takes too long to send a request, which uvicorn itself never does."""

    patience = REQUEST_SECONDS
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected, and should say something."""
        super().connection_made(transport)
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        """A part of a request, or all of it."""
        self._wait_for_request()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._be_content()

    def on_response_complete(self) -> None:
        """What was asked is answered; the connection may be used again, which has its own time-out."""
        self._be_content()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone."""
        self._be_content()
        super().connection_lost(exc)

    def _wait_for_request(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.patience, self.transport.close)

    def _be_content(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
