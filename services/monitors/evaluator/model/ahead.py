"""What was evaluated ahead of the time that an evaluation has come to, since its points were pushed."""

import numpy as np

from monitors.evaluator.model.arrays import UNSET, Places, runs
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.series import Int64s


class Ahead:
    """By place: up to when it has been evaluated. Takes no room as long as nothing has."""

    def __init__(self) -> None:
        self._reached: Int64s = np.empty(0, dtype=np.int64)

    def reached(self, place: int) -> int:
        """Up to when a place has been evaluated ahead; UNSET if it never has."""
        return int(self._reached[place]) if place < len(self._reached) else UNSET

    def note(self, places: Places, times: Int64s) -> None:
        """Places, whose slots were asked for, have been evaluated up to these times."""
        np.maximum.at(self._reached, places, times)

    def forget(self, place: int) -> None:
        """A place is free."""
        self._reached[place : place + 1] = UNSET

    def without_done(self, places: Places, slot: int) -> Places:
        """Those of distinct places that haven't been evaluated at a slot."""
        if not len(self._reached):
            return places
        known = places[places < len(self._reached)]
        return np.setdiff1d(places, known[self._reached[known] >= slot], assume_unique=True)

    def slots(self, plan: Plan, places: Places, times: Int64s, watermark: int) -> tuple[Places, Int64s]:
        """The slots up to the newest time of each place that it hasn't been evaluated at."""
        missing = plan.size - len(self._reached)
        if missing > 0:
            self._reached = np.append(self._reached, np.full(missing, UNSET, dtype=np.int64))
        own, which = np.unique(places, return_inverse=True)
        newest = np.full(len(own), UNSET, dtype=np.int64)
        np.maximum.at(newest, which, times)
        live = plan.instances.live[own]
        own, newest = own[live], newest[live]
        intervals = plan.profiles.interval[plan.instances.profile[own]]
        done = np.maximum(self._reached[own], watermark) // intervals
        counts = np.maximum(newest // intervals - done, 0)
        return np.repeat(own, counts), runs(done + 1, counts).astype(np.int64) * np.repeat(intervals, counts)
