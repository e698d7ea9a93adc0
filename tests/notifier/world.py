"""A notifier on a real server, beside a RuleService that plays the contract, and receivers that answer by a script."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
from aiohttp import web
from google.protobuf.duration_pb2 import Duration

from monitors.mesh.channels import open_channel
from monitors.mesh.config import Mailer, NotifierSettings, PageSettings
from monitors.mesh.errors import Unauthenticated
from monitors.mesh.events import Changes, first_of
from monitors.mesh.identity import ORDINARY_SCOPES, Principal, with_service_token
from monitors.mesh.masking import Secret
from monitors.mesh.master_keys import MasterKey
from monitors.mesh.quotas import Tiers
from monitors.mesh.server import MeshServer
from monitors.mesh.shared import Shared
from monitors.mesh.times import SECOND, now_nanos, to_timestamp
from monitors.notifier.delivery import STOP_SECONDS
from monitors.notifier.main import Notifier, open_notifier
from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as rules_pb
from monitors.v1.key_pb2 import Key
from monitors.v1.mesh_pb2 import ChannelPage, ChannelState, DeliveryReport
from monitors.v1.notification_pb2 import Notification
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer, add_RuleServiceServicer_to_server
from tests.harness import LoopThread
from tests.servers.backends import database_url

T = TypeVar("T")
PATIENCE = 10.0
FIRING = alert_pb2.ALERT_EVENT_KIND_FIRING
RESOLVED = alert_pb2.ALERT_EVENT_KIND_RESOLVED
ACKNOWLEDGED = alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGED
SNOOZED = alert_pb2.ALERT_EVENT_KIND_SNOOZED
SEVERITY_CHANGED = alert_pb2.ALERT_EVENT_KIND_SEVERITY_CHANGED
REPEAT_CHANGED = alert_pb2.ALERT_EVENT_KIND_REPEAT_CHANGED


class Record(Generic[T]):
    """What has happened so far, in order; a test waits until it shows what it expects."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._changed = threading.Condition()

    def add(self, item: T) -> None:
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def wait(self, expected: Callable[[list[T]], bool]) -> list[T]:
        with self._changed:
            assert self._changed.wait_for(lambda: expected(self.items), PATIENCE), self.items
            return list(self.items)

    def wait_for_count(self, count: int) -> list[T]:
        return self.wait(lambda items: len(items) >= count)


