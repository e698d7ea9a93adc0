"""The mesh as three processes on SQLite, every commit synced: bursts, single alerts, and dead endpoints beside."""

import http.client
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration

from benchmarks.evaluation.clients import Client, Pusher, connected
from benchmarks.evaluation.homes import make_tenants
from benchmarks.evaluation.load import FIELD, MEASUREMENT
from benchmarks.evaluation.processes import free_ports, serving_evaluator, serving_notifier, serving_rules
from benchmarks.measure import cpu_seconds, say
from benchmarks.notify.alertmanager import Burst
from benchmarks.notify.endpoints import Endpoints
from monitors.evaluator.model.series import Floats
from monitors.mesh.times import now_nanos
from monitors.v1.notification_pb2 import Channel, WebhookChannel
from monitors.v1.notifier_service_pb2 import CreateChannelRequest
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2 import BatchCreateRulesRequest
from tests.processes import wait_for

TENANT = "bench"
THRESHOLD = 10.0
CALM, HIGH = 1.0, 50.0
RULES_A_CALL = 1_000
SENDERS = 4
PATIENCE = 300.0
# Whoever measures needs no protection from themselves.
SETTINGS = {
    "MONITORS_ALLOW_LOCAL_TARGETS": "1",
    "MONITORS_WEBHOOK_PER_SECOND": "0",
    "MONITORS_MESSAGES_PER_SECOND": "0",
}


