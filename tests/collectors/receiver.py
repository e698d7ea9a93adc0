"""An endpoint as a collector sees it: takes what is posted and answers as it's told to."""

import gzip
import queue
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from line_protocol_parser import parse_line

SECONDS = 20


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def lines(self) -> list[str]:
        """The lines that the body holds."""
        return gzip.decompress(self.body).decode().splitlines()

    @property
    def points(self) -> list[dict[str, Any]]:
        """The lines as an InfluxDB would read them."""
        return [parse_line(line) for line in self.lines]


class Receiver:
    """Answers with the statuses in `script` one after the other, then with 204."""

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.requests: queue.Queue[Request] = queue.Queue()
        self.url = ""

    async def write(self, request: web.Request) -> web.Response:
        """Takes one post."""
        status = self.script.pop(0) if self.script else 204
        body = await request.read()
        self.requests.put(Request(request.path, dict(request.query), dict(request.headers), body, status))
        headers = {"Retry-After": "0"} if status == 503 else {}
        return web.Response(status=status, text="" if status == 204 else '{"message":"no"}', headers=headers)

    def next(self) -> Request:
        """The next request, waited for."""
        return self.requests.get(timeout=SECONDS)


@asynccontextmanager
async def open_receiver(*script: int) -> AsyncIterator[Receiver]:
    """The endpoint on a free port."""
    receiver = Receiver(list(script))
    app = web.Application()
    app.router.add_post("/api/v2/write", receiver.write)
    # The bodies are looked at as they came.
    async with serving(app, auto_decompress=False) as port:
        receiver.url = f"http://127.0.0.1:{port}"
        yield receiver


@asynccontextmanager
async def serving(app: web.Application, *, ssl_context: Any = None, **options: Any) -> AsyncIterator[int]:
    """The application on a free port of this machine."""
    runner = web.AppRunner(app, **options)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