class MovableClock:
    """The machine's clock, which a test can put forward."""

    def __init__(self) -> None:
        self._ahead = 0
        self._moves: Changes | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> int:
        return now_nanos() + self._ahead

    async def until(self, nanos: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._moves = self._moves or Changes()
        while (missing := nanos - self.now()) > 0:
            await first_of(self._moves.upcoming, within=missing / SECOND)

    def advance(self, seconds: float) -> None:
        self._ahead += int(seconds * SECOND)
        if self._loop and self._moves:
            self._loop.call_soon_threadsafe(self._moves.announce)


class PlayedRules(RuleServiceServicer):
    """RuleService as far as the notifier knows it: an outbox, and a record of what it's told."""

    def __init__(self) -> None:
        self.acknowledged: Record[str] = Record()
        self.reports: Record[DeliveryReport] = Record()
        self.mirrored: Record[tuple[str, list[str]]] = Record()
        self.states: Record[dict[str, str]] = Record()
        """Of the channels as they were mirrored, by name."""
        self.pages: Record[ChannelPage] = Record()
        self.away = False
        self.refused_reports = 0
        self.evaluation_problem = ""
        self.is_silent = False
        """Whether it doesn't say how evaluation fares."""
        self.checked: Record[str] = Record()
        self.keys: list[Key] = []
        self.picture: rules_pb.DrawAlertResponse | None = rules_pb.DrawAlertResponse()
        """Of every alert; None to answer with none, and not before `released`."""
        self.released = asyncio.Event()
        self.drawn: Record[rules_pb.DrawAlertRequest] = Record()
        self.on_leaving: Callable[[], None] = lambda: None
        """Called when the notifier takes nothing over any more."""
        self._outbox: asyncio.Queue[list[Notification]] = asyncio.Queue()

    def add_to(self, server: grpc.aio.Server) -> str:
        add_RuleServiceServicer_to_server(self, server)
        return "monitors.v1.RuleService"

    async def tell(self, *notifications: Notification) -> None:
        await self._outbox.put(list(notifications))

    async def LeaseNotifications(
        self, request: rules_pb.LeaseNotificationsRequest, context: Any
    ) -> AsyncIterator[rules_pb.LeaseNotificationsResponse]:
        self.pages.add(request.channel_page)
        try:
            yield rules_pb.LeaseNotificationsResponse()
            while True:
                notifications = await self._outbox.get()
                yield rules_pb.LeaseNotificationsResponse(notifications=notifications, lease_token="token")
        finally:
            self.on_leaving()

    async def AcknowledgeNotifications(
        self, request: rules_pb.AcknowledgeNotificationsRequest, context: Any
    ) -> rules_pb.AcknowledgeNotificationsResponse:
        assert request.lease_token == "token"
        for identifier in request.notification_ids:
            self.acknowledged.add(identifier)
        return rules_pb.AcknowledgeNotificationsResponse()

    async def ReportDeliveries(
        self, request: rules_pb.ReportDeliveriesRequest, context: Any
    ) -> rules_pb.ReportDeliveriesResponse:
        if self.refused_reports:
            self.refused_reports -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        for report in request.reports:
            self.reports.add(report)
        return rules_pb.ReportDeliveriesResponse()

    async def DrawAlert(self, request: rules_pb.DrawAlertRequest, context: Any) -> rules_pb.DrawAlertResponse:
        self.drawn.add(request)
        if self.picture is None:
            await self.released.wait()
        return self.picture or rules_pb.DrawAlertResponse()

    async def CheckEvaluation(
        self, request: rules_pb.CheckEvaluationRequest, context: Any
    ) -> rules_pb.CheckEvaluationResponse:
        self.checked.add(self.evaluation_problem)
        if self.is_silent:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return rules_pb.CheckEvaluationResponse(problem=self.evaluation_problem)

    async def ListKeys(self, request: rules_pb.ListKeysRequest, context: Any) -> rules_pb.ListKeysResponse:
        """One key a page."""
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        start = int(request.page_token or 0)
        more = f"{start + 1}" if start + 1 < len(self.keys) else ""
        return rules_pb.ListKeysResponse(keys=self.keys[start : start + 1], next_page_token=more)

    async def MirrorChannels(
        self, request: rules_pb.MirrorChannelsRequest, context: Any
    ) -> rules_pb.MirrorChannelsResponse:
        if self.away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        self.states.add({one.name: ChannelState.Name(one.state) for one in request.channels})
        self.mirrored.add((request.tenant_id, sorted(channel.name for channel in request.channels)))
        return rules_pb.MirrorChannelsResponse()


@dataclass
class World:
    """A running notifier with its neighbours."""

    notifier: Notifier
    rules: PlayedRules
    lines: Record[str]
    clock: MovableClock
    port: int
    loop: LoopThread
    channel: grpc.Channel = field(init=False)

    @property
    def stub(self) -> NotifierServiceStub:
        """Calls as an ordinary user of `acme`."""
        return self.stub_of("acme")

    def stub_of(self, credential: str) -> NotifierServiceStub:
        """Calls with a credential: a tenant, or `acme-admin` for its administrator."""
        return NotifierServiceStub(as_tenant(self.channel, credential))

    def tell(self, *notifications: Notification) -> None:
        self.loop.run(self.rules.tell(*notifications))

    def wait_for_states(self, *expected: tuple[str, str]) -> list[DeliveryReport]:
        """Waits until the newest report of each (notification, channel) shows the expected states, in any order."""

        def reached(reports: list[DeliveryReport]) -> bool:
            newest = {(r.delivery.notification_id, r.delivery.channel): r.delivery.state for r in reports}
            states = sorted((key[0], alert_pb2.DeliveryState.Name(state)) for key, state in newest.items())
            return states == sorted((name, f"DELIVERY_STATE_{state}") for name, state in expected)

        return self.rules.reports.wait(reached)


async def authenticate(credential: str) -> Principal:
    tenant, dash, role = credential.partition("-")
    if tenant in ("acme", "globex"):
        return Principal(tenant, "ann", frozenset([role] if dash else ORDINARY_SCOPES))
    raise Unauthenticated("the credential isn't known")


@contextmanager
def running(
    loop: LoopThread,
    folder: Path,
    *,
    clock: MovableClock | None = None,
    allow_local: bool = True,
    smtp: Mailer | None = None,
    rules: PlayedRules | None = None,
    page: PageSettings | None = None,
    master_keys: tuple[MasterKey, ...] = (),
    console: Callable[[str], None] | None = None,
    quotas: Tiers | None = None,
    operator: str = "",
    chart_seconds: float = 2.0,
    shared: Shared | None = None,
    stop_seconds: float = STOP_SECONDS,
) -> Iterator[World]:
    """Runs a notifier whose state lives in `folder`, and a client for the tenant `acme`. `console` prints instead of
    the record of lines."""
    clock = clock or MovableClock()
    lines: Record[str] = Record()
    settings = NotifierSettings(
        database_url(folder / "notifier.db", "notifier"),
        folder / "master.key",
        smtp,
        allow_local,
        page or PageSettings(),
        master_keys,
        quotas=quotas or Tiers(),
        chart_seconds=chart_seconds,
        operator_webhook=Secret(operator) if operator else None,
    )

    @asynccontextmanager
    async def opened() -> AsyncIterator[World]:
        closing = asyncio.Event()
        played = rules or PlayedRules()  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED
        server = MeshServer(with_service_token("mesh", authenticate), closing)
        address = f"unix:{folder / 'mesh.sock'}"
        async with (
            open_channel(address, "mesh") as channel,
            open_notifier(
                settings, channel, closing, console or lines.add, clock, shared=shared, stop_seconds=stop_seconds
            ) as notifier,
        ):
            server.host(played)
            server.host(notifier)
            _, port = await server.start([address, "127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
            yield World(notifier, played, lines, clock, port, loop)
        await server.stop()

    with (
        loop.opened(opened()) as world,
        grpc.insecure_channel(f"127.0.0.1:{world.port}") as channel,
    ):
        world.channel = channel
        yield world


def as_tenant(channel: grpc.Channel, tenant: str) -> grpc.Channel:
    """The channel with a tenant's credential in each call."""
    return grpc.intercept_channel(channel, _Credential(tenant))


class _Details(grpc.ClientCallDetails):
    def __init__(self, details: grpc.ClientCallDetails, metadata: list[tuple[str, str]]) -> None:
        self.method = details.method
        self.timeout = details.timeout or PATIENCE * 2
        self.metadata = tuple(metadata)
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = None


class _Credential(grpc.UnaryUnaryClientInterceptor):
    def __init__(self, credential: str) -> None:
        self._metadata = [("authorization", f"Bearer {credential}")]

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        return continuation(_Details(client_call_details, self._metadata), request)


@dataclass(frozen=True)
class Received:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    query: str = ""
    method: str = "POST"


@dataclass
class Reply:
    """What the receiver answers. `drop` closes the connection without an answer; `endless` never ends the body."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    drop: bool = False
    endless: bool = False
    hold: bool = False


class Receiver:
    """An HTTP server that answers by a script, then as `answer` says: 200."""

    def __init__(self, answer: Callable[[Received], Reply] = lambda _: Reply()) -> None:
        self._answer = answer
        self.received: Record[Received] = Record()
        self.script: list[Reply] = []
        self.released = asyncio.Event()
        self.url = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = {k.lower(): v for k, v in request.headers.items()}
        received = Received(request.path, headers, await request.read(), request.query_string, request.method)
        reply = self.script.pop(0) if self.script else self._answer(received)
        self.received.add(received)
        if reply.hold:
            await self.released.wait()
        if reply.drop:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if reply.endless:
            response = web.StreamResponse(status=reply.status, headers=reply.headers)
            await response.prepare(request)
            while True:
                await response.write(b"x" * 4096)
        return web.Response(status=reply.status, headers=reply.headers, body=reply.body)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            self.released.set()
            await runner.cleanup()


def notification(
    identifier: str,
    kind: alert_pb2.AlertEventKind.ValueType = FIRING,
    *,
    alert: str = "alert_1",
    channels: tuple[str, ...] = (),
    stream: str = "rule_1/a",
    sequence: int = 1,
    severity: rule_pb2.Severity.ValueType = rule_pb2.SEVERITY_HIGH,
    tenant: str = "acme",
    title: str = "CPU is hot",
    now: int | None = None,
    repeat: int = 0,
    repeat_after: int | None = None,
    monitor: str = "mon_host",
    labels: Mapping[str, str] | None = None,
) -> Notification:
    """A notification as RuleService makes it. `repeat` is seconds, 0 for never."""
    time = to_timestamp(now_nanos() if now is None else now)
    return Notification(
        id=identifier,
        tenant_id=tenant,
        kind=kind,
        alert=alert_pb2.Alert(
            id=alert,
            rule_id="rule_1",
            title=title,
            monitor_id=monitor,
            group={"cpu": "0"},
            labels=labels,
            severity=severity,
            condition_text="avg(cpu_percent, 1m) > 90",
            value=97.25,
            active_time=time,
            fire_time=time,
            resolve_time=time if kind == RESOLVED else None,
            resolve_reason="condition" if kind == RESOLVED else "",
            annotations={"runbook_url": "https://example.org/runbook"},
        ),
        user="ann" if kind == ACKNOWLEDGED else "",
        channels=channels,
        stream_key=stream,
        sequence=sequence,
        event_time=time,
        create_time=time,
        repeat_interval=Duration(seconds=repeat) if repeat else None,
        repeat_after_time=None if repeat_after is None else to_timestamp(repeat_after),
    )
