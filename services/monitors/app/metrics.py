"""The metrics of a process, if they are wanted. Only then is loaded what makes them, and are calls counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.config import MetricsSettings

if TYPE_CHECKING:
    from monitors.mesh.metrics.exposition import Metrics


@asynccontextmanager
async def open_metrics(settings: MetricsSettings | None) -> AsyncIterator["Metrics | None"]:
    """Exports metrics for as long as the context is open; None if they aren't wanted. Raises PortTaken."""
    if settings is None:
        yield None
        return
    from monitors.mesh.metrics.exposition import exported

    async with exported(settings) as metrics:
        yield metrics


def counting(metrics: "Metrics | None") -> list[grpc.aio.ServerInterceptor]:
    """What counts the calls of a server, outside of everything else; nothing if there are no metrics."""
    if metrics is None:
        return []
    from monitors.mesh.metrics.calls import CallMetrics

    return [CallMetrics(metrics.registry)]
