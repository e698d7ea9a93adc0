"""What tests use in place of `subprocess`."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO

MONITORS = str(Path(sys.executable).parent / "monitors")
ORIGIN = Path(__file__).with_name("origin.py")


class Forked:
    """A running `monitors …`, used as a `subprocess.Popen`."""

    def __init__(self, pid: int, told: socket.socket, stdout: IO[str] | None = None) -> None:
        self.pid, self.stdout = pid, stdout
        self._told = told
        self._code: int | None = None
        self._asking = threading.Lock()

    def poll(self) -> int | None:
        """Its exit code (less than 0: the signal that ended it), or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float) -> int:
        """Its exit code, once it has ended. Raises TimeoutExpired after so many seconds."""
        with self._asking:
            if self._code is None:
                self._told.settimeout(timeout)
                try:
                    answer = self._told.recv(64)
                except (TimeoutError, BlockingIOError):
                    raise subprocess.TimeoutExpired(MONITORS, timeout) from None
                self._told.close()
                assert answer, "who forks has ended"
                self._code = int(answer)
            return self._code

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


@cache
def _origin() -> socket.socket:
    own, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with its:
        process = subprocess.Popen(
            [sys.executable, str(ORIGIN), str(its.fileno())], pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def end() -> None:
        own.close()
        process.wait(10)

    atexit.register(end)
    return own


def _launch(
    arguments: tuple[str, ...], environment: Mapping[str, str], stdout: int, stderr: int, folder: Path | None
) -> tuple[int, socket.socket]:
    request = {
        "command": [MONITORS, *arguments],
        "environment": dict(environment),
        "folder": str(folder or Path.cwd()),
    }
    told, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its, open(os.devnull, "rb") as nothing:
        files = [nothing.fileno(), stdout, stderr, its.fileno()]
        socket.send_fds(_origin(), [json.dumps(request).encode()], files)
    told.settimeout(60)
    return int(told.recv(64)), told


def fork(*arguments: str, environment: Mapping[str, str]) -> Forked:
    """Starts `monitors …`. What it writes, to both outputs, is its `stdout`."""
    reads, writes = os.pipe()
    try:
        pid, told = _launch(arguments, environment, writes, writes, None)
    finally:
        os.close(writes)
    return Forked(pid, told, open(reads, encoding="utf-8"))


def run(
    *arguments: str, environment: Mapping[str, str], timeout: float = 60, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `monitors …` to its end and returns what it wrote. Raises TimeoutExpired, and kills it, after so many
    seconds."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid, told = _launch(arguments, environment, out.fileno(), err.fileno(), folder)
        process = Forked(pid, told)
        try:
            code = process.wait(timeout)
        except BaseException:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            raise
        return subprocess.CompletedProcess([MONITORS, *arguments], code, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
