"""A client of a RuleService that runs as a process, and what it sends: rules, series and transitions."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration

from benchmarks.evaluation.processes import SERVICE_TOKEN, free_ports, serving_rules
from benchmarks.measure import cpu_seconds
from monitors.v1 import alert_pb2, evaluator_service_pb2, mesh_pb2, monitor_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

T = TypeVar("T")
FIRING, RESOLVED = alert_pb2.ALERT_EVENT_KIND_FIRING, alert_pb2.ALERT_EVENT_KIND_RESOLVED
REPORTED_AT_ONCE = 1_000


@dataclass(frozen=True)
class Client:
    """Calls as the local tenant and as the mesh."""

    stub: RuleServiceStub
    key: str
    pid: int
    """Of RuleService."""

    @property
    def tenant(self) -> tuple[tuple[str, str], ...]:
        """What to send as the local tenant."""
        return (("authorization", f"Bearer {self.key}"),)

    @property
    def mesh(self) -> tuple[tuple[str, str], ...]:
        """What to send as a service of the mesh."""
        return (("authorization", f"Bearer {SERVICE_TOKEN}"),)

    def report(self, monitors: Sequence[str]) -> None:
        """Makes monitors known, each with the field `v`."""
        for part in batches(monitors, REPORTED_AT_ONCE):
            series = [
                evaluator_service_pb2.SeriesDefinition(
                    key=monitor_pb2.SeriesKey(monitor_id=monitor, measurement="m", field="v"),
                    type=monitor_pb2.FIELD_TYPE_FLOAT,
                )
                for monitor in part
            ]
            self.stub.ReportSeries(pb.ReportSeriesRequest(tenant_id="local", series=series), metadata=self.mesh)

    def make_rules(self, monitors: Sequence[str]) -> list[str]:
        """Makes a rule for each monitor in one call, and returns their ids."""
        request = pb.BatchCreateRulesRequest(rules=list(map(rule_of, monitors)))
        return [rule.id for rule in self.stub.BatchCreateRules(request, metadata=self.tenant).rules]

    def make_rule(self, monitor: str) -> None:
        """Makes one rule."""
        self.stub.CreateRule(pb.CreateRuleRequest(rule=rule_of(monitor)), metadata=self.tenant)

    def record(self, request: pb.RecordTransitionsRequest) -> None:
        """Records transitions, all of which must be new."""
        results = self.stub.RecordTransitions(request, metadata=self.mesh).results
        if any(result.outcome != mesh_pb2.TRANSITION_OUTCOME_RECORDED for result in results):
            raise RuntimeError("a transition wasn't recorded")

    def take_over(self, count: int) -> int:
        """Leases notifications and takes them over as the notifier does, until there were `count`; how many it got."""
        stream = self.stub.LeaseNotifications(pb.LeaseNotificationsRequest(notifier_id="bench"), metadata=self.mesh)
        taken = 0
        for batch in stream:
            ids = [each.id for each in batch.notifications]
            if not ids:
                continue  # a sign of life
            request = pb.AcknowledgeNotificationsRequest(lease_token=batch.lease_token, notification_ids=ids)
            self.stub.AcknowledgeNotifications(request, metadata=self.mesh)
            taken += len(ids)
            if taken >= count:
                break
        stream.cancel()
        return taken


def rule_of(monitor: str) -> rule_pb2.Rule:
    """A rule on a monitor's field `v`."""
    return rule_pb2.Rule(
        monitor_id=monitor,
        title=f"{monitor} is high",
        condition_text="v > 10",
        labels={"team": "checkout"},
        annotations={"summary": "Too high for a while"},
        # Every transition is told.
        cooldown=Duration(),
    )


def recording_of(rules: Sequence[tuple[str, str]], kind: int, episode: int) -> pb.RecordTransitionsRequest:
    """What records a transition of each rule, given with its monitor. It's made beforehand: what evaluators spend on it
    isn't RuleService's."""
    return pb.RecordTransitionsRequest(
        transitions=[
            mesh_pb2.Transition(
                tenant_id="local",
                rule_id=rule_id,
                monitor_id=monitor,
                group={"host": f"h-{monitor}", "region": "eu-central"},
                episode=episode,
                kind=kind,  # type: ignore[arg-type]
                time_nanos=episode + (kind == RESOLVED),
                value=42.5,
                reason="condition" if kind == RESOLVED else "",
            )
            for rule_id, monitor in rules
        ]
    )


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in parts of `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


@contextmanager
def serving(home: Path, url: str) -> Iterator[Client]:
    """`monitors serve rules` on a database, with a client of it."""
    home.mkdir()
    ports = free_ports(3)
    with (
        serving_rules(home, ports, {"DATABASE_URL": url}) as pid,
        grpc.insecure_channel(f"127.0.0.1:{ports[0]}") as channel,
    ):
        yield Client(RuleServiceStub(channel), (home / "key").read_text().strip(), pid)


@dataclass
class Taken:
    """Seconds of each call and of all, and CPU seconds of RuleService."""

    count: int
    calls: list[float] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0

    @property
    def rate(self) -> float:
        """How many a second."""
        return self.count / self.wall

    def __str__(self) -> str:
        return f"{self.rate:,.0f}/s; {self.cpu / self.count * 1e6:.0f} µs of RuleService's CPU each"


def timed(client: Client, count: int, parts: Sequence[T], work: Callable[[T], object], workers: int = 1) -> Taken:
    """Does `work` on each part, `workers` at a time, and times it; `count` is what is done in all."""
    taken, waiting, errors = Taken(count), iter(parts), []
    lock = threading.Lock()

    def run() -> None:
        while True:
            with lock:
                part = next(waiting, None)
            if part is None:
                return
            begun = time.perf_counter()
            try:
                work(part)
            except grpc.RpcError as error:
                errors.append(error)
                return
            taken.calls.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=run) for _ in range(workers)]
    wall, cpu = time.perf_counter(), cpu_seconds(client.pid)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken.wall, taken.cpu = time.perf_counter() - wall, cpu_seconds(client.pid) - cpu
    if errors:
        raise errors[0]
    return taken
