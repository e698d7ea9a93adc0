"""Exports spans to a collector. Nothing else knows OpenTelemetry's SDK, and nobody loads this where spans are off."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import set_tracer_provider

from monitors.mesh.config import TracingSettings
from monitors.mesh.export_outages import TellingOutages

log = logging.getLogger(__name__)

FAREWELL_SECONDS = 2.0
"""For how long the last spans may be under way when a process ends."""
MOST_AT_ONCE = 512


@contextmanager
def exported(settings: TracingSettings, service: str) -> Iterator[None]:
    """From now on makes the spans of this process, and exports them for as long as the context is open. `service` is
    what the process is called unless the settings say otherwise. Only once in a process."""
    provider = provider_for(settings, service)
    set_tracer_provider(provider)
    try:
        yield
    finally:
        # A collector that is away would be waited for much longer than an orchestrator waits for us.
        farewell = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        farewell.start()
        farewell.join(FAREWELL_SECONDS)


def provider_for(settings: TracingSettings, service: str) -> TracerProvider:
    """What makes spans and exports them as the settings say."""
    authority, key, certificate = (str(file) if file else None for file in settings.files)
    exporter = OTLPSpanExporter(
        endpoint="".join(settings.endpoint),
        certificate_file=authority,
        client_key_file=key,
        client_certificate_file=certificate,
        headers={name: secret.reveal() for name, secret in settings.headers},
        timeout=settings.timeout,
        compression=Compression.Gzip if settings.gzip else Compression.NoCompression,
    )
    resource = Resource.create({**dict(settings.attributes), SERVICE_NAME: settings.service_name or service})
    provider = TracerProvider(sampler=sampler_of(settings), resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(
            TellingOutages(exporter),
            max_queue_size=settings.most_waiting,
            schedule_delay_millis=settings.delay * 1000,
            max_export_batch_size=min(MOST_AT_ONCE, settings.most_waiting),
        )
    )
    return provider


def sampler_of(settings: TracingSettings) -> Sampler:
    """What decides which traces are followed."""
    kind = settings.sampler.removeprefix("parentbased_")
    root = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}.get(kind) or TraceIdRatioBased(settings.ratio)
    return root if kind == settings.sampler else ParentBased(root)
