"""The step by itself: `Evaluation.advance` on points that are arrays already; nothing is durable."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.evaluation.load import FIELD, INTERVAL, MEASUREMENT, MIXED, WARM_UP_TICKS, Load, monitor_name
from benchmarks.measure import Spread, collector_off, cpu_of, repeated, rss_bytes, say
from monitors.evaluator.model.evaluation import NO_POINTS, Evaluation, Points
from monitors.evaluator.model.machine import Transition
from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.model.spec import Aggregation, ConditionKind, Operator, RuleKey, RuleSpec
from monitors.mesh.times import MINUTE, SECOND

TENANT = "bench"
WINDOW = 5 * MINUTE
WINDOW_POINTS = 30
START = 1_700_000_000 * SECOND
# Points come between slots, as they do in life.
OFFSET = SECOND // 3
PASS_COUNT = 7
PAGE = 10_000


class Bed:
    """An evaluation with one rule for each series of a load, firing and flipping as the load makes them."""

    def __init__(self, load: Load, cadence: int) -> None:
        self.load, self.cadence = load, cadence
        self.now, self.tick = START, 0
        self.evaluation = Evaluation(self.now)
        self._series = np.arange(load.size, dtype=np.int32)
        self._seen = np.ones(load.size, dtype=np.bool_)
        for start in range(0, load.size, PAGE):
            numbers = range(start, min(start + PAGE, load.size))
            self.evaluation.add_series(self.series(number) for number in numbers)
            thresholds = load.thresholds[numbers.start : numbers.stop].tolist()
            self.put([self.spec(*pair) for pair in zip(numbers, thresholds, strict=True)])
        say(f"{load.size:,} rules put in {time.process_time():.0f} CPU-s")

    def series(self, number: int) -> Series:
        """A series of the load."""
        return Series(number, SeriesKey(TENANT, monitor_name(number), MEASUREMENT, FIELD), FieldType.FLOAT)

    def spec(self, number: int, threshold: float) -> RuleSpec:
        """The rule on one series."""
        aggregation = MIXED[number % len(MIXED)] if self.load.mixed else Aggregation.LATEST
        if aggregation is Aggregation.COUNT:
            threshold = 0.0 if self.load.fires(number) else float(WINDOW_POINTS * 100)
        return RuleSpec(
            tenant=TENANT,
            rule_id=f"rule_{number}",
            monitor=monitor_name(number),
            kind=ConditionKind.THRESHOLD,
            measurement=MEASUREMENT,
            field=FIELD,
            aggregation=aggregation,
            window=WINDOW,
            operator=Operator.GREATER,
            low=threshold,
            interval=INTERVAL,
        )

    def put(self, specs: Sequence[RuleSpec]) -> None:
        """Puts rules as the engine does: all of them, then what they lack, then they are evaluated."""
        fill, _ = self.evaluation.put_rules(specs, self.now)
        self.evaluation.filled(fill, self._seen)
        self.evaluation.activate([spec.key for spec in specs])

    def points(self) -> Points:
        """The next tick's points, a `cadence` after the last ones."""
        self.now += self.cadence
        values = self.load.values(self.tick)
        self.tick += 1
        return Points(self._series, np.full(self.load.size, self.now + OFFSET, dtype=np.int64), values)

    def step(self) -> tuple[float, list[Transition]]:
        """CPU seconds of the next tick's step, and its transitions."""
        points, result = self.points(), list[Transition]()
        cpu = cpu_of(lambda: result.extend(self.evaluation.advance(points, self.now + OFFSET)))
        return cpu, result

    def steps(self, count: int) -> list[float]:
        """CPU seconds of the next ticks. Raises RuntimeError if their transitions aren't as many as the load makes."""
        seconds, flips = [], 0
        with collector_off():
            for _ in range(count):
                cpu, transitions = self.step()
                seconds.append(cpu)
                flips += len(transitions)
        if flips != 2 * self.load.spikes * count:
            raise RuntimeError(
                f"{count} steps gave {flips:,} transitions; the load makes {2 * self.load.spikes * count:,}"
            )
        return seconds


@dataclass(frozen=True)
class StepResult:
    """CPU seconds of a step and of one numpy pass over as many bytes; bytes of memory per rule, with its points."""

    rules: int
    step: Spread
    total: float
    """Of all measured steps."""
    count: int
    one_pass: Spread
    memory_per_rule: float

    @property
    def rules_per_cpu_second(self) -> float:
        """Rule evaluations per CPU second over all measured steps."""
        return self.rules * self.count / self.total


