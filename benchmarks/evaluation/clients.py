"""Clients of a running mesh: the official stubs with a key of one's own, and points pushed as columns."""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import numpy as np

from benchmarks.evaluation.load import FIELD, MEASUREMENT
from benchmarks.measure import say
from monitors.evaluator.model.series import Floats
from monitors.v1.evaluator_service_pb2 import (
    GetEvaluatorStatusRequest,
    GetEvaluatorStatusResponse,
    SeriesDefinition,
    WriteSamplesRequest,
    WriteSamplesResponse,
)
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.monitor_pb2 import FIELD_TYPE_FLOAT, SeriesKey
from monitors.v1.rule_service_pb2 import ListAlertsRequest
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

DEFINITIONS_A_MESSAGE = 20_000
SAMPLES_A_MESSAGE = 150_000
ALERTS_A_PAGE = 1_000
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Client:
    """Both services, and what to send with each call."""

    rules: RuleServiceStub
    evaluator: EvaluatorServiceStub
    metadata: Metadata

    def alert_count(self, state: str = "") -> int:
        """How many alerts there are, in that state."""
        count, request = 0, ListAlertsRequest(page_size=ALERTS_A_PAGE, filter=f"state={state}" if state else "")
        while True:
            page = self.rules.ListAlerts(request, metadata=self.metadata, timeout=60)
            count += len(page.alerts)
            if not page.next_page_token:
                return count
            request.page_token = page.next_page_token

    def status(self) -> GetEvaluatorStatusResponse:
        """How the evaluator fares."""
        return self.evaluator.GetEvaluatorStatus(GetEvaluatorStatusRequest(), metadata=self.metadata, timeout=60)


@contextmanager
def connected(rules_port: int, evaluator_port: int, key: str) -> Iterator[Client]:
    """A client with a key."""
    with (
        grpc.insecure_channel(f"127.0.0.1:{rules_port}") as rules,
        grpc.insecure_channel(f"127.0.0.1:{evaluator_port}") as evaluator,
    ):
        yield Client(RuleServiceStub(rules), EvaluatorServiceStub(evaluator), (("authorization", f"Bearer {key}"),))


class Pusher:
    """One WriteSamples stream, as a sender holds it open: series are defined once, then every push is columns."""

    def __init__(self, client: Client, names: Sequence[str]) -> None:
        self._queue: queue.SimpleQueue[WriteSamplesRequest | None] = queue.SimpleQueue()
        self._indexes = np.arange(len(names), dtype="<u4")
        self.sent = 0
        self._answer: WriteSamplesResponse | None = None
        for start in range(0, len(names), DEFINITIONS_A_MESSAGE):
            keys = [
                SeriesKey(monitor_id=name, measurement=MEASUREMENT, field=FIELD)
                for name in names[start : start + DEFINITIONS_A_MESSAGE]
            ]
            definitions = [SeriesDefinition(key=key, type=FIELD_TYPE_FLOAT) for key in keys]
            self._queue.put(WriteSamplesRequest(series=definitions))
        self._thread = threading.Thread(target=self._run, args=(client,), daemon=True)
        self._thread.start()

    def _run(self, client: Client) -> None:
        self._answer = client.evaluator.WriteSamples(iter(self._queue.get, None), metadata=client.metadata)

    def push(self, time: int, values: Floats, series: slice = slice(None)) -> None:
        """Sends one point of each series, or of some that follow each other, all of the same time."""
        data, indexes = values.astype("<f8"), self._indexes[series]
        for start in range(0, len(data), SAMPLES_A_MESSAGE):
            part = slice(start, start + SAMPLES_A_MESSAGE)
            count = len(data[part])
            self._queue.put(
                WriteSamplesRequest(
                    series_indexes=indexes[part].tobytes(),
                    times=np.full(count, time, "<i8").tobytes(),
                    values=data[part].tobytes(),
                )
            )
            self.sent += count

    def finish(self) -> None:
        """Waits until everything is durable. Raises RuntimeError if anything was refused."""
        self._queue.put(None)
        self._thread.join()
        if self._answer is None or self._answer.accepted_count != self.sent:
            say(f"WriteSamples answered {self._answer}")
            raise RuntimeError(f"of {self.sent:,} points not all were taken")
