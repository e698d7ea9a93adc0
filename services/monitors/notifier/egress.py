"""The one way out: every HTTP request of the notifier goes through here.

Addresses are checked where the socket is made, so what was checked is what is connected to, whatever a name resolves to
from one look-up to the next. No redirects, no proxy from the environment, an answer of bounded size in bounded time.
"""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from ipaddress import ip_address
from typing import Any

from aiohappyeyeballs import start_connection
from aiohttp import InvalidURL
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from monitors.mesh.addresses import may_connect, may_name
from monitors.mesh.outbound import AddressInfo, checking
from monitors.notifier.connection import Answer as Answer
from monitors.notifier.connection import Connection

log = logging.getLogger(__name__)

DEADLINE_SECONDS = 15.0
CONNECT_SECONDS = 10.0
# A kept connection that the server has just closed can't be told from a lost answer. So it's kept for less time than
# any server gives it: as long as a burst goes on, in which it's worth most.
KEPT_SECONDS = 0.5
NEXT_ADDRESS_SECONDS = 0.25
LOOK_UPS = 100
SCHEMES = ("https://", "http://")
FIXED_HEADERS = "user-agent: monitors-notifier/1\r\naccept: */*\r\n"
ENDS_OF_LINES = re.compile(r"[\r\n\0]")

Place = tuple[bool, str, int]
"""Where to connect to: whether by TLS, the host, and the port."""


class NotReached(Exception):
    """Nothing was sent: the endpoint can't be reached, or may not be. The two look the same to a tenant."""


class Forbidden(NotReached):
    """The URL itself names what is inside of a network, as no channel may be made any more. It's told apart, for that
    says nothing of where a name leads."""


class Unanswered(Exception):
    """Something was sent, and no answer came."""


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
    """Posts to addresses that are allowed. To be used on one event loop and closed there.

    `resolver` looks names up; left out, it's the system's. `deadline` is in seconds, for all of a request.
    """

    def __init__(
        self, *, allow_local: bool, deadline: float = DEADLINE_SECONDS, resolver: AbstractResolver | None = None
    ) -> None:
        self._allow_local = allow_local
        self._socket = checking(lambda address: may_connect(address, allow_local))
        self._deadline = deadline
        self._resolver = resolver or _Names()
        self._kept: dict[Place, list[tuple[Connection, float]]] = {}
        """Of each place the connections to it with the times at which they are let go, the earliest first."""
        self._letting_go: asyncio.TimerHandle | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Posts and returns the answer, whatever its status. Raises NotReached, Forbidden or Unanswered."""
        until = self._loop.time() + self._deadline
        try:
            place, start = _parse(url, self._allow_local)
        except InvalidURL as error:
            raise NotReached from error
        request = _request(start, body, headers)
        connection = self._take(place) or await self._connect(place, until)
        try:
            await connection.exchange(request, until)
        finally:
            self._keep(place, connection)
        answer = connection.answer
        if answer is None:
            log.info("an endpoint didn't answer")
            raise Unanswered
        return answer

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def _connect(self, place: Place, until: float) -> Connection:
        is_safe, host, port = place
        loop = self._loop
        try:
            async with asyncio.timeout_at(min(loop.time() + CONNECT_SECONDS, until)):
                connected = await start_connection(
                    [_address_info(address, port) for address in await self._addresses(host, port)],
                    happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
                    interleave=1,
                    loop=loop,
                    socket_factory=self._socket,
                )
                _, connection = await loop.create_connection(
                    Connection,
                    sock=connected,
                    ssl=self._tls if is_safe else None,
                    server_hostname=host if is_safe else None,
                )
        except (OSError, ValueError) as error:
            log.info("an endpoint can't be reached: %s", type(error).__name__)
            raise NotReached from error
        return connection

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def _addresses(self, host: str, port: int) -> list[str]:
        if _is_address(host):
            return [host]
        return [found["host"] for found in await self._resolver.resolve(host, port, socket.AF_UNSPEC)]

    def _take(self, place: Place) -> Connection | None:
        """A connection that is kept, if there is one."""
        kept = self._kept.get(place)
        while kept:
            connection, _ = kept.pop()
            if not kept:
                del self._kept[place]
            if connection.is_usable:
                return connection
        return None

    def _keep(self, place: Place, connection: Connection) -> None:
        if not connection.is_usable:
            connection.close()
            return
        until = self._loop.time() + KEPT_SECONDS
        self._kept.setdefault(place, []).append((connection, until))
        if self._letting_go is None:
            self._letting_go = self._loop.call_at(until, self._let_go)

    def _let_go(self) -> None:
        """Closes what has been kept for long enough."""
        now = self._loop.time()
        left: dict[Place, list[tuple[Connection, float]]] = {}
        for place, kept in self._kept.items():
            for connection, until in kept:
                if until > now:
                    left.setdefault(place, []).append((connection, until))
                else:
                    connection.close()
        self._kept = left
        next_time = min((kept[0][1] for kept in left.values()), default=None)
        self._letting_go = None if next_time is None else self._loop.call_at(next_time, self._let_go)

    async def close(self) -> None:
        """Closes all connections that are kept."""
        if self._letting_go is not None:
            self._letting_go.cancel()
        for kept in self._kept.values():
            for connection, _ in kept:
                connection.close()
        self._kept.clear()
        await self._resolver.close()


@lru_cache(maxsize=1024)
def _parse(url: str, allow_local: bool) -> tuple[Place, str]:
    """Where a URL leads, and how a request to it starts. Raises InvalidURL and Forbidden."""
    if not url.startswith(SCHEMES):
        # What has another scheme was let in by an older version.
        raise InvalidURL(url)
    try:
        parsed = URL(url)
    except ValueError as error:
        raise InvalidURL(url) from error
    if not parsed.raw_host or not parsed.port:
        raise InvalidURL(url)
    if not may_name(parsed.raw_host, allow_local):
        raise Forbidden
    start = f"POST {parsed.raw_path_qs or '/'} HTTP/1.1\r\nhost: {parsed.host_port_subcomponent}\r\n{FIXED_HEADERS}"
    return (parsed.scheme == "https", parsed.raw_host, parsed.port), start


def _request(start: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    if ENDS_OF_LINES.search("".join(headers.values())):
        raise ValueError("a header has more than one line")
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{start}{lines}content-length: {len(body)}\r\n\r\n".encode() + body


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _address_info(address: str, port: int) -> AddressInfo:
    if ":" in address:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)
