"""Ports for servers that tests start as processes, and start again at the same address."""

import random
import socket

RANGE = range(12_000, 32_000)
"""Below those that the system gives to outgoing connections, which would take a port between two starts."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(RANGE)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
