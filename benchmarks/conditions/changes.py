"""What it costs to change things: many formulas that are put, a series that joins a thousand others, and the steps of
one rule that compares each series with its own past."""

import numpy as np

from benchmarks.conditions.load import KINDS, TENANT, Load, spec_of
from benchmarks.conditions.steps import OFFSET, START, Bed
from benchmarks.measure import Spread, collector_off, cpu_of
from monitors.evaluator.model.evaluation import NO_POINTS, Evaluation, Points
from monitors.evaluator.model.series import FieldType, Floats, Series, SeriesKey
from monitors.mesh.times import DAY, SECOND

MONITOR = "mon"
HOSTS = 100


def measure_puts(group: str, rules: int) -> float:
    """CPU seconds of putting one of so many rules of a kind, with what lets them be evaluated."""
    (kind,) = [kind for kind in KINDS if kind.group == group]
    load = Load(rules)
    with collector_off():
        bed = Bed(load, (kind.spec(load, monitor, f"rule_{monitor}") for monitor in range(rules)))
    return bed.put_cpu / rules


def measure_new_series(known: int, count: int) -> Spread:
    """CPU seconds of a series that becomes known to a monitor with so many and a rule on their sums by host, with the
    step that brings it into force."""
    evaluation = Evaluation(START)
    evaluation.add_series(_series(number) for number in range(known))
    spec = spec_of("sum by (host) (errors) > 5", MONITOR, "rule")
    fill, _ = evaluation.put_rules([spec], START)
    evaluation.filled(fill, np.ones(known, dtype=np.bool_))
    evaluation.activate([spec.key])
    taken, now = [], START
    with collector_off():
        for number in range(known, known + count):
            now += SECOND

            def add(number: int = number, now: int = now) -> None:
                evaluation.add_series([_series(number)])
                evaluation.advance(NO_POINTS, now)

            taken.append(cpu_of(add))
    return Spread.of(taken)


def _series(number: int) -> Series:
    tags = (("host", f"host_{number % HOSTS}"), ("path", f"path_{number // HOSTS}"))
    return Series(number, SeriesKey(TENANT, MONITOR, "m", "errors", tags), FieldType.FLOAT)


def measure_anomaly(size: int, cadence: int, count: int) -> Spread:
    """CPU seconds of the steps of `anomaly(errors, 1d) > 4` on so many series with a day of points each, at which all
    get a new one; those in which a multiple of the interval is evaluated as well are among them."""
    evaluation, rows, past = Evaluation(START), np.arange(size, dtype=np.int32), DAY // cadence
    evaluation.add_series(_series(number) for number in range(size))
    spec = spec_of("anomaly(errors, 1d) > 4", MONITOR, "rule")
    fill, _ = evaluation.put_rules([spec], START)
    generator = np.random.default_rng(1)

    def values(points: int) -> Floats:
        return np.round(generator.normal(50, 5, size * points), 2)

    times = np.repeat(START - DAY + cadence * np.arange(1, past + 1), size)
    evaluation.fill(fill, Points(np.tile(rows, past), times, values(past)))
    evaluation.filled(fill, np.ones(size, dtype=np.bool_))
    evaluation.activate([spec.key])
    taken, now = [], START
    with collector_off():
        # The first also does what is left from before.
        for _ in range(1 + count):
            now += cadence
            points = Points(rows, np.full(size, now + OFFSET, dtype=np.int64), values(1))
            taken.append(cpu_of(lambda points=points, now=now: evaluation.advance(points, now + OFFSET)))  # type: ignore[misc]
    return Spread.of(taken[1:])
