"""What terms come to: one number of each series, each at its own time."""

import numpy as np

from monitors.evaluator.model.aggregates import Measure
from monitors.evaluator.model.anomaly import score
from monitors.evaluator.model.arrays import Booleans, Places, distinct_pairs
from monitors.evaluator.model.reading import Aggregation, Function, Term
from monitors.evaluator.model.series import Floats, Int64s
from monitors.evaluator.model.statistics import numbers_of
from monitors.evaluator.model.window import Window
from monitors.mesh.times import SECOND


def value_of(window: Window, term: Term, rows: Places, times: Int64s) -> Floats:
    """What a term says of each row at its time, NaN where that is unknown."""
    if term.aggregation == Aggregation.LATEST and term.function != Function.ANOMALY:
        return _value_of(window, term, rows, times)
    # Many rules may look at one series: what takes whole windows is done once.
    distinct, at, which = distinct_pairs(rows, times)
    return _value_of(window, term, distinct, at)[which]


def _value_of(window: Window, term: Term, rows: Places, times: Int64s) -> Floats:
    until = times - term.offset if term.offset else times
    measure = Measure(term.aggregation, term.quantile, term.ahead)
    found = window.aggregate(rows, measure, term.window, until)
    if term.function == Function.VALUE:
        return found
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if term.function == Function.AGE:
            # Whole seconds first: nanoseconds since 1970 are more than a double holds.
            return (times // SECOND - found) + times % SECOND / SECOND
        if term.function == Function.ANOMALY:
            return score(window, term, found, rows, until)
        older = window.aggregate(rows, measure, term.window, until - term.since)
        if term.function == Function.CHANGE:
            return found - older
        return np.where(older == 0, np.nan, (found - older) / np.abs(older) * 100)


def within(values: Floats, low: Floats, high: Floats, outside: Booleans | bool) -> Booleans:
    """Whether each value lies within its bounds, or outside. Not a number never does, whatever is asked for (T7)."""
    holds = values >= low
    holds &= values <= high
    if outside is not False:
        holds ^= outside
        holds &= ~np.isnan(values)
    return holds


def occurs(
    window: Window, term: Term, rows: Places, times: Int64s, low: Floats, high: Floats, outside: Booleans | bool
) -> tuple[Booleans, Floats]:
    """Whether enough points of each row lie within its bounds, and the newest number of each window."""
    holds, values = np.zeros(len(rows), dtype=np.bool_), np.full(len(rows), np.nan)
    at_least, of_last = term.occurrence or (0, 0)
    for part, points in window.laid_out(rows, term.window, times - term.offset):
        laid, left = numbers_of(points)
        some = part[left]
        counted = np.minimum(laid.counts, of_last) if of_last else laid.counts
        from_end = (laid.starts + laid.counts)[laid.which] - np.arange(len(laid.values))
        whose = some[laid.which]
        passes = within(laid.values, low[whose], high[whose], np.broadcast_to(outside, len(rows))[whose])
        passes &= from_end <= counted[laid.which]
        holds[some] = laid.total(passes) >= np.where(at_least, at_least, counted)
        values[some] = laid.last
    return holds, values
