"""A conversation that outlives the mesh: it's killed and comes back while the bridge's session stays open."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.bridge.conftest import COMMAND, HttpBridge
from tests.end_to_end.test_bridge_over_http import free_port
from tests.processes import MeshProcess

pytestmark = pytest.mark.process


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_session_outlives_a_mesh_that_is_killed_and_comes_back(tmp_path: Path, transport: str) -> None:
    port = free_port()
    mesh = MeshProcess(tmp_path, "--no-host", environment={"MONITORS_GRPC_PORT": str(port)})

    async def converse(target: Any) -> None:
        async with Client(target) as client:
            assert not (await client.call_tool("list_alert_rules", {})).is_error
            await asyncio.to_thread(mesh.kill)
            away: Any = await client.call_tool("list_alert_rules", {})
            assert away.is_error
            assert f"The mesh at 127.0.0.1:{port} can't be reached; nothing was changed." in away.content[0].text
            assert "monitors up" in away.content[0].text
            await asyncio.to_thread(mesh.start)
            assert not (await client.call_tool("list_alert_rules", {})).is_error

    with ExitStack() as stack:
        mesh.start()
        stack.callback(mesh.stop)
        if transport == "stdio":
            asyncio.run(converse(StdioServerParameters(command=COMMAND, env=mesh.client_environment)))
        else:
            bridge = HttpBridge(**mesh.client_environment)
            stack.callback(bridge.close)
            asyncio.run(converse(bridge.url))
