"""The load: which points come when, and who is to be told what because of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from benchmarks.evaluation.load import monitor_name
from monitors.evaluator.model.arrays import Places
from monitors.evaluator.model.series import Floats

BEAT = 0.5
"""Seconds from one push to the next."""
THRESHOLD, CALM, HIGH = 10.0, 1.0, 50.0


@dataclass(frozen=True)
class Plan:
    """Rules on a series each, points a second, and transitions a second: half of them begin an alert, half end one.

    At each beat a slice of the series gets a point, the slices in turn. Some of the slice go over their threshold; they
    come back when the slice's turn comes again. Which ones, changes every time: it is long until one fires again.
    """

    rules: int = 50_000
    points: int = 20_000
    transitions: int = 100

    def __post_init__(self) -> None:
        if self.rules % self.slice_size:
            raise ValueError(f"{self.rules:,} rules aren't a multiple of {self.slice_size:,}, the points of a beat")

    @property
    def slice_size(self) -> int:
        """How many series get a point at a beat."""
        return round(self.points * BEAT)

    @property
    def turns(self) -> int:
        """After so many beats it's a slice's turn again."""
        return self.rules // self.slice_size

    @property
    def fired_a_beat(self) -> int:
        """How many alerts begin at a beat."""
        return max(1, round(self.transitions * BEAT / 2))

    @cached_property
    def names(self) -> list[str]:
        """The monitors, one for each rule."""
        return [monitor_name(number) for number in range(self.rules)]

    @property
    def thresholds(self) -> Floats:
        """Of each rule."""
        return np.full(self.rules, THRESHOLD)

    @cached_property
    def _order(self) -> Places:
        return np.random.default_rng(4).permutation(self.slice_size)

    def series(self, beat: int) -> slice:
        """Which series get a point."""
        start = beat % self.turns * self.slice_size
        return slice(start, start + self.slice_size)

    def _lifted(self, beat: int) -> Places:
        first = beat // self.turns * self.fired_a_beat
        return self._order[np.arange(first, first + self.fired_a_beat) % self.slice_size]

    def lifted(self, beat: int) -> list[str]:
        """The monitors whose alerts begin."""
        start = self.series(beat).start
        return [self.names[start + place] for place in self._lifted(beat)]

    def values(self, beat: int, *, calm: bool = False) -> Floats:
        """The values of the series that get a point; if it's to be calm, of none is it high."""
        values = np.full(self.slice_size, CALM)
        if not calm:
            values[self._lifted(beat)] = HIGH
        return values
