"""One trace from the client over the tool to RuleService, as an SDK of OpenTelemetry sees it."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from mcp import Client
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.bridge.conftest import Tools
from tests.tracing.memory import kept_spans
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def module_exporter() -> Iterator[InMemorySpanExporter]:
    with kept_spans() as exporter:
        yield exporter


@pytest.fixture
def exporter(module_exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    module_exporter.clear()
    return module_exporter


def spans_of(exporter: InMemorySpanExporter, tool: str, rpc: str) -> tuple[ReadableSpan, ReadableSpan]:
    """The server's span of a tool and that of the call of RuleService. A caller may have its answer before they end."""

    def of_tool(span: ReadableSpan) -> bool:
        return span.name == f"tools/call {tool}" and span.kind is SpanKind.SERVER

    def of_rpc(span: ReadableSpan) -> bool:
        return span.name == f"monitors.v1.RuleService/{rpc}"

    def the_one(is_it: Callable[[ReadableSpan], bool]) -> ReadableSpan:
        (span,) = wait_for(lambda: list(filter(is_it, exporter.get_finished_spans())), "a span")
        return cast("ReadableSpan", span)

    return the_one(of_tool), the_one(of_rpc)


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def id_of(span: Any) -> tuple[int, int]:
    context = span.get_span_context()
    return context.trace_id, context.span_id


def test_one_trace_leads_from_the_client_to_rule_service(
    tools_of_both_eras: Tools, exporter: InMemorySpanExporter
) -> None:
    async def call(client: Client) -> tuple[int, int]:
        with trace.get_tracer("client").start_as_current_span("a question") as span:
            await client.call_tool("list_alert_rules", {})
            return id_of(span)

    trace_id, _ = tools_of_both_eras.with_client(call)
    of_tool, of_rpc = spans_of(exporter, "list_alert_rules", "ListRules")
    assert id_of(of_tool)[0] == id_of(of_rpc)[0] == trace_id
    assert parent_of(of_rpc) == id_of(of_tool)[1]
    assert of_rpc.kind is SpanKind.SERVER
    assert dict(of_rpc.attributes or {}) == {
        "rpc.system.name": "grpc",
        "rpc.method": "monitors.v1.RuleService/ListRules",
        "rpc.response.status_code": "OK",
        "monitors.tenant_id": "local",
    }
    assert of_tool.status.status_code is not StatusCode.ERROR
    assert of_rpc.status.status_code is not StatusCode.ERROR


@pytest.mark.parametrize(
    ("rule_id", "code", "is_fault"), [("rule_missing", "NOT_FOUND", False), ("rule_broken", "INTERNAL", True)]
)
def test_a_tool_that_fails_has_a_span_that_says_so(
    tools: Tools, exporter: InMemorySpanExporter, rule_id: str, code: str, is_fault: bool
) -> None:
    tools.error("list_alert_rules", rule_id=rule_id)
    of_tool, of_rpc = spans_of(exporter, "list_alert_rules", "GetRule")
    assert of_tool.status.status_code is StatusCode.ERROR
    assert (of_rpc.attributes or {})["rpc.response.status_code"] == code
    # Who asks for what isn't there has made no fault of the service's.
    assert (of_rpc.status.status_code is StatusCode.ERROR) is is_fault
    assert not of_rpc.events
