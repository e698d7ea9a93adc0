"""An evaluator that reads points from a source and keeps none."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc

from monitors.evaluator.assembly import Assembly, capacity_of
from monitors.evaluator.backing import Parts
from monitors.evaluator.backtests import Backtests
from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.engine import Engine
from monitors.evaluator.model.horizon import Horizon
from monitors.evaluator.monitor_tags import MonitorTags
from monitors.evaluator.newest import Newest
from monitors.evaluator.polling.acquaintance import Acquaintance
from monitors.evaluator.polling.connecting import Connecting
from monitors.evaluator.polling.history import PolledHistory
from monitors.evaluator.polling.interest import Interest
from monitors.evaluator.polling.poller import Poller, slack_of
from monitors.evaluator.polling.running_ahead import RunningAhead
from monitors.evaluator.polling.writing import Target, WriteThrough
from monitors.evaluator.registering import Registrar
from monitors.evaluator.registry import Registry
from monitors.evaluator.sources.port import Source
from monitors.mesh.config import EvaluatorSettings
from monitors.mesh.identity.owners import Owners
from monitors.mesh.times import now_nanos
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub


@dataclass(frozen=True)
class Polling:
    """What is polled, and whose the monitors are that are found there."""

    connect: Callable[[], Awaitable[Source]]
    owners: Owners


@asynccontextmanager
async def polled(
    settings: EvaluatorSettings, polling: Polling, rules: grpc.aio.Channel, closing: asyncio.Event
) -> AsyncIterator[Assembly]:
    """Wires everything up. The source is first asked when the evaluator runs, and needn't be there before."""
    source = Connecting(polling.connect)
    catalogue, newest, tags = Catalogue(max_series=settings.max_series), Newest(), MonitorTags()
    capacity, poll = capacity_of(settings), settings.poll
    registrar = Registrar(catalogue, Registry(rules))
    acquaintance = Acquaintance(source, catalogue, polling.owners, registrar, newest)
    interest = Interest(catalogue)
    horizon = Horizon(now_nanos() - poll.allowance, poll.allowance)
    history = PolledHistory(source, acquaintance, catalogue, interest, newest, horizon, settings.retention)
    engine = Engine(
        RuleServiceStub(rules),
        history,
        closing,
        settings.address,
        capacity=capacity,
        exclusive=False,
        on_rules=interest.follow,
    )
    history.held = lambda: engine.held_shards

    def why_not() -> str:
        return "" if settings.is_only else engine.why_unknown

    target = Target(source, catalogue, polling.owners, registrar, why_not)
    ahead = RunningAhead(history, engine, slack_of(poll.interval))
    sink = WriteThrough(target, history, newest, tags, engine, ahead, settings.retention)
    poller = Poller(source, history, acquaintance, catalogue, engine, poll, sink, settings.retention)
    backtests = Backtests(history, catalogue, newest, capacity)
    parts = Parts(history, catalogue, newest, sink, engine, poller, backtests, now_nanos())
    try:
        yield Assembly(parts, engine, helpers=(poller.run, ahead.run), why_not=why_not, on_head=tags.learn)
    finally:
        await source.close()
