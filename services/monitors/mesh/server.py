"""The gRPC server: the same options, interceptors, health, reflection and graceful stop for every service."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import grpc
from grpc_health.v1.health_pb2 import DESCRIPTOR as HEALTH
from grpc_reflection.v1alpha import reflection

from monitors.mesh.errors import MeshError
from monitors.mesh.guesses import Guesses
from monitors.mesh.health import ALIVE, Health
from monitors.mesh.identity import Authenticate
from monitors.mesh.interceptors import Errors, Identity, to_status
from monitors.mesh.request_quota import RequestQuota
from monitors.mesh.spans import is_traced
from monitors.mesh.tls import Certificates
from monitors.mesh.tracing import Tracing

log = logging.getLogger(__name__)

OPTIONS = [
    # Without this a second server binds the same port without an error and steals half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # What is larger than the first is refused at random, the more surely the larger; than the second, always.
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    # Who pings more often is sent away: our own clients do so every 30 seconds, also while they have no call.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A bridge has all of its listeners' streams on one connection; what goes beyond this waits at the client.
    ("grpc.max_concurrent_streams", 2_000),
    ("grpc.max_connection_idle_ms", 10 * 60_000),
    # Clients look addresses up again when a connection ends, so that replicas that came later get their share. Streams
    # stay where they are for a day; whoever watches then goes on from where they were.
    ("grpc.max_connection_age_ms", 5 * 60_000),
    ("grpc.max_connection_age_grace_ms", 24 * 60 * 60_000),
]
MOST_CALLS = 10_000
"""How many calls a server has open at once, streams included. What is beyond that is refused with RESOURCE_EXHAUSTED
before anybody asks whose it is. A tenant alone never has that many: see RequestQuota."""
GRACE_SECONDS = 5.0
DRAIN_SECONDS = 0.5
"""How long a server that ends goes on taking calls, while those who watch its health learn to go elsewhere. A call that
meets gRPC's own end is cancelled, whatever it is (https://github.com/grpc/grpc/issues/41785)."""
READINESS_SECONDS = 2.0


class PortTaken(Exception):
    """An address can't be listened on. The message names it and how to choose another."""


class Hosted(Protocol):
    """A service that a server can host."""

    def add_to(self, server: grpc.aio.Server) -> str:
        """Adds the servicer and returns the service's full name."""


