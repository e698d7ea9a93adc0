"""Backtests: rules on points of the past, in memory through the model, and as calls to a running evaluator."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.conditions.load import TENANT, spec_of
from benchmarks.evaluation.clients import Client, connected
from benchmarks.evaluation.homes import make_tenants
from benchmarks.evaluation.processes import Served, serving
from benchmarks.measure import Spread, collector_off, cpu_of, cpu_seconds
from monitors.evaluator.model.backtest import Backtest
from monitors.evaluator.model.evaluation import Points
from monitors.evaluator.model.outcome import intervals, nearest_value, suggestions
from monitors.evaluator.model.series import FieldType, Floats, Series, SeriesKey
from monitors.mesh.times import DAY, SECOND, now_nanos, to_timestamp
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.translate.conditions import condition_to_proto
from monitors.v1.evaluator_service_pb2 import BacktestRequest, SeriesDefinition, WriteSamplesRequest
from monitors.v1.monitor_pb2 import FIELD_TYPE_FLOAT
from monitors.v1.monitor_pb2 import SeriesKey as SeriesKeyMessage
from monitors.v1.rule_pb2 import Rule

CADENCE = 10 * SECOND
START = 1_700_000_000 * SECOND
MONITOR, FIELDS = "mon", ("errors", "requests", "x")
CONDITIONS = {
    "newest": "x > {}",
    "avg, 5m": "avg(x, 5m) > {}",
    "rate, 5m": "rate(requests, 5m) > {}",
    "formula": "errors / requests > {}",
    "and": "x > {} and avg(x, 5m) < 90",
    "anomaly, 1h": "anomaly(x, 1h) > {}",
}
THRESHOLDS = {"formula": 0.3, "anomaly, 1h": 6.0, "rate, 5m": 0.5}
LEVEL = 65.0
PAGE = 100_000


def history(length: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], list[Floats]]:
    """Times from CADENCE to `length`, and the values of each field: a daily rhythm with noise and some bursts."""
    times = np.arange(CADENCE, length + 1, CADENCE, dtype=np.int64)
    generator, count = np.random.default_rng(6), length // CADENCE
    wave = 50 + 10 * np.sin(times / DAY * 2 * np.pi) + generator.normal(0, 3, count)
    wave += np.where(generator.random(count) < 1e-3, 30, 0)
    requests = generator.uniform(80, 120, count)
    return times, [np.round(one, 2) for one in (requests * generator.beta(2, 30, count), requests, wave)]


@dataclass(frozen=True)
class BacktestResult:
    """CPU seconds of one rule's backtest, and how many alerts it told of."""

    taken: Spread
    alerts: int


def measure_model(name: str, length: int, count: int) -> BacktestResult:
    """Backtests of `count` rules, one by one, each with its own threshold, on points in memory, with all that is told
    of them."""
    times, columns = history(length)
    series = [Series(number, SeriesKey(TENANT, MONITOR, "m", field), FieldType.FLOAT)
              for number, field in enumerate(FIELDS)]  # fmt: skip
    level, taken, alerts = THRESHOLDS.get(name, LEVEL), [], 0
    with collector_off():
        for number in range(count):
            spec = spec_of(CONDITIONS[name].format(level + number * 1e-3), MONITOR, "rule")
            own = [one for one in series if spec.matches(one)]
            known = [Series(index, one.key, one.type) for index, one in enumerate(own)]
            rows = np.tile(np.arange(len(own), dtype=np.int32), len(times))
            values = np.stack([columns[one.index] for one in own], axis=1).reshape(-1)
            points = Points(rows, START + np.repeat(times, len(own)), values)
            found: list[int] = []

            def run() -> None:
                backtest = Backtest(spec, known, points, [False] * len(known), START, START + length)  # noqa: B023
                fired = intervals(backtest.transitions())
                nearest_value(backtest, spec)  # noqa: B023
                suggestions(backtest, spec)  # noqa: B023
                found.append(len(fired))  # noqa: B023

            taken.append(cpu_of(run))
            alerts = found[0]
    return BacktestResult(Spread.of(taken), alerts)


@dataclass(frozen=True)
class ServiceResult:
    """Calls of Backtest: wall seconds of each, and CPU seconds of the evaluator's process."""

    wall: Spread
    cpu: Spread
    alerts: int


def measure_service(lengths: Sequence[tuple[str, int, int]], longest: int) -> list[ServiceResult]:
    """Backtests through a running evaluator: what, over how long, and how often."""
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder:
        home = Path(folder) / "home"
        (key,) = make_tenants(home, [TENANT])
        with serving(home) as mesh, connected(mesh.rules_port, mesh.evaluator_port, key) as client:
            end = now_nanos() // SECOND * SECOND
            _write(client, longest, end)
            return [_calls(mesh, client, name, length, count, end) for name, length, count in lengths]


def _write(client: Client, length: int, end: int) -> None:
    times, columns = history(length)
    keys = [SeriesKeyMessage(monitor_id=MONITOR, measurement="m", field=field) for field in FIELDS]
    requests = [WriteSamplesRequest(series=[SeriesDefinition(key=key, type=FIELD_TYPE_FLOAT) for key in keys])]
    for start in range(0, len(times), PAGE):
        part = slice(start, start + PAGE)
        for number, values in enumerate(columns):
            indexes = np.full(len(times[part]), number, dtype="<u4")
            requests.append(
                WriteSamplesRequest(
                    series_indexes=indexes.tobytes(),
                    times=(end - length + times[part]).astype("<i8").tobytes(),
                    values=values[part].astype("<f8").tobytes(),
                )
            )
    answer = client.evaluator.WriteSamples(iter(requests), metadata=client.metadata)
    if answer.accepted_count != len(times) * len(FIELDS):
        raise RuntimeError(f"of {len(times) * len(FIELDS):,} points {answer.accepted_count:,} were taken")


def _calls(mesh: Served, client: Client, name: str, length: int, count: int, end: int) -> ServiceResult:
    wall, cpu, alerts = [], [], 0
    for number in range(count):
        text = CONDITIONS[name].format(THRESHOLDS.get(name, LEVEL) + number * 1e-3)
        rule = Rule(monitor_id=MONITOR, title=name, condition=condition_to_proto(parse_condition(text, "c").condition))
        request = BacktestRequest(rule=rule, start_time=_at(end - length), end_time=_at(end))
        before, start = cpu_seconds(mesh.evaluator_pid), time.monotonic()
        response = client.evaluator.Backtest(request, metadata=client.metadata, timeout=600)
        wall.append(time.monotonic() - start)
        cpu.append(cpu_seconds(mesh.evaluator_pid) - before)
        alerts = response.count
    return ServiceResult(Spread.of(wall), Spread.of(cpu), alerts)


def _at(nanos: int) -> Timestamp:
    return to_timestamp(nanos)
