"""Settings from environment variables, as frozen dataclasses. A wrong value is refused at start with its name."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from environs import Env, EnvError, ValidationError, validate

from monitors.mesh.database_urls import SQLITE, check_database_url, is_server
from monitors.mesh.identity.settings import NOBODY_ELSE, IdentitySettings, read_identity
from monitors.mesh.masking import Secret, SecretUrl
from monitors.mesh.master_keys import FORM, KeysMalformed, MasterKey, read_keys
from monitors.mesh.quotas import DEFAULTS, ENTERPRISE, Tiers, changed_quotas
from monitors.mesh.times import DAY, SECOND

A_PORT = "must be a port, 0 to 65535 (0 takes a free one)"
SOME_SECONDS = "must be a number of seconds, 0.05 to 3600"
SECONDS: Any = {
    "validate": validate.Range(min=0.05, max=3600, error=SOME_SECONDS),
    "error_messages": {"invalid": SOME_SECONDS},
}
PORT: Any = {"validate": validate.Range(min=0, max=65535, error=A_PORT), "error_messages": {"invalid": A_PORT}}
SOME_DAYS = "must be a number of days, 0.01 to 3650"
DAYS: Any = {"validate": validate.Range(min=0.01, max=3650, error=SOME_DAYS), "error_messages": {"invalid": SOME_DAYS}}
MORE_DAYS = "must be a number of days, 1 to 36500, or 0 for ever"
AUDIT_KEPT = 400 * DAY


def _check_audit_days(days: float) -> None:
    if days and not 1 <= days <= 36_500:
        raise ValidationError(MORE_DAYS)


AUDIT_DAYS: Any = {"validate": _check_audit_days, "error_messages": {"invalid": MORE_DAYS}}

POLL_SECONDS = 0.25
MAX_SERIES = 100_000
MAX_INSTANCES = 10_000
WINDOW_POINTS = 200_000_000
A_COUNT = "must be a whole number, 1 to 100000000"
COUNT: Any = {"validate": validate.Range(min=1, max=100_000_000, error=A_COUNT), "error_messages": {"invalid": A_COUNT}}
MANY = "must be a whole number, 100000 to 100000000000"
BIG_COUNT: Any = {
    "validate": validate.Range(min=100_000, max=100_000_000_000, error=MANY),
    "error_messages": {"invalid": MANY},
}
SOME_SIZE = "must be a number of gigabytes, 0.01 to 1000000"
SIZE: Any = {
    "validate": validate.Range(min=0.01, max=1_000_000, error=SOME_SIZE),
    "error_messages": {"invalid": SOME_SIZE},
}

SOME_SECONDS = "must be a number of seconds, 0.2 to 300"
POLL: Any = {
    "validate": validate.Range(min=0.2, max=300, error=SOME_SECONDS),
    "error_messages": {"invalid": SOME_SECONDS},
}
FEW_SECONDS = "must be a number of seconds, 0 to 600"
LATENESS: Any = {
    "validate": validate.Range(min=0, max=600, error=FEW_SECONDS),
    "error_messages": {"invalid": FEW_SECONDS},
}

CONNECTIONS = 10
SOME_CONNECTIONS = "must be a whole number, 2 to 1000"
CONNECTION_COUNT: Any = {
    "validate": validate.Range(min=2, max=1000, error=SOME_CONNECTIONS),
    "error_messages": {"invalid": SOME_CONNECTIONS},
}

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
SHORTEST_SECRET = 32


class BadSetting(Exception):
    """An environment variable has a wrong value. The message names it and the accepted form."""


@dataclass(frozen=True)
class SmtpSettings:
    """The mail server. `security` is `none`, `starttls` or `tls`."""

    host: str
    port: int
    security: str
    username: str
    password: Secret
    sender: str = "monitors@localhost"


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
    audit_kept: int = AUDIT_KEPT
    """How long the audit is kept, in nanoseconds; 0 for ever."""
    quotas: Tiers = field(default_factory=Tiers)
    """What each tier allows."""
    poll_seconds: float = POLL_SECONDS
    """How often it looks for what other processes have changed, which Redis tells at once, but may fail to."""
    identity: IdentitySettings = NOBODY_ELSE
    """Who else may say who somebody is."""

    def tier_of(self, tenant: str) -> str:
        """A tenant's tier; empty if it has none of its own."""
        return self.tiers.get(tenant, "")


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


