"""Time from a pushed point to the webhook, 500 alerts, beside what the machine itself needs for the same steps.

The mesh: `monitors up`, SQLite, every commit synced, webhook signed. Points are pushed one at a time over HTTP at
random moments, about 25 a second; the clock runs from before the push until the receiver has the request.
The floor: the same two HTTP requests and four synced SQLite commits (point, transition, delivery, claim), one after
another in plain Python, without a mesh around them.
"""

import http.client
import random
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from google.protobuf.duration_pb2 import Duration

from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2 import BatchCreateRulesRequest
from tests.clients import rule_service
from tests.processes import MeshProcess, Receiver, receiver, running_mesh, wait_for

ALERTS = 500
PER_SECOND = 25


def post(connection: http.client.HTTPConnection, path: str, body: str, key: str = "") -> None:
    connection.request("POST", path, body, {"Authorization": f"Token {key}"})
    answer = connection.getresponse()
    answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{path} answered {answer.status}")


def line(index: int, value: float) -> str:
    return f"m,monitor_id=mon{index} v={value} {time.time_ns()}"


def make_rules(mesh: MeshProcess, url: str) -> None:
    if mesh.command("channels", "create", "hook", "--webhook", url).returncode != 0:
        raise RuntimeError("the channel can't be made")
    rules = [
        Rule(
            monitor_id=f"mon{index}",
            title=f"Rule {index}",
            condition_text="v > 10",
            notify=["hook"],
            interval=Duration(seconds=30),
        )
        for index in range(ALERTS)
    ]
    with rule_service(mesh) as stub:
        stub.BatchCreateRules(BatchCreateRulesRequest(rules=rules))


def measure_mesh(mesh: MeshProcess, hook: Receiver) -> np.ndarray:
    """Milliseconds from push to webhook for each alert."""
    connection = http.client.HTTPConnection("127.0.0.1", mesh.http_port)
    path = "/api/v2/write?org=o&bucket=b"
    post(connection, path, "\n".join(line(index, 1.0) for index in range(ALERTS)), mesh.key)
    make_rules(mesh, hook.url)
    wait_for(lambda: mesh.json("status")["evaluator"]["rule_count"] == ALERTS, "the rules to be watched")
    pause, pushed = threading.Event(), {}
    for index in range(ALERTS):
        pause.wait(random.expovariate(PER_SECOND))
        pushed[f"mon{index}"] = time.time()
        post(connection, path, line(index, 50.0), mesh.key)
    wait_for(lambda: len(hook.deliveries) >= ALERTS, "all webhooks", 60)
    arrived = {delivery.event["data"]["monitor_id"]: delivery.arrived for delivery in hook.of_type("alert.firing")}
    return np.array([arrived[monitor] - pushed[monitor] for monitor in pushed]) * 1e3


def measure_floor(hook: Receiver, folder: Path) -> np.ndarray:
    """Milliseconds for two HTTP requests and four synced commits."""
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    database.executescript("pragma journal_mode=wal; pragma synchronous=full; create table t (x blob)")
    port = int(hook.url.split(":")[2].split("/")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times = []
    for index in range(ALERTS):
        start = time.perf_counter()
        for _ in range(2):
            post(connection, "/hook", line(index, 50.0))
        for _ in range(4):
            database.execute("insert into t values (?)", (b"x" * 500,))
        times.append(time.perf_counter() - start)
    database.close()
    return np.array(times) * 1e3


def show(name: str, milliseconds: np.ndarray) -> None:
    p50, p99 = np.percentile(milliseconds, [50, 99])
    print(f"{name:<42} p50 {p50:7.1f} ms   p99 {p99:7.1f} ms   max {milliseconds.max():7.1f} ms")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, receiver() as hook, receiver() as floor_hook:
        with running_mesh(Path(folder) / "home", "--no-host") as mesh:
            measured = measure_mesh(mesh, hook)
        show(f"push → webhook, {ALERTS} alerts at {PER_SECOND}/s", measured)
        show("floor: 2 HTTP requests + 4 synced commits", measure_floor(floor_hook, Path(folder)))


if __name__ == "__main__":
    main()
