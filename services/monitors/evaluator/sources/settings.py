"""Which InfluxDB is read, from environment variables. A wrong value is refused at start with its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from environs import Env, EnvError, ValidationError, validate

from monitors.mesh.config import BadSetting, FrozenEnv
from monitors.mesh.masking import Secret

NO_SECRET = Secret("")
VERSIONS = ("1", "2", "3")
SOME_SECONDS = "must be a number of seconds, 1 to 600"
SECONDS: Any = {
    "validate": validate.Range(min=1, max=600, error=SOME_SECONDS),
    "error_messages": {"invalid": SOME_SECONDS},
}


@dataclass(frozen=True)
class InfluxSettings:
    """Where InfluxDB is and how it's spoken to. `major` is its version, None to ask it.

    For 1.x the bucket is the database, or `database/retention policy`, and the organisation counts for nothing.
    """

    url: str
    token: Secret = NO_SECRET
    org: str = "monitors"
    bucket: str = "monitors"
    major: int | None = None
    username: str = ""
    password: Secret = NO_SECRET
    timeout: float = 30.0
    """Seconds until the answer must have begun, and for each pause within it."""


def load_influx_settings(environment: Mapping[str, str] | None = None) -> InfluxSettings | None:
    """Reads the environment; None if it names no InfluxDB. Raises BadSetting."""
    env = Env() if environment is None else FrozenEnv(environment)
    try:
        return _read(env) if env.str("INFLUXDB_URL", "") else None
    except EnvError as error:
        raise BadSetting(str(error)) from error


def _read(env: Env) -> InfluxSettings:
    version = env.str("INFLUXDB_VERSION", "", validate=_version)
    return InfluxSettings(
        url=env.str("INFLUXDB_URL", validate=_url).rstrip("/"),
        token=_secret(env, "INFLUXDB_TOKEN"),
        org=env.str("INFLUXDB_ORG", InfluxSettings.org, validate=_name),
        bucket=env.str("INFLUXDB_BUCKET", InfluxSettings.bucket, validate=_name),
        major=int(version[0]) if version else None,
        username=env.str("INFLUXDB_USERNAME", ""),
        password=_secret(env, "INFLUXDB_PASSWORD"),
        timeout=env.float("INFLUXDB_TIMEOUT", InfluxSettings.timeout, **SECONDS),
    )


def _secret(env: Env, name: str) -> Secret:
    """A credential, without the line break that a file leaves behind it."""
    return Secret(env.str(name, "", validate=_sendable).strip())


def _sendable(secret: str) -> None:
    # Not a word of the secret itself.
    if not (secret.strip().isascii() and secret.strip().isprintable()):
        raise ValidationError("has characters that no credential has; give it as InfluxDB showed it")


def _url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and not ("?" in url or "#" in url) and url.isprintable() and " " not in url
        held = "@" in parts.netloc
    except ValueError:
        usable = held = False
    if held:
        # What stands before the @ is a secret.
        raise ValidationError(
            "must be an URL without a user or password; give those as INFLUXDB_USERNAME and INFLUXDB_PASSWORD"
        )
    if not usable:
        raise ValidationError("must be the http or https URL of InfluxDB, such as http://influxdb:8086")


def _name(name: str) -> None:
    if not name or not name.isprintable() or name != name.strip():
        raise ValidationError("must be a name, such as `monitors`")


def _version(version: str) -> None:
    if version and version.partition(".")[0] not in VERSIONS:
        raise ValidationError("must be 1, 2 or 3; leave it out to have InfluxDB asked")
