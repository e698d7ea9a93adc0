"""Cold start: the evaluator's process begins, rules in RuleService and series in its history, until it evaluates."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.evaluation.clients import Pusher, connected
from benchmarks.evaluation.homes import make_rules, make_tenants
from benchmarks.evaluation.load import Load, monitor_name
from benchmarks.evaluation.processes import free_ports, serving, serving_evaluator, serving_rules
from benchmarks.measure import cpu_seconds, rss_bytes, say
from monitors.mesh.times import now_nanos
from tests.processes import wait_for

RULES_A_TENANT = 100_000
PATIENCE = 600.0


@dataclass(frozen=True)
class ColdStart:
    """Seconds from the process's start to the first step; CPU seconds of both services meanwhile; the memory then."""

    rules: int
    seconds: float
    rules_cpu: float
    evaluator_cpu: float
    evaluator_memory: int


def measure_cold_start(size: int) -> ColdStart:
    """Fills a home with rules, of a hundred thousand each tenant, and starts."""
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder:
        home = Path(folder) / "home"
        _fill(home, size)
        ports = free_ports(3)
        with serving_rules(home, ports) as rules_pid:
            before, start = cpu_seconds(rules_pid), time.monotonic()
            with serving_evaluator(home, ports, rules_pid) as served:
                wait_for(served.is_evaluating, "the first step", PATIENCE, every=0.05)
                seconds = time.monotonic() - start
                say(f"{size:,} rules evaluated {seconds:.1f} s after the start")
                return ColdStart(
                    size,
                    seconds,
                    cpu_seconds(rules_pid) - before,
                    cpu_seconds(served.evaluator_pid),
                    rss_bytes(served.evaluator_pid),
                )


def _fill(home: Path, size: int) -> None:
    sizes = [min(RULES_A_TENANT, size - start) for start in range(0, size, RULES_A_TENANT)]
    tenants = [f"bench{number}" for number in range(len(sizes))]
    keys = make_tenants(home, tenants)
    start = time.monotonic()
    with serving(home) as mesh:
        for key, count in zip(keys, sizes, strict=True):
            with connected(mesh.rules_port, mesh.evaluator_port, key) as client:
                pusher = Pusher(client, [monitor_name(number) for number in range(count)])
                pusher.push(now_nanos(), Load(count).thresholds - 1)
                pusher.finish()
    say(f"{size:,} series of {len(tenants)} tenants stored after {time.monotonic() - start:.0f} s")
    start = time.monotonic()
    for tenant, count in zip(tenants, sizes, strict=True):
        make_rules(home, tenant, [monitor_name(number) for number in range(count)], Load(count).thresholds)
    say(f"{size:,} rules made after {time.monotonic() - start:.0f} s")
