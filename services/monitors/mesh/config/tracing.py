"""Where spans are exported, and how many of them: OpenTelemetry's own variables, as its specification has them."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from environs import Env, EnvError

from monitors.mesh.config import values
from monitors.mesh.masking import Secret, SecretUrl

SAMPLED = 0.05
"""The share of traces that begin here and are followed, if nothing is said: a parent that is followed always is."""
BY_RATIO = ("traceidratio", "parentbased_traceidratio")
SAMPLERS = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *BY_RATIO)
_KEY = re.compile(r"[!-+\--<>-~]+")
FILES = ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")


@dataclass(frozen=True)
class TracingSettings:
    """A collector that takes OTLP over HTTP, and what it's given."""

    endpoint: SecretUrl
    """The whole URL that spans are posted to."""
    headers: tuple[tuple[str, Secret], ...] = ()
    """Sent with them, such as a token."""
    sampler: str = BY_RATIO[1]
    ratio: float = SAMPLED
    """The share of traces that a sampler by ratio follows."""
    service_name: str = ""
    """What the process is called; if empty, by the service that it runs."""
    attributes: tuple[tuple[str, str], ...] = ()
    """What else is said of it, such as its place."""
    gzip: bool = False
    files: tuple[Path | None, ...] = (None, None, None)
    """In PEM: whose certificates are taken of the collector, None for the system's; our own key; our certificate."""
    timeout: float = 10.0
    """How many seconds a request may take."""
    delay: float = 5.0
    """For how many seconds spans are gathered."""
    most_waiting: int = 2048
    """How many spans may wait; what is more is left out, so that a collector that is away costs no memory."""


def read_tracing(env: Env) -> TracingSettings | None:
    """Reads the environment; None if no endpoint is named, which costs nothing. Raises EnvError."""
    name, endpoint = _given(env, "ENDPOINT")
    exporter = env.str("OTEL_TRACES_EXPORTER", "") or "otlp"
    if not endpoint or exporter == "none" or env.str("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if exporter != "otlp":
        raise EnvError("OTEL_TRACES_EXPORTER must be otlp, or none to export no spans")
    protocol_name, protocol = _given(env, "PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        raise EnvError(
            f"{protocol_name} must be http/protobuf, which collectors take at port 4318; "
            "with OTEL_TRACES_EXPORTER=none no spans are exported"
        )
    sampler = env.str("OTEL_TRACES_SAMPLER", "") or BY_RATIO[1]
    if sampler not in SAMPLERS:
        raise EnvError(f"OTEL_TRACES_SAMPLER must be one of {', '.join(SAMPLERS)}")
    return TracingSettings(
        endpoint=_url(name, endpoint),
        headers=_headers(*_given(env, "HEADERS")),
        sampler=sampler,
        ratio=_ratio(env, sampler),
        service_name=env.str("OTEL_SERVICE_NAME", ""),
        attributes=_pairs("OTEL_RESOURCE_ATTRIBUTES", env.str("OTEL_RESOURCE_ATTRIBUTES", ""), "deployment=blue"),
        gzip=_is_compressed(*_given(env, "COMPRESSION")),
        files=tuple(_file(*_given(env, kind)) for kind in FILES),
        timeout=env.float("OTEL_EXPORTER_OTLP_TIMEOUT", 10.0, **values.SECONDS),
        delay=env.int("OTEL_BSP_SCHEDULE_DELAY", 5000, **values.COUNT) / 1000,
        most_waiting=env.int("OTEL_BSP_MAX_QUEUE_SIZE", 2048, **values.COUNT),
    )


def _given(env: Env, kind: str) -> tuple[str, str]:
    """A variable's name and value: that for traces goes before that for all signals."""
    for name in (f"OTEL_EXPORTER_OTLP_TRACES_{kind}", f"OTEL_EXPORTER_OTLP_{kind}"):
        value = env.str(name, "").strip()
        if value:
            return name, value
    return "", ""


def _url(name: str, text: str) -> SecretUrl:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise EnvError(f"{name} must be an http or https URL, such as http://collector:4318")
    return SecretUrl(text if "TRACES" in name else f"{text.rstrip('/')}/v1/traces")


def _headers(name: str, text: str) -> tuple[tuple[str, Secret], ...]:
    pairs = _pairs(name, text, "authorization=Bearer%20…")
    return tuple((key.lower(), Secret(value)) for key, value in pairs)


def _pairs(name: str, text: str, example: str) -> tuple[tuple[str, str], ...]:
    """`name=value` between commas, percent-encoded. The values may be secrets, so no error repeats them."""
    found = []
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals or not _KEY.fullmatch(key.strip()):
            raise EnvError(f"{name} must be name=value between commas, percent-encoded, such as {example}")
        found.append((unquote(key.strip()), unquote(value.strip())))
    return tuple(found)


def _ratio(env: Env, sampler: str) -> float:
    # Who names a sampler gets what the specification says of it.
    default = 1.0 if env.str("OTEL_TRACES_SAMPLER", "") else SAMPLED
    is_given = sampler in BY_RATIO and env.str("OTEL_TRACES_SAMPLER_ARG", "")
    return env.float("OTEL_TRACES_SAMPLER_ARG", default, **values.SHARE) if is_given else default


def _is_compressed(name: str, text: str) -> bool:
    if text not in ("", "none", "gzip"):
        raise EnvError(f"{name} must be gzip or none")
    return text == "gzip"


def _file(name: str, text: str) -> Path | None:
    if text and not Path(text).is_file():
        raise EnvError(f"{name}: there is no file {text}")
    return Path(text) if text else None
