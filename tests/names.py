"""Names as a cluster's DNS answers them: a server whose answers a test changes, and addresses for what has names."""

import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_HEADER, _ANSWER = struct.Struct(">HHHHHH"), struct.Struct(">HHHIH4s")
_AUTHORITATIVE, _A, _IN = 0x8580, 1, 1
_TO_THE_QUESTION = 0xC00C
"""Where the name is that an answer is about: in the question, behind the header."""


def loopback_network() -> str:
    """The beginning of addresses of this machine that nobody else uses: pods all listen on the same ports."""
    choice = random.SystemRandom()
    return f"127.{choice.randint(1, 254)}.{choice.randint(1, 254)}"


@dataclass
class Names:
    """What each name stands for now, as a headless Service stands for its ready pods."""

    port: int
    addresses: dict[str, list[str]] = field(default_factory=dict)

    def target(self, name: str, port: int) -> str:
        """A gRPC target that asks this server for the name."""
        return f"dns://127.0.0.1:{self.port}/{name}:{port}"

    def answer(self, question: bytes) -> bytes:
        """The answer to a datagram with one question (RFC 1035, section 4). Nothing may be kept for later."""
        labels, place = [], _HEADER.size
        while question[place]:
            labels.append(question[place + 1 : place + 1 + question[place]].decode())
            place += 1 + question[place]
        (kind,) = struct.unpack_from(">H", question, place + 1)
        found = self.addresses.get(".".join(labels), []) if kind == _A else []
        header = _HEADER.pack(*struct.unpack_from(">H", question), _AUTHORITATIVE, 1, len(found), 0, 0)
        answers = [_ANSWER.pack(_TO_THE_QUESTION, _A, _IN, 0, 4, socket.inet_aton(address)) for address in found]
        return b"".join([header, question[_HEADER.size : place + 5], *answers])


@contextmanager
def serving_names() -> Iterator[Names]:
    """Runs the server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        names = Names(listening.getsockname()[1])

        def serve() -> None:
            while question := listening.recvfrom(512):
                if not question[0]:
                    return
                listening.sendto(names.answer(question[0]), question[1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield names
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", names.port))
        thread.join(10)
