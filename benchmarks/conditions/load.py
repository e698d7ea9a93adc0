"""The load that ours and Prometheus get: monitors with the same 23 series and 20 rules of mixed kinds each.

Each tick every series has a new value. In a tenth of the monitors all rules fire that can without an end; elsewhere
0.05 % of all rules are lifted over their threshold for a tick, another choice every tick, so that as many alerts end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from monitors.evaluator.model.arrays import Places
from monitors.evaluator.model.bounds import Operator, bounds
from monitors.evaluator.model.series import FieldType, Floats, Series, SeriesKey
from monitors.evaluator.model.spec import ConditionKind, RuleSpec
from monitors.evaluator.translate import to_spec
from monitors.mesh.times import SECOND, to_duration
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.translate.conditions import condition_to_proto
from monitors.v1 import mesh_pb2, rule_pb2

TENANT, MEASUREMENT = "bench", "m"
INTERVAL = 30 * SECOND
CADENCE = 10 * SECOND
FRAMES = 7
GAUGES, COUNTERS = 12, 3
SPIKING = 3
"""The first gauges are those that are lifted: each is asked by one rule only, for its newest value."""
SPIKE = 2_000.0
FIRING_SHARE, FLIP_SHARE = 0.1, 0.001
TAGS = [(("host", host), ("path", path)) for host in ("a", "b") for path in ("x", "y")]
FIELDS = [
    *((f"g{number}", ()) for number in range(GAUGES)),
    *((f"c{number}", ()) for number in range(COUNTERS)),
    *((field, tags) for field in ("errors", "requests") for tags in TAGS),
]
"""The series of a monitor: field and tags."""

Numbers = Callable[["Load", int], tuple[float, ...]]


@dataclass(frozen=True)
class Kind:
    """One rule of each monitor, as we and as Prometheus write it: `{0}`, `{1}` are its numbers, `$` its selector."""

    group: str
    ours: str
    promql: str
    numbers: Numbers
    operators: tuple[Operator, ...] = (Operator.GREATER,)
    fires: bool = True
    """Whether it does in the monitors where what can does."""
    of: tuple[int, int] = (0, 1)
    """Of which monitors it is: those whose numbers leave the first when divided by the second."""

    def is_of(self, monitor: int) -> bool:
        """Whether a monitor has such a rule."""
        return monitor % self.of[1] == self.of[0]

    def text(self, load: "Load", monitor: int) -> str:
        """The condition in our language."""
        return self.ours.format(*self.numbers(load, monitor))

    def expression(self, load: "Load", monitor: int) -> str:
        """The condition in Prometheus' language."""
        selector = f'{{monitor="{monitor_name(monitor)}"}}'
        return self.promql.format(*self.numbers(load, monitor)).replace("$", selector)

    def spec(self, load: "Load", monitor: int, rule_id: str) -> RuleSpec:
        """The rule for the evaluator: one that was read from its text, with other numbers."""
        base, numbers = _read(self.ours.format(*(2.0 for _ in self.operators))), self.numbers(load, monitor)
        own = {"rule_id": rule_id, "monitor": monitor_name(monitor)}
        if base.kind is ConditionKind.FORMULA:
            pairs = zip(self.operators, numbers, strict=True)
            return _with(base, numbers=tuple(end for pair in pairs for end in bounds(*pair, 0.0)[:2]), **own)
        return _with(base, low=numbers[0] if numbers else 0.0, **own)


def _with(spec: RuleSpec, **changes: object) -> RuleSpec:
    # dataclasses.replace is slow, and there are many.
    new = object.__new__(RuleSpec)
    for name in RuleSpec.__slots__:
        object.__setattr__(new, name, changes.get(name, getattr(spec, name)))
    return new


@cache
def _read(text: str) -> RuleSpec:
    return spec_of(text, "mon", "rule")


def spec_of(text: str, monitor: str, rule_id: str) -> RuleSpec:
    """A condition as it is read from its text and sent to the evaluator."""
    condition = condition_to_proto(parse_condition(text, "condition").condition)
    rule = rule_pb2.Rule(id=rule_id, monitor_id=monitor, condition=condition, interval=to_duration(INTERVAL))
    return to_spec(mesh_pb2.WatchedRule(tenant_id=TENANT, rule=rule))


def monitor_name(number: int) -> str:
    """The id of a monitor."""
    return f"mon_{number}"


def _above(load: "Load", monitor: int) -> tuple[float]:
    return (round(load.bases[monitor] + (-10.0 if load.fires(monitor) else 10.0), 2),)


def _ratio(load: "Load", monitor: int) -> tuple[float]:
    return (round(0.05 + monitor * 1e-7, 7),)


def _above_and_below(load: "Load", monitor: int) -> tuple[float, float]:
    (above,) = _above(load, monitor)
    return above, round(above + 30.0, 2)


def _either(load: "Load", monitor: int) -> tuple[float, float]:
    (above,) = _above(load, monitor)
    return above, round(above + 0.5, 2)


def _rise(load: "Load", monitor: int) -> tuple[float]:
    return (round(5.0 + monitor * 1e-4, 4),)


def _score(load: "Load", monitor: int) -> tuple[float]:
    return (round(100.0 + monitor * 1e-4, 4),)


