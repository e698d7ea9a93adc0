"""The whole mesh: 100,000 rules, a point of each series every second, until the transition is committed."""

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.duration_pb2 import Duration

from benchmarks.evaluation.clients import Client, Pusher, connected
from benchmarks.evaluation.homes import make_tenants
from benchmarks.evaluation.latency import measure_latency
from benchmarks.evaluation.load import FIELD, INTERVAL, WARM_UP_TICKS, Load, monitor_name
from benchmarks.evaluation.processes import Served, serving
from benchmarks.measure import Spread, cpu_seconds, rss_bytes, say
from monitors.evaluator.model.series import Floats
from monitors.mesh.times import SECOND, now_nanos
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2 import BatchCreateRulesRequest
from tests.processes import wait_for

TENANT = "bench"
RULES_A_CALL = 1_000
SPAN = 5
ALERTS_A_SECOND = 100
PATIENCE = 300.0
LOOK = 0.2


@dataclass(frozen=True)
class MeshResult:
    """What was measured on one mesh. CPU seconds are those of RuleService and the evaluator together."""

    rules: int
    ticks: int
    cpu: Spread
    """CPU seconds of a tick, over spans of 5 ticks."""
    rules_service_cpu: float
    evaluator_cpu: float
    """CPU seconds of a tick on average, by process."""
    transitions: int
    memory_per_rule: float
    """Bytes of the evaluator's process, all that it holds."""
    behind: float
    """How many seconds after the last tick everything was recorded."""
    latency: Floats
    """Milliseconds from single pushed points to their transitions."""

    @property
    def rules_per_cpu_second(self) -> float:
        """Rule evaluations per CPU second over all ticks."""
        return self.rules / (self.rules_service_cpu + self.evaluator_cpu)


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
            wait_for(
                lambda: client.status().accepted_point_count >= load.size, "the first points", PATIENCE, every=LOOK
            )
            say(f"{load.size:,} series known after {time.monotonic() - start:.1f} s")
            start = time.monotonic()
            create_rules(client, names, load)
            say(f"{load.size:,} rules made after {time.monotonic() - start:.1f} s")
            wait_for(
                lambda: client.status().instance_count >= load.size, "the rules to be watched", PATIENCE, every=0.2
            )
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


def measure_mesh(size: int, ticks: int, period: float, alerts: int) -> MeshResult:
    """A tick every `period` seconds, then single points for `alerts` alerts.

    Raises RuntimeError if the transitions aren't what they must be.
    """
    load = Load(size)
    with loaded_mesh(load) as (mesh, client, pusher):
        push_ticks(pusher, load, range(WARM_UP_TICKS), period)
        _wait_for_alerts(client, load, WARM_UP_TICKS)
        marks = [_cpu(mesh)]
        for start in range(WARM_UP_TICKS, WARM_UP_TICKS + ticks, SPAN):
            push_ticks(pusher, load, range(start, start + SPAN), period)
            marks.append(_cpu(mesh))
        ended = time.monotonic()
        # The first look comes after the last tick's second, so that looking isn't measured unless we lag behind.
        if not _is_recorded(client, load, WARM_UP_TICKS + ticks):
            _wait_for_alerts(client, load, WARM_UP_TICKS + ticks)
            marks[-1] = _cpu(mesh)
        behind = time.monotonic() - ended
        say(f"{ticks} ticks done; single points now")
        latency = measure_latency(client, mesh.http_port, load, WARM_UP_TICKS + ticks - 1, alerts, ALERTS_A_SECOND)
        by_process = (np.array(marks[-1]) - np.array(marks[0])) / ticks
        return MeshResult(
            rules=size,
            ticks=ticks,
            cpu=Spread.of((np.diff(np.array(marks), axis=0).sum(axis=1) / SPAN).tolist()),
            rules_service_cpu=float(by_process[0]),
            evaluator_cpu=float(by_process[1]),
            transitions=2 * load.spikes * ticks,
            memory_per_rule=rss_bytes(mesh.evaluator_pid) / size,
            behind=behind,
            latency=latency,
        )


def _cpu(mesh: Served) -> tuple[float, float]:
    return cpu_seconds(mesh.rules_pid), cpu_seconds(mesh.evaluator_pid)


def push_ticks(pusher: Pusher, load: Load, ticks: range, period: float) -> None:
    """Pushes a tick at each multiple of `period` seconds, and returns at the end of the last one's."""
    pause, length = threading.Event(), round(period * SECOND)
    first = now_nanos() // length + 1

    def wait_until(number: int) -> None:
        pause.wait(max(0.0, ((first + number) * length - now_nanos()) / SECOND))

    for number, tick in enumerate(ticks):
        values = load.values(tick)
        wait_until(number)
        pusher.push(now_nanos(), values)
    wait_until(len(ticks))


def _is_recorded(client: Client, load: Load, ticks: int) -> bool:
    fired, resolved = client.alert_count(), client.alert_count("resolved")
    if fired > load.fired(ticks) or resolved > load.resolved(ticks):
        raise RuntimeError(
            f"{fired:,} alerts began and {resolved:,} ended; the load makes {load.fired(ticks):,} and "
            f"{load.resolved(ticks):,}"
        )
    return (fired, resolved) == (load.fired(ticks), load.resolved(ticks))


def _wait_for_alerts(client: Client, load: Load, ticks: int) -> None:
    wait_for(lambda: _is_recorded(client, load, ticks), "the transitions to be recorded", PATIENCE, every=LOOK)
