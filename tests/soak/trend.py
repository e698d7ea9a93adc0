"""How something changes in the course of time: a straight line through what was measured, by least squares."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HOUR = 3600.0
SURE = 2.0
"""So many standard errors of the slope are allowed to chance."""


@dataclass(frozen=True)
class Trend:
    """`slope` is a change in an hour, `error` how far from the true one it may be by chance, `hours` how long was
    looked."""

    slope: float
    error: float
    hours: float

    @property
    def grown(self) -> float:
        """By how much it has grown at least in this time; below 0 if it may have shrunk."""
        return (self.slope - self.error) * self.hours

    def __str__(self) -> str:
        return f"{self.slope:+,.1f} ± {self.error:,.1f}"


def trend_of(seconds: Sequence[float], values: Sequence[float]) -> Trend:
    """The line through values that were measured at these times. Raises ValueError if they are fewer than three."""
    if len(values) < 3:
        raise ValueError(f"of {len(values)} values there is no trend")
    times, measured = np.array(seconds), np.array(values)
    away = times - times.mean()
    spread = float(away @ away)
    slope = float(away @ (measured - measured.mean())) / spread
    rest = measured - measured.mean() - slope * away
    error = float(np.sqrt(rest @ rest / (len(rest) - 2) / spread))
    return Trend(slope * HOUR, SURE * error * HOUR, float(times.max() - times.min()) / HOUR)


def steadily_grown(seconds: Sequence[float], values: Sequence[float]) -> float:
    """By how much it has grown at least, by the half in which it grew less: what leaks grows in both. What is kept
    since there was more to do for a while, as when the machine was needed by others, grows in one."""
    half = len(values) // 2
    return 2 * min(trend_of(seconds[part], values[part]).grown for part in (slice(half), slice(half, None)))
