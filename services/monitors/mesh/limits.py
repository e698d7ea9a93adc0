"""Token buckets: how often something may happen, counted for all processes by Redis, or by each for itself.

A bucket is remembered as one number, the time at which it will be full again: the "theoretical arrival time" of the
generic cell rate algorithm (ITU-T I.371), which decides as a bucket does that gains `rate` tokens a second up to
`burst` and gives one away each time.
"""

import time
from dataclasses import dataclass, field
from typing import Protocol

MOST_BUCKETS = 10_000
# Sums of fractions of seconds are this exact.
TOLERANCE = 1e-6


class TokenBuckets(Protocol):
    """Buckets by their keys."""

    async def take(self, key: str, rate: float, burst: int, count: int = 1) -> float:
        """Takes `count` tokens of a bucket that gains `rate` tokens a second and holds `burst` at most.

        Returns 0 if there was one; else nothing is taken, and it's the seconds until there will be one. What is lacking
        of the others is owed, at most `burst`: so what is large gets its turn too, however busy the bucket is, and
        whoever comes after it waits.
        """
        ...

    async def take_some(self, key: str, rate: float, burst: int, count: int) -> tuple[int, float]:
        """Takes as many as there are of `count` tokens. Returns how many, and the seconds until there will be another;
        0 if there were all."""
        ...


def decide(full: float, now: float, rate: float, burst: int, count: int = 1) -> tuple[float, float]:
    """When a bucket will be full after `count` tokens were asked for at `now`, and how long to wait if there is none.

    `full` is when it would have been full without. All are in seconds, of any clock that may also be set back.
    """
    step = 1 / rate
    full = min(max(full, now), now + 2 * burst * step)
    wait = full + step - now - burst * step
    return (full, wait) if wait > TOLERANCE else (full + min(count, burst) * step, 0.0)


def take_some(full: float, now: float, rate: float, burst: int, count: int) -> tuple[float, int, float]:
    """The same where as many of `count` tokens are taken as there are: in the middle stands how many."""
    step = 1 / rate
    full = min(max(full, now), now + 2 * burst * step)
    # Beyond this there is no token left.
    empty = now + burst * step
    taken = max(0, min(count, int((empty - full + TOLERANCE) * rate)))
    full += taken * step
    return full, taken, 0.0 if taken == count else max(full + step - empty, TOLERANCE)


@dataclass
class LocalBuckets:
    """Buckets of this process."""

    _full: dict[str, float] = field(default_factory=dict)

    async def take(self, key: str, rate: float, burst: int, count: int = 1) -> float:
        """As TokenBuckets says."""
        now, full = self._look_up(key)
        self._full[key], wait = decide(full, now, rate, burst, count)
        return wait

    async def take_some(self, key: str, rate: float, burst: int, count: int) -> tuple[int, float]:
        """As TokenBuckets says."""
        now, full = self._look_up(key)
        self._full[key], taken, wait = take_some(full, now, rate, burst, count)
        return taken, wait

    def _look_up(self, key: str) -> tuple[float, float]:
        """The time, and when a bucket will be full."""
        now = time.monotonic()
        if len(self._full) >= MOST_BUCKETS and key not in self._full:
            emptiest = sorted(((full, known) for known, full in self._full.items() if full > now), reverse=True)
            # Whoever may choose keys can't make this grow: what is nearly full again is given for full.
            self._full = {known: full for full, known in emptiest[: MOST_BUCKETS // 2]}
        return now, self._full.get(key, now)