@dataclass(frozen=True)
class PageSettings:
    """The page on which people add channels: where it listens, and the URL by which they reach it."""

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str = ""
    """Without a trailing slash; empty if only this machine reaches it."""


@dataclass(frozen=True)
class NotifierSettings:
    """NotifierService: its queue, its mail server, and whether it may send to this machine over plain http."""

    database_url: str
    master_key_file: Path
    smtp: SmtpSettings | None
    allow_local_targets: bool
    page: PageSettings = PageSettings()
    master_keys: tuple[MasterKey, ...] = ()
    """What secrets are sealed with: the first one seals, all open, and the file's besides. None for the file alone."""
    audit_kept: int = AUDIT_KEPT
    """How long the audit is kept, in nanoseconds; 0 for ever."""
    quotas: Tiers = field(default_factory=Tiers)
    """What each tier allows."""
    database_connections: int = CONNECTIONS


@dataclass(frozen=True)
class RedisSettings:
    """The Redis that the processes of the mesh share."""

    url: SecretUrl

    @property
    def place(self) -> str:
        """Where it is, without anything secret: `host:port`, or the path of a socket."""
        parts = urlsplit("".join(self.url))
        return f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else unquote(parts.path)


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
    evaluator_address: str
    service_token: Secret
    rules: RulesSettings
    evaluator: EvaluatorSettings
    notifier: NotifierSettings
    redis: RedisSettings | None = None
    quotas: Tiers = field(default_factory=Tiers)
    """What each tier allows."""

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
    grpc_port = env.int("MONITORS_GRPC_PORT", 50051, **PORT)
    http_port = env.int("MONITORS_HTTP_PORT", 8087 if influxdb_url else 8086, **PORT)
    days = env.float("MONITORS_RETENTION_DAYS", 30.0, **DAYS)
    audit_kept = int(env.float("MONITORS_AUDIT_DAYS", AUDIT_KEPT / DAY, **AUDIT_DAYS) * DAY)
    tenants = dict(map(_tenant_and_tier, _listed(env, "MONITORS_TENANTS", _check_tenant)))
    gigabytes = env.float("MONITORS_HISTORY_GB", 10.0, **SIZE)
    quotas = _quotas(env)
    connections = env.int("MONITORS_DATABASE_CONNECTIONS", CONNECTIONS, **CONNECTION_COUNT)

    rules_url = _database_url(env, "DATABASE_URL", _file(home, "rules"))
    # On a server both have their tables in one database, unless they are given one each.
    notifier_url = rules_url if is_server(rules_url) else _file(home, "notifier")
    return Settings(
        home=home,
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        mcp_port=env.int("MONITORS_MCP_PORT", 9122, **PORT),
        influxdb_url=influxdb_url,
        rules_address=env.str("MONITORS_RULES_ADDRESS", f"127.0.0.1:{grpc_port}"),
        evaluator_address=env.str("MONITORS_EVALUATOR_ADDRESS", f"127.0.0.1:{grpc_port}"),
        service_token=Secret(env.str("MONITORS_SERVICE_TOKEN", "")),
        rules=RulesSettings(
            database_url=rules_url,
            database_connections=connections,
            tenants=tuple(tenants),
            tiers={tenant: tier for tenant, tier in tenants.items() if tier},
            bridge_secrets=tuple(map(Secret, _listed(env, "MONITORS_BRIDGE_SECRET", _check_secret))),
            key_peppers=tuple(map(Secret, _listed(env, "MONITORS_KEY_PEPPER", _check_secret))),
            audit_kept=audit_kept,
            quotas=quotas,
            poll_seconds=env.float("MONITORS_POLL_SECONDS", POLL_SECONDS, **SECONDS),
            identity=read_identity(env),
        ),
        evaluator=EvaluatorSettings(
            database_url=_samples_url(env, _file(home, "samples")),
            http_host=host,
            http_port=http_port,
            retention=int(days * 86_400 * SECOND),
            max_series=env.int("MONITORS_MAX_SERIES", MAX_SERIES, **COUNT),
            history_bytes=int(gigabytes * 1e9),
            max_instances=env.int("MONITORS_MAX_INSTANCES", MAX_INSTANCES, **COUNT),
            window_points=env.int("MONITORS_WINDOW_POINTS", WINDOW_POINTS, **BIG_COUNT),
            quotas=quotas,
            poll=_poll(env),
        ),
        notifier=NotifierSettings(
            database_url=_database_url(env, "MONITORS_NOTIFIER_DATABASE_URL", notifier_url),
            master_key_file=home / "master.key",
            smtp=_smtp(env),
            allow_local_targets=env.bool("MONITORS_ALLOW_LOCAL_TARGETS", False),
            page=_page(env, host),
            master_keys=_master_keys(env),
            audit_kept=audit_kept,
            quotas=quotas,
            database_connections=connections,
        ),
        redis=_redis(env),
        quotas=quotas,
    )


