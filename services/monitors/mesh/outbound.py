"""Connections to what the operator has named: an InfluxDB, an issuer of tokens, a mail server.

They are where the operator says, in a private network as a rule. But a name may lead to another address from one
look-up to the next, and no service of anybody's is where clouds keep their credentials. So what is checked is the
address that is really connected to.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from monitors.mesh.addresses import Address, may_serve

log = logging.getLogger(__name__)

AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
"""As getaddrinfo gives it."""


class AddressRefused(OSError):
    """An address that may not be connected to."""


def checking(may_connect: Callable[[Address], bool]) -> Callable[[AddressInfo], socket.socket]:
    """What makes sockets for aiohttp's connector, none of which leads to another address than it may. Raises
    AddressRefused."""

    def checked_socket(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, target = info
        if not may_connect(ip_address(str(target[0]).partition("%")[0])):
            log.warning("refused to connect to %s", target[0])
            raise AddressRefused("the address isn't allowed")
        return socket.socket(family, kind, protocol)

    return checked_socket


socket_for = checking(may_serve)
"""Makes a socket for an address of the operator's."""


async def connect(host: str, port: int) -> socket.socket:
    """A connected socket that doesn't block. Raises OSError."""
    loop = asyncio.get_running_loop()
    problem: OSError | None = None
    for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            opened = socket_for(info)
            try:
                opened.setblocking(False)
                await loop.sock_connect(opened, info[4])
            except BaseException:
                opened.close()
                raise
            return opened
        except OSError as error:
            problem = error
    raise problem or OSError("the name has no address")


def connect_blocking(host: str, port: int, timeout: float | None, options: Iterable[tuple[Any, ...]]) -> socket.socket:
    """The same in a thread, with a time-out in seconds and options of the socket."""
    problem: OSError | None = None
    for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            opened = socket_for(info)
            try:
                for option in options:
                    opened.setsockopt(*option)
                opened.settimeout(timeout)
                opened.connect(info[4])
            except BaseException:
                opened.close()
                raise
            return opened
        except OSError as error:
            problem = error
    raise problem or OSError("the name has no address")
