"""Time from a written point to the update of `alerts://firing` at an MCP client, over stdio and streamable HTTP, beside
RuleService's own stream at a plain gRPC client.

The mesh: `monitors up`, SQLite, every commit synced. A rule fires and is resolved in turns, by points that are written
one at a time over HTTP, at random moments. The clock runs from before the write; all are told of the same changes.
"""

import http.client
import queue
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np

from benchmarks.latency import post, show
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2 import CreateRuleRequest, WatchAlertsRequest
from tests.bridge.conftest import HttpBridge
from tests.bridge.listening import listening_over
from tests.clients import rule_service
from tests.harness import LoopThread
from tests.processes import MeshProcess, running_mesh, wait_for

TURNS = 100
# A listener that was just told waits for a quarter of a second until it's told again.
PAUSE_SECONDS = (0.4, 0.8)

Told = Callable[[], float]
"""Waits for the next change and returns when it came, by the monotonic clock."""


@contextmanager
def watching(mesh: MeshProcess) -> Iterator[Told]:
    """RuleService's stream at a plain gRPC client."""
    came: queue.Queue[float] = queue.Queue()
    with rule_service(mesh) as stub:
        stream = stub.WatchAlerts(WatchAlertsRequest(), timeout=TURNS * 10)
        next(stream)

        def collect() -> None:
            for change in stream:
                if change.HasField("alert"):
                    came.put(time.monotonic())

        thread = threading.Thread(target=lambda: _until_cancelled(collect), daemon=True)
        thread.start()
        yield lambda: came.get(timeout=10)
        stream.cancel()
        thread.join(10)


def _until_cancelled(collect: Callable[[], None]) -> None:
    try:
        collect()
    except Exception as error:
        if "CANCELLED" not in str(error):
            raise


def measure(mesh: MeshProcess, told: dict[str, Told]) -> dict[str, list[float]]:
    """Milliseconds until each was told, turn by turn."""
    connection = http.client.HTTPConnection("127.0.0.1", mesh.http_port)
    pause = threading.Event()
    times: dict[str, list[float]] = {name: [] for name in told}
    for turn in range(TURNS):
        pause.wait(random.uniform(*PAUSE_SECONDS))
        start = time.monotonic()
        write(connection, 1.0 if turn % 2 else 50.0, mesh.key)
        for name, come in told.items():
            times[name].append(1e3 * (come() - start))
    return times


def write(connection: http.client.HTTPConnection, value: float, key: str) -> None:
    post(connection, "/api/v2/write?org=o&bucket=b", f"m,monitor_id=shop v={value} {time.time_ns()}", key)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        mesh = stack.enter_context(running_mesh(Path(folder) / "home", "--no-host"))
        write(http.client.HTTPConnection("127.0.0.1", mesh.http_port), 1.0, mesh.key)
        with rule_service(mesh) as stub:
            stub.CreateRule(CreateRuleRequest(rule=Rule(monitor_id="shop", title="x", condition_text="v > 10")))
        wait_for(lambda: mesh.json("status")["evaluator"]["rule_count"] == 1, "the rule to be watched")
        loop_thread = LoopThread()
        stack.callback(loop_thread.close)
        environment = {"MONITORS_SERVER": f"127.0.0.1:{mesh.grpc_port}", "MONITORS_HOME": folder}
        bridge = stack.enter_context(closing(HttpBridge(**environment)))
        told = {"write → WatchAlerts, plain gRPC client": stack.enter_context(watching(mesh))}
        for transport in ("stdio", "http"):
            listening = listening_over(transport, bridge.url, mesh.grpc_port, mesh.key)
            told[f"write → alerts://firing, MCP over {transport}"] = stack.enter_context(
                loop_thread.opened(listening)
            ).told
        for name, milliseconds in measure(mesh, told).items():
            show(name, np.array(milliseconds))


if __name__ == "__main__":
    main()
