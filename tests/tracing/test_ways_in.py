"""Points that come by any way belong to their sender's trace, and what the mesh asks for them does as well."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from monitors.mesh.times import now_nanos
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import monitor_pb2
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from tests.evaluator.ingest.parts import WaysIn, rule_book, ways_in
from tests.harness import LoopThread
from tests.tracing.memory import kept_spans

TRACE = 7
CALLER = (("traceparent", f"00-{TRACE:032x}-{1:016x}-01"), ("tracestate", "a=b"))
CREDENTIAL = ("authorization", "Bearer acme-key")


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    with kept_spans() as exporter:
        yield exporter


@pytest.fixture
def opened(
    exporter: InMemorySpanExporter, loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WaysIn]:
    """The ways in of an evaluator that is traced, and a RuleService beside it that is so too."""
    folder: Path = tmp_path_factory.mktemp("e")
    with loop_thread.opened(rule_book(f"unix:{folder / 'rules.sock'}")), loop_thread.opened(ways_in(folder)) as one:
        yield one


def message(field: str) -> pb.WriteSamplesRequest:
    key = monitor_pb2.SeriesKey(monitor_id="web", measurement="m", field=field)
    return pb.WriteSamplesRequest(
        series=[pb.SeriesDefinition(key=key, type=monitor_pb2.FIELD_TYPE_FLOAT)],
        series_indexes=np.array([0], "<u4").tobytes(),
        times=np.array([now_nanos()], "<i8").tobytes(),
        values=np.array([1.5]).view("<u8").tobytes(),
    )


def test_each_message_of_a_stream_is_in_its_callers_trace_with_what_is_asked_for_it_and_its_batch(
    opened: WaysIn, exporter: InMemorySpanExporter
) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{opened.grpc_port}") as channel:
        stream = iter([message("load")])
        EvaluatorServiceStub(channel).WriteSamples(stream, metadata=(CREDENTIAL, *CALLER), timeout=30)
        HealthStub(channel).Check(HealthCheckRequest(), timeout=30)  # type: ignore[attr-defined]
    spans = {span.name.split("/")[-1]: span for span in exporter.get_finished_spans()}
    # Nobody looks for the time of a probe.
    assert spans.keys() == {"WriteSamples", "ReportSeries"}
    written, reported = spans["WriteSamples"], spans["ReportSeries"]
    assert written.parent is not None
    assert reported.parent is not None
    assert (written.parent.trace_id, written.parent.span_id) == (TRACE, 1)
    assert (reported.parent.trace_id, reported.parent.span_id) == (TRACE, written.context.span_id)
    # What else a caller has sent along is the caller's own affair.
    assert not reported.parent.trace_state
    (batch,) = opened.evaluated.batches
    assert batch.traceparents == (f"00-{TRACE:032x}-{written.context.span_id:016x}-{written.context.trace_flags:02x}",)
    assert dict(written.attributes or {}) | {"monitors.tenant_id": "acme", "monitors.points": 1} == written.attributes