def _quotas(env: Env) -> Tiers:
    default = env.str("MONITORS_DEFAULT_TIER", ENTERPRISE, validate=validate.OneOf(list(DEFAULTS)))
    changes = _listed(env, "MONITORS_QUOTAS", _check_quota)
    return Tiers(changed_quotas(changes), default)


def _check_quota(change: str) -> None:
    try:
        changed_quotas([change])
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _poll(env: Env) -> PollSettings:
    allowance = env.float("MONITORS_INFLUXDB_LATENESS_SECONDS", PollSettings.allowance / SECOND, **LATENESS)
    return PollSettings(
        interval=env.float("MONITORS_INFLUXDB_POLL_SECONDS", PollSettings.interval, **POLL),
        allowance=int(allowance * SECOND),
        tenant=env.str("MONITORS_INFLUXDB_TENANT", "", validate=_check_tenant_or_none),
    )


def _master_keys(env: Env) -> tuple[MasterKey, ...]:
    """The keys in a variable, or in the file that another one names."""
    text, path = env.str("MONITORS_MASTER_KEYS", ""), env.str("MONITORS_MASTER_KEYS_FILE", "")
    if text and path:
        raise EnvError("MONITORS_MASTER_KEYS and MONITORS_MASTER_KEYS_FILE are both set; set one of them")
    name = "MONITORS_MASTER_KEYS_FILE" if path else "MONITORS_MASTER_KEYS"
    try:
        keys = read_keys(Path(path).expanduser().read_text() if path else text)
    except OSError as error:
        raise EnvError(f"{name}: {path} can't be read ({error.strerror}); name a file that holds the keys") from None
    except UnicodeDecodeError:
        raise EnvError(f"{name}: the file {FORM}") from None
    except KeysMalformed as error:
        raise EnvError(f"{name} {error}") from None
    if path and not keys:
        raise EnvError(f"{name}: {path} is empty; its text {FORM}")
    return keys


def _redis(env: Env) -> RedisSettings | None:
    url = env.str("REDIS_URL", "")
    try:
        if not url or _is_redis_url(url):
            return RedisSettings(SecretUrl(url)) if url else None
    except ValueError:
        pass
    # Not a word of the URL itself, which may hold a password.
    raise EnvError(
        "REDIS_URL must be `redis://[[user]:password@]host[:port][/database]`, the same with `rediss://` for TLS, or "
        "`unix:///path/to/socket[?db=database]`, with `%` and two digits for each special character of the password"
    )


