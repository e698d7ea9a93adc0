"""Rate, errors and duration of each RPC, under the names that gRPC's middleware for Go has made usual.

https://github.com/grpc-ecosystem/go-grpc-middleware/tree/main/providers/prometheus: dashboards know them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
METHOD = ("grpc_type", "grpc_service", "grpc_method")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TYPES = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}
# Go's spellings, which the dashboards ask for.
CODES = {code.value[0]: code.name.title().replace("_", "") for code in grpc.StatusCode} | {
    grpc.StatusCode.OK.value[0]: "OK",
    grpc.StatusCode.CANCELLED.value[0]: "Canceled",
}
OK, CANCELLED, UNKNOWN = (CODES[code.value[0]] for code in (
    grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN,
))  # fmt: skip


class CallMetrics(grpc.aio.ServerInterceptor):
    """Counts the calls of methods that a server has; of others nothing, for their names are the callers'.

    Stands outside of everything that may refuse a call.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._started = Counter("grpc_server_started", "RPCs that were begun.", METHOD, registry=registry)
        self._handled = Counter(
            "grpc_server_handled", "RPCs that have ended, by their code.", (*METHOD, "grpc_code"), registry=registry
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "How long RPCs with a single answer took; streams last as long as somebody listens.",
            METHOD,
            registry=registry,
            buckets=SECONDS,
        )
        self._streams = Gauge(
            "monitors_rpc_streams_open",
            "RPCs with a stream of answers that go on: those who watch.",
            METHOD[1:],
            registry=registry,
        )
        self._counted: dict[str, tuple[Handler, Handler]] = {}
        """The methods' handlers, and what became of them: made once, and not for each call."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the method's handler."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        name = handler_call_details.method
        inner, counted = self._counted.get(name, (None, None))
        if counted is None or inner is not handler:
            counted = self._method(name, handler).wrap(handler)
            self._counted[name] = handler, counted
        return counted

    def _method(self, name: str, handler: Handler) -> _Method:
        _, service, method = name.split("/")
        labels = TYPES[handler.request_streaming, handler.response_streaming], service, method
        return _Method(
            started=self._started.labels(*labels),
            handled=lambda code: self._handled.labels(*labels, code),
            seconds=None if handler.response_streaming else self._seconds.labels(*labels),
            streams=self._streams.labels(*labels[1:]) if handler.response_streaming else None,
        )


class _Method:
    """What is counted of one method. To find a metric by its labels takes longer than to count, so each is kept."""

    def __init__(
        self, started: Counter, handled: Callable[[str], Counter], seconds: Histogram | None, streams: Gauge | None
    ) -> None:
        self._started = started
        self._handled = handled
        self._codes: dict[str, Counter] = {OK: handled(OK)}
        self._seconds = seconds
        self._streams = streams

    def wrap(self, inner: Any) -> Handler:
        """The same handler, counted."""
        is_stream, is_answered_by_stream = inner.request_streaming, inner.response_streaming
        make: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[is_stream, is_answered_by_stream]
        serve = (
            (inner.stream_stream if is_stream else inner.unary_stream)
            if is_answered_by_stream
            else (inner.stream_unary if is_stream else inner.unary_unary)
        )

        async def unary(request: Any, context: Any) -> Any:
            with self._counted(context):
                return await serve(request, context)

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            with self._counted(context):
                async for answer in serve(request, context):
                    yield answer

        return make(  # type: ignore[no-any-return]
            stream if is_answered_by_stream else unary,
            request_deserializer=inner.request_deserializer,
            response_serializer=inner.response_serializer,
        )

    @contextmanager
    def _counted(self, context: Any) -> Iterator[None]:
        started = time.perf_counter()
        self._started.inc()
        if self._streams:
            self._streams.inc()
        code = UNKNOWN
        try:
            yield
            code = CANCELLED if _is_cancelled() else _code(context, OK)
        except asyncio.CancelledError:
            code = CANCELLED
            raise
        except BaseException:
            code = _code(context, UNKNOWN)
            raise
        finally:
            if self._seconds:
                self._seconds.observe(time.perf_counter() - started)
            counter = self._codes.get(code) or self._codes.setdefault(code, self._handled(code))
            counter.inc()
            if self._streams:
                self._streams.dec()


def _code(context: Any, unset: str) -> str:
    # Declared as a StatusCode, but a call that was aborted has its number.
    number = context.code()
    number = number.value[0] if isinstance(number, grpc.StatusCode) else number
    return CODES.get(number, UNKNOWN) if number else unset


def _is_cancelled() -> bool:
    """Whether the caller has gone, also where that was heard of and the call ended as if nothing was wrong."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
