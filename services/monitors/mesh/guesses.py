"""Bounds how often one address may come with credentials that aren't any.

Only what fails is counted, and only then: a good credential is taken whatever else has come from its address, so that
nobody can shut others out who share an address with them. Behind a proxy all callers have the proxy's address, and
share what it may fail. What a header says of where a call comes from counts for nothing: whoever calls can write it.
"""

import math
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import unquote

from monitors.mesh.errors import MeshError, TooManyFailures, Unauthenticated
from monitors.mesh.limits import TokenBuckets

FAILURES_A_SECOND = 0.5
MOST_AT_ONCE = 60
"""A rack of senders that all have yesterday's key is still told what is wrong with it."""
# Who has one IPv6 address mostly has all of its /64.
IPV6_PREFIX = 64


@dataclass(frozen=True)
class Guesses:
    """Counts, for all processes that share the buckets, the credentials of each address that aren't any."""

    buckets: TokenBuckets

    async def counted(self, address: str | None, error: Unauthenticated) -> MeshError:
        """Counts a credential that isn't one, from an address; None stands for one that isn't counted. Returns what to
        answer: the error itself, or TooManyFailures with when to try again."""
        if not address:
            return error
        wait = await self.buckets.take(f"failures:{address}", FAILURES_A_SECOND, MOST_AT_ONCE)
        # Rounded up: who comes when they were told to is told again what is wrong.
        return TooManyFailures(error.message, math.ceil(wait * 100) / 100) if wait else error


def address_of_peer(peer: str) -> str | None:
    """The address of a gRPC peer, `ipv4:192.0.2.1:50311` or `ipv6:%5B2001:db8::1%5D:50311`, as it's counted; None for
    one on this machine's own socket, whose folder says who may come."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    return counted_address(unquote(rest).rpartition(":")[0].strip("[]"))


def counted_address(host: str | None) -> str | None:
    """An IP address as it's counted: of IPv6 all of a /64 are one. None for what isn't an IP address."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ip_network((int(address), IPV6_PREFIX), strict=False))
    return str(address)
