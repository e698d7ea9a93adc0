"""The one way out: every HTTP request of the notifier goes through here.

Addresses are checked where the socket is made, so what was checked is what is connected to, whatever a name resolves to
from one look-up to the next. No redirects, no proxy from the environment, an answer of bounded size in bounded time.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from monitors.mesh.addresses import may_connect
from monitors.mesh.outbound import checking

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 15.0
CONNECT_SECONDS = 10.0
KEPT_SECONDS = 0.5
MAX_BODY = 20_000
LOOK_UPS = 100
SCHEMES = ("https://", "http://")


class NotReached(Exception):
    """Nothing was sent: the endpoint can't be reached, or may not be. The two look the same to a tenant."""


class Unanswered(Exception):
    """Something was sent, and no answer came."""


@dataclass(frozen=True)
class Answer:
    """What came back. `body` is at most its first 20,000 bytes; the names of `headers` are in lower case."""

    status: int
    retry_after: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class _Names(AbstractResolver):
    """Looks names up as the system does, in many threads: the few that an event loop has would all wait for the name
    servers of some dead endpoints, and everybody else behind them."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        def look_up() -> list[Any]:
            return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)

        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=flags)
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class Egress:
    """Posts to addresses that are allowed. To be opened on the event loop and closed there.

    `resolver` looks names up; left out, it's the system's.
    """

    def __init__(
        self, *, allow_local: bool, deadline: float = DEADLINE_SECONDS, resolver: AbstractResolver | None = None
    ) -> None:
        # A kept connection that the server has just closed can't be told from a lost answer. So it's kept for less time
        # than any server gives it: as long as a burst goes on, in which it's worth most.
        connector = aiohttp.TCPConnector(
            socket_factory=checking(lambda address: may_connect(address, allow_local)),
            keepalive_timeout=KEPT_SECONDS,
            # How many there are is decided where it's known what each is for.
            limit=0,
            resolver=resolver or _Names(),
            use_dns_cache=False,
        )
        timeout = aiohttp.ClientTimeout(total=deadline, sock_connect=min(CONNECT_SECONDS, deadline))
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": "monitors-notifier/1"},
        )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Posts and returns the answer, whatever its status. Raises NotReached or Unanswered."""
        if not url.startswith(SCHEMES):
            # What has another scheme was let in by an older version.
            raise NotReached
        try:
            async with self._session.post(url, data=body, headers=dict(headers), allow_redirects=False) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, headers.get("retry-after", ""), await _read_some(response), headers)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            log.info("an endpoint can't be reached: %s", type(error).__name__)
            raise NotReached from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.info("an endpoint didn't answer: %s", type(error).__name__)
            raise Unanswered from error

    async def close(self) -> None:
        """Closes all connections."""
        await self._session.close()


async def _read_some(response: aiohttp.ClientResponse) -> bytes:
    """What there is of the body, up to the limit. The status alone decides, so a body that breaks off is no fault."""
    body = bytearray()
    try:
        while len(body) < MAX_BODY and (chunk := await response.content.read(MAX_BODY - len(body))):
            body += chunk
    except (aiohttp.ClientError, TimeoutError, OSError):
        log.info("the body of an answer broke off")
    return bytes(body)
