"""What a backtest comes to: when it would have fired, how often, and with which thresholds it would have less."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from monitors.evaluator.model.backtest import Backtest
from monitors.evaluator.model.bounds import Bounds, Operator
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.series import Floats
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, RuleSpec
from monitors.mesh.times import DAY

RATES = (1.0, 1 / 7)
"""How many alerts a day thresholds are suggested for."""
SHARES = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)
DIGITS = 3
_UPWARDS = (Operator.GREATER, Operator.GREATER_OR_EQUAL)
_DOWNWARDS = (Operator.LESS, Operator.LESS_OR_EQUAL)


@dataclass(frozen=True)
class Interval:
    """A time in which an instance would have fired, in nanoseconds; `end` None: it still would."""

    key: InstanceKey
    start: int
    end: int | None
    value: float | None

    def length(self, until: int) -> int:
        """How long it lasted, or has by then."""
        return (until if self.end is None else self.end) - self.start


@dataclass(frozen=True)
class Suggestion:
    """A threshold, and how many alerts a day it would have given."""

    threshold: float
    alerts_per_day: float


def intervals(transitions: Iterable[Transition]) -> list[Interval]:
    """The times between firing and resolved, by their beginning. A change of severity is no end."""
    open_at: dict[InstanceKey, Interval] = {}
    closed = []
    for one in transitions:
        if one.kind is TransitionKind.FIRING:
            open_at[one.key] = Interval(one.key, one.time, None, one.value)
        elif one.kind is TransitionKind.RESOLVED and one.key in open_at:
            begun = open_at.pop(one.key)
            closed.append(Interval(one.key, begun.start, one.time, begun.value))
    return sorted([*closed, *open_at.values()], key=lambda interval: interval.start)


def nearest_value(backtest: Backtest, spec: RuleSpec) -> float | None:
    """The latest number of the instance that is nearest to firing, or farthest into it; None if there is none."""
    last = np.append(np.flatnonzero(np.diff(backtest.instance_of)), len(backtest.instance_of) - 1)
    values = backtest.truths.values[last] if len(backtest.instance_of) else np.empty(0)
    known = ~np.isnan(values)
    values = values[known]
    if not len(values) or spec.kind is ConditionKind.ABSENCE or spec.of_text:
        return None
    if spec.kind is ConditionKind.FORMULA:
        # Several comparisons have no common distance: what holds is nearest.
        holds = backtest.truths.holds[last][known]
        return float(values[np.argmax(holds)])
    return float(values[np.argmin(_distance(spec, values))])


def _distance(spec: RuleSpec, values: Floats) -> Floats:
    """How far values are from where the condition, or a level, holds; the less the deeper within."""
    own = spec.bounds(spec.low, spec.high)
    every = (own, *(level.bounds for level in spec.levels))
    return np.asarray(np.minimum.reduce([_distance_to(one, values) for one in every]))


def _distance_to(bounds: Bounds, values: Floats) -> Floats:
    low, high, outside = bounds
    with np.errstate(invalid="ignore"):
        within = np.maximum(low - values, values - high)
    return np.asarray(-within if outside else within)


def suggestions(backtest: Backtest, spec: RuleSpec) -> list[Suggestion]:
    """Thresholds that would have given about one alert a day, and one a week, if there is data of so much time. If not,
    and the rule would have fired, the nearest threshold that would have given none."""
    values = backtest.truths.values[np.isfinite(backtest.truths.values)]
    days = (backtest.until - (backtest.known_from or backtest.start)) / DAY
    # With levels the lowest of them would have to move, and the others with it.
    is_simple = spec.kind is ConditionKind.THRESHOLD and spec.occurrence is None and not spec.levels
    if not is_simple or spec.operator not in _UPWARDS + _DOWNWARDS or not len(values):
        return []
    counted = {threshold: _count(backtest, spec, threshold) for threshold in _candidates(spec, values)}
    found = []
    for rate in RATES:
        wanted = rate * days
        # Less than one alert in all this time says nothing.
        fitting = [threshold for threshold, count in counted.items() if wanted / 2 <= count <= wanted * 2]
        if wanted >= 1 and fitting:
            best = min(fitting, key=lambda threshold: abs(counted[threshold] - wanted))
            found.append(Suggestion(best, counted[best] / days))
    quiet = [threshold for threshold, count in counted.items() if not count]
    if not found and quiet and _count(backtest, spec, spec.low):
        found.append(Suggestion(min(quiet, key=lambda threshold: abs(threshold - spec.low)), 0.0))
    return found


def _candidates(spec: RuleSpec, values: Floats) -> Sequence[float]:
    upwards = spec.operator in _UPWARDS
    shares = [share if upwards else 1 - share for share in SHARES]
    edge = values.max() if upwards else values.min()
    found = [*np.quantile(values, shares).tolist(), float(edge)]
    # Between what nearly never and what never happens there may be far to go.
    last = found[-2]
    found += [last + (float(edge) - last) * part / 8 for part in range(1, 8)]
    return sorted({_rounded(threshold) for threshold in found} | {_beyond(float(edge), upwards=upwards)})


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


def _beyond(number: float, *, upwards: bool) -> float:
    """The next rounded number that isn't less (not more, if it goes downwards)."""
    rounded = _rounded(number)
    if number == rounded or (rounded > number) is upwards:
        return rounded
    unit = 10.0 ** (math.floor(math.log10(abs(number))) - DIGITS + 1)
    return _rounded(rounded + (unit if upwards else -unit))


def _count(backtest: Backtest, spec: RuleSpec, threshold: float) -> int:
    low, high, outside = spec.bounds(threshold, threshold)
    return backtest.firing_count(low, high, outside=outside)
