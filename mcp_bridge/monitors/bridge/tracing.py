"""Spans of the bridge's calls, for a collector that OpenTelemetry's own variables name.

The bridge itself knows OpenTelemetry's API only. Who wants spans installs `monitors-mcp[telemetry]`: that has the SDK.
"""

import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.trace import ProxyTracerProvider, get_tracer_provider, set_tracer_provider

from monitors.bridge.settings import BadSetting

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

FAREWELL_SECONDS = 2.0
BY_RATIO = ("traceidratio", "parentbased_traceidratio")
SAMPLERS = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *BY_RATIO)
SAMPLED = "0.05"
"""The share of traces that begin here and are followed, if nothing is said."""


@dataclass(frozen=True)
class TracingSettings:
    """A collector that takes OTLP over HTTP. What isn't here the SDK reads by itself."""

    endpoint: str = field(repr=False)
    """The whole URL that spans are posted to."""
    headers: str = field(default="", repr=False)
    sampler: str = BY_RATIO[1]
    ratio: float = float(SAMPLED)
    service_name: str = "monitors-mcp"


def load_tracing_settings(environment: Mapping[str, str]) -> TracingSettings | None:
    """None if no collector is named. Raises BadSetting."""
    name, endpoint = _given(environment, "ENDPOINT")
    exporter = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if not endpoint or exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if exporter != "otlp":
        raise BadSetting(f"OTEL_TRACES_EXPORTER: {exporter!r} isn't known; give otlp, or none to export no spans")
    if not re.match(r"https?://[^/?#@]", endpoint):
        raise BadSetting(f"{name} must be an http or https URL, such as http://collector:4318")
    protocol_name, protocol = _given(environment, "PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        raise BadSetting(f"{protocol_name}: {protocol!r} isn't supported; give http/protobuf, with the port 4318")
    chosen = environment.get("OTEL_TRACES_SAMPLER", "")
    sampler = chosen or BY_RATIO[1]
    if sampler not in SAMPLERS:
        raise BadSetting(f"OTEL_TRACES_SAMPLER: {sampler!r} isn't known; give one of {', '.join(SAMPLERS)}")
    return TracingSettings(
        endpoint=endpoint if "TRACES" in name else f"{endpoint.rstrip('/')}/v1/traces",
        headers=_given(environment, "HEADERS")[1],
        sampler=sampler,
        ratio=_ratio(environment.get("OTEL_TRACES_SAMPLER_ARG", "") or ("1" if chosen else SAMPLED), sampler),
        service_name=environment.get("OTEL_SERVICE_NAME") or "monitors-mcp",
    )


def _given(environment: Mapping[str, str], kind: str) -> tuple[str, str]:
    for name in (f"OTEL_EXPORTER_OTLP_TRACES_{kind}", f"OTEL_EXPORTER_OTLP_{kind}"):
        value = environment.get(name, "").strip()
        if value:
            return name, value
    return "", ""


def _ratio(text: str, sampler: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if sampler in BY_RATIO and not 0 <= share <= 1:
        raise BadSetting(f"OTEL_TRACES_SAMPLER_ARG: {text!r} isn't a share; give 0 to 1, such as {SAMPLED}")
    return share


@contextmanager
def tracing(settings: TracingSettings | None) -> Iterator[None]:
    """Makes spans and exports them for as long as the context is open, unless whoever runs the process does so
    already."""
    if settings is None or not isinstance(get_tracer_provider(), ProxyTracerProvider):
        yield
        return
    try:
        provider = _provider(settings)
    except ModuleNotFoundError:
        why = "a collector for spans is named; to export some, pip install 'monitors-mcp[telemetry]'"
        print(f"monitors-mcp: {why}", file=sys.stderr)  # noqa: T201
        yield
        return
    set_tracer_provider(provider)
    try:
        yield
    finally:
        # A collector that is away is not waited for.
        farewell = threading.Thread(target=provider.shutdown, daemon=True)
        farewell.start()
        farewell.join(FAREWELL_SECONDS)


def _provider(settings: TracingSettings) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider, sampling
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.util.re import parse_env_headers

    kind = settings.sampler.removeprefix("parentbased_")
    always = {"always_on": sampling.ALWAYS_ON, "always_off": sampling.ALWAYS_OFF}
    root = always.get(kind) or sampling.TraceIdRatioBased(settings.ratio)
    provider = TracerProvider(
        root if kind == settings.sampler else sampling.ParentBased(root),
        Resource.create({SERVICE_NAME: settings.service_name}),
        shutdown_on_exit=False,
    )
    headers = parse_env_headers(settings.headers, liberal=True)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.endpoint, headers=headers)))
    return provider
