"""What a tick of the mesh costs with the libraries alone, in the same rhythm.

Two bare grpc.aio servers do what no mesh on these packages can leave out. The one parses a tick's message, writes the
values into a ring of arrays and compares them once with the thresholds, commits them as one row of plain SQLite, and
sends the transitions, made before, to the other. That one parses them, and inserts and commits their alerts, events and
messages with plain SQLite into the product's own tables. Nobody is authenticated, nothing is looked up, decided,
checked or sealed, and no state is saved. What it takes is no goal, but no mesh can take less.
"""

import asyncio
import multiprocessing
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from sqlalchemy import Table

from benchmarks.evaluation.load import Load, monitor_name
from benchmarks.measure import Spread, cpu_seconds
from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.database.sqlite import PRAGMAS
from monitors.mesh.ids import id_series
from monitors.mesh.times import now_nanos
from monitors.rules.store.tables import alert_events, alerts, outbox
from monitors.v1 import alert_pb2, mesh_pb2
from monitors.v1.evaluator_service_pb2 import WriteSamplesRequest
from monitors.v1.rule_service_pb2 import RecordTransitionsRequest, RecordTransitionsResponse

METHOD = "/floor/Take"
POINTS = 30
WARM_UP = 5
SPAN = 5
CHECKPOINT_TICKS = 10
BODY = secrets.token_bytes(300)
OPTIONS = [("grpc.max_receive_message_length", 16 * 1024 * 1024), ("grpc.max_send_message_length", 16 * 1024 * 1024)]


def _insertion(table: Table) -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    return f"insert into {table.name} ({names}) values ({', '.join('?' * len(table.columns))})"


@dataclass(frozen=True)
class Floor:
    """CPU seconds of a tick."""

    rules: Spread
    evaluator: Spread

    @property
    def total(self) -> float:
        """Of both processes, median."""
        return self.rules.median + self.evaluator.median


def measure_floor(size: int, ticks: int, period: float) -> Floor:
    """A tick of `size` values every `period` seconds to two processes of their own."""
    load = Load(size)
    with (
        tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder,
        _child(_serve_rules, folder, load.always_firing, load.spikes) as (rules_pid, rules_port),
        _child(_serve_evaluator, folder, load, rules_port) as (evaluator_pid, port),
        grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel,
    ):
        take: Any = channel.unary_unary(METHOD)
        indexes, taken = np.arange(size, dtype="<u4").tobytes(), []
        for tick in range(WARM_UP + ticks):
            values = load.values(tick).astype("<f8").tobytes()
            times = np.full(size, now_nanos(), "<i8").tobytes()
            before = cpu_seconds(rules_pid), cpu_seconds(evaluator_pid)
            begun = time.monotonic()
            take(WriteSamplesRequest(series_indexes=indexes, times=times, values=values).SerializeToString())
            # The whole second counts, as it does for the mesh: what is done behind the answer costs as well.
            threading.Event().wait(max(0.0, period - (time.monotonic() - begun)))
            taken.append((cpu_seconds(rules_pid) - before[0], cpu_seconds(evaluator_pid) - before[1]))
    # The clock of CPU seconds steps by 10 ms, so that five ticks are one measurement.
    rules, evaluator = np.array(taken[WARM_UP:]).reshape(-1, SPAN, 2).mean(axis=1).T
    return Floor(Spread.of(rules.tolist()), Spread.of(evaluator.tolist()))


