"""Debian's Prometheus: its promtool, and a server that scrapes for a test."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.processes import BIN
from tests.waiting import wait_for

UNPACKED = BIN.parent / "prometheus" / "usr" / "bin"
"""Where the benchmarks unpack the package, if it isn't installed."""
PATH = f"{UNPACKED}:/usr/bin:/usr/local/bin"
PROMETHEUS = shutil.which("prometheus") or shutil.which("prometheus", path=PATH)
PROMTOOL = shutil.which("promtool") or shutil.which("promtool", path=PATH)
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None, reason="Prometheus isn't installed: apt-get install prometheus"
)


def complaints(text: str) -> str:
    """What `promtool check metrics` says of a page of metrics; empty if nothing."""
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    return said or ("" if done.returncode == 0 else f"exit code {done.returncode}")


class PrometheusServer:
    """A server that scrapes every second."""

    def __init__(self, folder: Path, targets: Sequence[str]) -> None:
        self._folder, self._targets = folder, targets
        self._address = f"127.0.0.1:{free_port()}"

    @contextmanager
    def running(self) -> Iterator["PrometheusServer"]:
        """Runs it until the context is left."""
        assert PROMETHEUS is not None
        scrape = {"job_name": "monitors", "scrape_interval": "1s", "static_configs": [{"targets": [*self._targets]}]}
        file = self._folder / "prometheus.yml"
        # JSON is YAML, too.
        file.write_text(json.dumps({"scrape_configs": [scrape]}))
        command = [
            PROMETHEUS, f"--config.file={file}", f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self._address}", "--log.level=warn",
        ]  # fmt: skip
        with (
            (self._folder / "prometheus.log").open("wb") as log,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
        ):
            try:
                wait_for(self._is_ready, "Prometheus")
                yield self
            finally:
                process.kill()

    def value(self, query: str) -> float | None:
        """What a query gives now; None if nothing."""
        found = self._ask(f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def help_of(self) -> dict[str, dict[str, str]]:
        """Type, help text and unit by the name of each metric that was scraped."""
        return {name: known[0] for name, known in self._ask("/api/v1/metadata")["data"].items()}

    def last_error(self) -> list[str]:
        """What was wrong with the last scrape of each target."""
        return [target["lastError"] for target in self._ask("/api/v1/targets")["data"]["activeTargets"]]

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _ask(self, path: str) -> dict:  # type: ignore[type-arg]
        with urllib.request.urlopen(f"http://{self._address}{path}", timeout=10) as answer:
            return dict(json.load(answer))
