"""EvaluatorService's settings."""

from dataclasses import dataclass, field

from environs import Env, EnvError

from monitors.mesh.config import values
from monitors.mesh.config.shared import Shared
from monitors.mesh.database_urls import is_server
from monitors.mesh.masking import SecretUrl
from monitors.mesh.quotas import Tiers
from monitors.mesh.times import DAY, SECOND

MAX_SERIES = 100_000
MAX_INSTANCES = 10_000
WINDOW_POINTS = 200_000_000


@dataclass(frozen=True)
class PollSettings:
    """How an InfluxDB is polled, if points are read from one."""

    interval: float = 5.0
    """Seconds between two polls, more or less."""
    allowance: int = 30 * SECOND
    """How much later than it was measured a point may be written and still be evaluated in its time, in nanoseconds:
    everything is evaluated that much later."""
    tenant: str = ""
    """Whose all monitors there are; empty if the user system says whose each is, or if all are `local`'s."""


@dataclass(frozen=True)
class EvaluatorSettings:
    """EvaluatorService: its history, and where it takes points over HTTP."""

    database_url: str
    http_host: str
    http_port: int
    retention: int
    """How long points are kept, in nanoseconds."""
    address: str = ""
    """The gRPC address at which RuleService can call this evaluator."""
    max_series: int = MAX_SERIES
    """How many series a tenant may have."""
    history_bytes: int = 10_000_000_000
    """How much of the disk the points may take; beyond it the oldest go first."""
    max_instances: int = MAX_INSTANCES
    """How many series a rule may watch, each for itself; it watches the first ones."""
    window_points: int = WINDOW_POINTS
    """How many recent points are kept in memory, at 16 bytes each; beyond it rules look back less far."""
    quotas: Tiers = field(default_factory=Tiers)
    """What each tier allows."""
    poll: PollSettings = PollSettings()
    is_only: bool = False
    """Whether there can be no other evaluator, as RuleService is in the same process and keeps its tables in a file."""


def read_evaluator(env: Env, default_url: SecretUrl, host: str, port: int, shared: Shared) -> EvaluatorSettings:
    """Reads the environment. Raises EnvError."""
    days = env.float("MONITORS_RETENTION_DAYS", 30.0, **values.DAYS)
    gigabytes = env.float("MONITORS_HISTORY_GB", 10.0, **values.GIGABYTES)
    return EvaluatorSettings(
        database_url=_samples_url(env, default_url),
        http_host=host,
        http_port=port,
        retention=int(days * DAY),
        max_series=env.int("MONITORS_MAX_SERIES", MAX_SERIES, **values.COUNT),
        history_bytes=int(gigabytes * 1e9),
        max_instances=env.int("MONITORS_MAX_INSTANCES", MAX_INSTANCES, **values.COUNT),
        window_points=env.int("MONITORS_WINDOW_POINTS", WINDOW_POINTS, **values.BIG_COUNT),
        quotas=shared.quotas,
        poll=_poll(env),
    )


def _poll(env: Env) -> PollSettings:
    allowance = env.float("MONITORS_INFLUXDB_LATENESS_SECONDS", PollSettings.allowance / SECOND, **values.LATENESS)
    return PollSettings(
        interval=env.float("MONITORS_INFLUXDB_POLL_SECONDS", PollSettings.interval, **values.POLL),
        allowance=int(allowance * SECOND),
        tenant=env.str("MONITORS_INFLUXDB_TENANT", "", validate=_check_tenant_or_none),
    )


def _samples_url(env: Env, default: SecretUrl) -> SecretUrl:
    url = values.database_url(env, "MONITORS_SAMPLES_URL", default)
    if is_server(url):
        raise EnvError("MONITORS_SAMPLES_URL must be sqlite:///PATH: the evaluator keeps its points in a file")
    return url


def _check_tenant_or_none(name: str) -> None:
    if name:
        values.check_tenant(name)
