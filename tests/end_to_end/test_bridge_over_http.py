"""`monitors up --mcp`: the bridge over HTTP as a child of the mesh, which ends with it."""

import asyncio
import socket
from pathlib import Path

from mcp.client import Client

from tests.processes import running_mesh, wait_for


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_bridge_runs_and_ends_with_the_mesh(tmp_path: Path) -> None:
    port = free_port()
    environment = {"MONITORS_MCP_PORT": str(port)}
    with running_mesh(tmp_path, "--no-host", "--mcp", environment=environment):
        wait_for(lambda: answers(port), "the bridge")

        async def tools() -> set[str]:
            async with Client(f"http://127.0.0.1:{port}/mcp") as client:
                result = await client.call_tool("list_alert_rules", {"include": "monitors"})
                assert not result.is_error
                return {tool.name for tool in (await client.list_tools()).tools}

        assert len(asyncio.run(tools())) == 6
    assert not answers(port)
