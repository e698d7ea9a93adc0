"""Readings of one series in plain loops, from its raw points."""

import math
from collections.abc import Mapping

from monitors.evaluator.model.reading import Aggregation, Function, Reading, Season
from tests.evaluator.engine.plainly import SECOND, Point, aggregate, number_or_none, quantile, total

HOUR = 3600 * SECOND
Points = Mapping[int, float]
"""A series' values by their time."""


def read(points: Points, reading: Reading, now: int) -> float | None:
    """What is read of a series; None is unknown."""
    end = now - reading.offset
    if reading.occurrence is not None:
        known = numbers(points, reading, now)
        return known[-1] if known else None
    found = measured(points, reading, end)
    if found is None or reading.function is Function.VALUE:
        return found
    if reading.function is Function.AGE:
        return number_or_none((now // SECOND - found) + now % SECOND / SECOND)
    if reading.function is Function.ANOMALY:
        return anomaly(points, reading, found, end)
    older = measured(points, reading, end - reading.since)
    if older is None:
        return None
    if reading.function is Function.CHANGE:
        return number_or_none(found - older)
    return number_or_none((found - older) / abs(older) * 100) if older else None


def measured(points: Points, reading: Reading, end: int) -> float | None:
    """The aggregate of the closed window that ends then; None is unknown."""
    return aggregate(reading.aggregation, window(points, reading, end), end + reading.ahead, reading.quantile)


def window(points: Points, reading: Reading, end: int) -> list[Point]:
    """The points of the closed window that ends then, in the order of time."""
    return sorted((t, v) for t, v in points.items() if end - reading.window <= t <= end)


def numbers(points: Points, reading: Reading, now: int) -> list[float]:
    """The numbers of the window, as it is now."""
    return [value for _, value in window(points, reading, now - reading.offset) if not math.isnan(value)]


def anomaly(points: Points, reading: Reading, value: float, end: int) -> float | None:
    """How far a value is from what is usual, by the finite numbers before its own window."""
    known = sorted((t, v) for t, v in points.items() if end - reading.since <= t <= end)
    last = max((t for t in points if t <= end), default=None)
    before = last if reading.aggregation is Aggregation.LATEST else end - reading.window
    hours = {Season.NONE: 0, Season.DAILY: 24, Season.WEEKLY: 7 * 24}[reading.season]
    finite = [(t, v) for t, v in known if math.isfinite(v) and in_season(t, end, hours)]
    past = [v for t, v in finite if before is not None and t < before]
    return z_score(value, past) if len(past) >= 10 else None


def in_season(time: int, now: int, hours: int) -> bool:
    """Whether a time is in an hour that is comparable with the present one, and over."""
    if not hours:
        return True
    between = now // HOUR - time // HOUR
    return between > 0 and between % hours == 0


def z_score(value: float, past: list[float]) -> float:
    """The robust z-score of a value."""
    centre = quantile(sorted(past), 0.5)
    distances = [abs(one - centre) for one in past]
    scale = 1.4826 * quantile(sorted(distances), 0.5) or 1.2533 * (total(distances) / len(distances))
    if value == centre:
        return 0.0
    return abs(value - centre) / scale if scale else math.inf
