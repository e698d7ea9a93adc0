"""A real redis-server of a test's own: private folder, private socket, nothing kept."""

import atexit
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.ports import free_port
from tests.waiting import wait_for

PROGRAM = shutil.which("redis-server")
PASSWORD = "p@ss:word/of-redis"  # with all that must be escaped in a URL
ESCAPED_PASSWORD = "p%40ss%3Aword%2Fof-redis"


class RedisServer:
    """A server that can be killed, started again, emptied and made slow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "redis.sock"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """A REDIS_URL, with the password."""
        return f"redis://:{ESCAPED_PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """A client of the test's, over the socket."""
        return redis.Redis(unix_socket_path=str(self.socket), password=PASSWORD)

    def start(self) -> None:
        """Starts it, empty, and waits until it answers."""
        assert PROGRAM is not None
        options = {
            "port": self.port, "bind": "127.0.0.1", "unixsocket": self.socket, "dir": self._folder, "save": "",
            "appendonly": "no", "requirepass": PASSWORD, "daemonize": "no",
        }  # fmt: skip
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self._answers, "redis-server")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL; with nothing saved, whatever it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def wipe(self) -> None:
        """Takes all keys and scripts away."""
        with self.client as client:
            client.flushall()
            client.script_flush()

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Lets it accept connections and answer nothing, as one that is overloaded."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def listen_with_tls(self, certificate: Path, key: Path) -> int:
        """Lets it listen on a port with TLS too, for clients without a certificate. Returns the port."""
        port = free_port()
        with self.client as client:
            client.config_set("tls-cert-file", str(certificate))
            client.config_set("tls-key-file", str(key))
            client.config_set("tls-auth-clients", "no")
            client.config_set("tls-port", port)
        return port

    def stored_keys(self) -> list[str]:
        """What it holds."""
        with self.client as client:
            found: Any = client.keys("*")
            return sorted(key.decode() for key in found)


@cache
def shared_redis() -> RedisServer:
    """The server that all tests of this process share who only want to have one. It ends with the process."""
    if PROGRAM is None:
        pytest.skip("redis-server isn't installed")
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    server = RedisServer(folder)

    def end() -> None:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    server.start()
    return server


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Runs a server; skips the test where there is no redis-server."""
    if PROGRAM is None:
        pytest.skip("redis-server isn't installed")
    # A socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()
