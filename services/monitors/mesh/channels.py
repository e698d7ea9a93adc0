"""Client channels between the services: the contract's retry policy, a deadline on every call, and the credential."""

import os
from collections.abc import AsyncIterable, Callable, Iterable
from importlib.resources import files
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from monitors.mesh.errors import MeshError, ServiceUnavailable, TooManyFailures, Unauthenticated, UnknownTenant
from monitors.mesh.spans import PARENT, is_traced, traceparent_for_calls
from monitors.mesh.tls import Certificates, RotatingChannel

# An error of ours carries status details and its message is written for people; one that gRPC made doesn't.
DETAILS_KEY = "grpc-status-details-bin"
AWAY = (
    grpc.StatusCode.UNAVAILABLE,
    # So a server that ends refuses what has only just come to it.
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    # So it does while it can't look credentials up.
    grpc.StatusCode.UNAUTHENTICATED,
)
"""How a call fails while a service is away: the same may succeed later."""
OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Services that start together find each other at once, not after gRPC's first pause of a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A rollout replaces all replicas within less than the 30 seconds after which gRPC would ask for addresses again.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # A proxy in somebody's shell isn't meant for the mesh.
    ("grpc.enable_http_proxy", 0),
]


def open_channel(address: str, credential: str, certificates: Certificates | None = None) -> grpc.aio.Channel:
    """A channel to a service of the mesh. `address` is a gRPC target: `127.0.0.1:50051`, `unix:/path`, `dns:///…`. With
    certificates it speaks TLS, with the one that there is when a call is made."""
    service_config = (files("monitors.v1") / "service_config.json").read_text()
    options = [("grpc.service_config", service_config), *OPTIONS]

    def interceptors() -> list[grpc.aio.ClientInterceptor]:
        return [kind(credential) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary)]

    if certificates is None:
        return grpc.aio.insecure_channel(address, options=options, interceptors=interceptors())
    return RotatingChannel(
        certificates,
        lambda present: grpc.aio.secure_channel(address, present, options=options, interceptors=interceptors()),
    )


def evaluator_id() -> str:
    """A name for this process that its leases carry."""
    return f"{os.uname().nodename}-{os.getpid()}"


def unavailable(error: grpc.aio.AioRpcError, service: str) -> ServiceUnavailable:
    """A failed call as our own caller should see it. A service that is there, but can't write, says so itself."""
    is_own_word = any(key == DETAILS_KEY for key, _ in error.trailing_metadata() or ())
    if error.code() is grpc.StatusCode.UNAVAILABLE and is_own_word:
        return ServiceUnavailable(service, error.details() or "")
    return ServiceUnavailable(service)


def refusal_of(error: grpc.aio.AioRpcError) -> MeshError | None:
    """What another service of the mesh has refused a caller with, as that caller should see it; None if it hasn't."""
    message = error.details() or "the credential isn't known"
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED:
            return Unauthenticated(message)
        case grpc.StatusCode.PERMISSION_DENIED:
            # Authenticate itself denies nothing else.
            refused = MeshError(message)
            refused.code, refused.reason = UnknownTenant.code, UnknownTenant.reason
            return refused
    return None


def failure_of(error: grpc.aio.AioRpcError) -> str:
    """What a call to RuleService failed with, for the log of the service that made it: the status, and what to do if
    it's the service itself that isn't let in. RuleService tells nobody that it looks for a token."""
    name = error.code().name
    if error.code() is grpc.StatusCode.UNAUTHENTICATED or TooManyFailures.reason in _reasons_of(error):
        return f"{name}: RuleService has another MONITORS_SERVICE_TOKEN; give all services of the mesh the same"
    return name


def _reasons_of(error: grpc.aio.AioRpcError) -> set[str]:
    # It has all that is asked of a call.
    call: Any = error
    status, found, info = rpc_status.from_call(call), set(), ErrorInfo()
    for detail in status.details if status else ():
        if detail.Unpack(info):
            found.add(info.reason.removeprefix("ERROR_REASON_"))
    return found


class _Bearer:
    # A channel registers an interceptor under the first kind that it matches, so each kind needs its own class.
    def __init__(self, credential: str) -> None:
        self._credential = credential
        self._is_traced = is_traced()

    def _with_credential(self, details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        metadata.add("authorization", f"Bearer {self._credential}")
        if self._is_traced:
            # What the other service does belongs to the trace of whatever goes on here.
            traceparent = traceparent_for_calls()
            if traceparent:
                metadata.add(PARENT, traceparent)
        return grpc.aio.ClientCallDetails(
            details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
        )


class _UnaryUnary(_Bearer, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._with_credential(client_call_details), request)


class _UnaryStream(_Bearer, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._with_credential(client_call_details), request)


class _StreamUnary(_Bearer, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self,
        continuation: Callable[..., Any],
        client_call_details: grpc.aio.ClientCallDetails,
        request_iterator: AsyncIterable[Any] | Iterable[Any],
    ) -> Any:
        return await continuation(self._with_credential(client_call_details), request_iterator)
