"""All settings together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from environs import Env, EnvError, validate

from monitors.mesh.config import values
from monitors.mesh.config.evaluator import EvaluatorSettings, read_evaluator
from monitors.mesh.config.metrics import MetricsSettings, read_metrics
from monitors.mesh.config.notifier import NotifierSettings, read_notifier
from monitors.mesh.config.redis import RedisSettings, read_redis
from monitors.mesh.config.rules import RulesSettings, read_rules
from monitors.mesh.config.shared import read_shared
from monitors.mesh.config.tls import TlsSettings, read_tls
from monitors.mesh.config.tracing import TracingSettings, read_tracing
from monitors.mesh.database_urls import SQLITE, is_server
from monitors.mesh.masking import Secret, SecretUrl
from monitors.mesh.quotas import Tiers

LOG_FORMATS = ("text", "json")


class BadSetting(Exception):
    """An environment variable has a wrong value. The message names it and the accepted form."""


@dataclass(frozen=True)
class Settings:
    """Everything the operator can set."""

    home: Path
    host: str
    grpc_port: int
    http_port: int
    mcp_port: int
    influxdb_url: str
    rules_address: str
    """RuleService's; empty if nobody has named it, as where it's in the same process."""
    evaluator_address: str
    service_token: Secret
    rules: RulesSettings
    evaluator: EvaluatorSettings
    notifier: NotifierSettings
    redis: RedisSettings | None = None
    quotas: Tiers = field(default_factory=Tiers)
    """What each tier allows."""
    metrics: MetricsSettings | None = None
    """Where metrics are exported; None for nowhere."""
    tracing: TracingSettings | None = None
    """Where spans are exported; None for nowhere."""
    log_format: str = LOG_FORMATS[0]
    """How log lines are written: `text` or `json`."""
    tls: TlsSettings | None = None
    """What the services speak TLS with; None for plain text."""
    has_https: bool = False
    """Whether points over HTTP are taken over TLS, with the certificate of `tls`."""
    has_reflection: bool = False
    """Whether a served service describes its methods to whoever asks; `monitors up` always does."""
    health_port: int = 0
    """Where health alone is answered, in plain text, for those who have no certificate; 0 for nowhere."""

    @property
    def health_address(self) -> str:
        """Where health alone is answered; empty for nowhere."""
        return f"{self.host}:{self.health_port}" if self.health_port else ""

    @property
    def key_file(self) -> Path:
        """The local API key, mode 0600."""
        return self.home / "key"

    def tenant_key_file(self, tenant: str) -> Path:
        """The first API key of a tenant besides `local`, mode 0600."""
        return self.home / "tenants" / f"{tenant}.key"

    @property
    def socket(self) -> Path:
        """The unix socket over which the services of one process speak, in a folder of mode 0700."""
        return self.home / "run" / "mesh.sock"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads the environment. Raises BadSetting."""
    env = Env() if environment is None else FrozenEnv(environment)
    try:
        return _read(env)
    except EnvError as error:
        raise BadSetting(str(error)) from error


class FrozenEnv(Env):
    """An environment from a mapping, for tests."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self._mapping = environment

    def _get_value(self, key: str, default: object) -> object:
        return self._mapping.get(key, default)


def _read(env: Env) -> Settings:
    home = Path(env.str("MONITORS_HOME", "~/.monitors")).expanduser()
    host = env.str("MONITORS_HOST", "127.0.0.1")
    influxdb_url = SecretUrl(env.str("INFLUXDB_URL", ""))
    grpc_port = env.int("MONITORS_GRPC_PORT", 50051, **values.PORT)
    # The InfluxDB itself is at 8086.
    http_port = env.int("MONITORS_HTTP_PORT", 8087 if influxdb_url else 8086, **values.PORT)
    shared = read_shared(env)
    rules_url = values.database_url(env, "DATABASE_URL", _file(home, "rules"))
    # On a server both have their tables in one database, unless they are given one each.
    notifier_url = rules_url if is_server(rules_url) else _file(home, "notifier")
    return Settings(
        home=home,
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        mcp_port=env.int("MONITORS_MCP_PORT", 9122, **values.PORT),
        influxdb_url=influxdb_url,
        rules_address=values.grpc_target(env, "MONITORS_RULES_ADDRESS"),
        evaluator_address=env.str("MONITORS_EVALUATOR_ADDRESS", f"127.0.0.1:{grpc_port}"),
        service_token=Secret(env.str("MONITORS_SERVICE_TOKEN", "")),
        rules=read_rules(env, rules_url, shared),
        evaluator=read_evaluator(env, _file(home, "samples"), host, http_port, shared),
        notifier=read_notifier(env, notifier_url, home, host, shared),
        redis=read_redis(env),
        quotas=shared.quotas,
        metrics=read_metrics(env),
        tracing=read_tracing(env),
        log_format=env.str("MONITORS_LOG_FORMAT", LOG_FORMATS[0], validate=validate.OneOf(list(LOG_FORMATS))),
        tls=read_tls(env),
        has_https=_has_https(env),
        has_reflection=env.bool("MONITORS_REFLECTION", False),
        health_port=env.int("MONITORS_HEALTH_PORT", 0, **values.PORT),
    )


def _file(home: Path, service: str) -> SecretUrl:
    return SecretUrl(f"{SQLITE}{home / f'{service}.db'}")


def _has_https(env: Env) -> bool:
    wanted = env.bool("MONITORS_HTTP_TLS", False)
    if wanted and read_tls(env) is None:
        raise EnvError("MONITORS_HTTP_TLS needs a certificate: set MONITORS_TLS_CERT_FILE and what belongs to it")
    return wanted
