"""Tells once that spans can't be exported and once that they can again, instead of the SDK's lines at each attempt."""

import logging
import time
from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = logging.getLogger(__name__)

EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
"""Where the exporter tells of each attempt, several times."""
QUEUE = "opentelemetry.sdk._shared_internal"
"""Where the queue before it tells of what it has no room for."""


class TellingOutages(SpanExporter):
    """Exports as another exporter does. `clock` gives seconds that only grow."""

    def __init__(self, exporter: SpanExporter, clock: Callable[[], float] = time.monotonic) -> None:
        self._exporter, self._clock = exporter, clock
        self._away_since: float | None = None
        self._lost = 0
        self._said = ""
        logging.getLogger(EXPORTER).addFilter(self._keep)
        logging.getLogger(QUEUE).addFilter(self._is_worth_telling)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See SpanExporter."""
        self._said = ""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost += len(spans)
            if self._away_since is None:
                self._away_since = self._clock()
                log.warning("spans can't be exported; those until they can are left out: %s", self._said)
        elif self._away_since is not None:
            seconds = self._clock() - self._away_since
            log.warning("spans are exported again, after %.0f s; at least %d were left out", seconds, self._lost)
            self._away_since, self._lost = None, 0
        return result

    def shutdown(self) -> None:
        """See SpanExporter. What is told from now on is told by itself."""
        self._exporter.shutdown()
        logging.getLogger(EXPORTER).removeFilter(self._keep)
        logging.getLogger(QUEUE).removeFilter(self._is_worth_telling)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See SpanExporter."""
        return self._exporter.force_flush(timeout_millis)

    def _keep(self, record: logging.LogRecord) -> bool:
        """The first word of an attempt says why; the last one, that there were too many."""
        self._said = self._said or record.getMessage()
        return False

    def _is_worth_telling(self, record: logging.LogRecord) -> bool:
        return self._away_since is None or not str(record.msg).startswith("Queue full")
