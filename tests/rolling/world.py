"""The cluster with what is behind it, points, rules, a ledger of webhooks, and callers."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitors.cli.client import Mesh, Target, find_credentials, new_request_id, open_channel
from monitors.v1 import alert_pb2, notification_pb2, rule_service_pb2
from monitors.v1 import notifier_service_pb2 as notifier_pb
from tests.canaries import Canaries
from tests.crash.backends import Backends
from tests.crash.invariants import Outcome, check, told_after
from tests.crash.ledger import LedgerProcess, read
from tests.crash.load import Load, rule_on, to_the_mesh
from tests.crash.reader import pages, wait_for_rest
from tests.deploy.containers import SECRETS
from tests.deploy.pods import GRPC_PORT, SERVED, name_of
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.rolling.callers import Callers
from tests.rolling.cluster import Cluster, cluster
from tests.servers.influxdb import InfluxServer

TENANT = "local"
QUICK, SLOW = "quick", "slow"
"""Two parts of the tenant's monitors, each with an endpoint of its own. The second takes seconds for some answers, so
that messages are on their way whenever a pod ends."""
MONITORS = 8
RATE = 2.0
LATENESS = 4
"""Seconds that a write may take on a busy machine. Which evaluator takes it is chance, and the other one polls."""
CALM_TRANSITIONS = 20
SHOWN = 40
KEYS = ("MONITORS_SERVICE_TOKEN", "MONITORS_MASTER_KEYS", "MONITORS_MCP_STATE_KEY", "MONITORS_KEY_PEPPER")


@dataclass
class World:
    """Everything that runs."""

    cluster: Cluster
    backends: Backends
    influx: InfluxServer
    ledger: LedgerProcess
    load: Load
    callers: Callers
    meshes: dict[str, Mesh]
    """The way to each service."""
    refused: list[str]
    """Why points had to be written again."""
    secrets: dict[str, str] = field(default_factory=dict)
    calm_until: float = 0.0

    def start(self) -> None:
        """Makes rules, lets everybody work, and a while pass."""
        self._make_rules()
        self.load.start()
        self.callers.start()
        wait_for(lambda: len(self.load.expected) >= CALM_TRANSITIONS, "points", every=0.1)
        self.ledger.wait_for_taken(CALM_TRANSITIONS, 60)
        self.calm_until = time.time()

    def settle(self) -> None:
        """Waits until whoever watches has been shown something new, and everything that was acknowledged is told."""
        seen = len(self.callers.seen)
        wait_for(lambda: len(self.callers.seen) > seen, "what is watched to go on", 60, every=0.1)
        self.callers.stop()
        self.load.stop()
        wait_for_rest(
            lambda: [alert for part in self.load.tenants for alert in self.alerts(part)],
            lambda: [one for part in self.load.tenants for one in self.deliveries(part)],
            len(self.load.expected),
        )

    def check(self) -> str:
        """Raises AssertionError if something was lost, doubled or refused. Gives what was counted."""
        failed = [*self.callers.failed, *self.refused]
        assert not failed, f"{len(failed)} calls failed:\n" + "\n".join(map(str, failed[:SHOWN]))
        outcome = Outcome(
            self.load.expected,
            {part: self.alerts(part) for part in self.load.tenants},
            {part: self.deliveries(part) for part in self.load.tenants},
            read(self.ledger.file), self.secrets, Counter(), Counter(), self.calm_until, Canaries({}),
        )  # fmt: skip
        counted = check(outcome, interruptions=0)
        assert not counted["duplicates"], f"I3: {counted['duplicates']} messages came twice"
        waits = sorted(wait for part, wait in told_after(outcome, outcome.ledger) if part == QUICK)
        longest = max(self.callers.longest.values())
        return (
            f"{self.callers.done.total():,} calls of {len(self.callers.done)} kinds and "
            f"{counted['transitions']:,} transitions: 0 failed, 0 lost, 0 doubled, 0 told twice; from a point to its "
            f"message {waits[len(waits) // 2]:.1f} s (median), {waits[-1]:.1f} s (longest), of which the points' "
            f"lateness may be {LATENESS} s; the longest wait for an answer was {longest:.1f} s"
        )

    def alerts(self, part: str) -> list[alert_pb2.Alert]:
        """All alerts of a part of the monitors, but for the probe's."""
        request = rule_service_pb2.ListAlertsRequest(page_size=1000)
        names = set(self.load.names(part))
        return [one for one in self._pages("rules", request, "alerts") if one.monitor_id in names]

    def deliveries(self, part: str) -> list[notification_pb2.Delivery]:
        """All deliveries to the endpoint of a part, with their attempts."""
        request = notifier_pb.ListDeliveriesRequest(page_size=1000, include_attempts=True)
        return [one for one in self._pages("notifier", request, "deliveries") if one.channel == part]

    def _pages(self, service: str, request: Any, what: str) -> list[Any]:
        mesh = self.meshes[service]
        return list(pages(getattr(mesh, service), request, mesh.metadata, what))

    def _make_rules(self) -> None:
        self.load.write_all()
        notifier, rules = self.meshes["notifier"], self.meshes["rules"]
        for part in self.load.tenants:
            made = notification_pb2.Channel(name=part)
            made.webhook.url = self.ledger.url(part)
            creation = notifier_pb.CreateChannelRequest(channel=made, request_id=new_request_id())
            self.secrets[part] = notifier.call(notifier.notifier.CreateChannel, creation).webhook_secret
            for monitor in (*self.load.names(part), self.load.probe(part)):
                request = rule_service_pb2.CreateRuleRequest(rule=rule_on(monitor, part), request_id=new_request_id())
                rules.call(rules.rules.CreateRule, request)
        self.load.write_probe()
        listing = rule_service_pb2.ListAlertsRequest()
        wait_for(lambda: rules.call(rules.rules.ListAlerts, listing).alerts, "the rules", every=0.1)


