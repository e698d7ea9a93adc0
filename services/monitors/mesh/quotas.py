"""What a tenant may use, by its tier."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from monitors.mesh.times import SECOND

FREE, PRO, ENTERPRISE = "free", "pro", "enterprise"
UNLIMITED = "unlimited"
"""The tier of the tenant `local`: whoever runs the mesh needs no protection from themselves."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """The most that a tenant of a tier may use."""

    rules: int
    """How many rules."""
    interval: int
    """The shortest interval of a rule, in nanoseconds."""
    channels: int
    """How many channels."""
    requests: int
    """How many requests a second, all services taken together; ten times as many at once. 0 for any number."""


DEFAULTS: Mapping[str, Quotas] = MappingProxyType(
    {
        FREE: Quotas(rules=20, interval=30 * SECOND, channels=3, requests=5),
        PRO: Quotas(rules=500, interval=10 * SECOND, channels=30, requests=50),
        ENTERPRISE: Quotas(rules=50_000, interval=SECOND, channels=200, requests=1_000),
        UNLIMITED: Quotas(rules=2**62, interval=0, channels=200, requests=0),
    }
)


@dataclass(frozen=True, slots=True)
class Tiers:
    """The quotas of each tier, and the tier of tenants that have none of their own."""

    quotas: Mapping[str, Quotas] = field(default_factory=lambda: DEFAULTS)
    default: str = ENTERPRISE

    def of(self, tier: str) -> Quotas:
        """The quotas of a tier. One that isn't known here, which another system may have, has those of `free`."""
        return self.quotas.get(tier or self.default) or self.quotas[FREE]
