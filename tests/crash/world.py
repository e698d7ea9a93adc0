"""The mesh under test as processes, with the ledger behind it and fault proxies between its parts."""

import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from monitors.v1 import alert_pb2, notification_pb2
from monitors.v1.notifier_service_pb2 import CreateChannelRequest, ListDeliveriesRequest, ListDeliveriesResponse
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_pb2 import SEVERITY_CRITICAL, Rule
from monitors.v1.rule_service_pb2 import CreateRuleRequest, ListAlertsRequest, ListAlertsResponse
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.crash.backends import Backends
from tests.crash.chaos import Actions, stand_still
from tests.crash.invariants import UNFINISHED, Outcome
from tests.crash.launcher import BREAK
from tests.crash.ledger import LedgerProcess, read
from tests.crash.load import PROBE, Load
from tests.crash.proxy import FaultProxy, started
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.served import ServedMesh, ServedProcess

TENANTS = ("acme", "globex")
RULES, RECEIVER = "rules", "the receiver"
STANDSTILL = (0.5, 5.0)
SILENCE = (0.5, 3.0)
LONGEST_CALL = 30
STUCK_SECONDS = 15
REST_SECONDS = 120


@dataclass
class World:
    """Everything that runs."""

    mesh: ServedMesh
    ledger: LedgerProcess
    load: Load
    proxies: Mapping[str, FaultProxy]
    """By what they lead to."""
    loop: LoopThread
    backends: Backends | None = None
    secrets: dict[str, str] = field(default_factory=dict)

    def actions(self) -> Actions:
        """What can be done to it, by name."""
        doable: dict[str, Callable[[random.Random], None]] = {}
        for service in self.mesh.processes:
            doable[f"kill {service.service}"] = lambda _, service=service: self.kill(service)  # type: ignore[misc]
            doable[f"freeze {service.service}"] = (
                lambda choice, service=service: stand_still(service.pid, choice.uniform(*STANDSTILL))  # type: ignore[misc]
            )
        doable["kill the receiver"] = lambda _: self.kill_receiver()
        doable["freeze the receiver"] = lambda choice: stand_still(self.ledger.pid, choice.uniform(*STANDSTILL))
        for name, proxy in self.proxies.items():
            doable[f"reset connections to {name}"] = lambda _, proxy=proxy: self.on_loop(proxy.reset)  # type: ignore[misc]
            doable[f"silence connections to {name}"] = lambda choice, proxy=proxy: self.silence(proxy, choice)  # type: ignore[misc]
        return {**doable, **(self.backends.actions() if self.backends else {})}

    def on_loop(self, work: Callable[[], None]) -> None:
        """Does something on the proxies' loop."""

        async def do() -> None:
            work()

        self.loop.run(do())

    def kill(self, service: ServedProcess) -> None:
        """SIGKILL, and a new start."""
        service.end(signal.SIGKILL)
        service.launch()
        service.wait_until_ready()

    def kill_receiver(self) -> None:
        """SIGKILL of the ledger, and a new start."""
        self.ledger.kill()
        self.ledger.start()

    def silence(self, proxy: FaultProxy, choice: random.Random) -> None:
        """Half-open connections for a while; those of before are then reset, or go on, as chance will have it."""
        self.on_loop(proxy.freeze)
        threading.Event().wait(choice.uniform(*SILENCE))
        if choice.random() < 0.5:
            self.on_loop(proxy.reset)
        self.on_loop(proxy.thaw)

    def settle(self) -> None:
        """Waits until everything that was acknowledged is told or ended, or nothing moves any more."""
        self.load.stop()
        before, moved = (0, 0, 0), time.monotonic()

        def is_at_rest() -> bool:
            nonlocal before, moved
            alerts = sum(1 + alert.HasField("resolve_time") for tenant in TENANTS for alert in self.alerts(tenant))
            deliveries = [one for tenant in TENANTS for one in self.deliveries(tenant)]
            unfinished = sum(delivery.state in UNFINISHED for delivery in deliveries)
            now = (alerts, len(deliveries), unfinished)
            if now != before:
                before, moved = now, time.monotonic()
            done = not unfinished and min(alerts, len(deliveries)) >= len(self.load.expected)
            return done or time.monotonic() - moved > STUCK_SECONDS

        wait_for(is_at_rest, "the mesh to come to rest", REST_SECONDS, every=0.5)

    def outcome(self) -> Outcome:
        """What there is to judge."""
        return Outcome(
            self.load.expected,
            {tenant: self.alerts(tenant) for tenant in TENANTS},
            {tenant: self.deliveries(tenant) for tenant in TENANTS},
            read(self.ledger.file),
            self.secrets,
        )

    def alerts(self, tenant: str) -> list[alert_pb2.Alert]:
        """All alerts of a tenant, but for the probe's."""
        return [one for one in self._all_alerts(tenant) if one.monitor_id != PROBE]

    def _all_alerts(self, tenant: str) -> list[alert_pb2.Alert]:
        found: list[alert_pb2.Alert] = []
        with self.mesh.channel(self.mesh.rules) as channel:
            request = ListAlertsRequest(page_size=1000)
            while True:
                page: ListAlertsResponse = RuleServiceStub(channel).ListAlerts(
                    request, metadata=self.mesh.metadata(tenant), timeout=LONGEST_CALL
                )
                found += page.alerts
                if not page.next_page_token:
                    return found
                request.page_token = page.next_page_token

    def deliveries(self, tenant: str) -> list[notification_pb2.Delivery]:
        """All deliveries of a tenant, with their attempts."""
        found: list[notification_pb2.Delivery] = []
        with self.mesh.channel(self.mesh.notifier) as channel:
            request = ListDeliveriesRequest(page_size=1000, include_attempts=True)
            while True:
                page: ListDeliveriesResponse = NotifierServiceStub(channel).ListDeliveries(
                    request, metadata=self.mesh.metadata(tenant), timeout=LONGEST_CALL
                )
                found += page.deliveries
                if not page.next_page_token:
                    return found
                request.page_token = page.next_page_token

    def make_rules(self) -> None:
        """A rule on each monitor of each tenant, told at once to the tenant's endpoint; waits until they count."""
        self.load.write_all()
        for tenant in TENANTS:
            metadata = self.mesh.metadata(tenant)
            with self.mesh.channel(self.mesh.notifier) as channel:
                made = notification_pb2.Channel(name="ops")
                made.webhook.url = f"http://127.0.0.1:{self.proxies[RECEIVER].port}/{tenant}"
                request = CreateChannelRequest(channel=made)
                answer = NotifierServiceStub(channel).CreateChannel(request, metadata=metadata)
                self.secrets[tenant] = answer.webhook_secret
            rules = [*map(_rule, self.load.names()), Rule(monitor_id=PROBE, title="probe", condition_text="v > 10")]
            with self.mesh.channel(self.mesh.rules) as channel:
                for rule in rules:
                    RuleServiceStub(channel).CreateRule(CreateRuleRequest(rule=rule), metadata=metadata)
        self.load.write_probe()
        # Rules come to the evaluator in the order in which they were made.
        wait_for(lambda: any(one.monitor_id == PROBE for one in self._all_alerts(TENANTS[-1])), "the rules")


