"""Windows to numbers where that takes all points of a window together: order, differences, regression.

Everything is computed from the oldest point to the newest, so that equal windows have equal numbers.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Places
from monitors.evaluator.model.ordered import ordered
from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.series import Floats, Int64s
from monitors.mesh.times import SECOND


class Laid(NamedTuple):
    """The points of several windows, one window after the other, each in the order of time; none is empty."""

    values: Floats
    times: Int64s
    which: Places
    """The window of each point."""
    starts: Places
    """Each window's first point."""
    counts: Int64s
    """How many points each window has."""

    @property
    def first(self) -> Floats:
        """Each window's oldest value."""
        return np.asarray(self.values[self.starts])

    @property
    def last(self) -> Floats:
        """Each window's newest value."""
        return np.asarray(self.values[self.starts + self.counts - 1])

    @property
    def seconds(self) -> Floats:
        """Each point's time, from its window's first point on."""
        return np.asarray((self.times - self.times[self.starts][self.which]) / SECOND)

    def total(self, of_points: Floats | Booleans) -> Floats:
        """The sum of a number of each point over each window. bincount adds in order, which reduceat doesn't."""
        summed = np.bincount(self.which, weights=of_points, minlength=len(self.counts))
        return np.asarray(summed, dtype=np.float64)

    def mean(self, of_points: Floats) -> Floats:
        """The mean of a number of each point over each window."""
        return self.total(of_points) / self.counts

    def rises(self) -> Floats:
        """How much each point is above the one before it; 0 for a window's first."""
        rises = np.zeros(len(self.values))
        np.subtract(self.values[1:], self.values[:-1], out=rises[1:])
        rises[self.starts] = 0.0
        return rises


def lay_out(values: Floats, times: Int64s, counts: Int64s) -> Laid:
    """Windows of `counts` points, none of which is 0."""
    return Laid(values, times, np.repeat(np.arange(len(counts)), counts), np.cumsum(counts) - counts, counts)


def numbers_of(laid: Laid) -> tuple[Laid, Places]:
    """The same without what isn't a number, and the windows that then have something left."""
    numbers = ~np.isnan(laid.values)
    if numbers.all():
        return laid, np.arange(len(laid.counts))
    counts = np.bincount(laid.which[numbers], minlength=len(laid.counts))
    left = np.flatnonzero(counts)
    return lay_out(laid.values[numbers], laid.times[numbers], counts[left]), left


def quantile(laid: Laid, share: float) -> Floats:
    """The value that so large a share of the points doesn't exceed, by linear interpolation between two of them."""
    result = np.empty(len(laid.counts))
    for some, numbers in ordered(laid.values, laid.starts, laid.counts):
        result[some] = numbers.quantile(share)
    return result


def spread(laid: Laid) -> Floats:
    """Greatest less least."""
    highest, lowest = np.maximum.reduceat(laid.values, laid.starts), np.minimum.reduceat(laid.values, laid.starts)
    return np.asarray(highest - lowest)


def standard_deviation(laid: Laid) -> Floats:
    """Of the points as the whole population."""
    distance = laid.values - laid.mean(laid.values)[laid.which]
    return np.asarray(np.sqrt(laid.mean(distance * distance)))


def _of_several(laid: Laid, result: Floats) -> Floats:
    """What takes two points at least; one alone says nothing."""
    return np.where(laid.counts > 1, result, np.nan)


def increase(laid: Laid) -> Floats:
    """The sum of a counter's rises; what follows a fall was counted from 0."""
    rises = laid.rises()
    return _of_several(laid, laid.total(np.where(rises < 0, laid.values, rises)))


def rate(laid: Laid) -> Floats:
    """The increase by the seconds between first and last point."""
    return np.asarray(increase(laid) / laid.seconds[laid.starts + laid.counts - 1])


def delta(laid: Laid) -> Floats:
    """Newest less oldest."""
    return _of_several(laid, laid.last - laid.first)


def changes(laid: Laid) -> Floats:
    """How many points differ from the one before."""
    differs = np.zeros(len(laid.values), dtype=np.bool_)
    np.not_equal(laid.values[1:], laid.values[:-1], out=differs[1:])
    differs[laid.starts] = False
    return laid.total(differs)


def resets(laid: Laid) -> Floats:
    """How many points are below the one before."""
    return laid.total(laid.rises() < 0)


def derivative(laid: Laid) -> Floats:
    """The slope by the second of the line with the least squares of distances."""
    return _line(laid)[0]


def forecast(laid: Laid, until: Int64s) -> Floats:
    """Where that line is at each window's `until`."""
    slope, mean_time, mean_value = _line(laid)
    ahead = (until - laid.times[laid.starts]) / SECOND
    return np.asarray(mean_value + slope * (ahead - mean_time))


def _line(laid: Laid) -> tuple[Floats, Floats, Floats]:
    seconds, mean_value = laid.seconds, laid.mean(laid.values)
    mean_time = laid.mean(seconds)
    away = seconds - mean_time[laid.which]
    slope = laid.total(away * (laid.values - mean_value[laid.which])) / laid.total(away * away)
    return _of_several(laid, slope), mean_time, mean_value


BY_VALUES: Mapping[Aggregation, Callable[[Laid], Floats]] = {
    Aggregation.SPREAD: spread,
    Aggregation.STANDARD_DEVIATION: standard_deviation,
    Aggregation.RATE: rate,
    Aggregation.INCREASE: increase,
    Aggregation.DELTA: delta,
    Aggregation.DERIVATIVE: derivative,
    Aggregation.CHANGES: changes,
    Aggregation.RESETS: resets,
}


def statistic(kind: Aggregation, laid: Laid, share: float, until: Int64s) -> Floats:
    """Each window's number; `share` is QUANTILE's, `until` FORECAST's time for each window. NaN where unknown."""
    if kind is Aggregation.FIRST:
        return laid.first
    result = np.full(len(laid.counts), np.nan)
    numbers, left = numbers_of(laid)
    if not len(left):
        return result
    if kind is Aggregation.FORECAST:
        result[left] = forecast(numbers, until[left])
    else:
        result[left] = BY_VALUES[kind](numbers)
    return result