def measure_steps(load: Load, count: int) -> StepResult:
    """Steps of rules on the latest point, a tick a second; or, `mixed`, of 5-minute windows of 30 points."""
    return _steps_of(*_warmed_up(load), count)


def _warmed_up(load: Load) -> tuple[Bed, float]:
    """A bed whose windows hold all points that they keep, and bytes of memory per rule."""
    # The load's own arrays are in what was there before.
    load.values(0)
    baseline = rss_bytes()
    bed = Bed(load, WINDOW // WINDOW_POINTS if load.mixed else SECOND)
    with collector_off():
        for _ in range(WARM_UP_TICKS):
            bed.step()
    return bed, (rss_bytes() - baseline) / load.size


def _steps_of(bed: Bed, memory: float, count: int) -> StepResult:
    seconds, load = bed.steps(count), bed.load
    return StepResult(load.size, Spread.of(seconds), sum(seconds), count, _one_pass(load.size, load.mixed), memory)


def _one_pass(size: int, mixed: bool) -> Spread:
    """CPU seconds of a sum over as many bytes as a step must read at least.

    For each rule the new point (index 4, time 8, value 8), threshold and state (8 + 1), and, with a window, its points
    (8 + 8 each).
    """
    data = np.ones(size * (29 + (16 * WINDOW_POINTS if mixed else 0)) // 8)
    return repeated(data.sum, PASS_COUNT)


@dataclass(frozen=True)
class MachineResult:
    """CPU seconds of evaluating all rules with no new point, nothing and a tenth breaching, and of one numpy pass."""

    idle: Spread
    breaching: Spread
    one_pass: Spread


@dataclass(frozen=True)
class LargeResult:
    """All that is measured on one bed of the largest size. Changes are milliseconds of each, by what was done."""

    steps: StepResult
    machine: MachineResult
    changes: dict[str, list[float]]


def measure_large(size: int, step_count: int, change_count: int) -> LargeResult:
    """Steps, changes of single rules, and the state machine alone, among `size` rules on the latest point."""
    bed, memory = _warmed_up(Load(size))
    steps = _steps_of(bed, memory, step_count)
    changes = _measure_changes(bed, change_count)
    return LargeResult(steps, _measure_machine(bed, step_count), changes)


def _measure_changes(bed: Bed, count: int) -> dict[str, list[float]]:
    """Edits, deletes and adds rules one by one; each with the step after it, by which it must be in force."""
    chosen = np.random.default_rng(4).choice(bed.load.size, count, replace=False).tolist()
    thresholds = bed.load.thresholds.tolist()
    taken: dict[str, list[float]] = {"edit": [], "delete": [], "add": []}

    def timed(name: str, work: Callable[[], object]) -> None:
        def change() -> None:
            work()
            bed.evaluation.advance(NO_POINTS, bed.now + OFFSET)

        bed.now += SECOND // 1_000
        taken[name].append(cpu_of(change) * 1e3)

    with collector_off():
        for number in chosen:
            timed("edit", lambda number=number: bed.put([bed.spec(number, thresholds[number] + 0.25)]))  # type: ignore[misc]
            timed("delete", lambda number=number: bed.evaluation.remove_rule(RuleKey(TENANT, f"rule_{number}")))  # type: ignore[misc]
            timed("add", lambda number=number: bed.put([bed.spec(number, thresholds[number])]))  # type: ignore[misc]
    return taken


def _measure_machine(bed: Bed, count: int) -> MachineResult:
    """Every rule is evaluated at a slot, with no point since the last one."""
    size = bed.load.size
    values = bed.load.thresholds - 1
    # The newest value and its time, both bounds, which side of them counts, the state, and whether a clock runs.
    read = np.ones(size * (8 + 8 + 8 + 8 + 1 + 1 + 1) // 8)

    def slots() -> Spread:
        taken = []
        # The first one also does what is left from before.
        for _ in range(1 + count):
            bed.now = (bed.now // INTERVAL + 1) * INTERVAL
            taken.append(cpu_of(lambda: bed.evaluation.advance(NO_POINTS, bed.now)))
        return Spread.of(taken[1:])

    with collector_off():
        bed.step()
        breaching = slots()
        idle_points = Points(bed.points().series, np.full(size, bed.now + OFFSET, np.int64), values)
        bed.evaluation.advance(idle_points, bed.now + OFFSET)
        return MachineResult(slots(), breaching, repeated(read.sum, PASS_COUNT))