class MeshServer:
    """One server for one or several services. `closing` is set when it stops, so that Watch streams end in time. With
    `certificates` it speaks TLS, but at sockets of this machine, and wants a certificate of everybody."""

    def __init__(
        self,
        authenticate: Authenticate,
        closing: asyncio.Event,
        quota: RequestQuota | None = None,
        guesses: Guesses | None = None,
        *,
        with_reflection: bool = True,
        outermost: Sequence[grpc.aio.ServerInterceptor] = (),
        certificates: Certificates | None = None,
    ) -> None:
        surroundings: list[grpc.aio.ServerInterceptor] = [*outermost, *([Tracing()] if is_traced() else [])]
        surroundings += [Errors(), Identity(authenticate, guesses, certificates)]
        if quota:
            surroundings.append(quota)
        self._server = _bounded_server(surroundings)
        self._health = Health()
        self._closing = closing
        self._names: list[str] = []
        self._why_unready = ""
        self._with_reflection = with_reflection
        self._certificates = certificates
        self._plain_health: grpc.aio.Server | None = None
        self._health.add_to(self._server)

    def host(self, service: Hosted) -> None:
        """Adds a service; only before `start`."""
        self._names.append(service.add_to(self._server))

    async def start(
        self, addresses: Sequence[str], *, variable: str, health_address: str = "", why_unready: str = ""
    ) -> list[int]:
        """Listens on the addresses and returns their ports; at `health_address`, health alone is answered in plain
        text. `why_unready` says what keeps the services from serving yet, so that health doesn't say for a moment that
        they can. Raises PortTaken, which names `variable` as the fix."""
        ports = [_listen(self._server, address, variable, self._certificates) for address in addresses]
        self._plain_health = await _plainly_healthy(self._health, health_address)
        if self._with_reflection:
            names = (*self._names, HEALTH.services_by_name["Health"].full_name)
            reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), self._server)
        self._health.tell(ALIVE, "", *self._names, serving=True)
        self._tell_whether_ready(why_unready)
        await self._server.start()
        return ports

    async def tell_readiness(self, why_unready: Callable[[], Awaitable[str]]) -> None:
        """Lets health say whether the services can serve, as `why_unready` finds every few seconds, until the server
        stops; the log says why they can't. That the process is alive stays said."""
        while not self._closing.is_set():
            self._tell_whether_ready(await why_unready())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), READINESS_SECONDS)

    def _tell_whether_ready(self, why_not: str) -> None:
        if why_not != self._why_unready:
            self._why_unready = why_not
            log.warning("%s", f"not ready: {why_not}" if why_not else "ready")
            self._health.tell("", *self._names, serving=not why_not)

    async def stop(self, drain: float = 0.0) -> None:
        """Lets streams end, refuses new calls, and waits a few seconds for what is being served. Before it refuses any,
        those who watch its health have `drain` seconds to go elsewhere."""
        self._health.leave()
        self._closing.set()
        if self._health.watcher_count:
            await asyncio.sleep(drain)
        self._health.end()
        await self._server.stop(GRACE_SECONDS)
        if self._plain_health:
            await self._plain_health.stop(None)


@asynccontextmanager
async def waiting(
    address: str,
    name: str,
    reason: MeshError,
    *,
    variable: str,
    certificates: Certificates | None = None,
    health_address: str = "",
) -> AsyncIterator[None]:
    """Answers at an address until the context is left, for a service that can't serve yet: every call with the reason,
    and health with NOT_SERVING, but that the process is alive. Certificates and `health_address` are as MeshServer has
    them. Raises PortTaken, which names `variable` as the fix."""
    server, health = _bounded_server(), Health()
    health.add_to(server)
    server.add_generic_rpc_handlers([_Refusing(reason)])
    _listen(server, address, variable, certificates)
    plain_health = await _plainly_healthy(health, health_address)
    health.tell("", name, serving=False)
    health.tell(ALIVE, serving=True)
    await server.start()
    try:
        yield
    finally:
        health.end()
        await server.stop(None)
        if plain_health:
            await plain_health.stop(None)


class _Refusing(grpc.GenericRpcHandler):
    """Refuses every call of every kind."""

    def __init__(self, reason: MeshError) -> None:
        self._reason = reason

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        async def refuse(requests: Any, context: Any) -> None:
            await context.abort_with_status(to_status(self._reason))

        return grpc.stream_stream_rpc_method_handler(refuse)


def _bounded_server(interceptors: Sequence[grpc.aio.ServerInterceptor] = ()) -> grpc.aio.Server:
    return grpc.aio.server(interceptors=interceptors, options=OPTIONS, maximum_concurrent_rpcs=MOST_CALLS)


async def _plainly_healthy(health: Health, address: str) -> grpc.aio.Server | None:
    """A server at an address for health alone, without TLS: who asks for an orchestrator has no certificate."""
    if not address:
        return None
    server = _bounded_server()
    health.add_to(server)
    _listen(server, address, "MONITORS_HEALTH_PORT", None)
    await server.start()
    return server


def _listen(server: grpc.aio.Server, address: str, variable: str, certificates: Certificates | None) -> int:
    try:
        if certificates is None or address.startswith("unix:"):
            return server.add_insecure_port(address)
        return server.add_secure_port(address, certificates.server_credentials())
    except RuntimeError as error:
        raise PortTaken(
            f"{address} is taken by another program; stop that one, or choose another port with {variable}"
        ) from error
