"""The figures, part by part: what is measured, beside what, and what the goals are."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ParamSpec, TypeVar

from benchmarks.conditions.backtests import CONDITIONS, measure_model, measure_service
from benchmarks.conditions.changes import measure_anomaly, measure_new_series, measure_puts
from benchmarks.conditions.load import KINDS, RULES_A_MONITOR, SHARES
from benchmarks.conditions.peer import INTERVAL, measure_peer
from benchmarks.conditions.steps import StepResult, measure_kind, measure_mixed
from benchmarks.evaluation.prometheus import PeerResult
from benchmarks.measure import Figure, Spread, in_child, say
from monitors.mesh.times import DAY, MINUTE, SECOND

T = TypeVar("T")
P = ParamSpec("P")
GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS))
FORMULAS = ("errors / requests", "ratio of sums by tag", "and", "or")


@dataclass
class Run:
    """One run: its sizes, and what several parts need, measured once."""

    rules: int = 100_000
    of_a_kind: int = 20_000
    steps: int = 18
    """Of a multiple of 3, so that a slot is in each third of them."""
    series: int = 1_000
    days: int = 7
    backtests: int = 20
    changes: int = 10_000
    interval: int = INTERVAL
    """Seconds between Prometheus' scrapes and evaluations."""
    with_peer: bool = True
    apart: bool = True
    """Whether each measurement has a process of its own, in whose memory and caches no other one is."""

    def measured(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a measurement gives."""
        return in_child(work, *args, **kwargs) if self.apart else work(*args, **kwargs)

    @cached_property
    def mixed(self) -> StepResult:
        """Steps of all kinds."""
        say(f"{self.rules:,} rules of all kinds")
        return self.measured(measure_mixed, self.rules // RULES_A_MONITOR, self.steps)

    @cached_property
    def peer(self) -> PeerResult | None:
        """Prometheus with the same rules."""
        if not self.with_peer:
            return None
        say(f"Prometheus, {self.rules:,} rules of all kinds")
        return measure_peer(self.rules // RULES_A_MONITOR, self.interval)


def step(run: Run) -> list[Figure]:
    """All kinds together, against Prometheus."""
    result, peer = run.mixed, run.peer
    beside, ratio = "Prometheus not run", None
    if peer is not None:
        beside = f"Prometheus, one rule each, {peer.name}: {peer.per_cpu_second:,.0f}"
        ratio = result.rules_per_cpu_second / peer.per_cpu_second.median
    return [
        Figure(
            f"step of {result.rules:,} rules: {SHARES}",
            f"{result.rules_per_cpu_second:,.0f} rules/CPU-s; {_ms(result.step)} ms",
            beside,
            ratio,
            50,
            300,
        ),
        Figure(
            f"… with {result.instances:,} instances",
            f"{result.memory:,.0f} B a rule",
            f"Prometheus {peer.memory / peer.rules:,.0f} B" if peer else "",
        ),
    ]


def kinds(run: Run) -> list[Figure]:
    """What a rule of each kind costs."""
    figures = []
    for group in GROUPS:
        say(f"{run.of_a_kind:,} rules: {group}")
        result = run.measured(measure_kind, group, run.of_a_kind, run.steps)
        each = Spread(
            *(one / result.rules * 1e9 for one in (result.step.median, result.step.lowest, result.step.highest))
        )
        mean = result.total / result.count / result.rules * 1e9
        figures.append(
            Figure(
                f"a step of one rule: {group}",
                f"{each:,.0f} ns",
                f"mean {mean:,.0f} ns; {result.rules:,} rules with {result.instances:,} instances",
            )
        )
    return figures


def anomaly(run: Run) -> list[Figure]:
    """One rule that compares each of many series with a day of its own."""
    figures = []
    for cadence, name, must in ((MINUTE, "one-minute", 50.0), (10 * SECOND, "ten-second", None)):
        say(f"anomalies among {name} points")
        taken = run.measured(measure_anomaly, run.series, cadence, 12)
        figures.append(
            Figure(
                f"step of an anomaly rule, {run.series:,} series, a day of {name} points",
                f"{_ms(taken)} ms",
                f"{DAY // cadence * run.series:,} points",
                taken.median * 1e3,
                must,
                None,
                "ms",
                more_is_better=False,
            )
        )
    return figures


def change(run: Run) -> list[Figure]:
    """Formulas that are put, and a series that joins others."""
    figures = [
        Figure(
            f"to put a rule: {group}", f"{run.measured(measure_puts, group, run.changes) * 1e6:,.0f} µs",
            f"{run.changes:,} at once, each on a monitor of its own",
        )
        for group in FORMULAS
    ]  # fmt: skip
    taken = run.measured(measure_new_series, run.series, 100)
    name = f"a series more in a monitor with {run.series:,} and a rule on sums by host"
    return [*figures, Figure(name, f"{_ms(taken)} ms", "with the step that brings it into force")]


def backtest(run: Run) -> list[Figure]:
    """Backtests of rules on ten-second points."""
    figures = []
    for name in CONDITIONS:
        long = run.measured(measure_model, name, run.days * DAY, 3)
        day = run.measured(measure_model, name, DAY, run.backtests)
        figures += [
            Figure(
                f"backtest of a rule over {run.days} days: {name}", f"{_ms(long.taken)} ms",
                f"in memory; {long.alerts:,} alerts", long.taken.median, 1, None, "s", more_is_better=False,
            ),
            Figure(
                f"… of 1,000 rules over a day: {name}", f"{_ms(day.taken)} ms each",
                f"{run.backtests:,} of them, one by one", day.taken.median * 1e3, 10, None, "s", more_is_better=False,
            ),
        ]  # fmt: skip
    return figures + _service(run)


def _service(run: Run) -> list[Figure]:
    say("backtests through the evaluator")
    wanted = [(name, length, count) for name in ("newest", "avg, 5m", "formula")
              for length, count in ((run.days * DAY, 3), (DAY, run.backtests))]  # fmt: skip
    results = measure_service(wanted, run.days * DAY)
    return [
        Figure(
            f"EvaluatorService.Backtest over {length // DAY} days: {name}",
            f"{_ms(result.wall)} ms, {_ms(result.cpu)} of CPU",
            f"{count} calls, with the reading of the stored points; {result.alerts:,} alerts",
            result.wall.median, 1, None, "s", more_is_better=False,
        )
        for (name, length, count), result in zip(wanted, results, strict=True)
    ]  # fmt: skip


def _ms(seconds: Spread) -> str:
    return f"{Spread(seconds.median * 1e3, seconds.lowest * 1e3, seconds.highest * 1e3):.1f}"


PARTS: dict[str, Callable[[Run], list[Figure]]] = {
    "step": step,
    "kinds": kinds,
    "anomaly": anomaly,
    "change": change,
    "backtest": backtest,
}
