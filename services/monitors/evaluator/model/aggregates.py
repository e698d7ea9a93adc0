"""Windows to numbers. A sum is taken from the oldest point to the newest, so that equal windows have equal sums."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from monitors.evaluator.model.arrays import Places
from monitors.evaluator.model.ordered import in_order
from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.rings import Rings, Runs
from monitors.evaluator.model.series import Floats, Int64s
from monitors.evaluator.model.statistics import Laid, lay_out, statistic
from monitors.mesh.times import SECOND

FEW = 256
"""Below this many windows all their points are laid out at once; above, point by point for all windows at once."""


STREAMED = frozenset((Aggregation.AVERAGE, Aggregation.MINIMUM, Aggregation.MAXIMUM, Aggregation.SUM))
"""What is computed with one look at each point."""
AT_ONCE = 1 << 18
"""How many points of other aggregations are laid out together."""


class Measure(NamedTuple):
    """What is computed of a window. `share` goes with QUANTILE; FORECAST looks `ahead` nanoseconds past its end."""

    aggregation: Aggregation = Aggregation.LATEST
    share: float = 0.0
    ahead: int = 0


def reduce(measure: Measure, rings: Rings, window: Runs, until: Int64s) -> Floats:
    """Each window's number, leaving out what isn't one (COUNT counts that too); NaN if nothing is left.

    `until` is when each window ends.
    """
    kind = measure.aggregation
    if kind == Aggregation.COUNT:
        return np.where(window.counts > 0, window.counts, np.nan)
    # An infinite sum less another is no number: unknown, and nothing to warn about.
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if kind in (Aggregation.MEDIAN, Aggregation.QUANTILE):
            return _quantile(0.5 if kind is Aggregation.MEDIAN else measure.share, rings, window)
        if kind in (Aggregation.INCREASE, Aggregation.RATE) and _are_even(window):
            return _risen(measure, rings, window, until)
        if kind not in STREAMED:
            return _together(measure, rings, window, until)
        if len(window.counts) < FEW:
            return _laid_out(kind, rings, window)
        return _side_by_side(kind, rings, window)


def _quantile(share: float, rings: Rings, window: Runs) -> Floats:
    result = np.full(len(window.counts), np.nan)
    for some, numbers in in_order(rings, window):
        left = np.flatnonzero(numbers.counts)
        result[some[left]] = numbers.where(left).quantile(share)
    return result


def _together(measure: Measure, rings: Rings, window: Runs, until: Int64s) -> Floats:
    result = np.full(len(window.counts), np.nan)
    for part, laid in laid_out(rings, window):
        result[part] = statistic(measure.aggregation, laid, measure.share, until[part] + measure.ahead)
    return result


def laid_out(rings: Rings, window: Runs) -> Iterator[tuple[Places, Laid]]:
    """The points of the windows that have any, so many windows at once as fit: which windows, and their points."""
    some = np.flatnonzero(window.counts > 0)
    reached = np.cumsum(window.counts[some])
    start = 0
    while start < len(some):
        before = int(reached[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(reached, before + AT_ONCE, side="right")))
        part = some[start:end]
        chosen = window.at(part)
        cells = chosen.cells(rings)
        yield part, lay_out(rings.values[cells], rings.times[cells], chosen.counts)
        start = end


def _finish(kind: Aggregation, total: Floats, numbers: Int64s) -> Floats:
    total = np.where(numbers > 0, total, np.nan)
    return total / numbers if kind == Aggregation.AVERAGE else total


def _laid_out(kind: Aggregation, rings: Rings, window: Runs) -> Floats:
    result = np.full(len(window.counts), np.nan)
    some = np.flatnonzero(window.counts > 0)
    if not len(some):
        return result
    chosen = window.at(some)
    counts, values = chosen.counts, rings.values[chosen.cells(rings)]
    starts = np.cumsum(counts) - counts
    if kind == Aggregation.MINIMUM:
        result[some] = np.fmin.reduceat(values, starts)
    elif kind == Aggregation.MAXIMUM:
        result[some] = np.fmax.reduceat(values, starts)
    else:
        # bincount adds in order, which reduceat doesn't promise.
        which = np.repeat(np.arange(len(some)), counts)
        numbers = ~np.isnan(values)
        if not numbers.all():
            which, values = which[numbers], values[numbers]
        total: Floats = np.bincount(which, weights=values, minlength=len(some)).astype(np.float64, copy=False)
        result[some] = _finish(kind, total, np.bincount(which, minlength=len(some)))
    return result


def _side_by_side(kind: Aggregation, rings: Rings, window: Runs) -> Floats:
    extreme = {Aggregation.MINIMUM: np.fmin, Aggregation.MAXIMUM: np.fmax}.get(kind)
    checked = rings.may_hold_nan(window.bases)
    columns = _parallel(rings, window) if window.are_parallel() else _ragged(rings, window)
    if extreme:
        result = np.full(len(window.counts), np.nan)
        for values in columns:
            extreme(result, values, out=result)
        return result
    total = np.zeros(len(window.counts))
    ragged = int(window.counts.max()) != int(window.counts.min())
    if not (checked or ragged):
        for values in columns:
            total += values
        return _finish(kind, total, window.counts)
    numbers = np.zeros(len(window.counts), dtype=np.int64)
    for values in columns:
        there = ~np.isnan(values)
        np.add(total, values, out=total, where=there)
        numbers += there
    return _finish(kind, total, numbers)


def _are_even(window: Runs) -> bool:
    """Whether there are many windows, of about the same length."""
    size = len(window.counts)
    return size >= FEW and size * int(window.counts.max()) <= 2 * int(window.counts.sum())


def _risen(measure: Measure, rings: Rings, window: Runs, until: Int64s) -> Floats:
    """Increase or rate, point by point for all windows at once; apart those with a point that isn't a number."""
    result = _increase(rings, window)
    odd = np.flatnonzero(np.isnan(result) & (window.counts > 1))
    if measure.aggregation == Aggregation.RATE:
        result /= _seconds(rings, window)
    if len(odd):
        result[odd] = _together(measure, rings, window.at(odd), until[odd])
    return result


