"""The evaluator's ways in, for tests: a real RuleService that plays the contract, the real store, HTTP and gRPC."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from monitors.evaluator.backing import Parts
from monitors.evaluator.backtests import Backtests
from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.engine import EngineStatus
from monitors.evaluator.housekeeping import Housekeeping, Limits
from monitors.evaluator.ingest import Ingest, listening
from monitors.evaluator.intake import Intake
from monitors.evaluator.model.evaluation import AMPLE
from monitors.evaluator.model.explanation import Explanation
from monitors.evaluator.model.series import Batch, Series
from monitors.evaluator.model.spec import InstanceKey, RuleKey
from monitors.evaluator.model.state import Status
from monitors.evaluator.newest import Newest
from monitors.evaluator.reader import LineReader
from monitors.evaluator.registry import Registry
from monitors.evaluator.service import EvaluatorService
from monitors.evaluator.store import Store
from monitors.mesh.channels import open_channel
from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.errors import QuotaExceeded, ServiceUnavailable, Unauthenticated
from monitors.mesh.identity import Principal, with_service_token
from monitors.mesh.server import MeshServer
from monitors.mesh.times import DAY, SECOND
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer, add_RuleServiceServicer_to_server

TOKEN = "mesh-token"
RETENTION = 30 * DAY
SCOPES = frozenset({"samples:write", "samples:read", "rules:read"})


async def authenticate(credential: str) -> Principal:
    """Knows a writer of each of two tenants, and one who may only read."""
    known = {
        "acme-key": Principal("acme", "ann", SCOPES),
        "other-key": Principal("other", "olga", SCOPES),
        "reader-key": Principal("acme", "rob", frozenset({"samples:read"})),
    }
    if credential not in known:
        raise Unauthenticated("the credential isn't known")
    return known[credential]


class RuleBook(RuleServiceServicer):
    """RuleService as far as the ways in need it: it registers series. `types` are the fields it knows already."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, str, str]] = []
        self.types: dict[tuple[str, str, str, str], int] = {}
        self.full = self.away = False

    def add_to(self, server: grpc.aio.Server) -> str:
        add_RuleServiceServicer_to_server(self, server)
        return "monitors.v1.RuleService"

    async def ReportSeries(self, request: pb.ReportSeriesRequest, context: Any) -> pb.ReportSeriesResponse:
        if self.away:
            raise ServiceUnavailable("rules")
        if self.full:
            raise QuotaExceeded("the tenant has 100 monitors, which is the limit")
        types: list[Any] = []
        for one in request.series:
            key = (request.tenant_id, one.key.monitor_id, one.key.measurement, one.key.field)
            known = self.types.setdefault(key, one.type)
            types.append(known if known != one.type else 0)
            self.reported.append((request.tenant_id, one.key.monitor_id, one.key.field))
        return pb.ReportSeriesResponse(types=types)


@asynccontextmanager
async def rule_book(socket: str) -> AsyncIterator[RuleBook]:
    """Serves a rule book on a unix socket."""
    book = RuleBook()  # type: ignore[abstract]
    server = MeshServer(with_service_token(TOKEN, authenticate), asyncio.Event())
    server.host(book)
    await server.start([socket], variable="MONITORS_GRPC_PORT")
    yield book
    await server.stop()


@dataclass
class Evaluated:
    """Stands where the engine stands and keeps what it's told, in order."""

    told: list[tuple[str, Any]] = field(default_factory=list)
    trouble: str = ""
    relieved: asyncio.Event = field(default_factory=asyncio.Event)
    """Unset while it takes no more."""

    def __post_init__(self) -> None:
        self.relieved.set()

    async def room(self) -> None:
        await self.relieved.wait()

    def add_series(self, series: Sequence[Series]) -> None:
        self.told.append(("series", [one.key.field for one in series]))

    def push(self, batch: Batch) -> None:
        self.told.append(("batch", batch))

    @property
    def batches(self) -> list[Batch]:
        return [one for kind, one in self.told if kind == "batch"]

    async def explain(self, key: RuleKey, monitors: Collection[str]) -> list[Explanation]:
        self.told.append(("explain", (key, list(monitors))))
        instance = InstanceKey(key.tenant, key.rule_id, "web", (("core", "0"),))
        return [Explanation(instance, Status.PENDING, 7.5, 5 * SECOND, 3 * SECOND, "it fires soon")]

    def status(self) -> EngineStatus:
        return EngineStatus(
            rule_count=1, instance_count=2, evaluated_to=5, last_step_duration=6, missed_slots=7,
            unrecorded_transitions=8, shard_count=256, problems=[],
            rule_problems={RuleKey("acme", "r"): "it is skipped", RuleKey("other", "s"): "it is skipped"},
            tenants=("acme",),
        )  # fmt: skip


@dataclass
class WaysIn:
    """Everything that was opened, and where to reach it."""

    database: Database
    store: Store
    catalogue: Catalogue
    newest: Newest
    intake: Intake
    evaluated: Evaluated
    housekeeping: Housekeeping
    http_port: int
    grpc_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"


@asynccontextmanager
async def ways_in(folder: Path, *, max_series: int = 100, max_waiting: int = 1_000) -> AsyncIterator[WaysIn]:
    """Opens store, intake, HTTP and gRPC. RuleService is looked for on the socket `rules.sock` of the folder."""
    database = Database(sqlite_url(folder / "samples.db"), name="samples", migrations="monitors.evaluator.migrations")
    await asyncio.to_thread(database.upgrade)
    store = Store(database)
    catalogue = Catalogue(await store.load(), max_series=max_series)
    newest, evaluated = Newest(), Evaluated()
    async with AsyncExitStack() as stack:
        stack.callback(database.close)
        channel = await stack.enter_async_context(open_channel(f"unix:{folder / 'rules.sock'}", TOKEN))
        intake = Intake(store, catalogue, newest, Registry(channel), evaluated, RETENTION, max_waiting=max_waiting)
        housekeeping = Housekeeping(store, newest, Limits(RETENTION, 10**9), lambda: 0)
        running = asyncio.create_task(intake.run())
        ingest = Ingest(intake, LineReader(catalogue), authenticate, lambda: evaluated.trouble)
        http_port = await stack.enter_async_context(listening(ingest, "127.0.0.1", 0))
        server = MeshServer(with_service_token(TOKEN, authenticate), asyncio.Event())
        backtests = Backtests(store, catalogue, newest, AMPLE)
        server.host(EvaluatorService(Parts(store, catalogue, newest, intake, evaluated, housekeeping, backtests, 1)))
        (grpc_port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
        yield WaysIn(database, store, catalogue, newest, intake, evaluated, housekeeping, http_port, grpc_port)
        await server.stop()
        intake.close()
        await running
