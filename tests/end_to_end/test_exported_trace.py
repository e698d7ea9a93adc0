"""A trace as an operator gets it: bridge and mesh under `opentelemetry-instrument`, each exporting what it did."""

import secrets
from contextlib import ExitStack
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.bridge.conftest import HTTP_COMMAND, HttpBridge
from tests.bridge.raw import http_call
from tests.processes import BIN, MeshProcess, Receiver, receiver, wait_for

pytestmark = pytest.mark.process

TOOL, RPC = "tools/call list_alert_rules", "monitors.v1.RuleService/ListRules"
INSTRUMENT = str(BIN / "opentelemetry-instrument")


def environment(name: str, collector: Receiver) -> dict[str, str]:
    return {
        "OTEL_SERVICE_NAME": name,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


def spans(collector: Receiver, trace_id: bytes) -> dict[str, tuple[str, bytes, bytes]]:
    """The service, the id and the parent's id of each span of a trace, by name."""
    found = {}
    for delivery in list(collector.deliveries):
        for resource in ExportTraceServiceRequest.FromString(delivery.body).resource_spans:
            attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                if span.trace_id == trace_id:
                    found[span.name] = attributes["service.name"], span.span_id, span.parent_span_id
    return found


def test_a_client_finds_its_call_in_the_bridges_and_the_meshs_spans(tmp_path: Path) -> None:
    trace_id, span_id = secrets.token_bytes(16), secrets.token_bytes(8)
    with receiver() as collector, ExitStack() as stack:
        mesh = MeshProcess(tmp_path, "--no-host", environment=environment("mesh", collector))
        mesh.start([INSTRUMENT])
        stack.callback(mesh.stop)
        known = {**mesh.client_environment, **environment("bridge", collector)}
        bridge = HttpBridge(command=(INSTRUMENT, *HTTP_COMMAND), **known)
        stack.callback(bridge.close)

        # Not by the SDK's client, which would make a span of its own if this process had traces to write.
        http_call(bridge.url, "list_alert_rules", "{}", traceparent=f"00-{trace_id.hex()}-{span_id.hex()}-01")
        wait_for(lambda: {TOOL, RPC} <= spans(collector, trace_id).keys(), "the spans", 60)
        found = spans(collector, trace_id)
    of_tool, of_rpc = found[TOOL], found[RPC]
    assert (of_tool[0], of_tool[2]) == ("bridge", span_id)
    assert (of_rpc[0], of_rpc[2]) == ("mesh", of_tool[1])
