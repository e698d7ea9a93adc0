"""The ledger: a receiver of webhooks as a process of its own, which writes down what it gets and answers by a seed.

A line of the file is a request, as JSON, written before it is answered. Of what it was sent the receiver refuses some
(503, or 429 with a time to wait), and of some that it took it never says so.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.processes import wait_for
from tests.served import free_port

TAKEN, UNANSWERED, REFUSED = "taken", "unanswered", "refused"
SLOWLY, SHARE_SLOW, SLOWEST_SECONDS = "/slow", 0.2, 5.0
"""Paths of which some requests are answered late."""
SHARE_BUSY, SHARE_THROTTLED, SHARE_UNANSWERED = 0.05, 0.01, 0.02


@dataclass(frozen=True)
class Entry:
    """A request that came. `answer` is taken, unanswered (taken without a word) or refused."""

    number: int
    path: str
    arrived: float
    headers: Mapping[str, str]
    body: str
    answer: str

    @property
    def id(self) -> str:
        """The message's id, the same at every attempt."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """The JSON of the body."""
        event: dict[str, Any] = json.loads(self.body)
        return event


def read(file: Path) -> list[Entry]:
    """What is in a ledger. A last line that isn't whole (yet) was never answered, and is left out."""
    lines = file.read_text().split("\n") if file.exists() else []
    return [Entry(number, **json.loads(line)) for number, line in enumerate(lines[:-1])]


class LedgerProcess:
    """The receiver, which can be killed and started again on the same port and file."""

    def __init__(self, file: Path, seed: int) -> None:
        self.file = file
        self.port = free_port()
        self.is_calm = True
        """Whether it takes and answers everything. That changes when it's started the next time."""
        self._seed = seed
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str) -> str:
        """Where it takes what belongs to `path`."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        self._seed += 1
        arguments = ["--port", str(self.port), "--file", str(self.file), "--seed", str(self._seed)]
        arguments += ["--calm"] if self.is_calm else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.ledger", *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == "listening\n"

    def kill(self) -> None:
        """SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.wait(10)
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process
        return self._process.pid

    def wait_for_taken(self, count: int, seconds: float) -> list[Entry]:
        """Waits until that many different messages have been taken."""

        def enough() -> list[Entry]:
            taken = [entry for entry in read(self.file) if entry.answer != REFUSED]
            return taken if len({entry.id for entry in taken}) >= count else []

        found: list[Entry] = wait_for(enough, f"{count} messages in the ledger", seconds, every=0.2)
        return found


class _Receiver:
    def __init__(self, file: Path, seed: int, *, calm: bool) -> None:
        self._calm = calm
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._cut_torn_line()
        self._choice = random.Random(seed)
        self._held: list[asyncio.Future[None]] = []

    def _cut_torn_line(self) -> None:
        """SIGKILL may end a write halfway: what the next run writes mustn't be read as the rest of that line."""
        written = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        os.ftruncate(self._descriptor, written.rfind(b"\n") + 1)

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        lot = 1.0 if self._calm else self._choice.random()
        if lot < SHARE_BUSY:
            self._write(request, body, REFUSED)
            return web.Response(status=503, text="busy")
        if lot < SHARE_BUSY + SHARE_THROTTLED:
            self._write(request, body, REFUSED)
            return web.Response(status=429, headers={"retry-after": "1"})
        if lot < SHARE_BUSY + SHARE_THROTTLED + SHARE_UNANSWERED:
            self._write(request, body, UNANSWERED)
            assert request.transport
            request.transport.close()
            return web.Response()
        self._write(request, body, TAKEN)
        if request.path.startswith(SLOWLY) and self._choice.random() < SHARE_SLOW:
            await asyncio.sleep(self._choice.uniform(0, SLOWEST_SECONDS))
        return web.Response()

    def _write(self, request: web.Request, body: str, answer: str) -> None:
        headers = {name.lower(): value for name, value in request.headers.items() if name.lower().startswith("webhook")}
        entry = {
            "path": request.path.strip("/"), "arrived": time.time(), "headers": headers, "body": body, "answer": answer,
        }  # fmt: skip
        os.write(self._descriptor, (json.dumps(entry) + "\n").encode())


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--calm", action="store_true")
    given = parser.parse_args()

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", _Receiver(given.file, given.seed, calm=given.calm).take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", given.port, reuse_address=True).start()
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    _main()
