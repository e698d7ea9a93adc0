"""The evaluator's spans: of writes, of what was evaluated because of them, and of having it recorded.

Only what is followed has any: where a write's trace isn't, nothing that comes of it costs more than a look. Their
attributes name rules and alerts and count points; what a point or a rule says is in none of them.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import grpc
from aiohttp import web
from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, get_current_span, get_tracer

from monitors.evaluator.model.machine import Transition
from monitors.evaluator.model.series import Batch
from monitors.mesh.spans import Attributes, lasting, named, started, traceparent_of
from monitors.mesh.tracing import TENANT
from monitors.v1 import rule_service_pb2 as pb

POINTS, TRANSITIONS = "monitors.points", "monitors.transitions"
FOLLOWED_MESSAGES = 100
"""How many messages of one stream belong to its caller's trace. A stream may go on for days, but a trace without an end
is of no use: each later one begins a trace of its own, with a link to the caller's."""
RECORD = "monitors.v1.RuleService/RecordTransitions"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_tracer = get_tracer(__name__)


@web.middleware
async def write_span(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A span for each request that posts, in its caller's trace. Parameters of the URL, which may hold a password, are
    left out."""
    if request.method != "POST":
        return await handler(request)
    route = request.match_info.route.resource
    path = route.canonical if route else "unknown"
    attributes = {"http.request.method": "POST", "http.route": path}
    caller = extract(request.headers)
    with lasting(_tracer.start_span(f"POST {path}", caller, SpanKind.SERVER, attributes)) as span:
        response = await handler(request)
        span.set_attribute("http.response.status_code", response.status)
        if response.status >= 500:
            span.set_status(StatusCode.ERROR)
        return response


def describe_write(tenant: str, points: int) -> None:
    """Says whose write goes on now, and of how many points."""
    get_current_span().set_attributes({TENANT: tenant, POINTS: points})


class MessageSpans:
    """A span for each message of a stream of points, in the trace of whoever opened the stream."""

    def __init__(self, method: str, context: grpc.aio.ServicerContext[object, object]) -> None:
        self._method = method
        self._caller = extract({key: str(value) for key, value in context.invocation_metadata() or ()})
        self._count = 0

    @contextmanager
    def message(self, tenant: str, points: int) -> Iterator[None]:
        """Surrounds what is done with the next message."""
        self._count += 1
        is_followed = self._count <= FOLLOWED_MESSAGES
        origin = get_current_span(self._caller).get_span_context()
        span = _tracer.start_span(
            self._method,
            self._caller if is_followed else Context(),
            SpanKind.SERVER,
            {"rpc.system.name": "grpc", "rpc.method": self._method, TENANT: tenant, POINTS: points},
            links=[] if is_followed or not origin.is_valid else [Link(origin)],
        )
        with lasting(span):
            yield


@contextmanager
def poll_span() -> Iterator[None]:
    """Surrounds a poll. What is read by it belongs to its trace."""
    with lasting(_tracer.start_span("poll", Context(), SpanKind.CLIENT)):
        yield


def evaluated(batch: Batch | None, taken: int, transitions: list[Transition]) -> list[Transition]:
    """Makes the span of a step that has just ended after `taken` nanoseconds, of a batch or of what time alone brought,
    and puts its transitions into its trace.

    A batch of which no write is followed has none. That nothing came of the passing of time isn't worth one either.
    """
    causes = batch.traceparents if batch else ()
    if not causes if batch else not transitions:
        return transitions
    end = time.time_ns()
    attributes = {POINTS: len(batch.series) if batch else 0}
    span = started(_tracer, "evaluate", SpanKind.INTERNAL, causes, attributes, end - taken)
    if transitions and span.is_recording():
        span.set_attribute(TRANSITIONS, len(transitions))
        span.set_attributes(named("monitors.rule_ids", (one.key.rule_id for one in transitions)))
    span.end(end)
    traceparent = traceparent_of(span)
    return [one._replace(traceparent=traceparent) for one in transitions] if traceparent else transitions


@contextmanager
def recording(transitions: Sequence[Transition]) -> Iterator[Callable[[pb.RecordTransitionsResponse], None]]:
    """Surrounds a call that has transitions recorded; what it gives takes the answer. One call may be of many traces:
    it's in the first one's, and has links to the others."""
    causes = dict.fromkeys(one.traceparent for one in transitions if one.traceparent)
    if not causes:
        yield _ignore
        return
    attributes: Attributes = {"rpc.system.name": "grpc", "rpc.method": RECORD, TRANSITIONS: len(transitions)}
    with lasting(started(_tracer, RECORD, SpanKind.CLIENT, causes, attributes)) as span:
        try:
            yield lambda response: _describe(span, response)
        except grpc.aio.AioRpcError as error:
            span.set_attribute("rpc.response.status_code", error.code().name)
            raise


def _describe(span: Span, response: pb.RecordTransitionsResponse) -> None:
    span.set_attribute("rpc.response.status_code", "OK")
    span.set_attributes(named("monitors.alert_ids", (result.alert_id for result in response.results)))


def _ignore(_: pb.RecordTransitionsResponse) -> None:
    """Nobody follows it."""
