"""The step by itself: `Evaluation.advance` on points that are arrays already; nothing is durable."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.evaluation.load import FIELD, INTERVAL, MEASUREMENT, MIXED, WARM_UP_TICKS, Load, monitor_name
from benchmarks.measure import Spread, collector_off, cpu_of, repeated, rss_bytes, say
from monitors.evaluator.model.arrays import chunks
from monitors.evaluator.model.bounds import Operator
from monitors.evaluator.model.condition import Truths, compare
from monitors.evaluator.model.evaluation import NO_POINTS, Evaluation, Points
from monitors.evaluator.model.machine import Changes, Transition, apply
from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.series import FieldType, Floats, Int64s, Series, SeriesKey
from monitors.evaluator.model.shards import ALL_SHARDS
from monitors.evaluator.model.spec import ConditionKind, RuleKey, RuleSpec
from monitors.mesh.memory import give_back_freed_memory
from monitors.mesh.times import MINUTE, SECOND

TENANT = "bench"
WINDOW = 5 * MINUTE
WINDOW_POINTS = 30
START = 1_700_000_000 * SECOND
# Points come between slots, as they do in life.
OFFSET = SECOND // 3
PASS_COUNT = 7
PAGE = 10_000
FIRST_RULES = 1_000


def series_of(number: int) -> Series:
    """A series of the load."""
    return Series(number, SeriesKey(TENANT, monitor_name(number), MEASUREMENT, FIELD), FieldType.FLOAT)


class Bed:
    """An evaluation with one rule for each series of a load, firing and flipping as the load makes them. Those of other
    shards than `shards` are known, but not evaluated."""

    def __init__(self, load: Load, cadence: int, shards: Iterable[int] = ALL_SHARDS) -> None:
        self.load, self.cadence = load, cadence
        self.now, self.tick = START, 0
        self.evaluation = Evaluation(self.now, shards)
        self._series = np.arange(load.size, dtype=np.int32)
        self._seen = np.ones(load.size, dtype=np.bool_)
        for start in range(0, load.size, PAGE):
            numbers = range(start, min(start + PAGE, load.size))
            self.evaluation.add_series(map(series_of, numbers))
            thresholds = load.thresholds[numbers.start : numbers.stop].tolist()
            self.put([self.spec(*pair) for pair in zip(numbers, thresholds, strict=True)])
        say(f"{load.size:,} rules put in {time.process_time():.0f} CPU-s")

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
    # The load's own arrays are in what was there before, and so are the modules that the first rules of all load.
    load.values(0)
    _warm_bed(Load(FIRST_RULES, load.mixed))
    baseline = rss_bytes()
    bed = _warm_bed(load)
    return bed, (rss_bytes() - baseline) / load.size


def _warm_bed(load: Load) -> Bed:
    bed = Bed(load, WINDOW // WINDOW_POINTS if load.mixed else SECOND)
    with collector_off():
        for _ in range(WARM_UP_TICKS):
            bed.step()
    # As the evaluator does each minute.
    give_back_freed_memory()
    return bed


def _steps_of(bed: Bed, memory: float, count: int) -> StepResult:
    seconds, load = bed.steps(count), bed.load
    return StepResult(load.size, Spread.of(seconds), sum(seconds), count, _one_pass(load.size, load.mixed), memory)


def _one_pass(size: int, mixed: bool) -> Spread:
    """CPU seconds of a sum over as many bytes as a step must read at least.

    For each rule the new point (index 4, time 8, value 8), threshold and state (8 + 1), and, with a window, its points
    (8 + 8 each).
    """
    return _pass_over(size * (29 + (16 * WINDOW_POINTS if mixed else 0)))


@dataclass(frozen=True)
class Beside:
    """CPU seconds of something, and of one numpy pass over the bytes that it must read."""

    taken: Spread
    one_pass: Spread

    @property
    def ratio(self) -> float:
        """How many passes it takes."""
        return self.taken.median / self.one_pass.median


@dataclass(frozen=True)
class MachineResult:
    """What all rules take at one instant: nothing breaches, or a tenth does with 0.1 % flipping.

    The state machine begins with truths; with the comparison it begins with values. A slot evaluates everything for
    which no point has come since the last one, from the window on; it isn't measured beside anything.
    """

    states: dict[str, Beside]
    compared: dict[str, Beside]
    slots: dict[str, Spread]


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


IDLE, BREACHING = "idle", "10 % breaching"


def _measure_machine(bed: Bed, count: int) -> MachineResult:
    size, load, tick = bed.load.size, bed.load, bed.tick
    ticks = {
        BREACHING: [load.values(tick + number) for number in range(1 + count)],
        IDLE: [load.thresholds - 1] * (1 + count),
    }
    # A truth, the state, and whether a clock runs; before that the value and both bounds.
    state_pass, compared_pass = _pass_over(3 * size), _pass_over((8 + 8 + 8 + 1 + 1) * size)
    states, compared, slots = {}, {}, {}
    with collector_off():
        for name, values in ticks.items():
            states[name] = Beside(_machine_alone(bed, values), state_pass)
            compared[name] = Beside(_machine_and_comparison(bed, values), compared_pass)
            bed.now += SECOND
            points = Points(bed.points().series, np.full(size, bed.now + OFFSET, np.int64), values[-1])
            bed.evaluation.advance(points, bed.now + OFFSET)
            slots[name] = _slots(bed, count)
    return MachineResult(states, compared, slots)


def _pass_over(size: int) -> Spread:
    """CPU seconds of a sum over so many bytes."""
    data = np.ones(size // 8)
    return repeated(data.sum, PASS_COUNT)


def _machine_alone(bed: Bed, ticks: Sequence[Floats]) -> Spread:
    plan, everything = bed.evaluation.plan, slice(0, bed.load.size)
    truths = [Truths(compare(plan, everything, values), values, np.isnan(values)) for values in ticks]
    return _moving(bed, [lambda found=found: found for found in truths])  # type: ignore[misc]


def _machine_and_comparison(bed: Bed, ticks: Sequence[Floats]) -> Spread:
    plan, size = bed.evaluation.plan, bed.load.size

    def compared(values: Floats) -> Truths:
        holds = np.empty(size, dtype=np.bool_)
        for part in chunks(size):
            holds[part] = compare(plan, part, values[part])
        return Truths(holds, values, np.isnan(values))

    return _moving(bed, [lambda values=values: compared(values) for values in ticks])  # type: ignore[misc]


def _moving(bed: Bed, ticks: Sequence[Callable[[], Truths]]) -> Spread:
    """CPU seconds of finding truths and moving all states on by them, a second after second."""
    evaluation, taken = bed.evaluation, []
    for find in ticks:
        bed.now += SECOND
        times, changes = np.broadcast_to(np.int64(bed.now + OFFSET), bed.load.size), Changes()

        def move(find: Callable[[], Truths] = find, times: Int64s = times, changes: Changes = changes) -> None:
            everything = slice(0, bed.load.size)
            apply(evaluation.plan, evaluation.window, evaluation.state, everything, times, find(), changes)

        taken.append(cpu_of(move))
    # The first one also does what is left from before.
    return Spread.of(taken[1:])


def _slots(bed: Bed, count: int) -> Spread:
    taken = []
    for _ in range(1 + count):
        bed.now = (bed.now // INTERVAL + 1) * INTERVAL
        taken.append(cpu_of(lambda: bed.evaluation.advance(NO_POINTS, bed.now)))
    return Spread.of(taken[1:])