BOTH = (Operator.GREATER, Operator.LESS)
EITHER = (Operator.GREATER, Operator.GREATER)
_Z_SCORE = "abs(g4$ - avg_over_time(g4$[30m])) / stddev_over_time(g4$[30m]) > {0}"
KINDS = [
    *(Kind("newest", f"g{one} > {{0}}", f"g{one}$ > {{0}}", _above) for one in range(8)),
    Kind("avg, 5m", "avg(g8, 5m) > {0}", "avg_over_time(g8$[5m]) > {0}", _above),
    Kind("avg, 5m", "avg(g9, 5m) > {0}", "avg_over_time(g9$[5m]) > {0}", _above),
    Kind("max, 5m", "max(g10, 5m) > {0}", "max_over_time(g10$[5m]) > {0}", _above),
    Kind("p95, 5m", "p95(g11, 5m) > {0}", "quantile_over_time(0.95, g11$[5m]) > {0}", _above),
    *(Kind("rate, 5m", f"rate(c{one}, 5m) > {{0}}", f"rate(c{one}$[5m]) > {{0}}", _above) for one in range(COUNTERS)),
    Kind("errors / requests", "errors / requests > {0}", "errors$ / requests$ > {0}", _ratio),
    Kind(
        "ratio of sums by tag",
        "sum by (host) (errors) / sum by (host) (requests) > {0}",
        "sum by (host) (errors$) / sum by (host) (requests$) > {0}",
        _ratio,
    ),
    Kind("and", "g8 > {0} and g9 < {1}", "g8$ > {0} and g9$ < {1}", _above_and_below, BOTH),
    Kind("or", "g10 > {0} or rate(c0, 5m) > {1}", "g10$ > {0} or rate(c0$[5m]) > {1}", _either, EITHER),
    Kind("anomaly, 30m", "anomaly(g4, 30m) > {0}", _Z_SCORE, _score, fires=False, of=(0, 5)),
    Kind("forecast, 5m, 1m", "forecast(g5, 5m, 1m) > {0}", "predict_linear(g5$[5m], 60) > {0}", _above, of=(1, 5)),
    Kind(
        "no data, 5m", "no data on g6 for 5m", "absent_over_time(g6$[5m])", lambda load, monitor: (), (), False, (2, 5)
    ),
    Kind("change, 5m", "change(g7, 5m) > {0}", "g7$ - g7$ offset 5m > {0}", _rise, fires=False, of=(3, 5)),
    Kind("all points, 1m", "g11 > {0} in all points of 1m", "min_over_time(g11$[1m]) > {0}", _above, of=(4, 5)),
]
RULES_A_MONITOR = 20
SHARES = "60 % thresholds, 15 % rates, 10 % formulas, 10 % and/or, 5 % others"


@dataclass(frozen=True)
class Load:
    """So many monitors, with 20 rules and 23 series each."""

    monitors: int

    @cached_property
    def bases(self) -> Floats:
        """About what a monitor's gauges hold, and its counters rise by in a second."""
        return np.round(np.random.default_rng(1).uniform(15, 55, self.monitors), 2)

    @property
    def rules(self) -> int:
        """How many rules there are."""
        return self.monitors * RULES_A_MONITOR

    @property
    def size(self) -> int:
        """How many series there are."""
        return self.monitors * len(FIELDS)

    def fires(self, monitor: int) -> bool:
        """Whether what can fires there all the time."""
        return monitor % round(1 / FIRING_SHARE) == 0

    @cached_property
    def kinds(self) -> list[tuple[int, Kind]]:
        """All rules: monitor and kind."""
        return [(monitor, kind) for monitor in range(self.monitors) for kind in KINDS if kind.is_of(monitor)]

    @property
    def always_firing(self) -> int:
        """How many rules fire all the time, without those that are lifted."""
        return sum(kind.fires and self.fires(monitor) for monitor, kind in self.kinds)

    @property
    def spikes(self) -> int:
        """How many rules begin to fire at each tick, after the first of which as many cease to."""
        return max(1, round(self.rules * FLIP_SHARE / 2))

    @cached_property
    def _frames(self) -> list[Floats]:
        return [self._frame(np.random.default_rng(number)) for number in range(FRAMES)]

    def _frame(self, generator: np.random.Generator) -> Floats:
        """Gauges, counters' starts, errors and requests of all monitors."""
        frame = np.zeros((self.monitors, len(FIELDS)))
        frame[:, :GAUGES] = self.bases[:, None] + generator.uniform(-1, 1, (self.monitors, GAUGES))
        requests = generator.uniform(900, 1_100, (self.monitors, len(TAGS)))
        fires = np.arange(self.monitors) % round(1 / FIRING_SHARE) == 0
        frame[:, GAUGES + COUNTERS : -len(TAGS)] = requests * np.where(fires, 0.08, 0.03)[:, None]
        frame[:, -len(TAGS) :] = requests
        return np.round(frame, 2)

    @cached_property
    def _order(self) -> Places:
        quiet = np.array([one for one in range(self.monitors) if not self.fires(one)])
        cells = (quiet[:, None] * len(FIELDS) + np.arange(SPIKING)).reshape(-1)
        return np.random.default_rng(3).permutation(cells)

    def values(self, tick: int) -> Floats:
        """Each series' value at a tick, monitor by monitor."""
        frame = self._frames[tick % FRAMES].copy()
        # A counter rises by its base in a second.
        frame[:, GAUGES : GAUGES + COUNTERS] = (self.bases * (tick * CADENCE / SECOND))[:, None].round(2)
        values = frame.reshape(-1)
        values[self._order[np.arange(tick * self.spikes, (tick + 1) * self.spikes) % len(self._order)]] += SPIKE
        return values

    def series(self) -> Iterator[Series]:
        """All series."""
        for number in range(self.size):
            field, tags = FIELDS[number % len(FIELDS)]
            key = SeriesKey(TENANT, monitor_name(number // len(FIELDS)), MEASUREMENT, field, tags)
            yield Series(number, key, FieldType.FLOAT)

    def specs(self) -> Iterator[RuleSpec]:
        """All rules, for the evaluator."""
        for number, (monitor, kind) in enumerate(self.kinds):
            yield kind.spec(self, monitor, f"rule_{number}")