def _is_redis_url(url: str) -> bool:
    """Whether the client will take it. Raises ValueError for some that it won't."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    options.pop("password", "")
    database = options.pop("db", parts.path.strip("/") if parts.scheme != "unix" else "") or "0"
    files = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"} if parts.scheme == "rediss" else set()
    if not (database.isascii() and database.isdigit() and options.keys() <= files and not parts.fragment):
        return False
    if parts.scheme == "unix":
        return parts.path.startswith("/") and len(parts.path) > 1 and not parts.hostname
    return parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0


def _file(home: Path, service: str) -> SecretUrl:
    return SecretUrl(f"{SQLITE}{home / f'{service}.db'}")


def _database_url(env: Env, name: str, default: SecretUrl) -> SecretUrl:
    url = env.str(name, "")
    if not url:
        return default
    try:
        check_database_url(url)
    except ValueError as error:
        raise EnvError(f"{name} {error}") from None
    return SecretUrl(url)


def _samples_url(env: Env, default: SecretUrl) -> SecretUrl:
    url = _database_url(env, "MONITORS_SAMPLES_URL", default)
    if is_server(url):
        raise EnvError("MONITORS_SAMPLES_URL must be sqlite:///PATH: the evaluator keeps its points in a file")
    return url


def _page(env: Env, host: str) -> PageSettings:
    """Secrets are entered on the page, so without an https address of its own only this machine reaches it."""
    url = env.str("MONITORS_CHANNEL_PAGE_URL", "").rstrip("/")
    try:
        parts = urlsplit(url)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        plain = not ("?" in url or "#" in url or "@" in parts.netloc) and url.isprintable() and " " not in url
        usable = bool(parts.hostname) and parts.port != 0 and (parts.scheme == "https" or local) and plain
    except ValueError:
        usable = False
    if url and not usable:
        raise EnvError("MONITORS_CHANNEL_PAGE_URL must be the https URL at which people reach the page for channels")
    port = env.int("MONITORS_CHANNEL_PAGE_PORT", 0, **PORT)
    return PageSettings(host if url.startswith("https:") else PageSettings.host, port, url)


def _listed(env: Env, name: str, check: Callable[[str], object]) -> tuple[str, ...]:
    """What is given between commas, once each."""
    given: list[str] = env.list(name, [], validate=_each(check))
    return tuple(dict.fromkeys(part.strip() for part in given if part.strip()))


def _each(check: Callable[[str], object]) -> Callable[[list[str]], None]:
    def check_all(parts: list[str]) -> None:
        for part in parts:
            if part.strip():
                check(part.strip())

    return check_all


def _tenant_and_tier(text: str) -> tuple[str, str]:
    name, _, tier = text.partition("=")
    return name.strip(), tier.strip()


def _check_tenant(text: str) -> None:
    name, tier = _tenant_and_tier(text)
    if not TENANT.fullmatch(name):
        raise ValidationError(f"{name!r} isn't a tenant: 1 to 40 letters, digits, `_`, `.` or `-`, such as `acme`")
    if "=" in text and tier not in DEFAULTS:
        raise ValidationError(f"{tier!r} isn't a tier; `{name}=pro` gives {name} one of {', '.join(DEFAULTS)}")


def _check_tenant_or_none(name: str) -> None:
    if name and not TENANT.fullmatch(name):
        raise ValidationError(f"{name!r} isn't a tenant: 1 to 40 letters, digits, `_`, `.` or `-`, such as `acme`")


def _check_secret(secret: str) -> None:
    # Not a word of the secret itself.
    if len(secret) < SHORTEST_SECRET:
        raise ValidationError(
            f"has a secret of fewer than {SHORTEST_SECRET} characters; make one with `openssl rand -hex 32`"
        )


def _smtp(env: Env) -> SmtpSettings | None:
    host = env.str("SMTP_HOST", "")
    if not host:
        return None
    security = env.str("SMTP_SECURITY", "starttls", validate=validate.OneOf(["none", "starttls", "tls"]))
    return SmtpSettings(
        host=host,
        port=env.int("SMTP_PORT", {"none": 25, "starttls": 587, "tls": 465}[security], **PORT),
        security=security,
        username=env.str("SMTP_USERNAME", ""),
        password=Secret(env.str("SMTP_PASSWORD", "")),
        sender=env.str("SMTP_FROM", "monitors@localhost"),
    )
