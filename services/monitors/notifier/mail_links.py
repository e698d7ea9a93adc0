"""Links in mails: one by which an address is verified, and one by which it unsubscribes from a channel.

A token is URL-safe text, `payload.signature`: base64 of a JSON list, and of 16 bytes of its HMAC-SHA-256. It names the
address by its mark, so that no address stands in a URL. It's signed with a key that outlives the master keys: whoever
finds a mail after years can still unsubscribe.
"""

import binascii
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from monitors.mesh.secrets import Sealer
from monitors.notifier.model.channel import Channel

VERIFY_PATH, UNSUBSCRIBE_PATH = "/channels/verify", "/channels/unsubscribe"
LINK = "link"
LONGEST_TOKEN = 1_000
SIGNATURE_BYTES = 16


class LinkInvalid(Exception):
    """It isn't a link of ours, or was changed."""


@dataclass(frozen=True)
class MailLink:
    """What a link is about: an address of a tenant's channel, and with a verification the id of its code."""

    tenant: str
    channel_id: str
    mark: str
    code_id: str = ""


class MailLinks:
    """Makes and opens links. `base` is where the page for channels is reached; empty if it's only from this machine,
    which makes no links."""

    def __init__(self, base: str, sealer: Sealer) -> None:
        self._base = base
        self._sealer = sealer

    def verification(self, channel: Channel, address: str, code_id: str) -> str:
        """The address of the page on which somebody confirms; empty if there is none."""
        link = MailLink(channel.tenant, channel.id, mark(self._sealer, channel.tenant, address), code_id)
        return self._url(VERIFY_PATH, link)

    def unsubscribing(self, channel: Channel, address: str) -> str:
        """Where somebody unsubscribes by one click, https only, as RFC 8058 has it; empty if there is none."""
        link = MailLink(channel.tenant, channel.id, mark(self._sealer, channel.tenant, address))
        return self._url(UNSUBSCRIBE_PATH, link) if self._base.startswith("https:") else ""

    def _url(self, path: str, link: MailLink) -> str:
        return f"{self._base}{path}?{LINK}={self.token(path, link)}" if self._base else ""

    def token(self, path: str, link: MailLink) -> str:
        """The token of a link to one of the pages."""
        parts = [link.tenant, link.channel_id, link.mark, *filter(None, [link.code_id])]
        payload = _to_text(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode())
        return f"{payload}.{self._signature(path, payload)}"

    def open(self, path: str, token: str) -> MailLink:
        """What a token is about. Raises LinkInvalid."""
        payload, _, signature = token.partition(".")
        given = signature.encode(errors="replace")
        genuine = hmac.compare_digest(self._signature(path, payload).encode(), given)
        if len(token) > LONGEST_TOKEN or not genuine:
            raise LinkInvalid
        try:
            return MailLink(*json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
        except (binascii.Error, ValueError, TypeError):
            # Signed by us in a form of another time.
            raise LinkInvalid from None

    def _signature(self, path: str, payload: str) -> str:
        text = payload.encode(errors="replace").decode()
        return _to_text(self._sealer.digest(f"link {path}", text)[:SIGNATURE_BYTES])


def mark(sealer: Sealer, tenant: str, address: str) -> str:
    """What stands for an address of a tenant. Nobody without the keys can tell which it is, or whether two tenants have
    the same one."""
    return sealer.digest("address", f"{tenant}\0{address.lower()}").hex()


def _to_text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
