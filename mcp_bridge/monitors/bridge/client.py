"""The way to RuleService: one channel, one credential for each call, and one cancellation-safe helper for all RPCs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import Message
from opentelemetry.propagate import inject

from monitors.bridge.errors import RpcFailed, explain, is_from_service, never_sent
from monitors.bridge.settings import MeshSettings
from monitors.bridge.source import UNKNOWN, Source
from monitors.bridge.tls import TlsChannel
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

log = logging.getLogger(__name__)

T = TypeVar("T")
RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
if TYPE_CHECKING:
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

    Method: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]
    StreamMethod: TypeAlias = grpc.aio.UnaryStreamMultiCallable[RequestT, ResponseT]

OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A mesh that has just been restarted must be found again within moments.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
    # So must the replicas that have replaced all that there were: gRPC itself asks for addresses every 30 seconds.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
]
# Reads are retried by the service config too, but all its tries may fall into one pause between two connects.
# A write is repeated only under its request_id, which makes that harmless.
READ_RETRY_DELAYS = (0.5,)
WRITE_RETRY_DELAYS = (0.1, 0.4, 1.0)
# A server that ends cancels what has only just come to it.
BROKEN_OFF = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
# A stream gives a sign of life within ten seconds, or its connection is dead without our having been told.
STREAM_SILENCE_SECONDS = 15.0


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

    def reload_key(self, refused: str) -> bool:
        """Reads the key file again, which a fresh mesh may have written. Returns whether it isn't the `refused` one."""
        if self._settings.key:
            return False
        self._key = self._read_key()
        return bool(self._key) and self._key != refused

    def _read_key(self) -> str:
        try:
            return self._settings.key_file.expanduser().read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ""


def channel_to(settings: MeshSettings) -> grpc.aio.Channel:
    """A channel to RuleService. It connects at the first call, so a mesh that is away is no error yet."""
    service_config = (files("monitors.v1") / "service_config.json").read_text()
    options = [("grpc.service_config", service_config), *OPTIONS]
    if settings.tls is None:
        return grpc.aio.insecure_channel(settings.address, options=options)
    return TlsChannel(
        settings.tls, lambda credentials: grpc.aio.secure_channel(settings.address, credentials, options=options)
    )


@asynccontextmanager
async def open_mesh(settings: MeshSettings) -> AsyncIterator[Mesh]:
    """Opens the channel, and closes it in the end."""
    async with channel_to(settings) as channel:
        yield Mesh(channel, settings)


@dataclass(frozen=True)
class Caller:
    """The mesh with the credential of one tool call; an empty `credential` means the local key.

    `vouch` gives a credential that lives for a minute, and is asked for each try of each call. `source` tells the mesh
    what the call came through.
    """

    mesh: Mesh
    credential: str = field(default="", repr=False)
    vouch: Callable[[], str] | None = None
    source: Source = UNKNOWN

    @property
    def is_lent_key(self) -> bool:
        """Whether it calls with the local key, having no credential of its own."""
        return not (self.credential or self.vouch)

    @property
    def stub(self) -> RuleServiceAsyncStub:
        """RuleService's methods, to be handed to `read` or `write`."""
        return self.mesh.stub

    async def read(
        self, method: Method[RequestT, ResponseT], request: RequestT, *, seconds: float | None = None
    ) -> ResponseT:
        """Calls a method that changes nothing, for at most `seconds`, else its usual deadline. Raises RpcFailed."""
        return await self._call(method, request, writes=False, seconds=seconds)

    async def write(self, method: Method[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """Calls a method that changes something, under the request's `request_id`. Raises RpcFailed."""
        return await self._call(method, request, writes=True)

    async def _call(
        self, method: Method[RequestT, ResponseT], request: RequestT, *, writes: bool, seconds: float | None = None
    ) -> ResponseT:
        delays = iter(WRITE_RETRY_DELAYS if writes else READ_RETRY_DELAYS)
        reloaded = sent_before = False
        while True:
            key = self._key()
            call = method(request, metadata=_metadata(key, self.source), timeout=seconds)
            try:
                return await _outcome(call, call)
            except grpc.aio.AioRpcError as error:
                code = error.code()
                if not reloaded and self._finds_another_key(code, key):
                    reloaded = True
                    continue
                if code in BROKEN_OFF and not is_from_service(error):
                    sent_before = sent_before or not never_sent(error)
                    delay = next(delays, None)
                    if delay is not None:
                        await asyncio.sleep(delay)
                        continue
                raise self._failed(error, request, writes=writes, sent_before=sent_before) from None

    async def follow(
        self, method: StreamMethod[RequestT, ResponseT], request: RequestT
    ) -> AsyncGenerator[ResponseT, None]:
        """The messages of a stream, until the service ends it, or another key has taken the place of the one that it
        began with. Raises RpcFailed, also when it has fallen silent.

        Whoever stops before the end closes it, as with `contextlib.aclosing`.
        """
        reloaded = began = False
        while True:
            key = self._key()
            call = method(request, metadata=_metadata(key, self.source))
            try:
                while True:
                    message = await _outcome(call, call.read(), within=STREAM_SILENCE_SECONDS)
                    if message is grpc.aio.EOF:
                        return
                    began = True
                    yield cast("ResponseT", message)
            except grpc.aio.AioRpcError as error:
                if reloaded or not self._finds_another_key(error.code(), key):
                    raise self._failed(error, request, writes=False) from None
                if began:
                    # What comes between this stream and another is missed, which whoever follows must know.
                    return
                reloaded = True
            finally:
                call.cancel()

    def _key(self) -> str:
        return self.vouch() if self.vouch else self.credential or self.mesh.local_key()

    def _finds_another_key(self, code: grpc.StatusCode, refused: str) -> bool:
        is_refused = code is grpc.StatusCode.UNAUTHENTICATED and self.is_lent_key
        return is_refused and self.mesh.reload_key(refused)

    def _failed(
        self, error: grpc.aio.AioRpcError, request: Message, *, writes: bool, sent_before: bool = False
    ) -> RpcFailed:
        method = type(request).__name__.removesuffix("Request")
        log.info("%s failed: %s %s", method, error.code().name, error.details())
        return explain(
            error,
            address=self.mesh.address,
            method=method,
            writes=writes,
            sent_before=sent_before,
            is_lent_key=self.is_lent_key,
        )


def _metadata(key: str, source: Source) -> tuple[tuple[str, str], ...]:
    # What the mesh does belongs to the trace that the tool call came with.
    carrier: dict[str, str] = {}
    inject(carrier)
    if key:
        carrier["authorization"] = f"Bearer {key}"
    return (*carrier.items(), *source.metadata())


async def _outcome(call: grpc.aio.Call, answer: Awaitable[T], *, within: float | None = None) -> T:
    """What a call answers; `within` as many seconds, or it's given up and fails with DEADLINE_EXCEEDED."""
    # grpc.aio answers a cancellation with a CancelledError of its own, which anyio takes for a foreign one: the whole
    # MCP session would end. So the call is awaited in a task of its own, and the original error is passed on.
    task = asyncio.ensure_future(answer)
    try:
        await asyncio.wait({task}, timeout=within)
    except asyncio.CancelledError:
        _give_up(call, task)
        raise
    if not task.done():
        _give_up(call, task)
        raise grpc.aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, grpc.aio.Metadata(), grpc.aio.Metadata())
    return task.result()


def _give_up(call: grpc.aio.Call, task: asyncio.Future[Any]) -> None:
    call.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
