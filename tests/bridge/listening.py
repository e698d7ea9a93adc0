"""Clients that listen at the real bridge."""

import queue
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.bridge.conftest import stdio_parameters

FIRING = "alerts://firing"


@asynccontextmanager
async def client_over(transport: str, url: str, port: int, key: str, mode: str = "auto") -> AsyncIterator[Client]:
    """A client over stdio, or of the HTTP bridge at `url`, with an API key of its own."""
    async with AsyncExitStack() as stack:
        target: Any = stdio_parameters(MONITORS_SERVER=f"127.0.0.1:{port}", MONITORS_KEY=key)
        if transport == "http":
            headers = {"Authorization": f"Bearer {key}"}
            http_client = await stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=60))
            target = streamable_http_client(url, http_client=http_client)
        yield await stack.enter_async_context(Client(target, mode=mode))


@dataclass
class Listener:
    """What a client was told, and when."""

    client: Client
    honored: list[str]
    updates: "queue.Queue[tuple[float, str]]" = field(default_factory=queue.Queue)
    ended: anyio.Event = field(default_factory=anyio.Event)

    def told(self, within: float = 10) -> float:
        """When the next update came, by the monotonic clock."""
        came, uri = self.updates.get(timeout=within)
        assert uri == FIRING
        return came


@asynccontextmanager
async def listening(client: Client, *uris: str) -> AsyncIterator[Listener]:
    """Listens until it's left."""
    async with client.listen(resource_subscriptions=uris or (FIRING,)) as subscription:
        listener = Listener(client, subscription.honored.resource_subscriptions or [])

        async def collect() -> None:
            async for event in subscription:
                listener.updates.put((time.monotonic(), getattr(event, "uri", "")))
            listener.ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect)
            yield listener
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def listening_over(transport: str, url: str, port: int, key: str, *uris: str) -> AsyncIterator[Listener]:
    """Listens with a client of its own."""
    async with client_over(transport, url, port, key) as client, listening(client, *uris) as listener:
        yield listener
