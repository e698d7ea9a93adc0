"""How a backtest goes through the instants of its instances: where nothing can happen it doesn't look.

Once a condition is false and nothing keeps a firing alert open, an instance is as if it were new. Between two such
instants its life depends on nothing else: so these parts are lived beside one another, each as an instance of its own.
"""

from typing import NamedTuple, Protocol

import numpy as np

from monitors.evaluator.model.arrays import NEVER, Booleans, Places
from monitors.evaluator.model.condition import Truths, recovered
from monitors.evaluator.model.ladders import Levels
from monitors.evaluator.model.levels import highest, may_end
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.series import Int64s
from monitors.evaluator.model.spec import ConditionKind
from monitors.evaluator.model.state import State, Status


class Instants(Protocol):
    """All instants of a plan's instances, instance by instance in the order of time."""

    plan: Plan
    places: Places
    """The instances."""
    instance_of: Places
    """Whose each instant is."""
    times: Int64s
    start: int
    until: int


class Parts(NamedTuple):
    """Parts of the instants in which something may happen, each of one instance."""

    places: Places
    """Whose they are."""
    begin: Places
    end: Places
    """The instants from `begin` on, and not `end`."""
    start: Int64s
    """When each begins: the instance is as new then."""
    until: Int64s

    @classmethod
    def of(cls, instants: Instants, found: Truths) -> "Parts":
        """The parts that hold an instant at which a condition is true, or an absence may become so."""
        plan, places, times = instants.plan, instants.instance_of, instants.times
        profiles, numbers = plan.profiles, plan.instances.profile[places]
        waits = profiles.waits[numbers]
        renewed = ~found.holds & ~found.unknown & ~waits & (profiles.keep_firing_for[numbers] == 0)
        renewed &= recovered(plan, places, found.values)
        if profiles.level_count:
            renewed &= may_end(plan, places, found.values)
        number = np.cumsum(renewed) - renewed
        first = np.ones(len(places), dtype=np.bool_)
        first[1:] = (number[1:] != number[:-1]) | (places[1:] != places[:-1])
        number = np.cumsum(first) - 1
        begin = np.flatnonzero(first)
        end = np.append(begin[1:], len(places))
        stirs = found.holds | waits | _may_alert(plan, places, found)
        some = np.flatnonzero(np.bincount(number[stirs], minlength=len(begin)))
        begin, end = begin[some], end[some]
        follows = (begin > 0) & (places[begin - 1] == places[begin])
        start = np.where(follows, times[begin - 1], instants.start)
        until = np.where(renewed[end - 1], times[end - 1], instants.until)
        # What has no instant at all may still have a deadline.
        without = np.setdiff1d(instants.places, places)
        none, size = np.full(len(without), len(places)), len(without)
        return cls(
            np.append(places[begin], without),
            np.append(begin, none),
            np.append(end, none),
            np.append(start, np.full(size, instants.start)),
            np.append(until, np.full(size, instants.until)),
        )


def _may_alert(plan: Plan, places: Places, found: Truths) -> Booleans:
    """Where what is unknown may mean true."""
    return np.asarray(found.unknown & plan.profiles.alerting[plan.instances.profile[places]])


class Course:
    """Where each part is on its way through its instants, of which those at which it rests are passed over."""

    def __init__(self, plan: Plan, instants: Instants, found: Truths, parts: Parts, places: Places) -> None:
        """`places` are those where the parts are lived."""
        self._places, self._cursor, self._end, self._until = places, parts.begin, parts.end, parts.until
        self._times = np.append(instants.times, NEVER)
        special = _may_alert(plan, instants.instance_of, found)
        self._next_true = _next_of(found.holds | special)
        profiles, numbers = plan.profiles, plan.instances.profile[places]
        self._levels: Levels | None = None
        """What the value before each instant enters, if there are levels."""
        stirs = ~found.holds | special
        if profiles.level_count:
            entered = highest(plan, instants.instance_of, found.values)
            self._levels = np.append(np.int8(0), entered)
            stirs |= entered != self._levels[:-1]
        self._next_other = _next_of(stirs)
        self._steps: Booleans = ~profiles.every_point[numbers]
        """Whether there are no deadlines, so that what is pending must be looked at each time."""
        absence = profiles.kind[numbers] == ConditionKind.ABSENCE
        self._absence: Booleans = absence & ~self._steps
        self._always: Booleans = profiles.waits[numbers] & ~absence & ~self._steps
        """Whether every point may move a deadline."""

    def next_round(self, state: State) -> tuple[Places, Int64s, Places] | None:
        """Each place that has any left, with its next time and which of the instants that is, negative for none."""
        instants = self._following(state)
        due = state.instances.due[self._places]
        coming = np.where(instants < self._end, self._times[instants], NEVER)
        times = np.minimum(coming, due)
        left = times <= self._until
        if not left.all():
            self._keep(left)
            instants, due, coming, times = instants[left], due[left], coming[left], times[left]
        if not len(times):
            return None
        state.instances.due[self._places[due == times]] = NEVER
        self._cursor = self._first_after(times)
        return self._places, times, np.where(coming == times, instants, -1)

    def _keep(self, left: Booleans) -> None:
        for name in ("_places", "_cursor", "_end", "_until", "_steps", "_absence", "_always"):
            setattr(self, name, getattr(self, name)[left])

    def _following(self, state: State) -> Places:
        """The next instant of each place that isn't passed over."""
        status, clocked = state.instances.status[self._places], state.instances.clocked[self._places]
        resting = np.where(status == Status.INACTIVE, self._next_true[self._cursor], self._next_other[self._cursor])
        looks = clocked | self._always | ((status == Status.PENDING) & self._steps)
        # Before its first point an absence has no deadline, which every later one only moves.
        looks |= self._absence & (status == Status.INACTIVE) & (state.instances.due[self._places] == NEVER)
        if self._levels is not None:
            # What is at another level than it entered last is kept there by a reset, which each value may pass.
            kept = self._levels[self._cursor] != state.instances.level[self._places]
            looks |= (status == Status.FIRING) & kept
        return np.asarray(np.where(looks, self._cursor, resting))

    def _first_after(self, times: Int64s) -> Places:
        """The first instant of each place that is later."""
        low: Places = self._cursor
        high: Places = self._end
        while (low < high).any():
            middle = (low + high) // 2
            passed = (low < high) & (self._times[middle] <= times)
            low = np.where(passed, middle + 1, low).astype(np.intp)
            high = np.where(passed, high, np.minimum(middle, high)).astype(np.intp)
        return low


def _next_of(marked: Booleans) -> Places:
    """For each place, and the end, the next marked one from there on; the end if there is none."""
    size = len(marked)
    following = np.append(np.where(marked, np.arange(size), size), size)
    return np.minimum.accumulate(following[::-1])[::-1].astype(np.intp)
