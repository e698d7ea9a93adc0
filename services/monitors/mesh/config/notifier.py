"""NotifierService's settings."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from environs import Env, EnvError, validate

from monitors.mesh.config import values
from monitors.mesh.config.shared import AUDIT_KEPT, CONNECTIONS, Shared
from monitors.mesh.masking import Secret, SecretUrl
from monitors.mesh.master_keys import FORM, KeysMalformed, MasterKey, read_keys
from monitors.mesh.quotas import Tiers
from monitors.mesh.times import DAY

DELIVERIES_KEPT = 30 * DAY
DEAD_KEPT = 90 * DAY


@dataclass(frozen=True)
class SmtpSettings:
    """The mail server. `security` is `none`, `starttls` or `tls`."""

    host: str
    port: int
    security: str
    username: str
    password: Secret
    sender: str = "monitors@localhost"
    ca_file: str = ""
    """The certificates by which its own is checked; empty for those that the system trusts."""


@dataclass(frozen=True)
class SendGridSettings:
    """SendGrid's Mail Send, v3. `url` is without path, `https://api.eu.sendgrid.com` for accounts in the EU."""

    api_key: Secret
    sender: str
    url: str = "https://api.sendgrid.com"


Mailer = SmtpSettings | SendGridSettings
"""What sends mail."""


@dataclass(frozen=True)
class PageSettings:
    """The page on which people add channels: where it listens, and the URL by which they reach it."""

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str = ""
    """Without a trailing slash; empty if only this machine reaches it."""


@dataclass(frozen=True)
class NotifierSettings:
    """NotifierService: its queue, what sends its mail, and whether it may send to this machine over plain http."""

    database_url: str
    master_key_file: Path
    mailer: Mailer | None
    allow_local_targets: bool
    page: PageSettings = PageSettings()
    master_keys: tuple[MasterKey, ...] = ()
    """What secrets are sealed with: the first one seals, all open, and the file's besides. None for the file alone."""
    audit_kept: int = AUDIT_KEPT
    """How long the audit is kept, in nanoseconds; 0 for ever."""
    deliveries_kept: int = DELIVERIES_KEPT
    """How long deliveries that have ended are kept, in nanoseconds; 0 for ever."""
    dead_kept: int = DEAD_KEPT
    """The same for those that were given up, which can be retried by hand."""
    quotas: Tiers = field(default_factory=Tiers)
    """What each tier allows."""
    database_connections: int = CONNECTIONS
    webhook_rate: float = 1_000.0
    """How many messages a second go to one webhook; ten times as many at once. 0 for any number."""
    tenant_rate: float = 1_000.0
    """The same for all channels of one tenant together."""
    chart_seconds: float = 2.0
    """How long a message waits for the picture of its alert; 0 for messages without."""
    operator_webhook: Secret | None = None
    """Where the operator is told that nothing can be delivered any more."""


def read_notifier(env: Env, default_url: SecretUrl, home: Path, host: str, shared: Shared) -> NotifierSettings:
    """Reads the environment. Raises EnvError."""
    return NotifierSettings(
        database_url=values.database_url(env, "MONITORS_NOTIFIER_DATABASE_URL", default_url),
        master_key_file=home / "master.key",
        mailer=_mailer(env),
        allow_local_targets=env.bool("MONITORS_ALLOW_LOCAL_TARGETS", False),
        page=_page(env, host),
        master_keys=_master_keys(env),
        audit_kept=shared.audit_kept,
        deliveries_kept=int(env.float("MONITORS_DELIVERY_DAYS", DELIVERIES_KEPT / DAY, **values.KEPT_DAYS) * DAY),
        dead_kept=int(env.float("MONITORS_DEAD_DELIVERY_DAYS", DEAD_KEPT / DAY, **values.KEPT_DAYS) * DAY),
        quotas=shared.quotas,
        database_connections=shared.connections,
        webhook_rate=env.float("MONITORS_WEBHOOK_PER_SECOND", NotifierSettings.webhook_rate, **values.RATE),
        chart_seconds=env.float("MONITORS_CHART_SECONDS", NotifierSettings.chart_seconds, **values.CHART_SECONDS),
        operator_webhook=_operator_webhook(env),
        tenant_rate=env.float("MONITORS_MESSAGES_PER_SECOND", NotifierSettings.tenant_rate, **values.RATE),
    )


def _operator_webhook(env: Env) -> Secret | None:
    """Any http or https URL, also one inside of the operator's own network."""
    url = env.str("MONITORS_OPERATOR_WEBHOOK", "")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if url and not (usable and url.isprintable() and " " not in url):
        raise EnvError("MONITORS_OPERATOR_WEBHOOK must be the http or https URL at which the operator is told")
    return Secret(url) if url else None


def _mailer(env: Env) -> Mailer | None:
    host, key = env.str("SMTP_HOST", ""), env.str("SENDGRID_API_KEY", "")
    if host and key:
        raise EnvError("SMTP_HOST and SENDGRID_API_KEY are both set; set the one that mail is to be sent by")
    return _sendgrid(env, Secret(key)) if key else _smtp(env, host) if host else None


def _sendgrid(env: Env, key: Secret) -> SendGridSettings:
    sender = env.str("SENDGRID_FROM", "")
    if "@" not in sender:
        raise EnvError("SENDGRID_FROM must be an address that SendGrid knows as yours, as mail is sent from it")
    url = env.str("SENDGRID_URL", SendGridSettings.url).rstrip("/")
    if not url.startswith("https://") or not url.isprintable() or " " in url:
        raise EnvError("SENDGRID_URL must be an https URL, such as https://api.eu.sendgrid.com for accounts in the EU")
    return SendGridSettings(key, sender, url)


def _smtp(env: Env, host: str) -> SmtpSettings:
    security = env.str("SMTP_SECURITY", "starttls", validate=validate.OneOf(["none", "starttls", "tls"]))
    return SmtpSettings(
        host=host,
        port=env.int("SMTP_PORT", {"none": 25, "starttls": 587, "tls": 465}[security], **values.PORT),
        security=security,
        username=env.str("SMTP_USERNAME", ""),
        password=Secret(env.str("SMTP_PASSWORD", "")),
        sender=env.str("SMTP_FROM", "monitors@localhost"),
        ca_file=_readable(env.str("SMTP_CA_FILE", "")),
    )


def _readable(path: str) -> str:
    """The path of a file of certificates, if it can be read."""
    if path and not (Path(path).is_file() and os.access(path, os.R_OK)):
        raise EnvError(f"SMTP_CA_FILE: {path} can't be read; name a file with certificates in PEM")
    return path


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
    port = env.int("MONITORS_CHANNEL_PAGE_PORT", 0, **values.PORT)
    return PageSettings(host if url.startswith("https:") else PageSettings.host, port, url)


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
