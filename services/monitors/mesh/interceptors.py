"""What surrounds every RPC: errors become statuses, and the caller becomes known."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from typing import Any, TypeAlias

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from monitors.mesh.audit import source_of
from monitors.mesh.database import storage_error
from monitors.mesh.errors import (
    CallTooLong,
    ForeignCertificate,
    InvalidField,
    MeshError,
    MissingScope,
    StatementOver,
    Unauthenticated,
)
from monitors.mesh.guesses import Guesses, address_of_peer
from monitors.mesh.identity import Authenticate, Principal, bind_principal
from monitors.mesh.scopes import ANYBODY, SERVICE_ONLY, scope_of
from monitors.mesh.statements import is_statement
from monitors.mesh.times import to_duration
from monitors.mesh.tls import Certificates

log = logging.getLogger(__name__)

LONGEST_CALL_SECONDS = 60.0
"""How long a call may take that isn't a stream, also if its caller would wait longer, or sets no deadline."""
AGAIN_SECONDS = 1.0
"""How often a stream's credential is looked at. Mostly it's still known."""

Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


Again = Callable[[], Awaitable[None]]
"""Looks again at a call that goes on. Raises what ends it."""


class AroundInterceptor(grpc.aio.ServerInterceptor):
    """Wraps all four kinds of handlers in one context manager, so that streams are covered while they iterate."""

    tells_errors = True
    """Whether what is raised within it still becomes a status that says what is wrong."""

    @abstractmethod
    def around(self, method: str, context: Context, request: object) -> AbstractAsyncContextManager[Again | None]:
        """What surrounds a call of `/package.Service/Method`; what it gives is done at each message of a stream. The
        request is a stream where the method takes one, and UNREADABLE where it can't be decoded."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        inner, surrounded = self._surrounded.get(method, (None, None))
        if surrounded is None or inner is not handler:
            surrounded = self._surround(method, handler)
            self._surrounded[method] = handler, surrounded
        return surrounded

    @cached_property
    def _surrounded(self) -> dict[str, tuple[Handler, Handler]]:
        """The methods' handlers, and what became of them: made once, and not for each call."""
        return {}

    def _surround(self, method: str, handler: Any) -> Handler:
        check_readable = _check_readable if self.tells_errors else _pass_on

        def deserialize(payload: bytes) -> Any:
            try:
                return handler.request_deserializer(payload)
            except DecodeError:
                return UNREADABLE

        async def unary(request: Any, context: Context) -> Any:
            async with self.around(method, context, request) as again:
                check_readable(request)
                if again and handler.stream_unary:
                    request = _watched(request, again)
                return await (handler.stream_unary or handler.unary_unary)(request, context)

        async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self.around(method, context, request) as again:
                check_readable(request)
                async for response in (handler.stream_stream or handler.unary_stream)(request, context):
                    if again:
                        await again()
                    yield response

        make: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        return make(  # type: ignore[no-any-return]
            stream if handler.response_streaming else unary,
            request_deserializer=handler.request_deserializer if handler.request_streaming else deserialize,
            response_serializer=handler.response_serializer,
        )


async def _watched(messages: AsyncIterator[Any], again: Again) -> AsyncIterator[Any]:
    async for message in messages:
        await again()
        yield message


UNREADABLE = object()
"""Stands for a request that isn't a message: gRPC itself would tell the caller nothing of use."""


def _check_readable(request: object) -> None:
    if request is UNREADABLE:
        raise InvalidField(
            "request", "can't be decoded; send the method's own message, with at most 100 messages within each other"
        )


def _pass_on(_: object) -> None:
    """What stands further in looks at it."""


class Errors(AroundInterceptor):
    """Turns our errors into rich statuses. Anything else is a fault of ours: logged in full, told by its id alone.

    Since it stands around all that a call does, it also bounds how long that may take.
    """

    def __init__(self) -> None:
        self._streams: set[str] = set()

    def _surround(self, method: str, handler: Any) -> Handler:
        if handler.request_streaming or handler.response_streaming:
            self._streams.add(method)
        return super()._surround(method, handler)

    @asynccontextmanager
    async def around(self, method: str, context: Context, request: object) -> AsyncIterator[None]:
        limit = asyncio.timeout(None if method in self._streams else LONGEST_CALL_SECONDS)
        try:
            async with limit:
                yield
        except (grpc.aio.AbortError, grpc.aio.UsageError):
            raise
        except Exception as error:
            known = error if isinstance(error, MeshError) else storage_error(error)
            if isinstance(error, TimeoutError) and limit.expired():
                known = CallTooLong(LONGEST_CALL_SECONDS)
            if known is None:
                error_id = secrets.token_hex(4)
                log.exception("%s failed, error %s", method, error_id)
                known = MeshError(
                    f"something went wrong on our side (error {error_id}, which the server's log explains)",
                    metadata={"error_id": error_id},
                )
            await context.abort_with_status(to_status(known))


