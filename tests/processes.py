"""Starts the product as its users do: `monitors up` as a process, with a webhook receiver beside it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests import forked
from tests.servers.backends import addresses
from tests.waiting import wait_for as wait_for

BIN = Path(sys.executable).parent
START_SECONDS = 30.0


@dataclass(frozen=True)
class Delivery:
    """A request that the receiver got."""

    arrived: float
    """`time.time()` of its arrival."""
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The JSON of the body."""
        answer: dict[str, Any] = json.loads(self.body)
        return answer


@dataclass
class Receiver:
    """A webhook receiver on this machine, which takes everything and keeps it."""

    deliveries: list[Delivery] = field(default_factory=list)
    url: str = ""

    def of_type(self, kind: str) -> list[Delivery]:
        """The deliveries of an event type such as `alert.firing`."""
        return [delivery for delivery in list(self.deliveries) if delivery.event["type"] == kind]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Runs a receiver."""
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.deliveries.append(Delivery(time.time(), dict(self.headers.items()), body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class MeshProcess:
    """`monitors up` in a folder of its own, on free ports."""

    def __init__(self, home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self._arguments = arguments
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MONITORS_")},
            "MONITORS_HOME": str(home),
            "MONITORS_GRPC_PORT": "0",
            "MONITORS_HTTP_PORT": "0",
            **addresses(home, environment),
            **(environment or {}),
        }
        self.output: list[str] = []
        self.grpc_port = self.http_port = 0
        self._process: subprocess.Popen[str] | forked.Forked | None = None
        self._reader: threading.Thread | None = None

    def start(self, prefix: Sequence[str] = ()) -> None:
        """Starts it and waits until it says that it runs. `prefix` is a command that runs it."""
        self.output = []
        self._process = self._launched_by(prefix) if prefix else self._forked()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        process = self._process
        wait_for(lambda: self._ready() or process.poll() is not None, "the mesh", START_SECONDS)
        if process.poll() is not None:
            self._close_output()
            raise AssertionError("the mesh ended: " + "".join(self.output))

    def _forked(self) -> forked.Forked:
        return forked.fork("up", *self._arguments, environment=self._environment)

    def _launched_by(self, prefix: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*prefix, str(BIN / "monitors"), "up", *self._arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output.append(line)

    def _ready(self) -> bool:
        text = "".join(self.output)
        found = re.search(r"gRPC +\S+:(\d+).*write +http://\S+:(\d+).*Ctrl-C", text, re.DOTALL)
        if found:
            self.grpc_port, self.http_port = int(found[1]), int(found[2])
        return found is not None

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def key(self) -> str:
        """The local API key."""
        return (self.home / "key").read_text().strip()

    @property
    def client_environment(self) -> dict[str, str]:
        """What `monitors` and `monitors-mcp` need to find this mesh."""
        return {**self._environment, "MONITORS_SERVER": f"127.0.0.1:{self.grpc_port}"}

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM. Returns the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(20)
        self._close_output()
        return code

    def _close_output(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._reader is not None
        self._reader.join(10)
        self._process.stdout.close()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `monitors …` against this mesh."""
        return forked.run(*arguments, environment=self.client_environment)

    def json(self, *arguments: str) -> Any:
        """Runs `monitors … --json` against this mesh and returns what it says."""
        done = self.command(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextmanager
def running_mesh(home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[MeshProcess]:
    """Runs `monitors up` and stops it in order."""
    mesh = MeshProcess(home, *arguments, environment=environment)
    mesh.start()
    try:
        yield mesh
    finally:
        code = mesh.stop()
    assert code == 0, "".join(mesh.output[-50:])
