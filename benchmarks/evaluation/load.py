"""The load that ours and the peers get: one rule for each series, a tenth of them firing, 0.1 % flipping per tick."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from monitors.evaluator.model.arrays import Places
from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.series import Floats
from monitors.mesh.times import SECOND

MEASUREMENT, FIELD = "m", "value"
INTERVAL = 30 * SECOND
"""Of every rule: each is also evaluated at the multiples of this."""
FIRING_SHARE = 0.1
FLIP_SHARE = 0.001
FRAMES = 6
WARM_UP_TICKS = 40
"""After so many ticks windows hold all that they keep, and as many alerts end as begin: the state that goes on."""
SPIKE = 2_000.0
"""Added to one point; it lifts even the average of 31 points over its threshold."""


def monitor_name(number: int) -> str:
    """The id of the monitor whose series a rule is on."""
    return f"mon_{number}"


@dataclass(frozen=True)
class Load:
    """`size` series of two-decimal values, and thresholds that are distinct as long as there are hundredths.

    Every tick each series has a new value. A rule in ten fires all the time. Of the others half a thousandth is lifted
    over its threshold for a tick, another choice every tick, so that as many begin to fire as cease to: with a window
    of W points they cease W ticks later, and flips are 0.1 % per tick from then on.
    """

    size: int
    mixed: bool = False
    """The rules ask for MIXED in turn; only averages and maxima are lifted, since one point can't lift the others."""

    @cached_property
    def thresholds(self) -> Floats:
        """5.00 to 55.00."""
        return np.round(np.random.default_rng(1).uniform(5, 55, self.size), 2)

    @cached_property
    def _frames(self) -> list[Floats]:
        generator = np.random.default_rng(2)
        side = np.where(np.arange(self.size) % round(1 / FIRING_SHARE) == 0, 1.0, -1.0)
        distances = (generator.uniform(1, 40, self.size) for _ in range(FRAMES))
        return [np.round(self.thresholds + side * distance, 2) for distance in distances]

    @cached_property
    def _order(self) -> Places:
        numbers = np.arange(self.size)
        able = (numbers % round(1 / FIRING_SHARE) != 0) & (~self.mixed | (numbers % 2 == 0))
        return np.random.default_rng(3).permutation(np.flatnonzero(able))

    def fires(self, number: int) -> bool:
        """Whether a rule fires all the time."""
        return number % round(1 / FIRING_SHARE) == 0

    @property
    def always_firing(self) -> int:
        """How many rules fire all the time."""
        return len(range(0, self.size, round(1 / FIRING_SHARE)))

    @property
    def spikes(self) -> int:
        """How many rules begin to fire at each tick, after the first of which as many cease to."""
        return max(1, round(self.size * FLIP_SHARE / 2))

    def values(self, tick: int) -> Floats:
        """Each series' value at a tick."""
        values = self._frames[tick % FRAMES].copy()
        values[self.lifted(tick)] += SPIKE
        return values

    def lifted(self, tick: int) -> Places:
        """The rules that begin to fire at a tick."""
        places = np.arange(tick * self.spikes, (tick + 1) * self.spikes) % len(self._order)
        return self._order[places]

    def fired(self, ticks: int) -> int:
        """How many alerts have begun after ticks 0 to `ticks` − 1."""
        return self.always_firing + ticks * self.spikes

    def resolved(self, ticks: int) -> int:
        """How many alerts have ended by then, where only the latest point counts."""
        return (ticks - 1) * self.spikes


MIXED = (Aggregation.AVERAGE, Aggregation.MINIMUM, Aggregation.MAXIMUM, Aggregation.COUNT)
"""What the rules over windows ask for, in turn."""
