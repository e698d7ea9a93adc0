"""Calls that are given up: by the client, by its patience, by the mesh's deadline, by a mesh that goes."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError

from tests.bridge.backend import Backend
from tests.bridge.conftest import ERAS, Tools, answer_of
from tests.harness import LoopThread
from tests.processes import wait_for

pytestmark = pytest.mark.process

SLOW = {"rule_id": "rule_slow"}
PATIENCE = 20.0
REVISIONS = {"auto": "2026-07-28", "legacy": "2025-11-25"}


@pytest.fixture
def hanging(module_backend: Backend) -> Backend:
    """A backend whose `rule_slow` is never found."""
    module_backend.waiting, module_backend.cancelled = asyncio.Event(), asyncio.Event()
    return module_backend


async def still_works(client: Client) -> bool:
    return not answer_of(await client.call_tool("list_alert_rules", {})).is_error


@pytest.mark.parametrize("mode", ERAS)
def test_a_cancelled_call_ends_in_the_mesh_and_the_next_one_works(
    loop_thread: LoopThread, hanging: Backend, target: Any, mode: str, figure: Callable[[str], None]
) -> None:
    async def scenario() -> float:
        async with Client(target, mode=mode) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "list_alert_rules", SLOW)
                await asyncio.wait_for(hanging.waiting.wait(), PATIENCE)
                start = time.monotonic()
                group.cancel_scope.cancel()
            await asyncio.wait_for(hanging.cancelled.wait(), PATIENCE)
            took = time.monotonic() - start
            assert await still_works(client)
            return took

    took = loop_thread.run(scenario())
    transport = "HTTP" if isinstance(target, str) else "stdio"
    figure(f"cancelled over {transport}, {REVISIONS[mode]}: the RPC ended {took * 1e3:.0f} ms later")


@pytest.mark.parametrize("mode", ERAS)
def test_a_client_that_waits_no_longer_ends_its_call_in_the_mesh(
    loop_thread: LoopThread, hanging: Backend, target: Any, mode: str
) -> None:
    async def scenario() -> None:
        async with Client(target, mode=mode) as client:
            assert await still_works(client)
            with pytest.raises(MCPError, match=r"[Tt]imed out"):
                await client.call_tool("list_alert_rules", SLOW, read_timeout_seconds=1.0)
            await asyncio.wait_for(hanging.cancelled.wait(), PATIENCE)
            assert await still_works(client)

    loop_thread.run(scenario())


def test_a_mesh_that_doesnt_answer_is_given_up_at_its_deadline(tools: Tools, backend: Backend) -> None:
    text = tools.error("list_alert_rules", **SLOW)
    assert text == f"The mesh at 127.0.0.1:{backend.port} didn't answer in time; try again later."
    wait_for(backend.cancelled.is_set, "the end of the RPC")
