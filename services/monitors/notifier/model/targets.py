"""Where the kinds of channels send to. Secrets are `Secret`, so that they never print themselves."""

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from monitors.mesh.masking import Secret

# Public: what every secret begins with.
WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105


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
