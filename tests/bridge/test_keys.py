"""Over HTTP, from other machines, nobody comes as far as a session without a key that the mesh knows."""

import json

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.bridge.conftest import HttpBridge, RealService, answer_of
from tests.harness import LoopThread

INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}  # fmt: skip


def test_only_keys_that_the_mesh_knows_get_a_session(real_service: RealService, loop_thread: LoopThread) -> None:
    bridge = HttpBridge("--host", "0.0.0.0", MONITORS_SERVER=real_service.settings.address)

    def status(**extra: str) -> int:
        headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json", **extra}
        return httpx2.post(bridge.url, content=json.dumps(INITIALIZE), headers=headers).status_code

    async def listed() -> str:
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {real_service.settings.key}"})
        async with http, Client(streamable_http_client(bridge.url, http_client=http)) as client:
            return answer_of(await client.call_tool("list_alert_rules", {})).text

    try:
        assert status() == 401
        assert status(Authorization="Bearer alk_made_up") == 401
        assert status(Authorization=f"Bearer {real_service.settings.key}x") == 401
        assert status(Authorization=f"Bearer {real_service.settings.key}") == 200
        # Asked once, and known by then.
        assert status(Authorization=f"Bearer {real_service.settings.key}") == 200
        assert "rule" in loop_thread.run(listed())
    finally:
        bridge.close()
