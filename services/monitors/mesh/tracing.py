"""A span for each call, in its caller's trace, where OpenTelemetry's SDK is in the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from opentelemetry.propagate import extract
from opentelemetry.trace import Span, SpanKind, StatusCode, get_tracer

from monitors.mesh.identity import tenant_of_caller
from monitors.mesh.interceptors import AroundInterceptor, Context, Handler

# https://opentelemetry.io/docs/specs/semconv/rpc/grpc/: a server's span fails by these; the others are the caller's.
FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)

PROBED = "/grpc.health.v1."
"""What an orchestrator asks every few seconds says nothing to whoever looks for the time of a call."""
TENANT = "monitors.tenant_id"


class Tracing(AroundInterceptor):
    """Makes the spans. Stands outside of everything that may fail."""

    tells_errors = False

    def __init__(self) -> None:
        self._tracer = get_tracer(__name__)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler_call_details.method.startswith(PROBED):
            return handler
        # A stream lives as long as its client does: its span would be known only when all is over.
        if handler is None or handler.response_streaming or handler.request_streaming:
            return handler

        async def known(_: grpc.HandlerCallDetails) -> Handler | None:
            return handler

        return await super().intercept_service(known, handler_call_details)

    @asynccontextmanager
    async def around(self, method: str, context: Context, request: object) -> AsyncIterator[None]:
        name = method.removeprefix("/")
        carrier = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        with self._tracer.start_as_current_span(
            name,
            context=extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"rpc.system.name": "grpc", "rpc.method": name},
            # The exception that ends a failed call is gRPC's own and says nothing.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except asyncio.CancelledError:
                _mark(span, grpc.StatusCode.CANCELLED, "")
                raise
            except BaseException:
                _mark(span, _code(context), context.details() or "")
                raise
            _mark(span, grpc.StatusCode.OK, "")


def _mark(span: Span, code: grpc.StatusCode, details: str) -> None:
    span.set_attribute("rpc.response.status_code", code.name)
    tenant = tenant_of_caller()
    if tenant:
        span.set_attribute(TENANT, tenant)
    if code in FAULTS:
        span.set_status(StatusCode.ERROR, details)


def _code(context: Context) -> grpc.StatusCode:
    # Declared as a StatusCode, but a call that was aborted has its number.
    number: Any = context.code()
    return next((code for code in grpc.StatusCode if number in (code, code.value[0])), grpc.StatusCode.UNKNOWN)
