"""Channels: their kinds, and what makes one valid. Secrets are `Secret`, so that they never print themselves."""

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from monitors.mesh.addresses import is_local_name, may_name
from monitors.mesh.errors import EtagMismatch, InvalidField
from monitors.mesh.masking import Secret
from monitors.notifier.model.grouping import Grouping, default_grouping

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
ID_PREFIX = "chan_"
MAX_URL = 2048
MAX_ADDRESSES = 20
SLACK_HOST = "hooks.slack.com"
# Public: what every secret begins with.
WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105
# The syntax that HTML's e-mail inputs accept: what real mail servers take, and nothing that could break a header.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True)
class ConsoleTarget:
    """The terminal of the notifier."""

    kind: ClassVar[str] = "console"


@dataclass(frozen=True)
class WebhookTarget:
    """An endpoint that takes signed JSON. `secret` is `whsec_` and base64."""

    url: Secret
    secret: Secret
    kind: ClassVar[str] = "webhook"


@dataclass(frozen=True)
class EmailTarget:
    """Some mailboxes."""

    addresses: tuple[str, ...]
    kind: ClassVar[str] = "email"


@dataclass(frozen=True)
class SlackTarget:
    """A Slack incoming webhook."""

    url: Secret
    kind: ClassVar[str] = "slack"


@dataclass(frozen=True)
class LostTarget:
    """A target whose secrets can't be opened any more, because the master key isn't the one that sealed them."""

    kind: str


Target = ConsoleTarget | WebhookTarget | EmailTarget | SlackTarget | LostTarget

LOST_REASON = (
    "its secrets can't be opened with the present master key; enter them again by updating the channel, "
    "or restore the old master key"
)


@dataclass(frozen=True)
class Channel:
    """Where a tenant's people are told. `create_time` is nanoseconds since 1970."""

    tenant: str
    id: str
    name: str
    target: Target
    is_default: bool = False
    send_resolved: bool = True
    disabled_reason: str = ""
    create_time: int = 0
    revision: int = 1
    heartbeat_interval: int = 0
    """How often it's told that the mesh is alive, in nanoseconds; 0 is never."""
    own_grouping: Grouping | None = None
    """How it groups if that isn't as usual for its kind."""

    @property
    def kind(self) -> str:
        """`console`, `webhook`, `email` or `slack`."""
        return self.target.kind

    @property
    def grouping(self) -> Grouping:
        """How it groups."""
        return self.own_grouping or default_grouping(self.kind)

    @property
    def etag(self) -> str:
        """Changes with every change, and isn't that of another channel of the same name."""
        return hashlib.sha256(f"{self.id}/{self.revision}".encode()).hexdigest()[:12]

    @property
    def unusable_reason(self) -> str:
        """Why nothing can be sent to it; empty if it works."""
        return LOST_REASON if isinstance(self.target, LostTarget) else self.disabled_reason


@dataclass(frozen=True)
class Policy:
    """What the operator allows: plain http and targets on this machine or network, and whether mail can be sent."""

    allow_local_targets: bool
    has_mail_server: bool


@dataclass(frozen=True)
class Change:
    """What to change of a channel; None leaves it as it is."""

    target: Target | None = None
    is_default: bool | None = None
    send_resolved: bool | None = None
    heartbeat_interval: int | None = None
    grouping: Grouping | None = None


def apply_change(channel: Channel, change: Change, etag: str) -> Channel:
    """The changed channel. A new target makes a disabled channel work again. Raises EtagMismatch."""
    check_etag(channel, etag)
    return replace(
        channel,
        target=channel.target if change.target is None else change.target,
        disabled_reason=channel.disabled_reason if change.target is None else "",
        is_default=channel.is_default if change.is_default is None else change.is_default,
        send_resolved=channel.send_resolved if change.send_resolved is None else change.send_resolved,
        heartbeat_interval=(
            channel.heartbeat_interval if change.heartbeat_interval is None else change.heartbeat_interval
        ),
        own_grouping=change.grouping or channel.own_grouping,
        revision=channel.revision + 1,
    )


def check_etag(channel: Channel, etag: str) -> None:
    """Raises EtagMismatch if an etag was sent and isn't the channel's."""
    if etag and etag != channel.etag:
        raise EtagMismatch("channel", channel.name, etag, channel.etag)


def check_name(name: str) -> str:
    """The name if it's valid. Raises InvalidField."""
    if not NAME.fullmatch(name):
        raise InvalidField(
            "channel.name",
            f"{shorten(name)!r} isn't a channel name; send 1 to 64 of a–z, A–Z, 0–9, `-`, `_` and `.`, such as `ops`",
        )
    if name.startswith(ID_PREFIX):
        raise InvalidField("channel.name", f"{name!r} looks like an id; choose a name that doesn't begin with `chan_`")
    return name


