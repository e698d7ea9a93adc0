"""The figures, part by part: what is measured, beside what, and what the goals are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from benchmarks.evaluation.cold_start import ColdStart, measure_cold_start
from benchmarks.evaluation.floor import measure_floor
from benchmarks.evaluation.load import Load
from benchmarks.evaluation.prometheus import PeerResult, measure_join, measure_one_to_one
from benchmarks.evaluation.steps import BREACHING, IDLE, LargeResult, StepResult, measure_large, measure_steps
from benchmarks.evaluation.whole_mesh import measure_mesh
from benchmarks.measure import Figure, Spread, in_child, say

MINUTE_OF_POINTS = "5-minute avg, min, max, count"


@dataclass
class Run:
    """One run: its sizes, and what several parts need, measured once."""

    rules: int = 100_000
    large: int = 1_000_000
    ticks: int = 30
    period: float = 1.0
    """Seconds of a tick of the whole mesh."""
    steps: int = 10
    changes: int = 200
    alerts: int = 1_000
    with_peer: bool = True
    _steps: dict[tuple[int, bool], StepResult] = field(default_factory=dict)

    @cached_property
    def one_to_one(self) -> PeerResult | None:
        """Prometheus with a rule for each series."""
        say(f"Prometheus, {self.rules:,} rules")
        return measure_one_to_one(self.rules) if self.with_peer else None

    @cached_property
    def join(self) -> PeerResult | None:
        """Prometheus with one joining rule."""
        say(f"Prometheus, {self.rules:,} thresholds as a metric")
        return measure_join(self.rules) if self.with_peer else None

    @cached_property
    def largest(self) -> LargeResult:
        """Steps, changes and the state machine among the most rules."""
        say(f"{self.large:,} rules on the latest point")
        return in_child(measure_large, self.large, self.steps, self.changes)

    def step(self, size: int, *, mixed: bool = False) -> StepResult:
        """Steps of so many rules, in a process of their own."""
        if size == self.large and not mixed:
            return self.largest.steps
        if (size, mixed) not in self._steps:
            say(f"{size:,} rules on {MINUTE_OF_POINTS if mixed else 'the latest point'}")
            # One more than the 30 ticks between two slots, so that a slot is always in it.
            count = self.steps if mixed else max(self.steps, self.ticks)
            self._steps[size, mixed] = in_child(measure_steps, Load(size, mixed), count)
        return self._steps[size, mixed]


def peer(run: Run) -> list[Figure]:
    """Prometheus' two forms."""
    forms = [("Prometheus, a rule for each series", run.one_to_one), ("Prometheus, thresholds as a metric", run.join)]
    return [
        Figure(
            f"{name}, {result.rules:,}",
            f"{result.per_cpu_second:,.0f} /CPU-s",
            f"{result.memory / result.rules:,.0f} B a rule, {result.name}",
        )
        for name, result in forms
        if result
    ]


def mesh(run: Run) -> list[Figure]:
    """The whole mesh, and the time from a point to its transition."""
    say(f"the whole mesh, {run.rules:,} rules")
    result = measure_mesh(run.rules, run.ticks, run.period, run.alerts)
    rate = result.rules_per_cpu_second
    measured = f"{rate:,.0f} rules/CPU-s; {result.cpu.median * 1e3:.1f} ms a tick"
    p50, p99 = np.percentile(result.latency, [50, 99]).tolist()
    return [
        *_ratios(f"mesh: {run.rules:,} rules, {run.period:g} s ticks", measured, rate, run),
        Figure(
            "… its CPU by process",
            f"rules {result.rules_service_cpu * 1e3:.1f} ms, evaluator {result.evaluator_cpu * 1e3:.1f} ms a tick",
            f"{result.transitions:,} transitions in {result.ticks} ticks, the last after {result.behind:.1f} s",
        ),
        Figure("… memory of the evaluator's process", f"{result.memory_per_rule:,.0f} B a rule"),
        Figure(
            f"pushed point to committed transition, {run.rules:,} rules",
            f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
            f"{len(result.latency):,} alerts at 100/s, heard of by WatchAlerts",
            p99,
            25,
            10,
            "ms",
            more_is_better=False,
        ),
    ]


def floor(run: Run) -> list[Figure]:
    """What a tick costs with the libraries alone."""
    say(f"bare libraries, {run.rules:,} values a tick")
    result = measure_floor(run.rules, run.ticks, run.period)
    return [
        Figure(
            f"bare libraries: {run.rules:,} values, {run.period:g} s ticks",
            f"{result.total * 1e3:.1f} ms a tick",
            f"rules {_ms(result.rules)}, evaluator {_ms(result.evaluator)} ms",
        ),
        *(
            [_were_it_rules(run.rules / result.total / run.one_to_one.per_cpu_second.median)]
            if run.one_to_one and result.total
            else []
        ),
    ]


def _were_it_rules(ratio: float) -> Figure:
    return Figure("… were it rules", f"{ratio:.0f} × Prometheus 1:1")


def _ratios(name: str, measured: str, rate: float, run: Run) -> list[Figure]:
    goals = ((run.one_to_one, "1:1", 300.0, 1_000.0), (run.join, "join", 30.0, 100.0))
    return [_ratio(name, measured, rate, form, result, must, stretch) for result, form, must, stretch in goals]


