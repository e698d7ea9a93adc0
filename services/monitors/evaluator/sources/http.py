"""How InfluxDB's HTTP API is spoken to: credentials, time-outs, and what its errors say."""

import base64
import json
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from monitors.evaluator.sources.errors import SourceUnavailable
from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh.outbound import socket_for

T = TypeVar("T")
CONNECTIONS = 4
WRITES_AT_ONCE = 4
"""As many connections more, so that writes and polls don't wait for each other."""
CONNECT_SECONDS = 10.0
ATTEMPTS = 3
LONGEST_ERROR = 65_536


def open_session(settings: InfluxSettings, connections: int = CONNECTIONS) -> aiohttp.ClientSession:
    """A pool of connections, whose requests carry the credential. Answers are packed unless they stay on this machine,
    where packing takes both ends longer than sending."""
    headers = {"Accept-Encoding": "identity" if is_local(settings.url) else "gzip"}
    credential = authorization(settings)
    if credential:
        headers["Authorization"] = credential
    return aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(limit=connections, socket_factory=socket_for),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=settings.timeout),
    )


def authorization(settings: InfluxSettings) -> str:
    """The header's value. 1.x knows user and password, which its later versions take as a token too."""
    username, password, token = settings.username, settings.password.reveal(), settings.token.reveal()
    if not username and settings.major == 1 and ":" in token:
        username, _, password = token.partition(":")
    if username:
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
    if not token:
        return ""
    return f"Bearer {token}" if settings.major == 1 else f"Token {token}"


def is_local(url: str) -> bool:
    """Whether a URL is of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def again(call: Callable[[], Awaitable[T]]) -> T:
    """Does what may fail in passing up to three times, with growing pauses of random length."""

    async def attempt() -> T:
        return await call()

    retrying = AsyncRetrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.1, max=1.0),
        retry=retry_if_exception(lambda error: isinstance(error, SourceUnavailable) and error.again),
        reraise=True,
    )
    return await retrying(attempt)


def unreachable(error: Exception) -> SourceUnavailable:
    """The error for an answer that didn't come, or not to its end."""
    if isinstance(error, TimeoutError):
        # A slow server isn't helped by the same query once more.
        return SourceUnavailable("doesn't answer in time; it's busy, or INFLUXDB_TIMEOUT is short for so much data")
    if isinstance(error, aiohttp.ClientPayloadError):
        return SourceUnavailable("broke off its answer")
    return SourceUnavailable("can't be reached; check that it runs, and INFLUXDB_URL", again=True)


async def said_in(response: aiohttp.ClientResponse) -> str:
    """What an error's body says."""
    try:
        return said(await response.content.read(LONGEST_ERROR))
    except (aiohttp.ClientError, TimeoutError):
        return ""


def said(body: bytes) -> str:
    """What an error's body says, in 1.x's words or in 2.x's; empty if it isn't one of InfluxDB's."""
    try:
        found = json.loads(body)
        return str(found.get("error") or found.get("message") or "")
    except (ValueError, AttributeError):
        lines = body.decode(errors="replace").splitlines()
        return lines[1].strip('"') if len(lines) == 2 and lines[0] == "error" else ""
