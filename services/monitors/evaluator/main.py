"""Opens the evaluator: where its points are, its ways in, and the engine."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc

from monitors.evaluator.assembly import Assembly, Work
from monitors.evaluator.backing import Parts
from monitors.evaluator.embedded import embedded
from monitors.evaluator.engine import Engine
from monitors.evaluator.ingest import Ingest, listening
from monitors.evaluator.polling.opening import Polling, polled
from monitors.evaluator.reader import LineReader
from monitors.evaluator.service import EvaluatorService
from monitors.mesh.config import EvaluatorSettings
from monitors.mesh.guesses import Guesses
from monitors.mesh.identity import Authenticate
from monitors.mesh.memory import give_back_freed_memory, keep_freed_memory
from monitors.mesh.request_quota import RequestQuota
from monitors.mesh.shared import Shared

if TYPE_CHECKING:
    from monitors.mesh.metrics.exposition import Metrics

log = logging.getLogger(__name__)

MEMORY_SECONDS = 60.0


class Evaluator:
    """The evaluator as a server hosts it. Points are taken at once; they're evaluated from `ready` on."""

    def __init__(self, parts: Parts, engine: Engine, http_port: int, why_not: Callable[[], str]) -> None:
        self._service = EvaluatorService(parts)
        self._parts = parts
        self._engine, self._why_not = engine, why_not
        self.ready = engine.ready
        self.http_port = http_port

    def export(self, metrics: "Metrics") -> None:
        """Counts what happens from now on, and lets it be read how it fares."""
        from monitors.evaluator.metrics import export

        export(metrics, self._parts, self._engine)

    async def why_unready(self) -> str:
        """Why it can't serve; empty if it can. One that keeps its points takes them as soon as it's open; of several
        the others must know that points come another way, too."""
        return self._why_not()

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
    polling: Polling | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Evaluator]:
    """Opens everything; on leaving, what was accepted is stored and the engine's state saved, and `closing` is set.

    `rules` is a channel to RuleService with the mesh's credential. With `polling` points are read from a source, else
    they are pushed and kept here; with `tls` they are taken over TLS. If the engine or what feeds it dies, whoever
    holds the context open is cancelled and the error raised. Raises DatabaseUnusable, PortTaken.
    """
    keep_freed_memory()
    opening = polled(settings, polling, rules, closing) if polling else embedded(settings, rules, closing)
    try:
        async with opening as made, asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(_run(made.taking), name="taking")
            evaluating = tasks.create_task(_evaluate(made.engine), name="engine")
            helpers = [tasks.create_task(_run(work)) for work in (*made.helpers, _give_back_memory)]
            parts = replace(made.parts, shared=shared or Shared())
            try:
                quota = RequestQuota(parts.shared.buckets, settings.quotas)
                guesses = Guesses(parts.shared.buckets)
                reader = LineReader(parts.catalogue, made.on_head)
                ingest = Ingest(parts.intake, reader, authenticate, lambda: _trouble(made), quota, guesses)
                async with listening(ingest, settings.http_host, settings.http_port, tls) as port:
                    yield Evaluator(parts, made.engine, port, made.why_not)
            finally:
                made.stop_taking()
                for helper in helpers:
                    helper.cancel()
                closing.set()
            await asyncio.gather(taking, evaluating)
            await made.farewell()
    except BaseExceptionGroup as group:
        # The task group wraps even what the holder of the context raised; a single error stays what it is.
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


def _trouble(made: Assembly) -> str:
    """What keeps points from being evaluated; empty if nothing does."""
    why = made.why_not()
    if why:
        return f"no points are taken: {why}"
    return "" if made.engine.ready.is_set() else "points are stored, but not evaluated yet"


async def _run(work: Work) -> None:
    await work()


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
