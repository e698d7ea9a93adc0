"""How soon the mesh is rid of a call that its client cancels, over both transports and in both eras."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import anyio
from mcp import Client

from benchmarks.measure import Spread
from tests.bridge.backend import Backend, open_backend
from tests.bridge.conftest import HttpBridge, stdio_parameters

ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28"}
SLOW = {"rule_id": "rule_slow"}
PATIENCE = 20.0


def measure_cancelling(repeats: int) -> dict[str, Spread]:
    """Milliseconds from the cancellation until the RPC has ended, by transport and revision.

    Raises RuntimeError if the call after it doesn't work.
    """
    return asyncio.run(_measure(repeats))


async def _measure(repeats: int) -> dict[str, Spread]:
    spreads = {}
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(open_backend())
        environment = {"MONITORS_SERVER": f"127.0.0.1:{backend.port}", "MONITORS_KEY": "local-key"}
        bridge = await asyncio.to_thread(lambda: HttpBridge(**environment))
        stack.callback(bridge.close)
        targets: dict[str, Any] = {"stdio": stdio_parameters(**environment), "HTTP": bridge.url}
        for transport, target in targets.items():
            for mode, revision in ERAS.items():
                async with Client(target, mode=mode) as client:
                    times = [await _cancel_one(client, backend) for _ in range(repeats)]
                spreads[f"{transport}, {revision}"] = Spread.of(times)
    return spreads


async def _cancel_one(client: Client, backend: Backend) -> float:
    backend.waiting, backend.cancelled = asyncio.Event(), asyncio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "list_alert_rules", SLOW)
        await asyncio.wait_for(backend.waiting.wait(), PATIENCE)
        start = time.perf_counter()
        group.cancel_scope.cancel()
    await asyncio.wait_for(backend.cancelled.wait(), PATIENCE)
    took = (time.perf_counter() - start) * 1e3
    if (await client.call_tool("list_alert_rules", {})).is_error:
        raise RuntimeError("the call after a cancelled one failed")
    return took
