"""The mesh under load: three processes in a home with its rules in it, a receiver of webhooks, and a client."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks.evaluation.clients import Client, Pusher, connected
from benchmarks.evaluation.homes import make_rules, make_tenants
from benchmarks.notify.endpoints import Endpoints, receiving
from monitors.mesh.times import now_nanos
from monitors.v1.notification_pb2 import Channel, WebhookChannel
from monitors.v1.notifier_service_pb2 import CreateChannelRequest
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from tests.served import ServedMesh
from tests.soak.launcher import SHORT
from tests.soak.leaks import LEAK
from tests.soak.plan import BEAT, Plan
from tests.waiting import wait_for

TENANT = "soak"
LAUNCHER = (sys.executable, "-m", "tests.soak.launcher")
PATIENCE = 300.0
SETTINGS = {
    "MONITORS_ALLOW_LOCAL_TARGETS": "1",
    "MONITORS_METRICS_ADDRESS": "127.0.0.1:0",
    # Nobody is kept from sending so much.
    "MONITORS_WEBHOOK_PER_SECOND": "0",
    "MONITORS_MESSAGES_PER_SECOND": "0",
    "MONITORS_DEFAULT_TIER": "unlimited",
    # A quarter of an hour: a long run sees old points go.
    "MONITORS_RETENTION_DAYS": "0.01",
}


@dataclass(frozen=True)
class Mesh:
    """A running one whose rules are watched; none fires yet."""

    served: ServedMesh
    client: Client
    pusher: Pusher
    endpoints: Endpoints

    @property
    def pids(self) -> dict[str, int]:
        """The processes by their services."""
        return {process.service: process.pid for process in self.served.processes}

    @property
    def urls(self) -> dict[str, str]:
        """Where each service's metrics are read."""
        said = "metrics are read at "
        return {
            process.service: next(line for line in process.output if line.startswith(said)).split()[-1]
            for process in self.served.processes
        }


@contextmanager
def running(home: Path, plan: Plan, leak: str, *, is_short: bool) -> Iterator[Mesh]:
    """Runs a mesh with the rules of the plan, which are told to one webhook; each process has to end well.

    `leak` names what the notifier leaks. Where the run is short the caches are small, so that they are soon full.
    """
    (key,) = make_tenants(home, [TENANT])
    make_rules(home, TENANT, plan.names, plan.thresholds)
    served = ServedMesh(home, {**SETTINGS, LEAK: leak, SHORT: "yes" if is_short else ""}, LAUNCHER)
    served.credentials[TENANT] = key
    with receiving() as endpoints:
        try:
            served.start()
            with connected(served.rules.port, served.evaluator.port, key) as client:
                _make_channel(served, client, endpoints)
                yield _loaded(served, client, endpoints, plan)
        finally:
            codes = served.stop()
    assert codes == [0, 0, 0], [process.text[-2_000:] for process in served.processes]


def _make_channel(served: ServedMesh, client: Client, endpoints: Endpoints) -> None:
    channel = Channel(name="hook", webhook=WebhookChannel(url=endpoints.url()), is_default=True)
    with grpc.insecure_channel(served.notifier.address) as connection:
        request = CreateChannelRequest(channel=channel)
        NotifierServiceStub(connection).CreateChannel(request, metadata=client.metadata, timeout=60)


def _loaded(served: ServedMesh, client: Client, endpoints: Endpoints, plan: Plan) -> Mesh:
    pusher = Pusher(client, plan.names)
    for beat in range(plan.turns):
        pusher.push(now_nanos(), plan.values(beat, calm=True), plan.series(beat))
    wait_for(lambda: client.status().instance_count >= plan.rules, "the rules to be watched", PATIENCE, every=BEAT)
    return Mesh(served, client, pusher, endpoints)