def _rule(monitor: str) -> Rule:
    return Rule(
        monitor_id=monitor, title=f"{monitor} is high", condition_text="v > 10", severity=SEVERITY_CRITICAL,
        notify=["ops"], interval=Duration(seconds=1), cooldown=Duration(seconds=0),
    )  # fmt: skip


@contextmanager
def running(
    home: Path, *, seed: int, loop: LoopThread, broken: str = "", monitors: int = 12, servers: Backends | None = None
) -> Iterator[World]:
    """A mesh with nothing written to it yet, in files of its own or on `servers`."""
    ledger = LedgerProcess(home / "ledger.jsonl", seed)
    mesh = ServedMesh(home, {}, [sys.executable, "-m", "tests.crash.launcher"])
    proxies = {RULES: FaultProxy(mesh.rules.port), RECEIVER: FaultProxy(ledger.port)}
    if servers:
        proxies |= servers.proxies()
    loop.run(started(*proxies.values()))
    mesh.environment |= {
        "MONITORS_TENANTS": ",".join(TENANTS),
        "MONITORS_ALLOW_LOCAL_TARGETS": "1",
        "MONITORS_RULES_ADDRESS": f"127.0.0.1:{proxies[RULES].port}",
        BREAK: broken,
        **(servers.environment(proxies) if servers else {}),
    }
    try:
        ledger.start()
        mesh.start()
        keys = {tenant: mesh.key(tenant) for tenant in TENANTS}
        load = Load(lambda: f"127.0.0.1:{mesh.http_port}", keys, monitors, seed)
        yield World(mesh, ledger, load, proxies, loop, servers)
    finally:
        mesh.stop()
        ledger.kill()
        for proxy in proxies.values():
            loop.run(proxy.stop())
