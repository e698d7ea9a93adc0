"""The steps of rules of all kinds: `Evaluation.advance` with a new point of every series.

What it contains: the points enter their windows, each instance that has a new point is evaluated at it, all are again
at the multiples of their interval, and the state machine moves. Nothing is parsed, durable or told to anybody.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.conditions.load import CADENCE, KINDS, Kind, Load, monitor_name, spec_of
from benchmarks.measure import Spread, collector_off, cpu_of, rss_bytes, say
from monitors.evaluator.model.evaluation import Evaluation, Points
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.spec import RuleSpec
from monitors.mesh.memory import give_back_freed_memory
from monitors.mesh.times import SECOND

START = 1_700_000_000 * SECOND
OFFSET = SECOND // 3
"""Points come between slots, as they do in life."""
WARM_UP_TICKS = 190
"""After so many ticks half an hour of points is in the windows that ask for it."""
PAGE = 10_000


class Bed:
    """An evaluation with rules of a load on all of its series."""

    def __init__(self, load: Load, specs: Iterable[RuleSpec]) -> None:
        self.load, self.now, self.tick = load, START, 0
        self.evaluation = Evaluation(START)
        self.evaluation.add_series(load.series())
        self._rows, self._seen = np.arange(load.size, dtype=np.int32), np.zeros(load.size, dtype=np.bool_)
        page: list[RuleSpec] = []
        self.put_cpu = 0.0
        self.rules = 0
        for spec in specs:
            page.append(spec)
            if len(page) == PAGE:
                self._put(page)
                page = []
        self._put(page)

    def _put(self, specs: Sequence[RuleSpec]) -> None:
        def put() -> None:
            fill, _ = self.evaluation.put_rules(specs, self.now)
            self.evaluation.filled(fill, self._seen)
            self.evaluation.activate([spec.key for spec in specs])

        self.put_cpu += cpu_of(put)
        self.rules += len(specs)

    def step(self) -> tuple[float, list[Transition]]:
        """CPU seconds of the next tick's step, and its transitions."""
        self.now += CADENCE
        values, result = self.load.values(self.tick), list[Transition]()
        self.tick += 1
        at = self.now + OFFSET
        points = Points(self._rows, np.full(self.load.size, at, dtype=np.int64), values)
        return cpu_of(lambda: result.extend(self.evaluation.advance(points, at))), result


@dataclass(frozen=True)
class StepResult:
    """CPU seconds of steps, and of what rules; `put_cpu` of putting them all, `memory` bytes a rule with its points."""

    rules: int
    instances: int
    step: Spread
    total: float
    count: int
    put_cpu: float
    memory: float

    @property
    def rules_per_cpu_second(self) -> float:
        """Rules by the CPU seconds of a step that brings each of them a point, slots between points not counted."""
        return self.rules * self.count / self.total


def measure_mixed(monitors: int, count: int) -> StepResult:
    """Steps of all kinds together. Raises RuntimeError if their transitions aren't those that the load makes."""
    load = Load(monitors)
    _check_reading(load)
    load.values(0)
    baseline = rss_bytes()
    bed = Bed(load, load.specs())
    say(f"{bed.rules:,} rules put in {bed.put_cpu:.1f} CPU-s")
    firing = 0
    with collector_off():
        for _ in range(WARM_UP_TICKS):
            firing += _balance(bed.step()[1])
        give_back_freed_memory()
        memory = (rss_bytes() - baseline) / bed.rules
        expected = sum(_instances(kind) for monitor, kind in load.kinds if kind.fires and load.fires(monitor))
        if firing != expected + load.spikes:
            raise RuntimeError(f"{firing:,} alerts fire; the load makes {expected + load.spikes:,}")
        seconds, flips = [], 0
        for _ in range(count):
            cpu, transitions = bed.step()
            seconds.append(cpu)
            flips += len(transitions)
    if flips != 2 * load.spikes * count:
        raise RuntimeError(f"{count} steps gave {flips:,} transitions; the load makes {2 * load.spikes * count:,}")
    instances = bed.evaluation.plan.instance_count
    return StepResult(bed.rules, instances, Spread.of(seconds), sum(seconds), count, bed.put_cpu, memory)


def _check_reading(load: Load) -> None:
    """That the rules are what their texts say."""
    for kind in KINDS:
        for monitor in (kind.of[0] % load.monitors, (kind.of[0] + kind.of[1]) % load.monitors):
            made = kind.spec(load, monitor, "r")
            if made != spec_of(kind.text(load, monitor), monitor_name(monitor), "r"):
                raise RuntimeError(f"{kind.text(load, monitor)!r} isn't what is evaluated: {made}")


def _instances(kind: Kind) -> int:
    """How many a rule of the kind has on each monitor."""
    return 4 if kind.group == "errors / requests" else 2 if kind.group == "ratio of sums by tag" else 1


def _balance(transitions: Sequence[Transition]) -> int:
    return sum(1 if one.kind is TransitionKind.FIRING else -1 for one in transitions)


def measure_kind(group: str, rules: int, count: int) -> StepResult:
    """Steps of one kind alone: the points of series that nobody asks for are passed over."""
    kinds = [kind for kind in KINDS if kind.group == group]
    load = Load(rules // len(kinds) * kinds[0].of[1])
    wanted = [(monitor, kind) for monitor in range(load.monitors) for kind in kinds if kind.is_of(monitor)]
    specs = (kind.spec(load, monitor, f"rule_{number}") for number, (monitor, kind) in enumerate(wanted))
    bed = Bed(load, specs)
    with collector_off():
        for _ in range(WARM_UP_TICKS if "30m" in group else 40):
            bed.step()
        seconds = [bed.step()[0] for _ in range(count)]
    instances = bed.evaluation.plan.instance_count
    return StepResult(bed.rules, instances, Spread.of(seconds), sum(seconds), count, bed.put_cpu, 0.0)
