"""RuleService's settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from environs import Env, EnvError, ValidationError

from monitors.mesh.config import values
from monitors.mesh.config.shared import AUDIT_KEPT, CONNECTIONS, Shared
from monitors.mesh.identity.settings import NOBODY_ELSE, IdentitySettings, read_identity
from monitors.mesh.masking import Secret, SecretUrl
from monitors.mesh.quotas import DEFAULTS, Tiers
from monitors.mesh.times import DAY

POLL_SECONDS = 0.25
ALERTS_KEPT = 90 * DAY


@dataclass(frozen=True)
class RulesSettings:
    """RuleService: where it keeps what it knows, and whom it serves."""

    database_url: str
    database_connections: int = CONNECTIONS
    """How many connections to a server each process keeps at most."""
    tenants: tuple[str, ...] = ()
    """Tenants besides `local`."""
    tiers: Mapping[str, str] = field(default_factory=dict)
    """The tiers of those of the tenants that have one."""
    bridge_secrets: tuple[Secret, ...] = ()
    """What MCP bridges sign their statements with; any of them is taken, so that one can be replaced by another."""
    key_peppers: tuple[Secret, ...] = ()
    """What API keys are hashed with: new ones with the first. None for bare hashes."""
    takes_bare_keys: bool = True
    """Whether keys are taken that were made, and last used, before there was a pepper."""
    makes_first_keys: bool = True
    """Whether a tenant that is made gets an API key in a file, as is of use where that file stays."""
    makes_first_keys_anew: bool = False
    """Whether it gets one also where another RuleService has made one, whose file is lost."""
    audit_kept: int = AUDIT_KEPT
    """How long the audit is kept, in nanoseconds; 0 for ever."""
    alerts_kept: int = ALERTS_KEPT
    """How long alerts that are over are kept, in nanoseconds; 0 for ever."""
    quotas: Tiers = field(default_factory=Tiers)
    """What each tier allows."""
    poll_seconds: float = POLL_SECONDS
    """How often it looks for what other processes have changed, which Redis tells at once, but may fail to."""
    identity: IdentitySettings = NOBODY_ELSE
    """Who else may say who somebody is."""

    def tier_of(self, tenant: str) -> str:
        """A tenant's tier; empty if it has none of its own."""
        return self.tiers.get(tenant, "")


def read_rules(env: Env, url: SecretUrl, shared: Shared) -> RulesSettings:
    """Reads the environment. Raises EnvError."""
    peppers = tuple(map(Secret, values.listed(env, "MONITORS_KEY_PEPPER", values.check_secret)))
    takes_bare = env.bool("MONITORS_TAKE_BARE_KEYS", True)
    if not (peppers or takes_bare):
        raise EnvError("MONITORS_TAKE_BARE_KEYS is off, but MONITORS_KEY_PEPPER isn't set; set it, or no key is taken")
    makes_anew = env.str("MONITORS_MAKE_FIRST_KEYS", "").strip().lower() == "again"
    tenants = dict(map(_tenant_and_tier, values.listed(env, "MONITORS_TENANTS", _check_tenant)))
    return RulesSettings(
        database_url=url,
        database_connections=shared.connections,
        tenants=tuple(tenants),
        tiers={tenant: tier for tenant, tier in tenants.items() if tier},
        bridge_secrets=tuple(map(Secret, values.listed(env, "MONITORS_BRIDGE_SECRET", values.check_secret))),
        key_peppers=peppers,
        takes_bare_keys=takes_bare,
        makes_first_keys=makes_anew or env.bool("MONITORS_MAKE_FIRST_KEYS", True),
        makes_first_keys_anew=makes_anew,
        audit_kept=shared.audit_kept,
        alerts_kept=int(env.float("MONITORS_ALERT_DAYS", ALERTS_KEPT / DAY, **values.ALERT_DAYS) * DAY),
        quotas=shared.quotas,
        poll_seconds=env.float("MONITORS_POLL_SECONDS", POLL_SECONDS, **values.SECONDS),
        identity=read_identity(env),
    )


def _tenant_and_tier(text: str) -> tuple[str, str]:
    name, _, tier = text.partition("=")
    return name.strip(), tier.strip()


def _check_tenant(text: str) -> None:
    name, tier = _tenant_and_tier(text)
    values.check_tenant(name)
    if "=" in text and tier not in DEFAULTS:
        raise ValidationError(f"{tier!r} isn't a tier; `{name}=pro` gives {name} one of {', '.join(DEFAULTS)}")