@contextmanager
def _child(target: Any, *arguments: Any) -> Iterator[tuple[int, int]]:
    """A server process. Gives its process id and port."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(*arguments, there), daemon=True)
    process.start()
    try:
        assert process.pid is not None
        yield process.pid, here.recv()
    finally:
        process.kill()
        process.join()


def _serve(handler: Any, ready: Connection) -> Any:
    async def serve() -> None:
        server = grpc.aio.server(options=OPTIONS)
        _, service, method = METHOD.split("/")
        handlers: dict[str, Any] = {method: grpc.unary_unary_rpc_method_handler(handler)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        ready.send(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    return serve()


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        database.execute(f"PRAGMA {pragma}")
    return database


class _Alerts:
    """The product's tables with open alerts in them, and more of them opened and closed tick by tick."""

    def __init__(self, path: Path, open_alerts: int) -> None:
        Database(sqlite_url(path), name="floor", migrations="monitors.rules.migrations").upgrade()
        self._database = _opened(path)
        self._ids, self._notes = id_series("alert"), id_series("note")
        self._sequence = self._ticks = 0
        self._last: list[tuple[str, str]] = []
        self.take([monitor_name(number) for number in range(open_alerts)], [])

    def take(self, opened: Sequence[str], closed: Sequence[str]) -> None:
        now, database = now_nanos(), self._database
        begun = [(next(self._ids), secrets.token_hex(32)) for _ in opened]
        database.execute("BEGIN IMMEDIATE")
        database.executemany(
            "update alerts set open_key = null, resolve_time = ?, resolve_reason = 'condition' "
            "where tenant_id = 'bench' and id = ?",
            [(now, alert) for alert, _ in self._last[: len(closed)]],
        )
        database.executemany(
            _insertion(alerts),
            [_alert(alert, key, monitor, now) for (alert, key), monitor in zip(begun, opened, strict=True)],
        )
        told = [alert for alert, _ in begun] + [alert for alert, _ in self._last[: len(closed)]]
        numbered = list(enumerate(told, self._sequence))
        self._sequence += len(told)
        database.executemany(
            _insertion(alert_events),
            [("bench", number, alert, 1, now, now, 1.5, "", "", secrets.token_hex(32)) for number, alert in numbered],
        )
        database.executemany(
            _insertion(outbox),
            [
                ("bench", next(self._notes), number, alert, 1, secrets.token_hex(32), 0, now, "", 0, BODY, now)
                for number, alert in numbered
            ],
        )
        database.execute("COMMIT")
        self._last = begun
        self._ticks += 1
        if self._ticks % CHECKPOINT_TICKS == 0:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _alert(alert: str, key: str, monitor: str, now: int) -> tuple[Any, ...]:
    rule = f"rule_{secrets.token_hex(6)}"
    return (
        "bench", alert, rule, monitor, 1, "{}", key, key, now, f"Rule of {monitor}", 2, "value > 5", 1.5, now, now,
        "{}", "{}", "[]", "", now, None, "", "", None, "", "", None,
    )  # fmt: skip


def _serve_rules(folder: str, open_alerts: int, spikes: int, ready: Connection) -> None:
    stored = _Alerts(Path(folder) / "rules.db", open_alerts)
    names = [monitor_name(number) for number in range(spikes)]

    async def take(request: bytes, _: Any) -> bytes:
        transitions = RecordTransitionsRequest.FromString(request).transitions
        stored.take(names, names)
        results = [mesh_pb2.TransitionResult(alert_id="alert_0123456789ab", episode=1) for _ in transitions]
        return RecordTransitionsResponse(results=results).SerializeToString()

    asyncio.run(_serve(take, ready))


def _serve_evaluator(folder: str, load: Load, rules_port: int, ready: Connection) -> None:
    database = _opened(Path(folder) / "evaluator.db")
    database.execute("create table batches (number integer primary key, points blob)")
    ring, thresholds = np.zeros((POINTS, load.size)), load.thresholds
    # Touched once, as the product's windows are by then.
    ring.fill(1.0)
    transitions = RecordTransitionsRequest(
        transitions=[
            mesh_pb2.Transition(
                tenant_id="bench",
                rule_id="rule_0123456789ab",
                monitor_id=monitor_name(number),
                kind=alert_pb2.ALERT_EVENT_KIND_FIRING,
                time_nanos=now_nanos(),
                value=1.5,
            )
            for number in range(2 * load.spikes)
        ]
    )
    record: Any = None
    count = 0

    async def take(request: bytes, _: Any) -> bytes:
        nonlocal record, count
        record = record or grpc.aio.insecure_channel(f"127.0.0.1:{rules_port}").unary_unary(METHOD)
        message = WriteSamplesRequest.FromString(request)
        values = np.frombuffer(message.values, "<f8")
        ring[count % POINTS, np.frombuffer(message.series_indexes, "<u4")] = values
        fires = values > thresholds
        fires.any()
        # The series are a run and the times the same, so the values are all that there is to keep.
        database.execute("insert into batches values (?, ?)", (count, message.values))
        count += 1
        await record(transitions.SerializeToString())
        if count % CHECKPOINT_TICKS == 0:
            database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        return b""

    asyncio.run(_serve(take, ready))
