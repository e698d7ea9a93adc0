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
        places, times = _distinct(places, times, size)
        self._times = np.append(times, NEVER)
        self._places = own = places[_begins(places)]
        if state.earliest <= until:
            self._places = np.union1d(self._places, np.flatnonzero(self._instances.due[:size] <= until))
            state.earliest = NEVER
        if len(self._places) == len(own) == len(places):
            self._cursor = np.arange(len(places))
            self._end = self._cursor + 1
            return
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


def _distinct(places: Places, times: Int64s, size: int) -> tuple[Places, Int64s]:
    """The events by place and time, each once."""
    if len(times) and (times == times[0]).all():
        # An instance of several series that report together has as many events at one time.
        asked = np.zeros(size, dtype=np.bool_)
        asked[places] = True
        places = np.flatnonzero(asked)
        return places, np.full(len(places), times[0])
    order = np.lexsort((times, places))
    places, times = places[order], times[order]
    first = _begins(places)
    first[1:] |= times[1:] != times[:-1]
    return places[first], times[first]


def _begins(places: Places) -> Booleans:
    """Where another one begins."""
    begins = np.ones(len(places), dtype=np.bool_)
    begins[1:] = places[1:] != places[:-1]
    return begins