def check_webhook(url: str, secret: str, policy: Policy) -> WebhookTarget:
    """A webhook target; makes a secret if there is none. Raises InvalidField."""
    check_url("channel.webhook.url", url, policy)
    return WebhookTarget(Secret(url), check_webhook_secret(secret) if secret else new_webhook_secret())


def check_webhook_secret(secret: str) -> Secret:
    """The secret if Standard Webhooks allows it. Raises InvalidField, which doesn't repeat it."""
    fix = "send `whsec_` followed by the base64 of 24 to 64 bytes, or leave it empty and one is made"
    if not secret.startswith(WEBHOOK_SECRET_PREFIX):
        raise InvalidField("channel.webhook.secret", f"it doesn't begin with `whsec_`; {fix}")
    try:
        size = len(base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        raise InvalidField("channel.webhook.secret", f"what follows `whsec_` isn't base64; {fix}") from None
    if not 24 <= size <= 64:
        raise InvalidField("channel.webhook.secret", f"it has {size} bytes; {fix}")
    return Secret(secret)


def new_webhook_secret() -> Secret:
    """A secret of 32 random bytes."""
    return Secret(WEBHOOK_SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())


def check_slack(url: str, policy: Policy) -> SlackTarget:
    """A Slack target. Raises InvalidField, which doesn't repeat the URL, as all of it is secret."""
    field = "channel.slack.webhook_url"
    parts = _split(field, url)
    if policy.allow_local_targets and is_local_name(parts.hostname or ""):
        return SlackTarget(Secret(url))
    if parts.scheme != "https" or parts.hostname != SLACK_HOST or not parts.path.startswith("/"):
        raise InvalidField(
            field,
            f"not the URL of a Slack incoming webhook; it begins with `https://{SLACK_HOST}/` "
            "(api.slack.com/apps, your app, Incoming Webhooks, Add New Webhook)",
        )
    return SlackTarget(Secret(url))


def check_email(addresses: tuple[str, ...], policy: Policy) -> EmailTarget:
    """An e-mail target, each address once. Raises InvalidField."""
    field = "channel.email.addresses"
    if not policy.has_mail_server:
        raise InvalidField(
            field,
            "the notifier has no mail server; the operator sets SMTP_HOST (and SMTP_PORT, SMTP_USERNAME, "
            "SMTP_PASSWORD, SMTP_SECURITY, SMTP_FROM) and starts it again",
        )
    unique = tuple(dict.fromkeys(addresses))
    if not 1 <= len(unique) <= MAX_ADDRESSES:
        raise InvalidField(field, f"{len(unique)} addresses; send 1 to {MAX_ADDRESSES}")
    for address in unique:
        if len(address) > 254 or not EMAIL.fullmatch(address):
            raise InvalidField(
                field,
                f"{shorten(address)!r} isn't an e-mail address; send one such as `ann@example.org`",
            )
    return EmailTarget(unique)


def check_url(field: str, url: str, policy: Policy) -> None:
    """Raises InvalidField unless the notifier may post to `url`. Names are looked up and checked at each sending."""
    parts = _split(field, url)
    schemes = ("https", "http") if policy.allow_local_targets else ("https",)
    if parts.scheme not in schemes:
        raise InvalidField(
            field,
            f"{shorten(parts.scheme)!r} isn't a scheme that is allowed here; send a URL that begins with "
            f"{' or '.join(f'`{scheme}://`' for scheme in schemes)}",
        )
    host = parts.hostname or ""
    if not may_name(host, policy.allow_local_targets):
        raise InvalidField(
            field,
            f"{shorten(host)!r} is a name or address inside of a network, or an unusual spelling of one; "
            "send the URL of an endpoint on the internet",
        )


def display_url(url: Secret) -> str:
    """The URL as it may be shown: without user info, query and fragment, where secrets hide."""
    parts = urlsplit(url.reveal())
    return SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "").geturl()


def host_of(target: Target) -> str:
    """The host to which messages go; empty where it isn't the channel's own."""
    match target:
        case WebhookTarget(url, _) | SlackTarget(url):
            return urlsplit(url.reveal()).hostname or ""
        case _:
            return ""


def shorten(text: str, limit: int = 80) -> str:
    """At most `limit` characters of a text, for error messages."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _split(field: str, url: str) -> SplitResult:
    if len(url) > MAX_URL:
        raise InvalidField(field, f"{len(url)} characters; send at most {MAX_URL:,}")
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete or not url.isprintable() or " " in url:
        raise InvalidField(field, "not a complete URL; send one such as `https://example.org/hooks/alerts`")
    if "@" in parts.netloc:
        raise InvalidField(field, "it holds a user name or password; send a URL without")
    return parts
