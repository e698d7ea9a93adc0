"""How much an endpoint takes: a bucket of tokens for each, of which every message uses up one.

To wait at an empty bucket is no failure: what waits for a token isn't leased, and uses up none of its attempts.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from monitors.mesh.limits import MOST_BUCKETS, take_some
from monitors.mesh.quotas import Tiers
from monitors.mesh.times import DAY, HOUR, SECOND
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.targets import EmailTarget, credential_of

BURST_SECONDS = 10
"""A webhook's endpoint, and a tenant, may have this many seconds' worth at once."""
ORDINARY_SHARE = 0.8
"""Of what a tier allows, how much messages may use up that aren't critical."""


@dataclass(frozen=True)
class Endpoint:
    """Where messages go, as a bucket: it gains `rate` tokens a second and holds `burst` at most. What is secret of it
    isn't in its `key`."""

    key: str
    rate: float
    burst: int


PROVIDERS: Mapping[str, tuple[float, int]] = MappingProxyType(
    {
        "slack": (1.0, 3),
        "discord": (1.0, 5),
        "teams": (0.5, 4),
        "pager_duty": (2.0, 10),
        "apprise": (0.5, 3),
        "email": (10.0, 10),
    }
)
"""What the providers let a client send in a second, and at once."""


@dataclass(frozen=True)
class Rates:
    """What the operator allows, a second; 0 for any number.

    A webhook's endpoint is its owner's own machine, which answers 429 when it wants less, and an outage makes thousands
    of alerts within a second that all must be told: so it gets far more than a provider of chats does.
    """

    webhook: float
    tenant: float
    tiers: Tiers = field(default_factory=Tiers)

    def of(self, channel: Channel, *, is_critical: bool = False) -> tuple[Endpoint, ...]:
        """The buckets that a message to a channel takes a token of: that of its endpoint, that of its tenant, and those
        of what the tenant's tier allows."""
        if channel.kind == "console":
            return ()
        rate, burst = PROVIDERS.get(channel.kind, (self.webhook, _burst(self.webhook)))
        # The mail server is the operator's, whoever's the mailboxes are.
        owner = "" if isinstance(channel.target, EmailTarget) else channel.tenant
        found = (
            Endpoint(f"endpoint:{owner}:{channel.kind}:{_credential(channel)}", rate, burst),
            Endpoint(f"messages:{channel.tenant}", self.tenant, _burst(self.tenant)),
        )
        return (*[endpoint for endpoint in found if endpoint.rate], *self.allowed(channel, is_critical=is_critical))

    def allowed(self, channel: Channel, *, is_critical: bool = False) -> tuple[Endpoint, ...]:
        """The buckets of what the tenant's tier allows, those of less than critical messages first: these leave a share
        to critical ones."""
        quotas = self.tiers.of(channel.tier)
        is_mail = isinstance(channel.target, EmailTarget)
        found = []
        for name, most, span in (("hourly", quotas.messages, HOUR), ("mails", quotas.mails if is_mail else 0, DAY)):
            if most and not is_critical:
                ordinary = max(1, int(most * ORDINARY_SHARE))
                found.append(Endpoint(f"{name}-ordinary:{channel.tenant}", ordinary * SECOND / span, ordinary))
            if most:
                found.append(Endpoint(f"{name}:{channel.tenant}", most * SECOND / span, most))
        return tuple(found)

    def words(self, channel: Channel) -> str:
        """What the tenant's tier allows."""
        quotas = self.tiers.of(channel.tier)
        mails = f", {quotas.mails:,} e-mails a day" if quotas.mails else ""
        return f"the tier {quotas.tier!r} allows {quotas.messages:,} messages an hour{mails}"


def _burst(rate: float) -> int:
    return max(1, round(rate * BURST_SECONDS))


def _credential(channel: Channel) -> str:
    """What tells an endpoint from others, such as its URL, in which host and credential stand."""
    credential = credential_of(channel.target)
    return hashlib.sha256(credential.encode()).hexdigest()[:32] if credential else ""


class Tokens:
    """The buckets of this process. Times are nanoseconds since 1970, of a clock that may also be set back."""

    def __init__(self) -> None:
        self._full: dict[str, float] = {}

    def left(self, endpoint: Endpoint, now: int) -> int:
        """How many tokens there are."""
        return take_some(self._at(endpoint, now), now / SECOND, endpoint.rate, endpoint.burst, endpoint.burst)[1]

    def next_at(self, endpoint: Endpoint, now: int) -> int:
        """When there is a token; `now` if there is one."""
        wait = take_some(self._at(endpoint, now), now / SECOND, endpoint.rate, endpoint.burst, 1)[2]
        return now + int(wait * SECOND)

    def spend(self, endpoint: Endpoint, count: int, now: int) -> None:
        """Takes tokens that were there."""
        if len(self._full) >= MOST_BUCKETS and endpoint.key not in self._full:
            self._full = {key: full for key, full in self._full.items() if full > now / SECOND}
        self._full[endpoint.key] = take_some(
            self._at(endpoint, now), now / SECOND, endpoint.rate, endpoint.burst, count
        )[0]

    def empty(self, endpoint: Endpoint, wait: float, now: int) -> None:
        """Somebody else has taken what was there: there will be a token after `wait` seconds."""
        self._full[endpoint.key] = now / SECOND + wait + (endpoint.burst - 1) / endpoint.rate

    def _at(self, endpoint: Endpoint, now: int) -> float:
        return self._full.get(endpoint.key, now / SECOND)
