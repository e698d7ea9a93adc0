"""Opens the evaluator: its store, its ways in, the engine, and the tidying of its history."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

import grpc

from monitors.evaluator.backtests import Backtests
from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.engine import Engine
from monitors.evaluator.housekeeping import Housekeeping, Limits
from monitors.evaluator.ingest import Ingest, listening
from monitors.evaluator.intake import Intake
from monitors.evaluator.model.evaluation import Capacity
from monitors.evaluator.model.instances import Limits as InstanceLimits
from monitors.evaluator.newest import Newest
from monitors.evaluator.reader import LineReader
from monitors.evaluator.registry import PAGE, Registry
from monitors.evaluator.service import EvaluatorService, Parts
from monitors.evaluator.store import Store
from monitors.mesh.config import EvaluatorSettings
from monitors.mesh.database import Database
from monitors.mesh.identity import Authenticate
from monitors.mesh.memory import give_back_freed_memory, keep_freed_memory
from monitors.mesh.shared import Shared
from monitors.mesh.times import now_nanos
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

log = logging.getLogger(__name__)

MEMORY_SECONDS = 60.0


class Evaluator:
    """The evaluator as a server hosts it. Points are taken at once; they're evaluated from `ready` on."""

    def __init__(self, service: EvaluatorService, ready: asyncio.Event, http_port: int) -> None:
        self._service = service
        self.ready = ready
        self.http_port = http_port

    def add_to(self, server: grpc.aio.Server) -> str:
        """Adds the servicer and returns the service's full name."""
        return self._service.add_to(server)


@asynccontextmanager
async def open_evaluator(
    settings: EvaluatorSettings,
    rules: grpc.aio.Channel,
    authenticate: Authenticate,
    closing: asyncio.Event,
    shared: Shared | None = None,
) -> AsyncIterator[Evaluator]:
    """Opens everything; on leaving, what was accepted is stored and the engine's state saved, and `closing` is set.

    `rules` is a channel to RuleService with the mesh's credential. If the engine or the intake dies, whoever holds the
    context open is cancelled and the error raised. Raises DatabaseUnusable, PortTaken.
    """
    keep_freed_memory()
    database = Database(settings.database_url, name="samples", migrations="monitors.evaluator.migrations")
    try:
        await asyncio.to_thread(database.upgrade)
        store = Store(database)
        catalogue, newest = Catalogue(await store.load(), max_series=settings.max_series), Newest()
        async for points in store.load_newest():
            newest.update(points, store.is_text(points))
        registry = Registry(rules)
        capacity = Capacity(InstanceLimits(settings.max_instances), settings.window_points, settings.retention)
        engine = Engine(RuleServiceStub(rules), store, closing, settings.address, capacity=capacity)
        intake = Intake(store, catalogue, newest, registry, engine, settings.retention)
        limits = Limits(settings.retention, settings.history_bytes)
        housekeeping = Housekeeping(store, newest, limits, lambda: engine.saved_batch)
        backtests = Backtests(store, catalogue, newest, capacity)
        parts = Parts(
            store, catalogue, newest, intake, engine, housekeeping, backtests, now_nanos(), shared or Shared()
        )
        service = EvaluatorService(parts)
        async with asyncio.TaskGroup() as tasks:
            committing = tasks.create_task(intake.run(), name="intake")
            evaluating = tasks.create_task(_evaluate(engine), name="engine")
            helpers = [
                tasks.create_task(_report_all(registry, catalogue, engine.ready), name="report"),
                tasks.create_task(housekeeping.run(), name="housekeeping"),
                tasks.create_task(_give_back_memory(), name="memory"),
            ]
            try:
                ingest = Ingest(intake, LineReader(catalogue), authenticate, engine.ready.is_set)
                async with listening(ingest, settings.http_host, settings.http_port) as port:
                    yield Evaluator(service, engine.ready, port)
            finally:
                intake.close()
                for helper in helpers:
                    helper.cancel()
                closing.set()
            await asyncio.gather(committing, evaluating)
            await housekeeping.save_newest()
    except BaseExceptionGroup as group:
        # The task group wraps even what the holder of the context raised; a single error stays what it is.
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
    finally:
        database.close()


async def _give_back_memory() -> None:
    """Loading rules and moving windows leave holes that nothing fills for long."""
    while True:
        await asyncio.sleep(MEMORY_SECONDS)
        await asyncio.to_thread(give_back_freed_memory)


async def _evaluate(engine: Engine) -> None:
    try:
        await engine.run()
    except Exception:
        log.exception("the engine failed; nothing is evaluated any more, so the evaluator ends")
        raise


async def _report_all(registry: Registry, catalogue: Catalogue, ready: asyncio.Event) -> None:
    """Reports all stored series once, in case that RuleService's database was replaced. Begins when rules are watched.

    A start with a million series has enough to do until then.
    """
    await ready.wait()
    for tenant in catalogue.tenants():
        fields = catalogue.fields_of(tenant)
        try:
            while page := list(islice(fields, PAGE)):
                await registry.report(tenant, page, wait_for_ready=True)
        except Exception:
            # New series are reported before they're taken; what fails here is an extra.
            log.warning("the known series of tenant %s couldn't be reported again", tenant, exc_info=True)
