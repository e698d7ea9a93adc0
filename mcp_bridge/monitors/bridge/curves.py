"""A curve in few numbers and few characters, for clients that don't show pictures."""

import math
from collections.abc import Iterator, Sequence
from statistics import median_low

from monitors.bridge.values import rounded

STEPS = 24
BARS = "▁▂▃▄▅▆▇█"
UNKNOWN = "·"


def known_part(values: Sequence[float]) -> slice:
    """Where something is known, from the first time to the last."""
    known = [place for place, value in enumerate(values) if not math.isnan(value)]
    return slice(known[0], known[-1] + 1) if known else slice(0)


def thinned(times: Sequence[int], values: Sequence[float]) -> list[float]:
    """Of each of at most 24 equal steps the value that is farthest from the median of all; NaN where nothing is known.

    `times` ascend.
    """
    if len(times) <= STEPS:
        return list(values)
    middle = median_low(value for value in values if not math.isnan(value))
    return [max(step, key=lambda value: _distance(value, middle), default=math.nan) for step in _steps(times, values)]


def _distance(value: float, middle: float) -> float:
    # Of two infinite values none is farther away.
    return 0.0 if value == middle else abs(value - middle)


def _steps(times: Sequence[int], values: Sequence[float]) -> Iterator[list[float]]:
    steps: list[list[float]] = [[] for _ in range(STEPS)]
    length = max(times[-1] - times[0], 1)
    for time, value in zip(times, values, strict=True):
        if not math.isnan(value):
            steps[min((time - times[0]) * STEPS // length, STEPS - 1)].append(value)
    yield from steps


def sparkline(values: Sequence[float]) -> str:
    """A character for each value, between the least and the greatest that is finite."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join(_bar(value, low, high) for value in values)


def _bar(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return BARS[-1] if value > 0 else BARS[0]
    # Halves first, since a distance of two finite numbers may be infinite.
    share = (value / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.5
    return BARS[min(int(share * len(BARS)), len(BARS) - 1)]


def shortened(value: float) -> float:
    """To four significant digits."""
    return rounded(value, 4)
