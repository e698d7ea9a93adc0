"""What monitors-mcp weighs, and how long it takes from its start to the list of its tools, beside everything in one."""

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Spread, say
from tests.bridge.installations import Installation, install

INITIALIZE = {
    "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"},
}  # fmt: skip
VISIBLE = ("name", "title", "description", "inputSchema", "annotations")


@dataclass(frozen=True)
class Weight:
    """Packages, bytes without compiled code, seconds from the start to the tools, tokens of their definitions."""

    packages: int
    size: int
    start: Spread
    tokens: float


def measure_installs(starts: int) -> tuple[Weight, Weight]:
    """monitors-mcp alone, and all three packages in one environment."""
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as name:
        folder = Path(name)
        (folder / "mcp").mkdir()
        (folder / "all").mkdir()
        say("installing monitors-mcp, and everything")
        own, wheels = ("monitors-protos", "monitors-mcp"), folder / "wheels"
        alone = install(folder / "mcp", *own, built=wheels)
        everything = install(folder / "all", *own, "monitors-services", built=wheels)
        return _weigh(alone, starts), _weigh(everything, starts)


def _weigh(installation: Installation, starts: int) -> Weight:
    packages, size = len(installation.packages()), installation.size()
    command = installation.command("monitors-mcp")
    # The first start compiles.
    tools, _ = list_tools(command)
    spread = Spread.of([list_tools(command)[1] for _ in range(starts)])
    visible = [
        json.dumps({key: tool[key] for key in VISIBLE}, separators=(",", ":"), ensure_ascii=False) for tool in tools
    ]
    return Weight(packages, size, spread, sum(len(text.encode()) for text in visible) / 4)


def list_tools(command: str) -> tuple[list[dict[str, object]], float]:
    """Starts the command, asks for its tools over stdio and ends it. Gives them, and the seconds that it took."""
    start = time.perf_counter()
    with subprocess.Popen([command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def send(method: str, number: int | None, **parameters: object) -> None:
            assert process.stdin is not None
            message = {"jsonrpc": "2.0", "method": method, "params": parameters}
            process.stdin.write(json.dumps(message | ({} if number is None else {"id": number})).encode() + b"\n")
            process.stdin.flush()

        send("initialize", 1, **INITIALIZE)
        process.stdout.readline()
        send("notifications/initialized", None)
        send("tools/list", 2)
        tools: list[dict[str, object]] = json.loads(process.stdout.readline())["result"]["tools"]
        seconds = time.perf_counter() - start
        process.stdin.close()
        process.wait(20)
    return tools, seconds