def _ratio(
    name: str, measured: str, rate: float, form: str, result: PeerResult | None, must: float, stretch: float
) -> Figure:
    if result is None:
        return Figure(name, measured, f"Prometheus {form} not run", None, must, stretch)
    beside = f"Prometheus {form}, {result.name}: {result.per_cpu_second:,.0f}"
    return Figure(name, measured, beside, rate / result.per_cpu_second.median, must, stretch)


def step(run: Run) -> list[Figure]:
    """The step alone against Prometheus."""
    result = run.step(run.rules)
    measured = f"{result.rules_per_cpu_second:,.0f} rules/CPU-s; {_ms(result.step)} ms"
    name = f"step alone, {run.rules:,} rules, {result.count} ticks of 1 s"
    return [_ratio(name, measured, result.rules_per_cpu_second, "1:1", run.one_to_one, 1_500, 3_000)]


def large(run: Run) -> list[Figure]:
    """A million rules: the step on the latest point, and on windows."""
    goals = ((run.largest.steps, "latest", 100, 40), (run.step(run.large, mixed=True), MINUTE_OF_POINTS, 400, 200))
    return [
        Figure(
            f"step of {run.large:,} rules, {what}",
            f"{_ms(result.step)} ms",
            f"numpy pass over the same bytes {_ms(result.one_pass)} ms",
            result.step.median * 1e3,
            must,
            stretch,
            "ms",
            more_is_better=False,
        )
        for result, what, must, stretch in goals
    ]


def machine(run: Run) -> list[Figure]:
    """The state machine alone, with the comparison before it, and in a whole slot."""
    result = run.largest.machine
    goals = {IDLE: (2.5, 1.5), BREACHING: (12.0, 8.0)}
    name = f"state machine, {run.large:,} instances"
    forms = (
        (name, result.states, "truths, states, clocked"),
        (f"{name}, with the comparison", result.compared, "values, bounds, states, clocked"),
    )
    figures = [
        Figure(
            f"{form}, {load}",
            f"{_ms(one.taken)} ms",
            f"numpy pass over {read}: {_ms(one.one_pass)} ms",
            one.ratio,
            *goals[load],
            more_is_better=False,
        )
        for form, measured, read in forms
        for load, one in measured.items()
    ]
    slots = result.slots.items()
    return figures + [Figure(f"… a whole slot without points, {load}", f"{_ms(taken)} ms") for load, taken in slots]


def memory(run: Run) -> list[Figure]:
    """Memory of a rule with its series and the series' 30 points."""
    beside = ""
    if run.one_to_one:
        beside = f"Prometheus {run.one_to_one.memory / run.one_to_one.rules:,.0f} B, {run.one_to_one.rules:,} rules"
    figures = []
    for size in sorted({run.rules, run.large}):
        per_rule = run.step(size, mixed=True).memory_per_rule
        figures.append(
            Figure(
                f"memory of a rule with 30 points, {size:,}",
                f"{per_rule:,.0f} B",
                beside,
                per_rule,
                1_000,
                600,
                "B",
                more_is_better=False,
            )
        )
    return figures


def linear(run: Run) -> list[Figure]:
    """What a rule costs among few and many."""
    sizes = [run.rules // 10, run.rules, run.large]
    costs = [run.step(size).step.median / size * 1e9 for size in sizes]
    return [
        Figure(
            f"cost of a rule at {', '.join(f'{size:,}' for size in sizes)}",
            ", ".join(f"{cost:.1f}" for cost in costs) + " ns a step",
            "linear: the last is no dearer than the first",
            costs[-1] / costs[0],
            1.0,
            more_is_better=False,
        )
    ]


def change(run: Run) -> list[Figure]:
    """One rule among a million."""
    return [
        Figure(
            f"{name} one rule among {run.large:,}",
            f"median {np.median(taken):.2f} ms, p99 {np.percentile(taken, 99):.2f} ms",
            "with the step that brings it into force",
            float(np.percentile(taken, 99)),
            10,
            2,
            "ms",
            more_is_better=False,
        )
        for name, taken in run.largest.changes.items()
    ]


def start(run: Run) -> list[Figure]:
    """Cold starts."""
    goals = {100_000: (6.0, 3.0), 1_000_000: (60.0, 30.0)}
    figures = []
    for size in sorted({run.rules, run.large}):
        result = measure_cold_start(size)
        must, stretch = goals.get(size, (None, None))
        figures.append(
            Figure(
                f"cold start, {size:,} rules",
                f"{result.seconds:.1f} s",
                _cold_start_costs(result),
                result.seconds,
                must,
                stretch,
                "s",
                more_is_better=False,
            )
        )
    return figures


def _cold_start_costs(result: ColdStart) -> str:
    return (
        f"CPU: rules {result.rules_cpu:.1f} s, evaluator {result.evaluator_cpu:.1f} s; "
        f"evaluator {result.evaluator_memory / result.rules:,.0f} B a rule"
    )


def _ms(seconds: Spread) -> str:
    return f"{Spread(seconds.median * 1e3, seconds.lowest * 1e3, seconds.highest * 1e3):.2f}"


Part = Callable[[Run], list[Figure]]
PARTS: dict[str, Part] = {
    "prometheus": peer,
    "step": step,
    "large": large,
    "machine": machine,
    "change": change,
    "linear": linear,
    "memory": memory,
    "floor": floor,
    "mesh": mesh,
    "start": start,
}
PEERLESS = ("large", "machine", "change", "linear", "memory", "floor", "mesh", "start", "step")
"""Those that run without Prometheus, though some then lack their ratio."""
