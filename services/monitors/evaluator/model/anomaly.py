"""How unusual values are: robust z-scores against the same series' own past.

The score is |x − median| / (1.4826 × MAD), where MAD is the median of the distances from the median (Iglewicz and
Hoaglin, "How to Detect and Handle Outliers", 1993). Where more than half of the past is one and the same number, so
that MAD is 0, it's |x − median| / (1.2533 × the mean distance); where all of it is, x scores 0 if it's that number as
well, and else infinity. The past ends where the value's own window begins: of LATEST, with the point before the newest.
"""

from collections.abc import Iterator

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Places
from monitors.evaluator.model.ordered import Ordered, ordered
from monitors.evaluator.model.reading import Aggregation, Term
from monitors.evaluator.model.series import Floats, Int64s
from monitors.evaluator.model.statistics import Laid, lay_out
from monitors.evaluator.model.window import Window
from monitors.mesh.times import HOUR

FEWEST = 10
"""With fewer numbers in the past, nothing is known."""
OF_MEDIAN, OF_MEAN = 1.4826, 1.2533
"""By which the median and the mean distance from the median estimate the standard deviation of normal numbers."""


def score(window: Window, term: Term, values: Floats, rows: Places, until: Int64s) -> Floats:
    """The scores of values that windows of rows had at `until`; NaN where nothing is known."""
    found, since = np.full(len(rows), np.nan), until - term.since
    ends = window.newest_until(rows, until) if term.aggregation == Aggregation.LATEST else until - term.window
    # A past that ended before it began has no points.
    ends = np.maximum(ends, since)
    for part, past in _pasts(window, term, rows, until, ends):
        enough = np.flatnonzero(past.counts >= FEWEST)
        some, numbers = part[enough], past.where(enough)
        centres = numbers.quantile(0.5)
        scale = OF_MEDIAN * numbers.distance_quantile(centres, 0.5)
        # Where nothing ever differed, the mean is 0 as well.
        flat = np.flatnonzero((scale == 0) & numbers.differ)
        if len(flat):
            which = some[flat]
            distances = _mean_distances(window, term, rows[which], until[which], ends[which], centres[flat])
            scale[flat] = OF_MEAN * distances
        away = np.abs(values[some] - centres)
        # What never differed is infinitely unusual where it does.
        found[some] = np.where(away == 0, 0.0, away / scale)
    return found


def _pasts(window: Window, term: Term, rows: Places, until: Int64s, ends: Int64s) -> Iterator[tuple[Places, Ordered]]:
    """The finite numbers of the pasts: of which of the rows, and those."""
    if not term.season.hours:
        for part, numbers in window.in_order(rows, until - term.since, ends - 1):
            yield part, numbers.finite()
        return
    for part, past in _laid(window, term, rows, until, ends):
        for some, numbers in ordered(past.values, past.starts, past.counts):
            yield part[some], numbers


def _laid(window: Window, term: Term, rows: Places, until: Int64s, ends: Int64s) -> Iterator[tuple[Places, Laid]]:
    """The same in the order of time."""
    for part, points in window.laid_out(rows, ends - 1 - (until - term.since), ends - 1):
        wanted = np.isfinite(points.values)
        if term.season.hours:
            wanted &= _in_season(points.times, until[part][points.which], term.season.hours)
        counts = np.bincount(points.which[wanted], minlength=len(points.counts))
        left = counts > 0
        yield part[left], lay_out(points.values[wanted], points.times[wanted], counts[left])


def _in_season(times: Int64s, now: Int64s, hours: int) -> Booleans:
    """Whether each time is in the hour of the season in which its `now` is, but before that."""
    between = now // HOUR - times // HOUR
    return np.asarray((between > 0) & (between % hours == 0))


def _mean_distances(window: Window, term: Term, rows: Places, until: Int64s, ends: Int64s, centres: Floats) -> Floats:
    """How far from its centre the numbers of each past are on average, added up in the order of time."""
    found = np.zeros(len(rows))
    for part, past in _laid(window, term, rows, until, ends):
        found[part] = past.mean(np.abs(past.values - centres[part][past.which]))
    return found
