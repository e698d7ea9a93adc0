"""When instances that have several instants in a step are evaluated: at events and deadlines, each one's in order."""

import numpy as np

from monitors.evaluator.model.arrays import NEVER, Booleans, Places
from monitors.evaluator.model.series import Int64s
from monitors.evaluator.model.state import State


class Agenda:
    """Events, which are known in advance, and the deadlines of all instances, which come up meanwhile, until a time."""

    def __init__(self, state: State, size: int, places: Places, times: Int64s, until: int) -> None:
        """Takes events in any order, of which some may be the same. Instances have places less than `size`."""
        self._instances, self._until = state.instances, until
        order = np.lexsort((times, places))
        places, times = places[order], times[order]
        first = np.ones(len(places), dtype=np.bool_)
        first[1:] = (places[1:] != places[:-1]) | (times[1:] != times[:-1])
        places = places[first]
        self._times = np.append(times[first], NEVER)
        self._places = np.unique(places)
        if state.earliest <= until:
            self._places = np.union1d(self._places, np.flatnonzero(self._instances.due[:size] <= until))
            state.earliest = NEVER
        self._cursor = np.searchsorted(places, self._places, side="left")
        self._end = np.searchsorted(places, self._places, side="right")

    def next_round(self) -> tuple[Places, Int64s] | None:
        """Each place that has any left, with its next instant; None when there are none."""
        events = self._times[np.where(self._cursor < self._end, self._cursor, len(self._times) - 1)]
        times = np.minimum(events, self._instances.due[self._places])
        left = times <= self._until
        if not left.all():
            self._keep(left)
            events, times = events[left], times[left]
        if not len(times):
            return None
        self._cursor = self._cursor + (events == times)
        self._instances.due[self._places[self._instances.due[self._places] == times]] = NEVER
        return self._places, times

    def _keep(self, left: Booleans) -> None:
        self._places, self._cursor, self._end = self._places[left], self._cursor[left], self._end[left]
