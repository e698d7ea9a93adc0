"""A collector that is away is told of once, and once that it's back."""

import logging

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from monitors.mesh.export_outages import TellingOutages
from tests.ports import free_port
from tests.processes import receiver


def test_an_outage_of_the_collector_is_told_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    ticks = iter([100.0, 160.0])
    with receiver() as collector:
        away = f"http://127.0.0.1:{free_port()}/v1/traces"
        exporter = OTLPSpanExporter(endpoint=away, timeout=0.01)
        told = TellingOutages(exporter, lambda: next(ticks))
        processor = BatchSpanProcessor(told, max_queue_size=4, max_export_batch_size=4, schedule_delay_millis=3_600_000)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(processor)
        tracer = provider.get_tracer("test")

        def trace() -> None:
            tracer.start_span("a call").end()
            processor.force_flush()

        for _ in range(3):
            trace()
        logging.getLogger("opentelemetry.sdk._shared_internal").warning("Queue full, dropping %s.", "Span")
        exporter._client._endpoint = collector.url
        trace()
        trace()
        assert len(collector.deliveries) == 2
        provider.shutdown()
    first, last = [record.getMessage() for record in caplog.records]
    assert first.startswith("spans can't be exported; those until they can are left out: Failed to export spans")
    assert last == "spans are exported again, after 60 s; at least 3 were left out"


def test_what_else_the_queue_tells_is_told(caplog: pytest.LogCaptureFixture) -> None:
    told = TellingOutages(OTLPSpanExporter(endpoint="http://127.0.0.1:1"))
    logging.getLogger("opentelemetry.sdk._shared_internal").error("Exception while exporting %s.", "Span")
    told.shutdown()
    assert "Exception while exporting Span." in caplog.text
