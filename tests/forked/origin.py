"""The process that has imported one of the product's commands, and forks: `python origin.py COMMAND SOCKET`.

A request is a message with JSON and four files: standard input, output and error, and a socket that is told the new
process's id, and later with which code it ended. It ends when nobody is left who could ask.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

LARGEST_REQUEST = 1 << 20
PROGRAMS = {
    "monitors": (
        "monitors.cli.main", "monitors.app.up", "monitors.app.serve", "monitors.rules.main", "monitors.evaluator.main",
        "monitors.notifier.main", "alembic.command", "alembic.config", "rich.table",
    ),
    "monitors-mcp": ("monitors.bridge.main", "monitors.bridge.http", "monitors.bridge.oauth.settings"),
}  # fmt: skip
"""What is imported beforehand, first the module that runs; a command imports the rest itself."""


class Origin:
    """Forks for each request until the socket is closed at its other end."""

    def __init__(self, requests: socket.socket, imported: Mapping[str, str]) -> None:
        self._requests, self._imported = requests, imported
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ)
        self._told: dict[int, tuple[int, socket.socket]] = {}
        """By the files that say that a process has ended: its id, and who is to be told."""

    def serve(self) -> bool:
        """Returns True in each new process, and False at the end."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._requests:
                    self._tell(key.fd)
                    continue
                message, files, _, _ = socket.recv_fds(self._requests, LARGEST_REQUEST, 4)
                if not message:
                    return False
                if self._fork(json.loads(message), files):
                    return True

    def _fork(self, request: Mapping[str, Any], files: Sequence[int]) -> bool:
        child = os.fork()
        if not child:
            self._become(request, files)
            return True
        for file in files[:3]:
            os.close(file)
        told, ended = socket.socket(fileno=files[3]), os.pidfd_open(child)
        told.send(str(child).encode())
        self._told[ended] = child, told
        self._selector.register(ended, selectors.EVENT_READ)
        return False

    def _tell(self, ended: int) -> None:
        child, told = self._told.pop(ended)
        self._selector.unregister(ended)
        os.close(ended)
        _, status = os.waitpid(child, 0)
        # Maybe nobody waits for it any more.
        with told, suppress(OSError):
            told.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _become(self, request: Mapping[str, Any], files: Sequence[int]) -> None:
        self._selector.close()
        self._requests.close()
        for ended, (_, told) in self._told.items():
            os.close(ended)
            told.close()
        for number, file in enumerate(files):
            if number < 3:
                os.dup2(file, number)
            os.close(file)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update({**self._imported, **request["environment"]})
        sys.argv[:] = request["command"]
        sys.path[0] = os.path.dirname(request["command"][0])


def main() -> None:
    """Forks, and runs the command in each process that comes of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    before = dict(os.environ)
    program, *_ = [import_module(name) for name in PROGRAMS[sys.argv[1]]]
    gc.freeze()
    # What importing puts into the environment, it puts into that of each command.
    imported = {name: value for name, value in os.environ.items() if name not in before}
    if Origin(socket.socket(fileno=int(sys.argv[2])), imported).serve():
        program.run()


if __name__ == "__main__":
    main()
