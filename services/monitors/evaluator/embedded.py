"""An evaluator that keeps the points itself: those that are pushed to it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

import grpc

from monitors.evaluator.assembly import Assembly, capacity_of
from monitors.evaluator.backing import Parts
from monitors.evaluator.backtests import Backtests
from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.engine import Engine
from monitors.evaluator.housekeeping import Housekeeping, Limits
from monitors.evaluator.intake import Intake
from monitors.evaluator.newest import Newest
from monitors.evaluator.registry import PAGE, Registry
from monitors.evaluator.store import Store
from monitors.mesh.config import EvaluatorSettings
from monitors.mesh.database import Database
from monitors.mesh.times import now_nanos
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

log = logging.getLogger(__name__)


@asynccontextmanager
async def embedded(
    settings: EvaluatorSettings, rules: grpc.aio.Channel, closing: asyncio.Event
) -> AsyncIterator[Assembly]:
    """Opens the store. Raises DatabaseUnusable."""
    database = Database(settings.database_url, name="samples", migrations="monitors.evaluator.migrations")
    try:
        await asyncio.to_thread(database.upgrade)
        store = Store(database)
        catalogue, newest = Catalogue(await store.load(), max_series=settings.max_series), Newest()
        async for points in store.load_newest():
            newest.update(points, store.is_text(points))
        registry, capacity = Registry(rules), capacity_of(settings)
        engine = Engine(RuleServiceStub(rules), store, closing, settings.address, capacity=capacity)
        intake = Intake(store, catalogue, newest, registry, engine, settings.retention)
        limits = Limits(settings.retention, settings.history_bytes)
        housekeeping = Housekeeping(store, newest, limits, lambda: engine.saved_batch)
        backtests = Backtests(store, catalogue, newest, capacity)
        parts = Parts(store, catalogue, newest, intake, engine, housekeeping, backtests, now_nanos())
        yield Assembly(
            parts,
            engine,
            helpers=(lambda: _report_all(registry, catalogue, engine.ready), housekeeping.run),
            taking=intake.run,
            stop_taking=intake.close,
            farewell=housekeeping.save_newest,
        )
    finally:
        database.close()


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
