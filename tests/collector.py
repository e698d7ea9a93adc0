"""A collector of OpenTelemetry's: a receiver that takes what is exported over HTTP, and reads the spans in it."""

from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from tests.processes import Receiver


@dataclass(frozen=True)
class Exported:
    """A span, and which service exported it."""

    service: str
    name: str
    kind: str
    trace_id: str
    id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]
    """The traces and spans that it has links to."""
    attributes: dict[str, Any]


def environment(collector: Receiver, sampler: str = "", *, delay: str = "100", **variables: str) -> dict[str, str]:
    """What a process is told so that it exports its spans here, within `delay` milliseconds; as many as it does by
    itself if no sampler is named."""
    return {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": delay,
        **({"OTEL_TRACES_SAMPLER": sampler} if sampler else {}),
        **variables,
    }


def spans(collector: Receiver, trace_id: str = "") -> list[Exported]:
    """The spans that have come, or those of one trace."""
    return [
        _exported(next(one.value.string_value for one in part.resource.attributes if one.key == "service.name"), span)
        for delivery in list(collector.deliveries)
        for part in ExportTraceServiceRequest.FromString(delivery.body).resource_spans
        for scope in part.scope_spans
        for span in scope.spans
        if trace_id in ("", span.trace_id.hex())
    ]


def _exported(service: str, span: SpanMessage) -> Exported:
    return Exported(
        service=service,
        name=span.name,
        kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes={one.key: _value(one.value) for one in span.attributes},
    )


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
