"""A mesh of three processes on SQLite that is given points, alerts and calls, with or without spans."""

import http.client
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from benchmarks.measure import cpu_seconds
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2 import BatchCreateRulesRequest, ListAlertsRequest, ListMonitorsRequest
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.processes import BIN, Receiver, receiver, wait_for
from tests.served import ServedMesh, served_mesh

CALM, HIGH = 1.0, 50.0
MONITORS_A_WRITE = 10
LINES_A_WRITE = 1_000
"""As Telegraf sends them by default."""
PATIENCE = 120.0
# Whoever measures needs no protection from themselves.
SETTINGS = {
    "MONITORS_ALLOW_LOCAL_TARGETS": "1",
    "MONITORS_WEBHOOK_PER_SECOND": "0",
    "MONITORS_MESSAGES_PER_SECOND": "0",
    "MONITORS_DEFAULT_TIER": "unlimited",
}


@dataclass
class Side:
    """One of the two meshes. Each kind of work returns the CPU seconds of all processes that it took."""

    mesh: ServedMesh
    hook: Receiver
    writes: http.client.HTTPConnection
    rules: RuleServiceStub
    alerts: int
    """How many monitors a rule watches."""
    value: float = CALM

    def _cpu(self) -> float:
        return cpu_seconds(*(process.pid for process in self.mesh.processes))

    def take_points(self, count: int) -> float:
        """Points of series that no rule watches, `LINES_A_WRITE` in a write."""
        before = self._cpu()
        for _ in range(count // LINES_A_WRITE):
            now = time.time_ns()
            self._write("".join([f"load,monitor_id=idle,n={n} v={n} {now}\n" for n in range(LINES_A_WRITE)]))
        return self._cpu() - before

    def tell_alerts(self) -> float:
        """All rules fire, or all resolve: each is told by a webhook. The points of ten monitors come in a write."""
        before, told = self._cpu(), len(self.hook.deliveries)
        self.value = HIGH if self.value == CALM else CALM
        self.push(self.value)
        all_told = told + self.alerts
        wait_for(lambda: len(self.hook.deliveries) >= all_told, "the webhooks", PATIENCE, every=0.1)
        return self._cpu() - before

    def push(self, value: float) -> None:
        """A point of each monitor that a rule watches."""
        for first in range(0, self.alerts, MONITORS_A_WRITE):
            now = time.time_ns()
            some = range(first, min(first + MONITORS_A_WRITE, self.alerts))
            self._write("".join([f"cpu,monitor_id=mon{n} load={value} {now}\n" for n in some]))

    def answer_calls(self, count: int) -> float:
        """Unary calls, one after the other."""
        before, metadata = self._cpu(), self.mesh.metadata()
        for _ in range(count):
            self.rules.ListAlerts(ListAlertsRequest(page_size=1), metadata=metadata, timeout=60)
        return self._cpu() - before

    def _write(self, lines: str) -> None:
        self.writes.request("POST", "/api/v2/write", lines, {"Authorization": f"Token {self.mesh.key()}"})
        answer = self.writes.getresponse()
        answer.read()
        if answer.status != 204:
            raise RuntimeError(f"a write answered {answer.status}")


@contextmanager
def opened(alerts: int, variables: Mapping[str, str]) -> Iterator[Side]:
    """A mesh with so many rules, of which none fires yet, and a webhook to tell."""
    with (
        tempfile.TemporaryDirectory(prefix="monitors-bench-") as home,
        receiver() as hook,
        served_mesh(Path(home), {**SETTINGS, **variables}) as mesh,
        mesh.channel(mesh.rules) as channel,
    ):
        writes = http.client.HTTPConnection("127.0.0.1", mesh.http_port)
        side = Side(mesh, hook, writes, RuleServiceStub(channel), alerts)
        command = [str(BIN / "monitors"), "channels", "create", "ops", "--webhook", hook.url]
        subprocess.run(command, env=mesh.client_environment(mesh.notifier), capture_output=True, check=True, timeout=60)
        side.push(CALM)
        _make_rules(side)
        yield side
        writes.close()


def _make_rules(side: Side) -> None:
    metadata = side.mesh.metadata()
    known = ListMonitorsRequest(page_size=1)
    wait_for(lambda: side.rules.ListMonitors(known, metadata=metadata).monitors, "the monitors", PATIENCE, every=0.1)
    rules = [
        Rule(
            monitor_id=f"mon{n}", title=f"Load of {n}", condition_text="load > 10", notify=["ops"], cooldown=Duration(),
            interval=Duration(seconds=60),
        )
        for n in range(side.alerts)
    ]  # fmt: skip
    side.rules.BatchCreateRules(BatchCreateRulesRequest(rules=rules), metadata=metadata, timeout=60)
