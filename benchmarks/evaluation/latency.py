"""From a pushed point to the committed transition, seen by a client that watches the alerts."""

import http.client
import random
import threading
import time
from collections.abc import Sequence

import grpc
import numpy as np

from benchmarks.evaluation.clients import Client
from benchmarks.evaluation.load import FIELD, MEASUREMENT, SPIKE, Load, monitor_name
from monitors.evaluator.model.series import Floats
from monitors.mesh.times import now_nanos
from monitors.v1.alert_pb2 import ALERT_EVENT_KIND_FIRING
from monitors.v1.rule_service_pb2 import WatchAlertsRequest
from tests.processes import wait_for

SENDERS = 4


def measure_latency(client: Client, http_port: int, load: Load, tick: int, count: int, per_second: float) -> Floats:
    """Milliseconds for `count` alerts, in order of pushing, at random moments, where `tick` was the load's last.

    The clock runs from before the point is posted as line protocol until WatchAlerts has brought the alert: longer than
    until the commit, by the time that it takes to hear of it.
    """
    lifted = set(load.lifted(tick).tolist())
    idle = [number for number in range(load.size) if not load.fires(number) and number not in lifted]
    chosen = random.Random(5).sample(idle, count)
    pushed, heard = dict[str, float](), dict[str, float]()
    watching = threading.Event()
    stream = client.rules.WatchAlerts(WatchAlertsRequest(), metadata=client.metadata)

    def watch() -> None:
        try:
            for response in stream:
                # The first message is a sign of life: from here on nothing is missed.
                watching.set()
                if response.event.kind == ALERT_EVENT_KIND_FIRING:
                    heard[response.alert.monitor_id] = time.perf_counter()
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call) or error.code() is not grpc.StatusCode.CANCELLED:
                raise

    def send(numbers: Sequence[int], seed: int) -> None:
        pauses, pause = random.Random(seed), threading.Event()
        connection = http.client.HTTPConnection("127.0.0.1", http_port)
        for number in numbers:
            pause.wait(pauses.expovariate(per_second / SENDERS))
            pushed[monitor_name(number)] = time.perf_counter()
            _post(connection, number, load, client)
        connection.close()

    threads = [threading.Thread(target=send, args=(chosen[one::SENDERS], one)) for one in range(SENDERS)]
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        wait_for(watching.is_set, "the alerts to be watched")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: len(heard) >= count, "all alerts", 60)
    finally:
        stream.cancel()
        watcher.join()
    return np.array([heard[name] - pushed[name] for name in pushed]) * 1e3


def _post(connection: http.client.HTTPConnection, number: int, load: Load, client: Client) -> None:
    value = load.thresholds[number] + SPIKE
    line = f"{MEASUREMENT},monitor_id={monitor_name(number)} {FIELD}={value} {now_nanos()}"
    key = client.metadata[0][1].removeprefix("Bearer ")
    connection.request("POST", "/api/v2/write", line, {"Authorization": f"Token {key}"})
    answer = connection.getresponse()
    answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"a write answered {answer.status}")
