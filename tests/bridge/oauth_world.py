"""A bridge that takes OAuth tokens, its issuer, and a real RuleService with two tenants behind it."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx2
import uvicorn
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client

from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.bridge.authorization_server import RESOURCE, AuthorizationServer, authorization_server
from tests.bridge.conftest import Answer, HttpBridge, answer_of
from tests.harness import LoopThread
from tests.rules.client import Client
from tests.rules.running import running

SECRET = "bridge-secret-" * 3
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


class LoggedBridge(HttpBridge):
    """A bridge whose output can be read at the end."""

    def end(self) -> str:
        """Ends it and returns what it wrote."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)
        with self._output:
            return self.output


def call_tool(loop_thread: LoopThread, url: str, token: str, tool: str, mode: str = "auto", **arguments: Any) -> Answer:
    """Calls a tool as an MCP client does."""

    async def scenario() -> Answer:
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"})
        async with http, McpClient(streamable_http_client(url, http_client=http), mode=mode) as client:
            return answer_of(await client.call_tool(tool, arguments))

    return loop_thread.run(scenario())


@dataclass
class World:
    """All of it. `ann` and `bob` are of different tenants; `environment` is the bridge's."""

    loop_thread: LoopThread
    issuer: AuthorizationServer
    ann: Client
    bob: Client
    environment: dict[str, str]

    def token(self, **claims: Any) -> str:
        """A token of Ann's with both scopes, unless said otherwise."""
        return self.issuer.mint(**{"tenant": self.ann.tenant} | claims)

    def call(self, url: str, token: str, tool: str, mode: str = "auto", **arguments: Any) -> Answer:
        """Calls a tool as an MCP client does."""

        return call_tool(self.loop_thread, url, token, tool, mode, **arguments)


@contextmanager
def open_world(loop_thread: LoopThread, folder: Path) -> Iterator[World]:
    """Opens all but the bridge."""
    with (
        authorization_server() as issuer,
        loop_thread.opened(running(folder, bridge_secrets=(SECRET,))) as service,
        grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        stub = RuleServiceStub(channel)
        ann, bob = (Client.of_new_tenant(stub, service.rules, loop_thread) for _ in range(2))
        environment = {
            "MONITORS_SERVER": f"127.0.0.1:{service.port}",
            "MONITORS_HOME": str(folder / "home"),
            "MONITORS_MCP_ISSUER": issuer.url,
            "MONITORS_MCP_RESOURCE_URL": RESOURCE,
            "MONITORS_BRIDGE_SECRET": SECRET,
        }
        yield World(loop_thread, issuer, ann, bob, environment)


def post(url: str, mode: str = "auto", **headers: str) -> httpx2.Response:
    """The first request of a client of either era, with further headers."""
    common = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    if mode == "legacy":
        client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}
    else:
        common |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
    return httpx2.post(url, content=json.dumps(body), headers=common | headers)


@asynccontextmanager
async def served(config: uvicorn.Config) -> AsyncIterator[int]:
    """Runs an application in this process and yields its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        listening.close()
