"""Sends lines to the ordinary write endpoint, and keeps what couldn't be sent for a while."""

import asyncio
import gzip
import logging
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

log = logging.getLogger(__name__)

REQUEST_SECONDS = 10.0
LINES_PER_REQUEST = 5_000
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
GIVEN_UP_AT_END_SECONDS = 2.0
# The endpoint understood these lines and won't have them; sending them again changes nothing.
REFUSED = {400, 413, 422}


class NotSent(Exception):
    """The lines couldn't be sent now. `pause` is how long the endpoint asks to wait, in seconds."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


@dataclass(frozen=True)
class Waiting:
    """Lines that wait to be sent, and since when (monotonic seconds)."""

    since: float
    lines: Sequence[str]


class Writer:
    """Takes lines at once and sends them in the background, in order.

    While the endpoint is away, lines wait for `keep_seconds`; then the oldest are dropped, which the log tells.
    """

    def __init__(self, url: str, key: str, session: aiohttp.ClientSession, *, keep_seconds: float = 600.0) -> None:
        self._url = f"{url.rstrip('/')}/api/v2/write?org=monitors&bucket=monitors&precision=ns"
        self._headers = {
            "Authorization": f"Token {key}",
            "Content-Encoding": "gzip",
            "Content-Type": "text/plain; charset=utf-8",
        }
        self._session = session
        self._keep_seconds = keep_seconds
        self._waiting: deque[Waiting] = deque()
        self._news = asyncio.Event()
        self._trouble = ""
        self._refusal = ""

    def add(self, lines: Sequence[str]) -> None:
        """Takes the lines of one measurement round."""
        if lines:
            self._waiting.append(Waiting(time.monotonic(), lines))
            self._news.set()

    @property
    def waiting_count(self) -> int:
        """How many lines wait."""
        return sum(len(waiting.lines) for waiting in self._waiting)

    async def run(self) -> None:
        """Sends until it's cancelled."""
        failures = 0
        while True:
            await self._news.wait()
            self._drop_old()
            try:
                if await self._send_all():
                    failures = 0
                    self._recovered()
            except NotSent as error:
                failures += 1
                self._complain(str(error))
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)
                await asyncio.sleep(max(pause, error.pause))

    async def finish(self) -> None:
        """Sends what waits, once and quickly; `run` must have ended."""
        try:
            await asyncio.wait_for(self._send_all(), GIVEN_UP_AT_END_SECONDS)
        except (NotSent, TimeoutError):
            log.debug("%d lines couldn't be sent at the end", self.waiting_count)

    async def _send_all(self) -> bool:
        """Sends whatever waits. Returns whether there was anything. Raises NotSent."""
        self._news.clear()
        had_any = bool(self._waiting)
        while self._waiting:
            count, lines = 0, list[str]()
            for waiting in self._waiting:
                if lines and len(lines) + len(waiting.lines) > LINES_PER_REQUEST:
                    break
                lines += waiting.lines
                count += 1
            try:
                await self._send(lines)
            except NotSent:
                self._news.set()
                raise
            # Only this task takes away from the left, so these are the ones that were sent.
            for _ in range(count):
                self._waiting.popleft()
        return had_any

    async def _send(self, lines: Sequence[str]) -> None:
        body = gzip.compress("\n".join(lines).encode(), compresslevel=1)
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        try:
            async with self._session.post(
                self._url, data=body, headers=self._headers, timeout=timeout, allow_redirects=False
            ) as response:
                text = (await response.content.read(1000)).decode(errors="replace").strip()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotSent(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if response.status in REFUSED:
            self._complain_of_refusal(f"status {response.status}: {text!r}")
        elif not 200 <= response.status < 300:
            raise NotSent(f"status {response.status}: {text!r}", _retry_after(response.headers.get("Retry-After", "")))

    def _drop_old(self) -> None:
        oldest = time.monotonic() - self._keep_seconds
        dropped = 0
        while self._waiting and self._waiting[0].since < oldest:
            dropped += len(self._waiting.popleft().lines)
        if dropped:
            log.warning("dropped the %d oldest lines, which waited for %.0f s", dropped, self._keep_seconds)

    def _complain(self, trouble: str) -> None:
        # The same trouble again and again is worth one line.
        if trouble != self._trouble:
            log.warning("can't write to %s (%s); keeping %d lines", self._url, trouble, self.waiting_count)
        self._trouble = trouble

    def _complain_of_refusal(self, refusal: str) -> None:
        if refusal != self._refusal:
            log.warning("%s refused lines (%s)", self._url, refusal)
        self._refusal = refusal

    def _recovered(self) -> None:
        if self._trouble:
            log.warning("writing to %s works again", self._url)
        self._trouble = ""


def _retry_after(value: str) -> float:
    """Seconds that the endpoint asks for, as far as it's a sensible number."""
    return min(float(value), 60.0) if value.isdecimal() and len(value) < 6 else 0.0
