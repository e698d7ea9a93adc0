"""The receiver as a child process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.request import urlopen

from tests.processes import wait_for


@dataclass
class Endpoints:
    """Where webhooks go, and what has arrived."""

    port: int
    arrived: dict[str, float]
    """Seconds since 1970 at which what named a monitor came first."""

    def url(self, path: str = "ok") -> str:
        """Of an endpoint that answers as the path says."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def fetch(self) -> list[tuple[str, str, float]]:
        """What has arrived since it was last fetched: the monitor, the message's type, and when that was."""
        with urlopen(f"http://127.0.0.1:{self.port}/", timeout=60) as answer:
            return [(name, kind, time) for name, kind, time in json.load(answer)]

    def look(self) -> int:
        """Fetches what has arrived. Returns how much that is in all."""
        for name, _, time in self.fetch():
            self.arrived.setdefault(name, time)
        return len(self.arrived)

    def wait_for(self, count: int, patience: float = 120.0) -> None:
        """Waits until so much has arrived."""
        wait_for(lambda: self.look() >= count, f"{count:,} webhooks", patience, every=0.25)


@contextmanager
def receiving() -> Iterator[Endpoints]:
    """Runs a receiver."""
    command = [sys.executable, "-m", "benchmarks.notify.receiver"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Endpoints(int(process.stdout.readline()), {})
        finally:
            process.terminate()
