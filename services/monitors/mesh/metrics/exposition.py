"""The metrics of one process, and the HTTP address at which they are read.

What happens is counted as it happens; what stands somewhere, in memory or in a database, is read when it's asked for.
No label ever holds what a tenant has written or is called: their values are words of ours.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.aiohttp import make_aiohttp_handler
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from monitors.mesh.config import MetricsSettings
from monitors.mesh.server import PortTaken

log = logging.getLogger(__name__)

PATH = "/metrics"
READ_SECONDS = 3.0
"""How long a reading may take. Prometheus itself waits for ten seconds, unless it's told otherwise."""
SHUTDOWN_SECONDS = 1.0

Read = Callable[[], Awaitable[Sequence[Metric]]]


class Reading:
    """What is read of one service, again after `kept_seconds` at the earliest, however often it's asked for."""

    def __init__(self, service: str, read: Read, kept_seconds: float) -> None:
        self.service = service
        self.families: Sequence[Metric] = ()
        self.is_missing = False
        self._read = read
        self._kept_seconds = kept_seconds
        self._read_at = -float("inf")
        self._one_at_a_time = asyncio.Lock()

    async def refresh(self) -> None:
        """Reads anew. What can't be read is left out: an old value would look like a present one."""
        async with self._one_at_a_time:
            if time.monotonic() - self._read_at < self._kept_seconds:
                return
            try:
                async with asyncio.timeout(READ_SECONDS):
                    self.families, self.is_missing = await self._read(), False
            except Exception as error:
                if not self.is_missing:
                    log.warning("the metrics of %s can't be read: %s", self.service, type(error).__name__)
                self.families, self.is_missing = (), True
            self._read_at = time.monotonic()


class Metrics(Collector):
    """What a process exports. Counters and histograms are made in its `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.url = ""
        """Where they are read."""
        self._readings: list[Reading] = []
        self._task_count = 0
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def follow(self, service: str, read: Read, kept_seconds: float = 0.0) -> None:
        """Exports what `read` gives at the time when it's asked for, or some seconds before."""
        self._readings.append(Reading(service, read, kept_seconds))

    def collect(self) -> Iterator[Metric]:
        """What was read last."""
        missing = GaugeMetricFamily(
            "monitors_metrics_missing",
            "Whether the metrics that are read when they are asked for are missing, since reading them failed.",
            labels=["service"],
        )
        for reading in self._readings:
            missing.add_metric([reading.service], float(reading.is_missing))
            yield from reading.families
        yield missing
        yield GaugeMetricFamily(
            "monitors_asyncio_tasks",
            "Tasks of the process's event loop that haven't ended. If they only grow in number, some are leaked.",
            self._task_count,
        )

    def application(self) -> web.Application:
        """The web application."""
        answer = make_aiohttp_handler(self.registry)

        async def refreshed(request: web.Request) -> web.StreamResponse:
            await asyncio.gather(*[reading.refresh() for reading in self._readings])
            self._task_count = len(asyncio.all_tasks())
            return await answer(request)

        app = web.Application()
        app.router.add_get(PATH, refreshed)
        return app


@asynccontextmanager
async def exported(settings: MetricsSettings) -> AsyncIterator[Metrics]:
    """Metrics that can be read for as long as the context is open. Raises PortTaken."""
    # When each was made says nothing, and would be as many series again.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    metrics = Metrics()
    runner = web.AppRunner(metrics.application(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
        except OSError as error:
            raise PortTaken(
                f"{settings.host}:{settings.port} can't be listened on; stop the program that has it, or choose "
                "another address with MONITORS_METRICS_ADDRESS"
            ) from error
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        metrics.url = f"http://{host}:{runner.addresses[0][1]}{PATH}"
        yield metrics
    finally:
        await runner.cleanup()
