"""What more than one service is told."""

from dataclasses import dataclass, field

from environs import Env, ValidationError, validate

from monitors.mesh.config import values
from monitors.mesh.quotas import DEFAULTS, ENTERPRISE, Tiers, changed_quotas
from monitors.mesh.times import DAY

AUDIT_KEPT = 400 * DAY
CONNECTIONS = 10


@dataclass(frozen=True)
class Shared:
    """The settings of all services alike."""

    connections: int = CONNECTIONS
    """How many connections to a server each process keeps at most."""
    audit_kept: int = AUDIT_KEPT
    """How long the audit is kept, in nanoseconds; 0 for ever."""
    quotas: Tiers = field(default_factory=Tiers)
    """What each tier allows."""


def read_shared(env: Env) -> Shared:
    """Reads the environment. Raises EnvError."""
    return Shared(
        connections=env.int("MONITORS_DATABASE_CONNECTIONS", CONNECTIONS, **values.CONNECTION_COUNT),
        audit_kept=int(env.float("MONITORS_AUDIT_DAYS", AUDIT_KEPT / DAY, **values.KEPT_DAYS) * DAY),
        quotas=_quotas(env),
    )


def _quotas(env: Env) -> Tiers:
    default = env.str("MONITORS_DEFAULT_TIER", ENTERPRISE, validate=validate.OneOf(list(DEFAULTS)))
    changes = values.listed(env, "MONITORS_QUOTAS", _check_quota)
    return Tiers(changed_quotas(changes), default)


def _check_quota(change: str) -> None:
    try:
        changed_quotas([change])
    except ValueError as error:
        raise ValidationError(str(error)) from None
