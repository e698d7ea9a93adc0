"""What of OpenTelemetry all parts of the mesh use: its API alone, which makes nothing where no SDK is in the process.

A place in a trace goes from one process to the next, and into the databases, as a W3C `traceparent`, and only where the
trace is followed. So whatever belongs to none costs an empty text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    ProxyTracerProvider,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    get_tracer_provider,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

PARENT = "traceparent"
MOST_LINKS = 32
"""How many further causes a span names."""
MOST_NAMED = 16
"""How many alerts, rules and the like it names."""
_W3C = TraceContextTextMapPropagator()

Attributes = Mapping[str, str | int | Sequence[str]]


def is_traced() -> bool:
    """Whether anybody takes the spans that are made. It's settled before a server starts: by the settings, or by
    whoever runs the process, such as `opentelemetry-instrument`."""
    return not isinstance(get_tracer_provider(), ProxyTracerProvider)


def traceparent_of(span: Span) -> str:
    """The `traceparent` of what follows from a span; empty if its trace isn't followed."""
    found = span.get_span_context()
    return _text(found) if found.trace_flags.sampled else ""


def current_traceparent() -> str:
    """The `traceparent` of what follows from the span that goes on now; empty if there is none that is followed."""
    return traceparent_of(get_current_span())


def traceparent_for_calls() -> str:
    """The same for whom is asked something now, who must know as well that it isn't followed; empty if there is none.

    Nothing else of what a caller sent along is passed on: its size is the caller's to choose.
    """
    found = get_current_span().get_span_context()
    return _text(found) if found.is_valid else ""


def _text(place: SpanContext) -> str:
    return f"00-{place.trace_id:032x}-{place.span_id:016x}-{place.trace_flags:02x}"


def as_parent(traceparent: str) -> Context:
    """The context in which a span is a child of that; of nobody if it isn't a `traceparent`."""
    return _W3C.extract({PARENT: traceparent}, Context())


def started(
    tracer: Tracer,
    name: str,
    kind: SpanKind,
    causes: Iterable[str],
    attributes: Attributes | None = None,
    start_time: int | None = None,
) -> Span:
    """A span that follows from all of `causes`, each a `traceparent`: it's a child of the first, in whose trace it is,
    and has links to the others. Of nobody if there are none. `start_time` is nanoseconds since 1970."""
    first, *others = [*dict.fromkeys(causes)][: MOST_LINKS + 1] or [""]
    return tracer.start_span(
        name, as_parent(first), kind, attributes, links=[Link(_place(other)) for other in others], start_time=start_time
    )


@contextmanager
def lasting(span: Span) -> Iterator[Span]:
    """Lets a span be the current one, and ends it. That it failed is told by the error's type alone: an error's words
    may quote what nobody else should see."""
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except BaseException as error:
            span.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def _place(traceparent: str) -> SpanContext:
    return get_current_span(as_parent(traceparent)).get_span_context()


def named(attribute: str, names: Iterable[str]) -> dict[str, list[str]]:
    """An attribute that names a few of many."""
    return {attribute: [*dict.fromkeys(filter(None, names))][:MOST_NAMED]}
