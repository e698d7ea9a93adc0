"""A window's points to one number, in plain loops: what the engine's aggregates are compared with."""

import math
from itertools import pairwise

from monitors.evaluator.model.reading import Aggregation

SECOND = 10**9
Point = tuple[int, float]
"""Time and value."""


def number_or_none(value: float | None) -> float | None:
    """A number; None instead of one that isn't."""
    return None if value is None or math.isnan(value) else value


def aggregate(kind: Aggregation, window: list[Point], at: int, share: float = 0.0) -> float | None:
    """The aggregate of a window's points in the order of time; None is unknown. FORECAST looks at the time `at`."""
    if not window:
        return None
    match kind:
        case Aggregation.LATEST:
            return number_or_none(window[-1][1])
        case Aggregation.FIRST:
            return number_or_none(window[0][1])
        case Aggregation.COUNT:
            return float(len(window))
    numbers = [(t, v) for t, v in window if not math.isnan(v)]
    return number_or_none(statistic(kind, numbers, at, share)) if numbers else None


def statistic(kind: Aggregation, points: list[Point], at: int, share: float) -> float | None:
    """One number of some points, none of which is NaN."""
    values = [v for _, v in points]
    pairs = list(pairwise(values))
    count = len(values)
    match kind:
        case Aggregation.SUM:
            return total(values)
        case Aggregation.AVERAGE:
            return total(values) / count
        case Aggregation.MINIMUM:
            return min(values)
        case Aggregation.MAXIMUM:
            return max(values)
        case Aggregation.SPREAD:
            return max(values) - min(values)
        case Aggregation.MEDIAN:
            return quantile(sorted(values), 0.5)
        case Aggregation.QUANTILE:
            return quantile(sorted(values), share)
        case Aggregation.STANDARD_DEVIATION:
            mean = total(values) / count
            return math.sqrt(total([(v - mean) * (v - mean) for v in values]) / count)
        case Aggregation.CHANGES:
            return float(sum(before != after for before, after in pairs))
        case Aggregation.RESETS:
            return float(sum(after < before for before, after in pairs))
    if count < 2:
        return None
    match kind:
        case Aggregation.DELTA:
            return values[-1] - values[0]
        case Aggregation.INCREASE:
            return increase(pairs)
        case Aggregation.RATE:
            return increase(pairs) / ((points[-1][0] - points[0][0]) / SECOND)
        case Aggregation.DERIVATIVE:
            return line(points)[0]
        case Aggregation.FORECAST:
            slope, mean_time, mean_value = line(points)
            return mean_value + slope * ((at - points[0][0]) / SECOND - mean_time)
    raise AssertionError(kind)


def total(values: list[float]) -> float:
    """The sum from the first to the last; `sum` itself would round differently from Python 3.12 on."""
    result = 0.0
    for value in values:
        result += value
    return result


def increase(pairs: list[tuple[float, float]]) -> float:
    """The sum of the rises; what follows a fall was counted from 0."""
    return total([after if after < before else after - before for before, after in pairs])


def quantile(ordered: list[float], share: float) -> float:
    """By linear interpolation."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return low if place == below or low == high else low + (high - low) * (place - below)


def line(points: list[Point]) -> tuple[float, float, float]:
    """Slope, mean time and mean value of the line with the least squares; times are seconds from the first point on."""
    count = len(points)
    seconds = [(t - points[0][0]) / SECOND for t, _ in points]
    mean_time, mean_value = total(seconds) / count, total([v for _, v in points]) / count
    away = [x - mean_time for x in seconds]
    top = total([x * (v - mean_value) for x, (_, v) in zip(away, points, strict=True)])
    return top / total([x * x for x in away]), mean_time, mean_value
