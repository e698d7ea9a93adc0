"""Points that a replay is still to come to, and that open episodes come from."""

from collections.abc import Mapping

import numpy as np

from monitors.evaluator.model.arrays import NEVER, Places
from monitors.evaluator.model.condition import newest_of_inputs
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.series import Int64s
from monitors.evaluator.model.window import Window


class Awaited:
    """By place: the time of the point that its open episode comes from."""

    def __init__(self, plan: Plan, window: Window) -> None:
        self._plan, self._window = plan, window
        self._times: dict[int, int] = {}

    def add(self, times: Mapping[int, int]) -> None:
        """Awaits points, less those that are there already."""
        if times:
            self._times.update(times)
            self._forget_what_came()

    def clear(self) -> None:
        """Nothing is awaited any more."""
        self._times.clear()

    def forget(self, place: int) -> None:
        """A place is free."""
        self._times.pop(place, None)

    def without(self, places: Places) -> Places:
        """Those of the places whose points aren't awaited any more, or never were."""
        if not self._times:
            return places
        self._forget_what_came()
        return places[~np.isin(places, list(self._times))]

    def _forget_what_came(self) -> None:
        """Awaits no more the points that are there, or that newer ones stand for."""
        places = np.fromiter(self._times, dtype=np.intp)
        newest = newest_of_inputs(self._plan, self._window, places, np.full(len(places), NEVER))
        times: Int64s = np.fromiter(self._times.values(), dtype=np.int64)
        for place in places[newest >= times].tolist():
            del self._times[place]
