"""Which addresses may be connected to: never into a private network, by no spelling."""

import re
import unicodedata
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

# Networks that `is_global` lets through though nothing good is behind them: 6to4 relays, and local-use NAT64.
REFUSED = (ip_network("192.88.99.0/24"), ip_network("64:ff9b:1::/48"))
# IPv6 networks that carry an IPv4 address, with the number of bits to the right of it.
CARRIERS = tuple(
    (IPv6Network(network), shift)
    for network, shift in (
        ("::ffff:0:0/96", 0),  # mapped
        ("::ffff:0:0:0/96", 0),  # translated
        ("::/96", 0),  # compatible
        ("64:ff9b::/96", 0),  # NAT64
        ("2002::/16", 80),  # 6to4
    )
)

LOCAL_SUFFIXES = (
    ".localhost", ".localdomain", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".svc", ".consul", ".onion",
)  # fmt: skip
"""Names that lead into a network of its own: RFC 6761, 6762 and 8375, and what clouds and clusters use."""
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""The last part of what the WHATWG's URL standard takes for an IPv4 address, in decimal, octal or hexadecimal."""
URL_SAFE = re.compile(r"[^\x00-\x20\x7f%/\\?#@:<>\[\]^|\"`{}]+")


def may_connect(address: Address, allow_local: bool) -> bool:
    """Whether an outbound request may go to `address`: it must be global, and so must any IPv4 address in it.

    `allow_local` adds loopback and private networks (not link-local ones, where clouds keep their credentials).
    """
    return all(_is_global(one) or (allow_local and _is_local(one)) for one in _readings(address))


def may_serve(address: Address) -> bool:
    """Whether something that the operator has named may be at `address`: anywhere but at addresses that no service has,
    as the link-local ones, where clouds keep their credentials."""
    return not any(one.is_link_local or one.is_multicast or one.is_unspecified for one in _readings(address))


def may_name(host: str, allow_local: bool) -> bool:
    """Whether a URL may name `host`, before any look-up: what it resolves to is checked at each connection.

    A name that only a network of its own knows, or an address in a spelling that is another one to other programs, is
    never an endpoint on the internet. `allow_local` lets in the names and addresses of this machine and network.
    """
    name = plain_host(host)
    address = parse_address(name)
    if address is not None:
        return may_connect(address, allow_local)
    labels = name.split(".")
    if not all(labels) or NUMBER.fullmatch(labels[-1]) or not URL_SAFE.fullmatch(name):
        return False
    return allow_local or (len(labels) > 1 and not name.endswith(LOCAL_SUFFIXES))


def is_local_name(host: str) -> bool:
    """Whether a host's name or address means this machine, before any look-up."""
    name = plain_host(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = parse_address(name)
    return address is not None and any(one.is_loopback for one in _readings(address))


def plain_host(host: str) -> str:
    """A host as resolvers see it: full-width letters, ideographic full stops and the like are folded (UTS 46)."""
    return unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower().strip("[]").removesuffix(".")


def parse_address(host: str) -> Address | None:
    """The address that a URL's host spells, None if it's a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _readings(address: Address) -> Iterator[Address]:
    """The address, and any IPv4 address that is wrapped in it."""
    yield address
    if isinstance(address, IPv6Address) and int(address) > 1:
        for network, shift in CARRIERS:
            if address in network:
                yield IPv4Address(int(address) >> shift & 0xFFFFFFFF)


def _is_global(address: Address) -> bool:
    refused = any(address.version == network.version and address in network for network in REFUSED)
    return address.is_global and not address.is_multicast and not refused


def _is_local(address: Address) -> bool:
    special = address.is_link_local or address.is_multicast or address.is_unspecified
    return address.is_loopback or (address.is_private and not special and not address.is_reserved)
