"""Messages to the bridge as bytes, for what no client library would send."""

import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bridge.conftest import COMMAND

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
CLIENT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
SECONDS = 30


def call_text(tool: str, arguments: str, *, modern: bool, **extra: str) -> str:
    """The text of a call, with the text of its arguments as it is, and with `extra` in its metadata."""
    meta = f', "_meta": {json.dumps({**META, **extra})}' if modern else ""
    params = f'{{"name": "{tool}", "arguments": {arguments}{meta}}}'
    return f'{{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {params}}}'


class RawStdio:
    """`monitors-mcp` as a process, initialized in the legacy era."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [COMMAND], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": CLIENT}))
        self._receive(1)
        self._send(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}))

    def call(self, tool: str, arguments: str) -> Any:
        """The result of a call."""
        self._send(call_text(tool, arguments, modern=False))
        return self._receive(7)["result"]

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _receive(self, wanted: int) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("id") == wanted:
                return message
        raise AssertionError("the bridge ended without an answer")


@contextmanager
def raw_stdio(environment: dict[str, str]) -> Iterator[RawStdio]:
    """Runs the bridge over stdio; it is killed if it doesn't answer."""
    raw = RawStdio(environment)
    watchdog = threading.Timer(4 * SECONDS, raw.process.kill)
    watchdog.start()
    try:
        yield raw
    finally:
        watchdog.cancel()
        raw.process.kill()
        raw.process.communicate()


def http_call(url: str, tool: str, arguments: str, *, key: str = "", **extra: str) -> Any:
    """The result of a call over HTTP in the modern era, with `extra` in its metadata; with a key, if there is one."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
        **({"Authorization": f"Bearer {key}"} if key else {}),
    }
    body = call_text(tool, arguments, modern=True, **extra).encode()
    request = urllib.request.Request(url, body, headers)
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        text = response.read().decode()
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith(("data: ", "{"))]
    return next(message["result"] for message in map(json.loads, lines) if message.get("id") == 7)
