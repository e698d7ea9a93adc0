"""What a span costs by itself: on a machine that others use as well the one figure that doesn't depend on them."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from benchmarks.measure import Spread, cpu_of
from monitors.mesh.config import load_settings
from monitors.mesh.exporting import provider_for
from monitors.mesh.spans import Attributes, lasting
from tests.processes import Receiver

SPANS = 2_000
ROUNDS = 5


def micros_of_a_span(collector: Receiver, sampler: str) -> Spread:
    """CPU microseconds of a span with three attributes: begun, current for a while, ended, and exported if it's
    followed. The collector's own work, which is in this process too, is little."""
    given = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url, "OTEL_TRACES_SAMPLER": sampler}
    settings = load_settings(given).tracing
    assert settings is not None
    return Spread.of([_round(provider_for(settings, "bench")) / SPANS * 1e6 for _ in range(ROUNDS)])


def _round(provider: TracerProvider) -> float:
    tracer = provider.get_tracer("bench")

    def work() -> None:
        for number in range(SPANS):
            attributes: Attributes = {"rpc.system.name": "grpc", "rpc.method": "ListAlerts", "monitors.points": number}
            with lasting(tracer.start_span("a call", kind=SpanKind.SERVER, attributes=attributes)):
                pass
        provider.shutdown()

    return cpu_of(work)
