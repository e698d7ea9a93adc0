"""What rules would have done on points that are stored: the live truths and state machine, with all instants known.

Live, a step doesn't know what comes next and looks at each instant. Here the truth of all instants is computed at once,
and the state machine runs only on what may fire, all such parts of the time beside one another; see `course`.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Places, chunks
from monitors.evaluator.model.condition import Truths, compare, truths
from monitors.evaluator.model.course import Course, Parts
from monitors.evaluator.model.evaluation import AMPLE, Capacity, Evaluation, Points
from monitors.evaluator.model.instances import Instances
from monitors.evaluator.model.machine import Changes, Transition, TransitionKind, apply, evaluate, schedule
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.rings import MOST_LANES
from monitors.evaluator.model.series import Int64s, Series
from monitors.evaluator.model.spec import RuleSpec
from monitors.evaluator.model.state import State

MOST_INSTANTS = 20_000_000
"""More than these, over all instances, aren't evaluated."""


class TooManyInstants(Exception):
    """The time range is too long for the rules' instances; the message says how many instants there would be."""


class Backtest:
    """A rule on points of the past, after `start` and until `until`, both nanoseconds. Then it is as if just made.

    `points` are those of the series, in order of arrival, from as far before the start as the rule looks back, and
    `seen` tells for each series whether it ever had one by then. Raises TooManyInstants.
    """

    def __init__(
        self, spec: RuleSpec, series: Sequence[Series], points: Points, seen: Sequence[bool] | Booleans, start: int,
        until: int, *, capacity: Capacity = AMPLE,
    ) -> None:  # fmt: skip
        self.start, self.until = start, until
        # Room for no more rows than there are, so that few rows' points are near one another.
        lanes = max(1, min(len(series), MOST_LANES))
        evaluation = Evaluation(start, capacity=replace(capacity, lanes=lanes))
        evaluation.add_series(series)
        fill, _ = evaluation.put_rule(spec, start)
        past = points.times <= start
        evaluation.fill(fill, points.where(past))
        evaluation.filled(fill, seen)
        evaluation.activate(at_once=False)
        self.plan, self._window = evaluation.plan, evaluation.window
        self.places = self.plan.places()
        self._take(points.where(~past & (points.times <= until)), until - start + spec.retention)
        self._lay_out()
        self.truths = self._truths()
        """What the rule says at each instant, instance by instance."""

    def _take(self, points: Points, retention: int) -> None:
        rows = np.arange(len(self.plan.series))
        rows = rows[self._window.keeps(rows)]
        self._window.set_retention(rows, retention)
        series, times, values = points.where(np.isin(points.series, rows))
        self._window.insert(series, times, values)

    @property
    def is_shortened(self) -> bool:
        """Whether there were more points than may be kept in memory, so that the oldest are missing."""
        return bool(self._window.shortened)

    @property
    def known_from(self) -> int | None:
        """The first instant at which anything was known, None if there is none."""
        known = self.times[~np.isnan(self.truths.values)]
        return int(known.min()) if len(known) else None

    # --- the instants ---

    def _lay_out(self) -> None:
        """Finds each instance's instants: its points' times, and the slots of its rule."""
        of_points, times = self._point_instants()
        numbers = self.plan.instances.profile[self.places]
        intervals = self.plan.profiles.interval[numbers]
        counts = self.until // intervals - self.start // intervals
        if len(times) + int(counts.sum()) > MOST_INSTANTS:
            raise TooManyInstants(
                f"there are {len(times) + int(counts.sum()):,} instants in this time; at most {MOST_INSTANTS:,}"
            )
        slots = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        slot_times = (np.repeat(self.start // intervals, counts) + 1 + slots) * np.repeat(intervals, counts)
        places = np.append(of_points, np.repeat(self.places, counts))
        times = np.append(times, slot_times)
        order = np.lexsort((times, places))
        places, times = places[order], times[order]
        first = np.ones(len(places), dtype=np.bool_)
        first[1:] = (places[1:] != places[:-1]) | (times[1:] != times[:-1])
        self.instance_of = places[first]
        """The place of each instant's instance."""
        self.times = times[first]

    def _point_instants(self) -> tuple[Places, Int64s]:
        plan = self.plan
        inputs = np.unique(np.array([row for place in self.places.tolist() for row in plan.inputs_of(place)], np.intp))
        rows, times, _ = self._window.points_of(inputs)
        within = (times > self.start) & (times <= self.until)
        positions, places = plan.instances_of_series.follow(rows[within])
        wanted = plan.profiles.every_point[plan.instances.profile[places]]
        return places[wanted].astype(np.intp), times[within][positions][wanted]

    def _truths(self) -> Truths:
        found, state = Truths.empty(len(self.times)), State(self.start)
        for part in chunks(len(self.times)):
            found.put(part, truths(self.plan, self._window, state, self.instance_of[part], self.times[part]))
        return found

    # --- the state machine ---

    def transitions(self) -> list[Transition]:
        """What would have been told, by time."""
        changes, plan = self._run(self.truths)
        return changes.transitions(plan, self.until)

    def firing_count(self, low: float, high: float, *, outside: bool) -> int:
        """How many alerts there would have been with these bounds instead of the rule's own."""
        columns, places = self.plan.instances, self.places
        own = [column[places].copy() for column in (columns.low, columns.high, columns.outside)]
        columns.low[places], columns.high[places], columns.outside[places] = low, high, outside
        holds = compare(self.plan, self.instance_of, self.truths.values)
        count = self._count_of_beginnings(holds)
        if count is None:
            changes, _ = self._run(self.truths._replace(holds=holds))
            count = changes.count(TransitionKind.FIRING)
        columns.low[places], columns.high[places], columns.outside[places] = own
        return count

    def _count_of_beginnings(self, holds: Booleans) -> int | None:
        """How often the condition begins to hold, if each time is an alert; None if that takes the state machine."""
        if self._has_memory:
            return None
        before = np.zeros(len(holds), dtype=np.bool_)
        before[1:] = holds[:-1] & (self.instance_of[1:] == self.instance_of[:-1])
        # What becomes unknown while it fires may go on or end.
        if (before & self.truths.unknown).any():
            return None
        return int((holds & ~before).sum())

    @cached_property
    def _has_memory(self) -> bool:
        """Whether an alert depends on more than the condition now and at the instant before."""
        profiles, numbers = self.plan.profiles, np.unique(self.plan.instances.profile[self.places])
        lasting = (profiles.for_duration[numbers] > 0) | (profiles.keep_firing_for[numbers] > 0)
        return bool((lasting | profiles.recovers[numbers] | profiles.waits[numbers] | profiles.alerting[numbers]).any())

    def _run(self, found: Truths) -> tuple[Changes, Plan]:
        parts = Parts.of(self, found)
        plan, places = self._with_copies(parts.places)
        state, changes = State(self.start), Changes()
        state.instances.reserve(plan.instances.capacity)
        course = Course(plan, self, found, parts, places)
        schedule(plan, self._window, state, places, parts.start)
        while following := course.next_round(state):
            places, times, instants = following
            some, rest = np.flatnonzero(instants >= 0), np.flatnonzero(instants < 0)
            if len(some):
                apply(plan, self._window, state, places[some], times[some], found.at(instants[some]), changes)
            if len(rest):
                evaluate(plan, self._window, state, places[rest], times[rest], changes)
        return changes, plan

    def _with_copies(self, places: Places) -> tuple[Plan, Places]:
        """A plan in which each of the places has one of its own: the first of an instance that instance's, the others
        those of copies, which have a single input. Absence, of several inputs, is one part."""
        again = np.ones(len(places), dtype=np.bool_)
        again[np.unique(places, return_index=True)[1]] = False
        plan, own, own_bindings = copy(self.plan), self.plan.instances, self.plan.bindings
        copied = places[again]
        size = plan.size
        plan.instances, plan.size = Instances(), size + len(copied)
        plan.instances.reserve(plan.size)
        for name in Instances.LAYOUT:
            column = getattr(own, name)
            getattr(plan.instances, name)[: plan.size] = np.append(column[:size], column[copied])
        lived = places.copy()
        lived[again] = np.arange(size, plan.size)
        plan.bindings = own_bindings.with_copies(zip(copied.tolist(), lived[again].tolist(), strict=True))
        return plan, lived
