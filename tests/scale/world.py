"""The mesh under test: RuleServices, a notifier and evaluators as processes, on MariaDB, Redis and InfluxDB."""

import base64
import random
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from monitors.v1 import notification_pb2, notifier_service_pb2, rule_service_pb2
from monitors.v1.evaluator_service_pb2 import GetEvaluatorStatusRequest
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.crash.backends import DATABASE, Backends, backends
from tests.crash.invariants import Told
from tests.crash.launcher import BREAK
from tests.crash.ledger import LedgerProcess, read
from tests.crash.load import PROBE, Load, rule_on
from tests.crash.reader import Reader
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.scale import turns
from tests.scale.fleet import Fleet
from tests.scale.sharing import Watcher
from tests.served import ServedMesh, ServedProcess, free_port
from tests.servers.influxdb import InfluxServer, influx_server

TENANT = "acme"
EVALUATORS = 8
MONITORS = 240
RATE, SHARE = 5.0, 0.021
"""Five times a second, five monitors cross their threshold."""
BREAKER = (sys.executable, "-m", "tests.scale.launcher")
KEYS = f"first:{base64.b64encode(b'0123456789abcdef' * 2).decode()}"
START_SECONDS = 60
POLLING = {"MONITORS_INFLUXDB_POLL_SECONDS": "0.5", "MONITORS_INFLUXDB_LATENESS_SECONDS": "2"}


@dataclass
class World:
    """Everything that runs."""

    mesh: ServedMesh
    rules: Sequence[ServedProcess]
    metrics: Sequence[str]
    """Where each RuleService's are read."""
    fleet: Fleet
    ledger: LedgerProcess
    load: Load
    watcher: Watcher
    secret: str = ""

    @property
    def reader(self) -> Reader:
        """What the mesh says."""
        return Reader(self.mesh, PROBE)

    def make_rules(self) -> None:
        """A rule on each monitor, told at once; waits until every evaluator has them all."""
        self.load.write_all()
        metadata, names = self.mesh.metadata(TENANT), [*self.load.names(TENANT), PROBE]
        with self.mesh.channel(self.mesh.notifier) as channel:
            made = notification_pb2.Channel(name="ops")
            made.webhook.url = self.ledger.url(TENANT)
            request = notifier_service_pb2.CreateChannelRequest(channel=made)
            self.secret = NotifierServiceStub(channel).CreateChannel(request, metadata=metadata).webhook_secret
        with self.mesh.channel(self.mesh.rules) as channel:
            stub = RuleServiceStub(channel)
            listed = self.reader.pages
            asked = rule_service_pb2.ListMonitorsRequest(page_size=100)
            wait_for(
                lambda: len(listed(self.mesh.rules, RuleServiceStub, asked, TENANT, "monitors")) == len(names),
                "the monitors", START_SECONDS, every=0.2,
            )  # fmt: skip
            stub.BatchCreateRules(
                rule_service_pb2.BatchCreateRulesRequest(rules=map(rule_on, names)), metadata=metadata, timeout=30
            )
        wait_for(
            lambda: all(self._rule_count(one.process) == len(names) for one in self.fleet.well),
            "the rules", START_SECONDS, every=0.1,
        )  # fmt: skip

    def _rule_count(self, evaluator: ServedProcess) -> int:
        with self.mesh.channel(evaluator) as channel:
            asked, metadata = GetEvaluatorStatusRequest(), self.mesh.metadata(TENANT)
            return EvaluatorServiceStub(channel).GetEvaluatorStatus(asked, metadata=metadata, timeout=10).rule_count

    def wait_until_balanced(self) -> None:
        """Waits until every evaluator has its share."""
        wait_for(
            lambda: self.watcher.is_balanced and len(self.watcher.looks[-1].alive) == len(self.fleet.well),
            "S1: the shards to be shared out", START_SECONDS, every=0.1,
        )  # fmt: skip

    @property
    def fenced(self) -> int:
        """How often evaluators found that others have their shards."""
        return self.fleet.text.count("lost to another evaluator")

    def calls(self) -> list[int]:
        """How many calls of evaluators each RuleService has answered."""
        return turns.calls(self.metrics)

    def kill_rules(self, choice: random.Random) -> None:
        """SIGKILL of one RuleService, and a new start."""
        process = choice.choice(self.rules)
        process.end(signal.SIGKILL)
        process.launch()
        process.wait_until_ready()

    def settle(self) -> None:
        """Ends the load, and waits until all is told."""
        self.load.stop()
        self.reader.wait_for_rest([TENANT], len(self.load.expected))

    def told(self) -> Told:
        """What there is to judge."""
        return Told(
            self.load.expected,
            {TENANT: self.reader.alerts(TENANT)},
            {TENANT: self.reader.deliveries(TENANT)},
            read(self.ledger.file),
            {TENANT: self.secret},
        )


@contextmanager
def running(home: Path, seed: int, loop: LoopThread, broken: str = "") -> Iterator[World]:
    """A mesh of two RuleServices, a notifier and eight evaluators, with its rules in force."""
    command = BREAKER if broken else ()
    with backends() as servers, influx_server(home / "influx") as influx:
        mesh = ServedMesh(home, _environment(servers, influx, broken), command)
        rules = [mesh.rules, ServedProcess("rules", free_port(), {}, command)]
        metrics = [f"127.0.0.1:{free_port()}" for _ in rules]
        common = {**mesh.environment, "MONITORS_RULES_ADDRESS": "127.0.0.1:1"}
        for number, process in enumerate(rules):
            process.environment = {
                **common, "MONITORS_METRICS_ADDRESS": metrics[number],
                "MONITORS_HOME": str(home / f"rules-{number + 1}") if number else str(home),
                "MONITORS_MAKE_FIRST_KEYS": "false" if number else "true",
            }  # fmt: skip
        all_rules = "ipv4:" + ",".join(process.address for process in rules)
        mesh.notifier.environment = {**common, "MONITORS_RULES_ADDRESS": all_rules}

        def of_evaluator(name: str) -> Mapping[str, str]:
            return {**common, "MONITORS_HOME": str(home / name), "MONITORS_HTTP_PORT": "0"}

        fleet = Fleet(loop, [process.port for process in rules], of_evaluator, command)
        ledger = LedgerProcess(home / "ledger.jsonl", seed)
        load = Load(lambda _, lines: influx.write(lines), [TENANT], MONITORS, seed, RATE, SHARE)
        watcher = Watcher(servers.mariadb, DATABASE)
        ended = [*rules, mesh.notifier]
        try:
            ledger.start()
            for process in ended:
                process.launch()
            for process in ended:
                process.wait_until_ready()
            watcher.start()
            fleet.join(EVALUATORS)
            world = World(mesh, rules, metrics, fleet, ledger, load, watcher)
            world.make_rules()
            world.wait_until_balanced()
            yield world
        finally:
            fleet.end()
            watcher.stop()
            for process in reversed(ended):
                process.end()
            ledger.kill()


def _environment(servers: Backends, influx: InfluxServer, broken: str) -> Mapping[str, str]:
    database = servers.mariadb.url(DATABASE)
    return {
        "DATABASE_URL": database,
        "MONITORS_NOTIFIER_DATABASE_URL": database,
        "REDIS_URL": servers.redis.url,
        "INFLUXDB_URL": influx.url,
        "MONITORS_INFLUXDB_TENANT": TENANT,
        "MONITORS_TENANTS": TENANT,
        "MONITORS_ALLOW_LOCAL_TARGETS": "1",
        "MONITORS_MASTER_KEYS": KEYS,
        BREAK: broken,
        **POLLING,
    }
