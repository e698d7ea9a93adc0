"""A mail as each of its readers gets it: where they can unsubscribe by one click, each gets a mail of their own, since
their link stands in it.

One click is as RFC 8058 says: the mail program posts to the address in `List-Unsubscribe`.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy

from monitors.notifier.mail_links import MailLinks
from monitors.notifier.model.channel import Channel

UNSUBSCRIBE, ONE_CLICK = "List-Unsubscribe", "List-Unsubscribe-Post"


class _Whole(UnstructuredHeader, BaseHeader):
    """A header whose value is one long word, which would else be broken up and encoded, so that no program reads it."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_registry = HeaderRegistry()
_registry.map_to_type(UNSUBSCRIBE, _Whole)
POLICY = SMTP.clone(header_factory=_registry)
"""That of mails that can have such a header."""


@dataclass(frozen=True)
class Letter:
    """What goes to some addresses, with the headers that are theirs alone."""

    mail: EmailMessage
    addresses: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def whole(self) -> EmailMessage:
        """The mail with its headers."""
        if not self.headers:
            return self.mail
        mail = copy(self.mail)
        del mail["To"]
        mail["To"] = ", ".join(self.addresses)
        for name, value in self.headers.items():
            mail[name] = value
        return mail


def letters(mail: EmailMessage, channel: Channel, addresses: Sequence[str], links: MailLinks) -> list[Letter]:
    """One for each address if they can unsubscribe, else one for all. An address that differs in its case alone gets
    one."""
    unique = list({one.lower(): one for one in addresses}.values())
    urls = {one: links.unsubscribing(channel, one) for one in unique}
    if not all(urls.values()):
        return [Letter(mail, addresses)]
    return [
        Letter(mail, (one,), {UNSUBSCRIBE: f"<{url}>", ONE_CLICK: "List-Unsubscribe=One-Click"})
        for one, url in urls.items()
    ]
