"""A wire between a client and a server that can be cut, or go silent, in the middle of an answer."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Wire:
    """Forwards connections to a port. `cut_after` and `silent_after` count the bytes of one connection's answers.

    `asked` is what clients have sent so far.
    """

    def __init__(self, port: int) -> None:
        self.cut_after: int | None = None
        self.silent_after: int | None = None
        self.asked = b""
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                threading.Thread(target=self._ask, args=(near, far), daemon=True).start()
                threading.Thread(target=self._answer, args=(far, near), daemon=True).start()

    def _ask(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while piece := near.recv(65_536):
                self.asked += piece
                far.sendall(piece)
        _close(far)

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while piece := far.recv(4_096):
                passed += len(piece)
                if self.cut_after is not None and passed > self.cut_after:
                    break
                if self.silent_after is None or passed <= self.silent_after:
                    near.sendall(piece)
        _close(near)

    def close(self) -> None:
        """Takes the wire away."""
        _close(self._listener)
        for one in self._open:
            _close(one)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    """A wire to a port of this machine."""
    one = Wire(port)
    try:
        yield one
    finally:
        one.close()
