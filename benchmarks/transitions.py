"""RuleService's writes: rules made in batches, transitions recorded in batches of 2,000 and one at a time.

One process with a real server on SQLite, every commit synced, and a plain client over loopback. Every transition is
durable with its alert, its event and its message for the notifier when its call returns. CPU is that of the whole
process, client and server. The floor: one row inserted and synced by plain SQLite, in the same folder and run.
"""

import os
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import grpc
import numpy as np

from monitors.mesh.times import now_nanos
from monitors.v1 import alert_pb2, evaluator_service_pb2, mesh_pb2, monitor_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.running import SERVICE_TOKEN, running

T = TypeVar("T")
RULES = int(os.environ.get("RULES", "20000"))
RULES_A_CALL = 1_000
TRANSITIONS_A_ROUND = 10_000
TRANSITIONS_A_CALL = 2_000
ROUNDS = 4
SINGLES = 1_000
FIRING, RESOLVED = alert_pb2.ALERT_EVENT_KIND_FIRING, alert_pb2.ALERT_EVENT_KIND_RESOLVED


class Client:
    """Calls as the local tenant and as the mesh."""

    def __init__(self, port: int, key: str) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = RuleServiceStub(self._channel)
        self._tenant = (("authorization", f"Bearer {key}"),)
        self._mesh = (("authorization", f"Bearer {SERVICE_TOKEN}"),)

    def report(self, monitors: Sequence[str]) -> None:
        series = [
            evaluator_service_pb2.SeriesDefinition(
                key=monitor_pb2.SeriesKey(monitor_id=monitor, measurement="m", field="v"),
                type=monitor_pb2.FIELD_TYPE_FLOAT,
            )
            for monitor in monitors
        ]
        self.stub.ReportSeries(pb.ReportSeriesRequest(tenant_id="local", series=series), metadata=self._mesh)

    def make_rules(self, monitors: Sequence[str]) -> list[str]:
        rules = [
            rule_pb2.Rule(
                monitor_id=monitor,
                title=f"{monitor} is high",
                condition_text=f"v > {10 + number}",
                labels={"team": "checkout"},
                annotations={"summary": "Too high for a while"},
            )
            for number, monitor in enumerate(monitors)
        ]
        made = self.stub.BatchCreateRules(pb.BatchCreateRulesRequest(rules=rules), metadata=self._tenant)
        return [rule.id for rule in made.rules]

    def record(self, transitions: Sequence[mesh_pb2.Transition]) -> None:
        request = pb.RecordTransitionsRequest(transitions=transitions)
        results = self.stub.RecordTransitions(request, metadata=self._mesh).results
        if any(result.outcome != mesh_pb2.TRANSITION_OUTCOME_RECORDED for result in results):
            raise RuntimeError("a transition wasn't recorded")

    def close(self) -> None:
        self._channel.close()


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def transitions_of(rule_ids: Sequence[str], kind: int, episode: int) -> list[mesh_pb2.Transition]:
    return [
        mesh_pb2.Transition(
            tenant_id="local",
            rule_id=rule_id,
            monitor_id=f"mon{number}",
            group={"host": f"h{number}", "region": "eu-central"},
            episode=episode,
            kind=kind,  # type: ignore[arg-type]
            time_nanos=episode + (kind == RESOLVED),
            value=42.5,
            reason="condition" if kind == RESOLVED else "",
        )
        for number, rule_id in enumerate(rule_ids)
    ]


class Clock:
    """Wall and CPU seconds of several stretches."""

    def __init__(self) -> None:
        self.count, self.wall, self.cpu = 0, 0.0, 0.0

    @contextmanager
    def counting(self, count: int) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu
        self.count += count

    def show(self, what: str) -> None:
        print(
            f"{what:<44} {self.count / self.wall:9,.0f} /s   {self.cpu / self.count * 1e6:6.1f} µs of CPU each   "
            f"({self.count:,} in {self.wall:.2f} s)"
        )


def show_latency(what: str, seconds: Sequence[float]) -> None:
    p50, p99 = np.percentile(np.array(seconds) * 1e3, [50, 99])
    print(f"{what:<44} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


def measure_rules(client: Client) -> list[str]:
    """Makes the rules and returns their ids."""
    monitors = [f"mon{number}" for number in range(RULES)]
    rule_ids, clock = [], Clock()
    for part in batches(monitors, RULES_A_CALL):
        client.report(part)
        with clock.counting(len(part)):
            rule_ids += client.make_rules(part)
    clock.show("BatchCreateRules, 1,000 a call")
    return rule_ids


def measure_throughput(client: Client, rule_ids: Sequence[str]) -> None:
    both, firing, resolved = Clock(), Clock(), Clock()
    for _ in range(ROUNDS):
        episode = now_nanos()
        for kind, clock in ((FIRING, firing), (RESOLVED, resolved)):
            for part in batches(transitions_of(rule_ids[:TRANSITIONS_A_ROUND], kind, episode), TRANSITIONS_A_CALL):
                with clock.counting(len(part)), both.counting(len(part)):
                    client.record(part)
    firing.show("RecordTransitions, firing, 2,000 a call")
    resolved.show("RecordTransitions, resolved, 2,000 a call")
    both.show("RecordTransitions, both")


def measure_latency(client: Client, rule_ids: Sequence[str]) -> None:
    times, clock = [], Clock()
    episode = now_nanos()
    for kind in (FIRING, RESOLVED):
        for transition in transitions_of(rule_ids[: SINGLES // 2], kind, episode):
            start = time.perf_counter()
            with clock.counting(1):
                client.record([transition])
            times.append(time.perf_counter() - start)
    show_latency("RecordTransitions, 1 a call", times)
    clock.show("")


def measure_floor(folder: Path) -> None:
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    database.executescript("pragma journal_mode=wal; pragma synchronous=full; create table t (x blob)")
    times = []
    for _ in range(SINGLES):
        start = time.perf_counter()
        database.execute("insert into t values (?)", (secrets.token_bytes(500),))
        times.append(time.perf_counter() - start)
    database.close()
    show_latency("floor: one row inserted and synced", times)


def main() -> None:
    thread = LoopThread()
    with tempfile.TemporaryDirectory() as name, thread.opened(running(Path(name))) as opened:
        client = Client(opened.port, opened.local_key)
        rule_ids = measure_rules(client)
        measure_throughput(client, rule_ids)
        measure_latency(client, rule_ids)
        measure_floor(Path(name))
        client.close()
    thread.close()


if __name__ == "__main__":
    main()
