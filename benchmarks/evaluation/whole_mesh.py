"""The whole mesh: 100,000 rules, a point of each series every second, until the transition is committed."""

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from benchmarks.evaluation.clients import FIELD, Client, Pusher, connected, monitor_name
from benchmarks.evaluation.homes import INTERVAL, make_tenants
from benchmarks.evaluation.load import Load
from benchmarks.evaluation.processes import Served, serving
from benchmarks.measure import cpu_seconds, rss_bytes, say
from monitors.mesh.times import SECOND, now_nanos
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2 import BatchCreateRulesRequest
from tests.processes import wait_for

TENANT = "bench"
RULES_A_CALL = 1_000
WARM_UP_TICKS = 5
PATIENCE = 300.0


@dataclass(frozen=True)
class MeshResult:
    """CPU seconds of a tick, ours alone. `behind` is how many seconds after the last tick everything was recorded."""

    rules: int
    ticks: int
    cpu_per_tick: float
    transitions: int
    memory: int
    behind: float

    @property
    def rules_per_cpu_second(self) -> float:
        """Rule evaluations per CPU second."""
        return self.rules / self.cpu_per_tick


@contextmanager
def loaded_mesh(load: Load) -> Iterator[tuple[Served, Client, Pusher]]:
    """Running services with a rule for each series of the load, whose first points have come; none fires yet."""
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder:
        home = Path(folder) / "home"
        (key,) = make_tenants(home, [TENANT])
        with serving(home) as mesh, connected(mesh.rules_port, mesh.evaluator_port, key) as client:
            names = [monitor_name(number) for number in range(load.size)]
            start = time.monotonic()
            pusher = Pusher(client, names)
            pusher.push(now_nanos(), load.thresholds - 1)
            wait_for(lambda: client.status().accepted_point_count >= load.size, "the first points", PATIENCE)
            say(f"{load.size:,} series known after {time.monotonic() - start:.1f} s")
            start = time.monotonic()
            create_rules(client, names, load)
            say(f"{load.size:,} rules made after {time.monotonic() - start:.1f} s")
            wait_for(lambda: client.status().instance_count >= load.size, "the rules to be evaluated", PATIENCE)
            say(f"… and evaluated after {time.monotonic() - start:.1f} s")
            yield mesh, client, pusher
            pusher.finish()


def create_rules(client: Client, names: Sequence[str], load: Load) -> None:
    """Makes a rule for each series, without a channel."""
    interval = Duration(seconds=INTERVAL // SECOND)
    rules = [
        Rule(monitor_id=name, title=f"Rule of {name}", condition_text=f"{FIELD} > {threshold}", interval=interval)
        for name, threshold in zip(names, load.thresholds.tolist(), strict=True)
    ]
    for start in range(0, len(rules), RULES_A_CALL):
        request = BatchCreateRulesRequest(rules=rules[start : start + RULES_A_CALL])
        client.rules.BatchCreateRules(request, metadata=client.metadata, timeout=60)


def measure_mesh(size: int, ticks: int) -> MeshResult:
    """CPU of RuleService and EvaluatorService over `ticks` seconds.

    Raises RuntimeError if the transitions aren't what they must be.
    """
    load = Load(size)
    with loaded_mesh(load) as (mesh, client, pusher):
        push_ticks(pusher, load, range(WARM_UP_TICKS))
        _wait_for_alerts(client, load, WARM_UP_TICKS)
        before = cpu_seconds(*mesh.pids)
        push_ticks(pusher, load, range(WARM_UP_TICKS, WARM_UP_TICKS + ticks))
        ended = time.monotonic()
        # The first look comes after the last tick's second, so that looking isn't measured unless we lag behind.
        after = cpu_seconds(*mesh.pids)
        if not _is_recorded(client, load, WARM_UP_TICKS + ticks):
            _wait_for_alerts(client, load, WARM_UP_TICKS + ticks)
            after = cpu_seconds(*mesh.pids)
        behind = time.monotonic() - ended
        recorded = load.fired(WARM_UP_TICKS + ticks) - load.fired(WARM_UP_TICKS) + load.spikes * ticks
        return MeshResult(size, ticks, (after - before) / ticks, recorded, rss_bytes(*mesh.pids), behind)


def push_ticks(pusher: Pusher, load: Load, ticks: range) -> None:
    """Pushes a tick at the beginning of each second, and returns at the end of the last one."""
    pause = threading.Event()
    second = now_nanos() // SECOND + 1
    for number, tick in enumerate(ticks):
        values = load.values(tick)
        pause.wait(max(0.0, ((second + number) * SECOND - now_nanos()) / SECOND))
        pusher.push(now_nanos(), values)
    pause.wait(max(0.0, ((second + len(ticks)) * SECOND - now_nanos()) / SECOND))


def _is_recorded(client: Client, load: Load, ticks: int) -> bool:
    fired, resolved = client.alert_count(), client.alert_count("resolved")
    if fired > load.fired(ticks) or resolved > load.resolved(ticks):
        raise RuntimeError(
            f"{fired:,} alerts began and {resolved:,} ended; the load makes {load.fired(ticks):,} and "
            f"{load.resolved(ticks):,}"
        )
    return (fired, resolved) == (load.fired(ticks), load.resolved(ticks))


def _wait_for_alerts(client: Client, load: Load, ticks: int) -> None:
    wait_for(lambda: _is_recorded(client, load, ticks), "the transitions to be recorded", PATIENCE)
