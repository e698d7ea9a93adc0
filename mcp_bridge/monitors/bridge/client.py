"""The way to RuleService: one channel, one credential for each call, and one cancellation-safe helper for all RPCs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message
from opentelemetry.propagate import inject

from monitors.bridge.errors import explain, is_from_service, never_sent
from monitors.bridge.settings import MeshSettings
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

log = logging.getLogger(__name__)

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
if TYPE_CHECKING:
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

    Method: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]

OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A mesh that has just been restarted must be found again within moments.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
]
# Reads are retried by the service config too, but all its tries may fall into one pause between two connects.
# A write is repeated only under its request_id, which makes that harmless.
READ_RETRY_DELAYS = (0.5,)
WRITE_RETRY_DELAYS = (0.1, 0.4, 1.0)


class Mesh:
    """The connection to RuleService, shared by all calls, and the local key."""

    def __init__(self, channel: grpc.aio.Channel, settings: MeshSettings) -> None:
        self.stub: RuleServiceAsyncStub = RuleServiceStub(channel)
        self.address = settings.address
        self._settings = settings
        self._key = settings.key or self._read_key()

    def local_key(self) -> str:
        """The key that was given or found; empty if there is none."""
        return self._key

    def reload_key(self) -> bool:
        """Reads the key file again, which a fresh mesh may have written. Returns whether the key is another one."""
        if self._settings.key:
            return False
        known, self._key = self._key, self._read_key()
        return bool(self._key) and self._key != known

    def _read_key(self) -> str:
        try:
            return self._settings.key_file.expanduser().read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ""


@asynccontextmanager
async def open_mesh(settings: MeshSettings) -> AsyncIterator[Mesh]:
    """Opens the channel. It connects at the first call, so a mesh that is away is no error yet."""
    service_config = (files("monitors.v1") / "service_config.json").read_text()
    options = [("grpc.service_config", service_config), *OPTIONS]
    async with grpc.aio.insecure_channel(settings.address, options=options) as channel:
        yield Mesh(channel, settings)


@dataclass(frozen=True)
class Caller:
    """The mesh with the credential of one tool call; an empty `credential` means the local key."""

    mesh: Mesh
    credential: str = ""

    @property
    def stub(self) -> RuleServiceAsyncStub:
        """RuleService's methods, to be handed to `read` or `write`."""
        return self.mesh.stub

    async def read(self, method: Method[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Calls a method that changes nothing. Raises RpcFailed."""
        return await self._call(method, request, writes=False)

    async def write(self, method: Method[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Calls a method that changes something, under the request's `request_id`. Raises RpcFailed."""
        return await self._call(method, request, writes=True)

    async def _call(self, method: Method[RequestT, ResponseT], request: RequestT, *, writes: bool) -> ResponseT:
        delays = iter(WRITE_RETRY_DELAYS if writes else READ_RETRY_DELAYS)
        reloaded = sent_before = False
        while True:
            key = self.credential or self.mesh.local_key()
            try:
                return await _outcome(method(request, metadata=_metadata(key)))
            except grpc.aio.AioRpcError as error:
                code = error.code()
                if code is grpc.StatusCode.UNAUTHENTICATED and not self.credential and not reloaded:
                    reloaded = True
                    if self.mesh.reload_key():
                        continue
                if code is grpc.StatusCode.UNAVAILABLE and not is_from_service(error):
                    sent_before = sent_before or not never_sent(error)
                    delay = next(delays, None)
                    if delay is not None:
                        await asyncio.sleep(delay)
                        continue
                method_name = type(request).__name__.removesuffix("Request")
                log.info("%s failed: %s %s", method_name, code.name, error.details())
                raise explain(
                    error, address=self.mesh.address, method=method_name, writes=writes, sent_before=sent_before
                ) from None


def _metadata(key: str) -> tuple[tuple[str, str], ...]:
    # What the mesh does belongs to the trace that the tool call came with.
    carrier: dict[str, str] = {}
    inject(carrier)
    if key:
        carrier["authorization"] = f"Bearer {key}"
    return tuple(carrier.items())


async def _outcome(call: grpc.aio.UnaryUnaryCall[Any, ResponseT]) -> ResponseT:
    # grpc.aio answers a cancellation with a CancelledError of its own, which anyio takes for a foreign one: the whole
    # MCP session would end. So the call is awaited in a task of its own, and the original error is passed on.
    async def answer() -> ResponseT:
        return await call

    task = asyncio.ensure_future(answer())
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        call.cancel()
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        raise
    return task.result()