@contextmanager
def running(
    folder: Path, loop: LoopThread, servers: Backends, influx: InfluxServer, pre_stop: float
) -> Iterator[World]:
    """Starts a world in which nothing happens yet."""
    secrets = {
        **{name: SECRETS[name] for name in KEYS},
        "DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis.url,
    }  # fmt: skip
    extra = {
        "MONITORS_ALLOW_LOCAL_TARGETS": "1", "INFLUXDB_URL": influx.url,
        "INFLUXDB_BUCKET": "monitors", "MONITORS_INFLUXDB_POLL_SECONDS": "0.5",
        "MONITORS_INFLUXDB_LATENESS_SECONDS": str(LATENESS),
    }  # fmt: skip
    ledger = LedgerProcess(folder / "ledger.jsonl", 0)
    with cluster(folder, loop, secrets, extra, pre_stop) as made, ExitStack() as stack:
        stack.callback(ledger.kill)
        ledger.start()
        made.start()
        key = made.run("rules", "keys", "create", "--tenant", TENANT, "--title", "first").strip()
        meshes = dict(_meshes(made, key, stack))
        addresses = {part: f"127.0.0.1:{balancer.port}" for part, balancer in made.balancers.items()}
        refused = list[str]()
        write = to_the_mesh(lambda: addresses["evaluator"], {QUICK: key, SLOW: key}, refused.append)
        load = Load(write, (QUICK, SLOW), MONITORS, 0, RATE, apart=True)
        callers = Callers(
            meshes["rules"],
            meshes["evaluator"],
            meshes["notifier"],
            f"http://{addresses['bridge']}/mcp",
            key,
            load.probe(QUICK),
        )
        yield World(made, servers, influx, ledger, load, callers, meshes, refused)


def _meshes(made: Cluster, key: str, stack: ExitStack) -> Iterator[tuple[str, Mesh]]:
    """The way to each service, as the command makes it."""
    credentials = find_credentials(made.pods.certificate("bridge"))
    for part in SERVED:
        target = Target(made.pods.names.target(name_of(part), GRPC_PORT), key)
        yield part, Mesh(stack.enter_context(open_channel(target.address, credentials)), target)
