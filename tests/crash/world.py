"""The mesh under test as processes, with the ledger behind it and fault proxies between its parts."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from monitors.v1 import notification_pb2, notifier_service_pb2, rule_service_pb2
from monitors.v1.audit_pb2 import AuditEvent
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.canaries import Canaries, stored
from tests.crash.backends import Backends
from tests.crash.chaos import Actions, stand_still
from tests.crash.claude import Claude
from tests.crash.failpoints import arm
from tests.crash.invariants import Outcome
from tests.crash.ledger import LedgerProcess, read
from tests.crash.load import PROBE, Load, rule_on
from tests.crash.operators import Change, Operators
from tests.crash.points import SERVICE_OF
from tests.crash.proxy import FaultProxy
from tests.crash.reader import Reader
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.served import SERVICE_TOKEN, ServedMesh, ServedProcess
from tests.servers.mariadb import PASSWORD

TENANTS = ("acme", "globex")
RECEIVER, WRITES = "the receiver", "the write endpoint"
STANDSTILL = (0.5, 5.0)
SILENCE = (0.5, 3.0)
REACHED_SECONDS = 30
CALM_TRANSITIONS = 100
AUDITED = ("rule", "alert", "channel")


@dataclass
class World:
    """Everything that runs."""

    mesh: ServedMesh
    processes: Mapping[str, ServedProcess]
    """By name; there may be two of a service."""
    ledger: LedgerProcess
    load: Load
    operators: Operators
    claude: Claude
    proxies: Mapping[str, FaultProxy]
    """By what they lead to."""
    failpoints: Path
    loop: LoopThread
    backends: Backends | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    logs: list[str] = field(default_factory=list)
    """What processes wrote that have ended."""
    calm_until: float = 0.0

    @property
    def reader(self) -> Reader:
        """What the mesh says."""
        return Reader(self.mesh, PROBE)

    def start(self) -> None:
        """Lets everybody work, at first or again."""
        self.load.start()
        self.operators.start()
        self.claude.start()

    def live_in_calm(self) -> None:
        """Lets a while pass before the first fault."""
        wait_for(lambda: len(self.load.expected) >= CALM_TRANSITIONS, "points", every=0.1)
        self.ledger.wait_for_taken(CALM_TRANSITIONS, REACHED_SECONDS)
        self.calm_until = time.time()
        self.ledger.is_calm = False
        self.kill_receiver()

    def actions(self) -> Actions:
        """What can be done to it, by name."""
        doable: dict[str, Callable[[random.Random], None]] = {}
        for name, process in self.processes.items():
            doable[f"kill {name}"] = lambda _, process=process: self.kill(process)  # type: ignore[misc]
            doable[f"freeze {name}"] = (
                lambda choice, process=process: stand_still(process.pid, choice.uniform(*STANDSTILL))  # type: ignore[misc]
            )
        for service in sorted(set(SERVICE_OF.values())):
            points = sorted(point for point, owner in SERVICE_OF.items() if owner == service)
            doable[f"death in the middle of {service}"] = lambda choice, points=points: self.die_at(  # type: ignore[misc]
                choice.choice(points)
            )
        doable["kill the bridge"] = self.claude.kill_and_open
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
        self.logs.append(service.text)
        service.launch()
        service.wait_until_ready()

    def die_at(self, point: str) -> None:
        """Lets a process die at a point of its work, and starts it anew."""
        arm(self.failpoints, point)
        owner = SERVICE_OF[point]

        def dead() -> list[ServedProcess]:
            return [one for one in self.processes.values() if one.service == owner and one.has_ended]

        for process in wait_for(dead, f"a process to die where {point}", REACHED_SECONDS):
            self.kill(process)

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
        for actor in (self.claude, self.operators, self.load):
            actor.stop()
        self.reader.wait_for_rest(TENANTS, len(self.load.expected))

    def outcome(self) -> Outcome:
        """What there is to judge."""
        return Outcome(
            self.load.expected,
            {tenant: self.reader.alerts(tenant) for tenant in TENANTS},
            {tenant: self.reader.deliveries(tenant) for tenant in TENANTS},
            read(self.ledger.file),
            self.secrets,
            self.changed(),
            Counter((tenant, event.method, event.resource_id) for tenant in TENANTS for event in self.audit(tenant)),
            self.calm_until,
            self.canaries(),
        )

    def changed(self) -> Counter[Change]:
        """What people were told that they have changed. Who asks anew through another bridge may have made a rule
        twice: those of Claude are as many as there are."""
        tenant = self.claude.tenant
        request = rule_service_pb2.ListRulesRequest(page_size=100)
        rules = self.reader.pages(self.mesh.rules, RuleServiceStub, request, tenant, "rules")
        made = [rule for rule in rules if rule.title.startswith(self.claude.prefix)]
        assert {rule.title for rule in made} >= set(self.claude.titles), "I1: a rule that Claude has made is gone"
        return (
            self.operators.made + Counter(self.claude.changed) + Counter((tenant, "CreateRule", one.id) for one in made)
        )

    def canaries(self) -> Canaries:
        """Every secret, and everything in which none may be."""
        found = Canaries({f"a channel's of {tenant}": mark for tenant, mark in self.operators.marks.items()})
        for tenant in TENANTS:
            found.secrets[f"{tenant}'s signing secret"] = self.secrets[tenant].removeprefix("whsec_")
            found.secrets[f"{tenant}'s key"] = self.mesh.key(tenant).split("_", 3)[3].rpartition("_")[0]
            shown = [*self.reader.all_alerts(tenant), *self.reader.deliveries(tenant), *self.audit(tenant)]
            found.see(f"what {tenant} is shown", b"".join(one.SerializeToString() for one in shown))
        found.secrets["the services' token"] = SERVICE_TOKEN
        found.see("logs", "".join([*self.logs, *(one.text for one in self.processes.values()), *self.claude.written]))
        for name, content in stored(self.mesh.home):
            found.see(name, content)
        if self.backends:
            found.secrets["MariaDB's password"] = PASSWORD
            found.see("MariaDB", self.backends.stored())
        return found

    def audit(self, tenant: str) -> list[AuditEvent]:
        """What the audit tells of what a tenant's people may change."""
        rules, notifier = (
            rule_service_pb2.ListAuditEventsRequest(),
            notifier_service_pb2.ListNotifierAuditEventsRequest(),
        )
        rules.page_size = notifier.page_size = 100
        events = self.reader.pages(self.mesh.rules, RuleServiceStub, rules, tenant, "events")
        events += self.reader.pages(self.mesh.notifier, NotifierServiceStub, notifier, tenant, "events")
        return [event for event in events if event.kind in AUDITED]

    def make_rules(self) -> None:
        """A rule on each monitor of each tenant, told at once to the tenant's endpoint; waits until they count."""
        self.load.write_all()
        choice = random.Random(0)
        for tenant in TENANTS:
            made = notification_pb2.Channel(name="ops")
            made.webhook.url = (
                f"http://127.0.0.1:{self.proxies[RECEIVER].port}/{tenant}?token={self.operators.marks[tenant]}"
            )
            request = notifier_service_pb2.CreateChannelRequest(channel=made)
            answer = self.operators.change(tenant, request, lambda answer: str(answer.channel.id), choice)
            self.secrets[tenant] = answer.webhook_secret
            for rule in (
                *map(rule_on, self.load.names(tenant)),
                Rule(monitor_id=PROBE, title="probe", condition_text="v > 10"),
            ):
                creation = rule_service_pb2.CreateRuleRequest(rule=rule)
                self.operators.change(tenant, creation, lambda answer: str(answer.rule.id), choice)
        self.load.write_probe()
        # Rules come to the evaluator in the order in which they were made.
        wait_for(lambda: any(one.monitor_id == PROBE for one in self.reader.all_alerts(TENANTS[-1])), "the rules")
