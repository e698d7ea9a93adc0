"""Links to the page on which a person adds a channel: RuleService, which knows the caller, signs them; the notifier
checks them. A link is all that the page needs to know, so nothing is stored until a channel is made with it.

A token is URL-safe text, `payload.signature`: base64 of a JSON list, and of 16 bytes of its HMAC-SHA-256.
"""

import binascii
import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field

from monitors.mesh.times import MINUTE, SECOND

LIFETIME = 10 * MINUTE
LONGEST_TOKEN = 1_000
SIGNATURE_BYTES = 16


class LinkInvalid(Exception):
    """It isn't a link of ours, or was changed."""


class LinkExpired(Exception):
    """Its time is over."""


@dataclass(frozen=True)
class ChannelLink:
    """Leave to add one channel to `tenant` until `expire_time`, in nanoseconds since 1970 and whole seconds."""

    tenant: str
    user: str
    """Who asked for it."""
    name: str
    """What the page proposes as the channel's name; may be empty."""
    expire_time: int
    id: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    tier: str = ""
    """The tenant's, which bounds how many channels it may have; empty if it has none of its own."""


def link_url(page_url: str, token: str) -> str:
    """The address that a person opens."""
    return f"{page_url}?link={token}"


def sign(link: ChannelLink, key: bytes) -> str:
    """The token of a link."""
    parts = [link.tenant, link.user, link.name, link.expire_time // SECOND, link.id, *filter(None, [link.tier])]
    payload = _to_text(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode())
    return f"{payload}.{_signature(payload, key)}"


def open_token(token: str, keys: Sequence[bytes], now: int) -> ChannelLink:
    """The link of a token that any of the keys has signed. Raises LinkInvalid and LinkExpired."""
    payload, _, signature = token.partition(".")
    given = signature.encode(errors="replace")
    genuine = any(hmac.compare_digest(_signature(payload, key).encode(), given) for key in keys)
    if len(token) > LONGEST_TOKEN or not genuine:
        raise LinkInvalid
    try:
        parts = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        tenant, user, name, seconds, link_id, *tier = parts
    except (binascii.Error, ValueError):
        # Signed by us in a form of another time.
        raise LinkInvalid from None
    link = ChannelLink(tenant, user, name, seconds * SECOND, link_id, *tier[:1])
    if now >= link.expire_time:
        raise LinkExpired
    return link


def _signature(payload: str, key: bytes) -> str:
    return _to_text(hmac.digest(key, payload.encode(errors="replace"), "sha256")[:SIGNATURE_BYTES])


def _to_text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
