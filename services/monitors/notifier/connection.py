"""A connection over which requests are posted one after another, by HTTP/1.1.

A message is a short request with a short answer, and thousands of them may go at once: what a general client does
besides would cost more than all the rest of a message. Answers are parsed by llhttp, as Node.js does it.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import httptools

log = logging.getLogger(__name__)

MAX_BODY = 20_000
MAX_HEAD = 65_536
SWITCHING = 101


@dataclass(frozen=True)
class Answer:
    """What came back. `body` is at most its first 20,000 bytes; the names of `headers` are in lower case."""

    status: int
    retry_after: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Connection(asyncio.Protocol):
    """Sends a request and takes its answer; and then another one, if the other side agrees. To be made on the event
    loop that uses it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = asyncio.Transport()
        self._parser = httptools.HttpResponseParser(self)
        self._ended = self._loop.create_future()
        self._is_awaited = False
        self._goes_on = False
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._begin()

    def _begin(self) -> None:
        self._head_bytes = 0
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return self._goes_on and not self._transport.is_closing()

    @property
    def answer(self) -> Answer | None:
        """What has come in answer to the last request; None if that doesn't tell its status. The status alone decides,
        so an answer whose body breaks off is one."""
        if not self._status:
            return None
        return Answer(self._status, self._headers.get("retry-after", ""), bytes(self._body), self._headers)

    async def exchange(self, request: bytes, until: float) -> None:
        """Sends a request. Returns when the answer has ended, or as much of it as is kept, or when none will come; or,
        by the loop's clock, at `until`, which is never earlier than that of the request before."""
        self._begin()
        self._goes_on = False
        self._until = until
        if self._timer is None:
            self._timer = self._loop.call_at(until, self._look)
        self._ended = self._loop.create_future()
        self._is_awaited = True
        self._transport.write(request)
        try:
            await self._ended
        finally:
            self._is_awaited = False

    def close(self) -> None:
        """Closes it at once."""
        self._goes_on = False
        self._silence()
        self._transport.abort()

    def _end(self, *, goes_on: bool) -> None:
        # What comes after the end of an answer nobody has asked for: whatever follows couldn't be told from an answer.
        self._goes_on = goes_on and self._is_awaited
        self._is_awaited = False
        if not self._ended.done():
            self._ended.set_result(None)

    def _look(self) -> None:
        """Waits no longer for an answer, or for the rest of it. Hardly any request takes so long, so one timer does for
        all of a connection: it may have been set for an earlier one."""
        self._timer = None
        if self._is_awaited and self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._look)
        elif self._is_awaited:
            log.info("an endpoint took too long")
            self._end(goes_on=False)

    def _silence(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- what asyncio tells ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._is_awaited:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(goes_on=False)
        if not self._status:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._end(goes_on=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._silence()
        self._end(goes_on=False)

    # --- what the parser tells -------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        # What follows the end of an answer would be taken for the next one.
        self._goes_on = self._goes_on and self._is_awaited

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_awaited:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        # What comes before the answer proper only says that it will come.
        if self._is_awaited and (status >= 200 or status == SWITCHING):
            self._status = status

    def on_body(self, body: bytes) -> None:
        if self._is_awaited:
            self._body += body[: MAX_BODY - len(self._body)]
        if len(self._body) >= MAX_BODY:
            self._end(goes_on=False)

    def on_message_complete(self) -> None:
        if self._status:
            self._end(goes_on=self._parser.should_keep_alive())