def to_status(error: MeshError) -> grpc.Status:
    """The status with its google.rpc details: ErrorInfo always, BadRequest and RetryInfo where they apply."""
    details: list[Message] = [ErrorInfo(reason=error.reason, domain="monitors", metadata=error.metadata)]
    if error.violations:
        violations = [
            BadRequest.FieldViolation(field=violation.field, description=violation.description)
            for violation in error.violations
        ]
        details.append(BadRequest(field_violations=violations))
    if error.retry_after is not None:
        details.append(RetryInfo(retry_delay=to_duration(int(error.retry_after * 1e9))))
    packed = []
    for detail in details:
        message = AnyMessage()
        message.Pack(detail)
        packed.append(message)
    code: int = grpc.StatusCode[error.code].value[0]
    status: grpc.Status = rpc_status.to_status(Status(code=code, message=error.message, details=packed))
    return status


class Identity(AroundInterceptor):
    """Makes the caller known and checks that they may call the method. Stands inside of Errors."""

    def __init__(
        self, authenticate: Authenticate, guesses: Guesses | None = None, certificates: Certificates | None = None
    ) -> None:
        self._authenticate = authenticate
        self._guesses = guesses
        self._certificates = certificates

    @asynccontextmanager
    async def around(self, method: str, context: Context, request: object) -> AsyncIterator[Again | None]:
        scope = scope_of(method)
        if scope == ANYBODY:
            try:
                yield None
            except Unauthenticated as error:
                # Of those only Authenticate asks whose a credential is; a service does so for a caller that it counts.
                raise error if await self._is_service(context) else await self._failed(context, error) from None
            return
        credential = credential_of(context)
        try:
            principal = await self._authenticate(credential)
        except Unauthenticated as error:
            raise await self._failed(context, error) from None
        if principal.is_service and not self._comes_from_a_service(context):
            raise ForeignCertificate
        check_scope(principal, scope)
        bind_principal(principal, source_of(context.invocation_metadata() or ()))
        yield self._again(credential, scope)

    async def _failed(self, context: Context, error: Unauthenticated) -> MeshError:
        if self._guesses is None:
            return error
        return await self._guesses.counted(address_of_peer(context.peer()), error)

    async def _is_service(self, context: Context) -> bool:
        try:
            principal = await self._authenticate(credential_of(context))
        except MeshError:
            return False
        return principal.is_service and self._comes_from_a_service(context)

    def _comes_from_a_service(self, context: Context) -> bool:
        """Whether the caller's certificate is a service's, where there are certificates. Who comes by a socket of this
        machine has none; its folder says who may."""
        if self._certificates is None or context.peer().startswith("unix:"):
            return True
        return self._certificates.is_service(context.auth_context())

    def _again(self, credential: str, scope: str) -> Again:
        """A stream may go on for days, but not with a credential that has ended meanwhile, as a bridge's statement does
        within a minute: the bridge begins another stream with another one. It's told so, and not that its user isn't
        known any more, which would end the user's listening."""
        due = time.monotonic() + AGAIN_SECONDS

        async def again() -> None:
            nonlocal due
            if time.monotonic() < due:
                return
            try:
                check_scope(await self._authenticate(credential), scope)
            except Unauthenticated:
                if is_statement(credential):
                    raise StatementOver from None
                raise
            except MeshError as error:
                # While nobody can say whose it is, it stays what it was.
                if error.code != "UNAVAILABLE":
                    raise
            due = time.monotonic() + AGAIN_SECONDS

        return again


def check_scope(principal: Principal, scope: str) -> None:
    """Raises MissingScope unless the principal may do what the scope covers."""
    if scope == SERVICE_ONLY:
        if not principal.is_service:
            raise MissingScope("a service of the mesh")
    elif not principal.is_service and scope not in principal.scopes and "admin" not in principal.scopes:
        raise MissingScope(scope)


def credential_of(context: Context) -> str:
    """The bearer credential in the call's metadata."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            scheme, _, credential = str(value).partition(" ")
            if scheme.lower() == "bearer" and credential:
                return credential.strip()
    raise Unauthenticated(
        "no credential; send the metadata `authorization: Bearer <API key>` (the local key is in $MONITORS_HOME/key)"
    )
