"""What a tenant may use, by its tier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from monitors.mesh.errors import QuotaExceeded
from monitors.mesh.times import SECOND

FREE, PRO, ENTERPRISE = "free", "pro", "enterprise"
UNLIMITED = "unlimited"
"""The tier of the tenant `local`: whoever runs the mesh needs no protection from themselves."""
LARGEST = 1_000_000_000


# Waiting alone gives no room for another rule; a client that tries again by itself at least doesn't do so at once.
RETRY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Quotas:
    """The most that a tenant of a tier may use."""

    tier: str
    rules: int
    """How many rules."""
    interval: int
    """The shortest interval of a rule, in nanoseconds."""
    channels: int
    """How many channels."""
    keys: int
    """How many API keys that haven't ended."""
    requests: int
    """How many requests a second, those to all services taken together; ten times as many at once. 0 for any number."""
    messages: int = 0
    """How many messages an hour, those of all channels taken together; as many at once. 0 for any number."""
    mails: int = 0
    """How many of them are e-mails, a day; as many at once. 0 for any number."""

    def exceeded(self, quota: str, limit: str, message: str, retry_after: float = RETRY_SECONDS) -> QuotaExceeded:
        """The error for what is too much, with when to try again, in seconds."""
        return QuotaExceeded(
            message, metadata={"quota": quota, "limit": limit, "tier": self.tier}, retry_after=retry_after
        )


NOT_BOUNDED = Quotas(UNLIMITED, rules=LARGEST, interval=0, channels=200, keys=LARGEST, requests=0)
DEFAULTS: Mapping[str, Quotas] = MappingProxyType(
    {
        each.tier: each
        for each in (
            Quotas(FREE, rules=20, interval=30 * SECOND, channels=3, keys=10, requests=5, messages=500, mails=100),
            Quotas(
                PRO, rules=500, interval=10 * SECOND, channels=30, keys=100, requests=50, messages=5_000, mails=2_000
            ),
            Quotas(ENTERPRISE, rules=50_000, interval=SECOND, channels=200, keys=1_000, requests=1_000),
            NOT_BOUNDED,
        )
    }
)
NAMES = ("rules", "interval", "channels", "keys", "requests", "messages", "mails")


@dataclass(frozen=True, slots=True)
class Tiers:
    """The quotas of each tier, and the tier of tenants that have none of their own."""

    quotas: Mapping[str, Quotas] = field(default_factory=lambda: DEFAULTS)
    default: str = ENTERPRISE

    def of(self, tier: str) -> Quotas:
        """The quotas of a tier. One that isn't known here, which another system may have, has those of `free`."""
        return self.quotas.get(tier or self.default) or self.quotas[FREE]


def changed_quotas(changes: Sequence[str]) -> Mapping[str, Quotas]:
    """The default quotas with changes such as `free.rules=50`; an interval is in seconds. Raises ValueError."""
    quotas = dict(DEFAULTS)
    for change in changes:
        path, _, number = (part.strip() for part in change.partition("="))
        tier, _, name = path.partition(".")
        if tier not in DEFAULTS or name not in NAMES or not (number.isascii() and number.isdigit()):
            raise ValueError(
                f"{change!r} isn't a quota; write `TIER.QUOTA=NUMBER`, such as `free.rules=50`, with a tier of "
                f"{', '.join(DEFAULTS)} and one of {', '.join(NAMES)} (the interval in seconds)"
            )
        if int(number) > LARGEST:
            raise ValueError(f"{change!r} is too large; at most {LARGEST}")
        amount: dict[str, Any] = {name: int(number) * SECOND if name == "interval" else int(number)}
        quotas[tier] = replace(quotas[tier], **amount)
    return MappingProxyType(quotas)
