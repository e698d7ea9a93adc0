"""Where the kinds of channels send to. Secrets are `Secret`, so that they never print themselves."""

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from monitors.mesh.masking import Secret
from monitors.notifier.model.services import SERVICES, scheme_of

# Public: what every secret begins with.
WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105
PAGER_DUTY_URL = "https://events.pagerduty.com/v2/enqueue"


@dataclass(frozen=True)
class ConsoleTarget:
    """The terminal of the notifier."""

    kind: ClassVar[str] = "console"


@dataclass(frozen=True)
class WebhookTarget:
    """An endpoint that takes signed JSON. `secret` is `whsec_` and base64."""

    url: Secret
    secret: Secret
    former_secret: Secret | None = None
    """What else is signed with while receivers are given the new one; None if nothing is."""
    former_until: int = 0
    """Until when, in nanoseconds since 1970."""
    kind: ClassVar[str] = "webhook"

    def secrets(self, now: int) -> tuple[Secret, ...]:
        """What a message is signed with `now`."""
        return (self.secret, self.former_secret) if self.former_secret and now < self.former_until else (self.secret,)


@dataclass(frozen=True)
class EmailTarget:
    """Some mailboxes. Who hasn't said yes, or has said no since, is written nothing; see `model.verification`."""

    addresses: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    """Those of them that wait for verification."""
    unsubscribed: tuple[str, ...] = ()
    """Those of them that have unsubscribed."""
    kind: ClassVar[str] = "email"

    @property
    def receiving(self) -> tuple[str, ...]:
        """Those that are written to."""
        return tuple([one for one in self.addresses if one not in self.waiting and one not in self.unsubscribed])


@dataclass(frozen=True)
class SlackTarget:
    """A Slack incoming webhook."""

    url: Secret
    kind: ClassVar[str] = "slack"


@dataclass(frozen=True)
class DiscordTarget:
    """A Discord webhook."""

    url: Secret
    kind: ClassVar[str] = "discord"


@dataclass(frozen=True)
class TeamsTarget:
    """A workflow of Microsoft Teams."""

    url: Secret
    kind: ClassVar[str] = "teams"


@dataclass(frozen=True)
class PagerDutyTarget:
    """An integration of PagerDuty (Events API v2), and where its account takes events."""

    routing_key: Secret
    events_url: str = PAGER_DUTY_URL
    kind: ClassVar[str] = "pager_duty"


@dataclass(frozen=True)
class AppriseTarget:
    """A service that Apprise reaches, by its URL."""

    url: Secret
    kind: ClassVar[str] = "apprise"

    @property
    def service(self) -> str:
        """The service's name."""
        return SERVICES.get(scheme_of(self.url.reveal()), "")


@dataclass(frozen=True)
class LostTarget:
    """A target whose secrets can't be opened any more, because the master key isn't the one that sealed them."""

    kind: str


Chat = SlackTarget | DiscordTarget | TeamsTarget
"""What is told by a URL that is all secret."""
Target = ConsoleTarget | WebhookTarget | EmailTarget | Chat | PagerDutyTarget | AppriseTarget | LostTarget
# As what is stored of a channel says which it is.
TARGETS = {
    target.kind: target
    for target in (
        ConsoleTarget, WebhookTarget, EmailTarget, SlackTarget, DiscordTarget, TeamsTarget, PagerDutyTarget,
        AppriseTarget,
    )
}  # fmt: skip

LOST_REASON = (
    "its secrets can't be opened with the present master key; enter them again by updating the channel, "
    "or restore the old master key"
)


def display_url(url: Secret) -> str:
    """The URL as it may be shown: without user info, query and fragment, where secrets hide."""
    parts = urlsplit(url.reveal())
    return SplitResult(parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "").geturl()


def url_of(target: Target) -> str:
    """Where messages are posted, secrets included; empty where that isn't the channel's own."""
    match target:
        case WebhookTarget(url=url) | SlackTarget(url) | DiscordTarget(url) | TeamsTarget(url):
            return url.reveal()
        case PagerDutyTarget(_, events_url):
            return events_url
        case _:
            return ""


def credential_of(target: Target) -> str:
    """What tells a channel's endpoint from another one's, secrets included; empty where nothing does."""
    match target:
        case PagerDutyTarget(routing_key, _):
            return routing_key.reveal()
        case AppriseTarget(url):
            return url.reveal()
        case _:
            return url_of(target)


def host_of(target: Target) -> str:
    """The host to which messages go; empty where it isn't the channel's own."""
    return urlsplit(url_of(target)).hostname or ""
