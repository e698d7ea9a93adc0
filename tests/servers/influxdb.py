"""A real InfluxDB 1.x, in a folder of its own and on free ports."""

import atexit
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.waiting import wait_for

INFLUXD = shutil.which("influxd")
needs_influxdb = pytest.mark.skipif(INFLUXD is None, reason="InfluxDB isn't installed: apt-get install influxdb")
START_SECONDS = 30.0
LINES_AT_ONCE = 20_000

_CONFIGURATION = """
reporting-enabled = false
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
  logging-enabled = false
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
  max-series-per-database = 0
  max-values-per-tag = 0
[coordinator]
{limits}
[retention]
  enabled = false
[monitor]
  store-enabled = false
[continuous_queries]
  enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  auth-enabled = {auth}
"""


class InfluxServer:
    """The server. With `auth` it wants to know who asks; its administrator is `admin`, whose password is `secret`."""

    def __init__(self, folder: Path, *, auth: bool = False, limits: str = "") -> None:
        self.folder = folder
        self.port, rpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._auth = auth
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = folder / "influxdb.conf"
        folder.mkdir(parents=True, exist_ok=True)
        self._configuration.write_text(
            _CONFIGURATION.format(
                folder=folder, port=self.port, rpc_port=rpc_port, limits=limits, auth="true" if auth else "false"
            )
        )

    def start(self) -> None:
        """Starts it and waits until it answers."""
        assert INFLUXD is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([INFLUXD, "-config", str(self._configuration)], stdout=log, stderr=log)
        process = self._process
        wait_for(lambda: self._answers() or process.poll() is not None, "InfluxDB", START_SECONDS)
        if process.poll() is not None:
            raise AssertionError("InfluxDB ended: " + (self.folder / "log").read_text()[-2_000:])

    def stop(self) -> None:
        """Ends it; what it was told is on the disk."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)

    @property
    def pid(self) -> int:
        """The process, for those who measure it."""
        assert self._process is not None
        return self._process.pid

    def create_database(self, name: str = "monitors") -> None:
        """Makes a database."""
        self.query(f'CREATE DATABASE "{name}"')

    def query(self, text: str) -> bytes:
        """Asks or tells it something."""
        return self._post("/query", {}, urllib.parse.urlencode({"q": text}).encode())

    def write(self, lines: str, database: str = "monitors") -> None:
        """Writes lines of line protocol with nanoseconds, whose fields hold no line breaks if there are many."""
        rows = lines.split("\n") if lines.count("\n") > LINES_AT_ONCE else [lines]
        for start in range(0, len(rows), LINES_AT_ONCE):
            self._post(
                "/write", {"db": database, "precision": "ns"}, "\n".join(rows[start : start + LINES_AT_ONCE]).encode()
            )

    def _post(self, path: str, parameters: dict[str, str], body: bytes) -> bytes:
        known = {"u": "admin", "p": "secret"} if self._auth else {}
        url = f"{self.url}{path}?{urllib.parse.urlencode(parameters | known)}"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
            found: bytes = answer.read()
        return found

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=5):
                return True
        except OSError:
            return False


@contextmanager
def influx_server(folder: Path, *, auth: bool = False, limits: str = "") -> Iterator[InfluxServer]:
    """Runs a server. `limits` are lines of the section `coordinator` of its configuration."""
    server = InfluxServer(folder, auth=auth, limits=limits)
    server.start()
    try:
        if auth:
            server.query("CREATE USER admin WITH PASSWORD 'secret' WITH ALL PRIVILEGES")
        server.create_database()
        yield server
    finally:
        server.stop()


@cache
def shared_influx() -> InfluxServer:
    """The server that all tests of this process share who only want a database of their own. It ends with the
    process."""
    if INFLUXD is None:
        pytest.skip("InfluxDB isn't installed: apt-get install influxdb")
    folder = Path(tempfile.mkdtemp(prefix="influx-"))
    server = InfluxServer(folder)

    def end() -> None:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

    server.start()
    atexit.register(end)
    return server