def _increase(rings: Rings, window: Runs) -> Floats:
    total, before, least = np.zeros(len(window.counts)), np.empty(0), int(window.counts.min())
    columns = _parallel(rings, window) if window.are_parallel() else _ragged(rings, window)
    for rank, values in enumerate(columns):
        if rank:
            rises = values - before
            # What follows a fall was counted from 0.
            np.copyto(rises, values, where=rises < 0)
            if rank >= least:
                rises[rank >= window.counts] = 0.0
            total += rises
        before = values
    return np.where(window.counts > 1, total, np.nan)


def _seconds(rings: Rings, window: Runs) -> Floats:
    """From the first point of each window to the last."""
    last = window.position + np.maximum(window.counts - 1, 0)
    first, last = (rings.times[window.bases + one % rings.capacity * rings.stride] for one in (window.position, last))
    return np.asarray((last - first) / SECOND)


def _parallel(rings: Rings, window: Runs) -> Iterator[Floats]:
    """The same as `_ragged`, without a look at each ring."""
    start, size = int(window.bases[0]), len(window.bases)
    first, count = int(window.position[0]), int(window.counts[0])
    for position in range(first, first + count):
        cell = start + position % rings.capacity * rings.stride
        yield rings.values[cell : cell + size]


def _ragged(rings: Rings, window: Runs) -> Iterator[Floats]:
    """The windows' first values, then their second ones and so on; NaN for a window that has no more."""
    bases, position, counts = window
    cells, ends = bases + position * rings.stride, bases + rings.span
    least = int(counts.min())
    for rank in range(int(counts.max())):
        values = rings.values[cells]
        if rank >= least:
            values[rank >= counts] = np.nan
        yield values
        cells = cells + rings.stride
        np.subtract(cells, rings.span, out=cells, where=cells >= ends)