@dataclass(frozen=True)
class Mesh:
    """A running one, whose rules of `names` are watched; none fires yet."""

    client: Client
    notifier: NotifierServiceStub
    pusher: Pusher
    http_port: int
    pids: dict[str, int]
    names: Sequence[str]

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each process so far."""
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}

    def post(self, connection: http.client.HTTPConnection, name: str, value: float) -> None:
        """Pushes one point of a monitor as line protocol."""
        key = self.client.metadata[0][1].removeprefix("Bearer ")
        line = f"{MEASUREMENT},monitor_id={name} {FIELD}={value} {now_nanos()}"
        connection.request("POST", "/api/v2/write", line, {"Authorization": f"Token {key}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"a write answered {answer.status}")


@contextmanager
def running_mesh(size: int, channels: dict[str, str], channel_of: Sequence[str]) -> Iterator[Mesh]:
    """With a rule for each of `size` monitors. `channels` are the URLs of webhooks by their names; the rules tell those
    of `channel_of` in turn."""
    names = [f"mon{number}" for number in range(size)]
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder:
        home = Path(folder) / "home"
        (key,) = make_tenants(home, [TENANT])
        ports, (own,) = free_ports(3), free_ports(1)
        with (
            serving_rules(home, ports, SETTINGS) as rules_pid,
            serving_notifier(home, ports, own, SETTINGS) as notifier_pid,
            serving_evaluator(home, ports, rules_pid) as served,
            connected(served.rules_port, served.evaluator_port, key) as client,
            grpc.insecure_channel(f"127.0.0.1:{own}") as channel,
        ):
            notifier = NotifierServiceStub(channel)
            for name, url in channels.items():
                target = Channel(name=name, webhook=WebhookChannel(url=url))
                notifier.CreateChannel(CreateChannelRequest(channel=target), metadata=client.metadata, timeout=60)
            pusher = Pusher(client, names)
            pusher.push(now_nanos(), np.full(size, CALM))
            wait_for(lambda: client.status().accepted_point_count >= size, "the first points", PATIENCE, every=0.2)
            _make_rules(client, names, channel_of)
            wait_for(lambda: client.status().instance_count >= size, "the rules to be watched", PATIENCE, every=0.2)
            pids = {"rules": rules_pid, "evaluator": served.evaluator_pid, "notifier": notifier_pid}
            say(f"{size:,} rules are watched")
            yield Mesh(client, notifier, pusher, served.http_port, pids, names)
            pusher.finish()


def _make_rules(client: Client, names: Sequence[str], channel_of: Sequence[str]) -> None:
    rules = [
        Rule(
            monitor_id=name,
            title=f"{name} is high",
            condition_text=f"{FIELD} > {THRESHOLD}",
            interval=Duration(seconds=30),
            notify=[channel_of[number % len(channel_of)]],
        )
        for number, name in enumerate(names)
    ]
    for start in range(0, len(rules), RULES_A_CALL):
        request = BatchCreateRulesRequest(rules=rules[start : start + RULES_A_CALL])
        client.rules.BatchCreateRules(request, metadata=client.metadata, timeout=60)


def measure_burst(endpoints: Endpoints, count: int) -> Burst:
    """All rules fire at once, each alert told by a message of its own, until the last one has arrived."""
    endpoints.look()
    endpoints.arrived.clear()
    with running_mesh(count, {"hook": endpoints.url()}, ["hook"]) as mesh:
        cpu, begun = mesh.cpu(), time.time()
        mesh.pusher.push(now_nanos(), np.full(count, HIGH))
        endpoints.wait_for(count)
        # What became of the messages is reported a moment later, which belongs to the price.
        threading.Event().wait(1.0)
        after = mesh.cpu()
        used = {name: after[name] - cpu[name] for name in cpu}
        return Burst(count, max(endpoints.arrived.values()) - begun, used)


def measure_latency(endpoints: Endpoints, rules: int, alerts: int, per_second: float) -> Floats:
    """Milliseconds from pushed points to the receiver, at random moments, with so many rules loaded."""
    endpoints.look()
    endpoints.arrived.clear()
    with running_mesh(rules, {"hook": endpoints.url()}, ["hook"]) as mesh:
        chosen = random.Random(5).sample(mesh.names, alerts)
        return _single(mesh, endpoints, chosen, per_second)


DEAD = ("hang", "endless", "tls", "throttled")
"""How endpoints are dead: they hang, answer without an end, speak no TLS, or say 429 for an hour."""


def measure_isolation(
    endpoints: Endpoints, others: int, storm: int, alerts: int, per_second: float, kinds: Sequence[str] = DEAD
) -> Floats:
    """Milliseconds of single alerts in a channel that is well, beside `others` with `storm` alerts each, whose
    endpoints are of these kinds in turn."""
    endpoints.look()
    endpoints.arrived.clear()
    port = endpoints.port
    of = [kinds[number % len(kinds)] for number in range(others)]
    urls = {
        f"other{n}": f"https://127.0.0.1:{port}/{n}" if kind == "tls" else endpoints.url(f"{kind}/{n}")
        for n, kind in enumerate(of)
    }
    size = alerts + others * storm
    order = ["well"] * alerts + [f"other{n}" for n in range(others) for _ in range(storm)]
    with running_mesh(size, {"well": endpoints.url(), **urls}, order) as mesh:
        # What arrives first makes the channel known to be well.
        warm, measured = mesh.names[:20], mesh.names[20:alerts]
        _single(mesh, endpoints, warm, per_second)
        values = np.full(size, CALM)
        values[alerts:] = HIGH
        values[:20] = HIGH
        mesh.pusher.push(now_nanos(), values)
        return _single(mesh, endpoints, measured, per_second)


def _single(mesh: Mesh, endpoints: Endpoints, names: Sequence[str], per_second: float) -> Floats:
    pushed: dict[str, float] = {}

    def send(part: Sequence[str], seed: int) -> None:
        pauses, pause = random.Random(seed), threading.Event()
        connection = http.client.HTTPConnection("127.0.0.1", mesh.http_port)
        for name in part:
            pause.wait(pauses.expovariate(per_second / SENDERS))
            pushed[name] = time.time()
            mesh.post(connection, name, HIGH)
        connection.close()

    threads = [threading.Thread(target=send, args=(names[one::SENDERS], one)) for one in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: endpoints.look() and endpoints.arrived.keys() >= set(names), "the webhooks", PATIENCE, every=0.25)
    return np.array([endpoints.arrived[name] - pushed[name] for name in names]) * 1e3
