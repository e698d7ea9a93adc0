"""How unusual values are: robust z-scores against the same series' own past.

The score is |x − median| / (1.4826 × MAD), where MAD is the median of the distances from the median (Iglewicz and
Hoaglin, "How to Detect and Handle Outliers", 1993). Where more than half of the past is one and the same number, so
that MAD is 0, it's |x − median| / (1.2533 × the mean distance); where all of it is, x scores 0 if it's that number as
well, and else infinity. The past ends where the value's own window begins: of LATEST, with the point before the newest.
"""

import numpy as np

from monitors.evaluator.model.arrays import Places
from monitors.evaluator.model.reading import Aggregation, Term
from monitors.evaluator.model.series import Floats, Int64s
from monitors.evaluator.model.statistics import Laid, lay_out, quantile
from monitors.evaluator.model.window import Window
from monitors.mesh.times import HOUR

FEWEST = 10
"""With fewer numbers in the past, nothing is known."""
OF_MEDIAN, OF_MEAN = 1.4826, 1.2533
"""By which the median and the mean distance from the median estimate the standard deviation of normal numbers."""


def score(window: Window, term: Term, values: Floats, rows: Places, until: Int64s) -> Floats:
    """The scores of values that windows of rows had at `until`; NaN where nothing is known."""
    found = np.full(len(rows), np.nan)
    ends = window.newest_until(rows, until) if term.aggregation == Aggregation.LATEST else until - term.window
    for part, points in window.laid_out(rows, term.since, until):
        wanted = np.isfinite(points.values) & (points.times < ends[part][points.which])
        if term.season.hours:
            wanted &= _in_season(points.times, until[part][points.which], term.season.hours)
        counts = np.bincount(points.which[wanted], minlength=len(points.counts))
        enough = counts >= FEWEST
        wanted &= enough[points.which]
        if enough.any():
            past = lay_out(points.values[wanted], points.times[wanted], counts[enough])
            found[part[enough]] = _score(values[part[enough]], past)
    return found


def _in_season(times: Int64s, now: Int64s, hours: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each time is in the hour of the season in which its `now` is, but before that."""
    between = now // HOUR - times // HOUR
    return np.asarray((between > 0) & (between % hours == 0))


def _score(values: Floats, past: Laid) -> Floats:
    centre = quantile(past, 0.5)
    distances = np.abs(past.values - centre[past.which])
    scale = OF_MEDIAN * quantile(past._replace(values=distances), 0.5)
    flat = np.flatnonzero(scale == 0)
    if len(flat):
        scale[flat] = OF_MEAN * past.mean(distances)[flat]
    away = np.abs(values - centre)
    # What never differed is infinitely unusual where it does.
    return np.where(away == 0, 0.0, away / scale)
