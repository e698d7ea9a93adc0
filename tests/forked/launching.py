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

BIN = Path(sys.executable).parent
ORIGIN = Path(__file__).with_name("origin.py")
START_SECONDS = 60.0
"""The first command waits until everything is imported."""


class Forked:
    """A running command, used as a `subprocess.Popen`. `told` is told its id, and later its exit code."""

    def __init__(self, told: socket.socket) -> None:
        told.settimeout(START_SECONDS)
        self.pid = int(told.recv(64))
        self.stdout: IO[str] | None = None
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
                    raise subprocess.TimeoutExpired("monitors", timeout) from None
                self._told.close()
                assert answer, "who forks has ended"
                self._code = int(answer)
            return self._code

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


@cache
def _origin(program: str) -> socket.socket:
    own, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with its:
        process = subprocess.Popen(
            [sys.executable, str(ORIGIN), program, str(its.fileno())], pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def end() -> None:
        own.close()
        process.wait(10)

    atexit.register(end)
    return own


def launch(
    program: str, *arguments: str, environment: Mapping[str, str], stdout: int, stderr: int, folder: Path | None = None
) -> Forked:
    """Starts a command that writes into two open files, in this folder or another one."""
    request = {
        "command": [str(BIN / program), *arguments],
        "environment": dict(environment),
        "folder": str(folder or Path.cwd()),
    }
    told, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its, open(os.devnull, "rb") as nothing:
        files = [nothing.fileno(), stdout, stderr, its.fileno()]
        socket.send_fds(_origin(program), [json.dumps(request).encode()], files)
    return Forked(told)


def fork(*arguments: str, environment: Mapping[str, str]) -> Forked:
    """Starts `monitors …`. What it writes, to both outputs, is its `stdout`."""
    reads, writes = os.pipe()
    try:
        process = launch("monitors", *arguments, environment=environment, stdout=writes, stderr=writes)
    finally:
        os.close(writes)
    process.stdout = open(reads, encoding="utf-8")  # noqa: SIM115
    return process


def run(
    *arguments: str, environment: Mapping[str, str], timeout: float = 60, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs `monitors …` to its end and returns what it wrote. Raises TimeoutExpired, and kills it, after so many
    seconds."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = launch(
            "monitors", *arguments, environment=environment, stdout=out.fileno(), stderr=err.fileno(), folder=folder
        )
        try:
            code = process.wait(timeout)
        except BaseException:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            raise
        return subprocess.CompletedProcess(["monitors", *arguments], code, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
