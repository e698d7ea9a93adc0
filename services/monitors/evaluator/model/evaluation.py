"""All rules together: points and time in, transitions out. The one function that decides, live and in tests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from monitors.evaluator.model.arrays import NEVER, UNSET, Booleans, Places
from monitors.evaluator.model.machine import Changes, Transition, TransitionKind, evaluate, schedule
from monitors.evaluator.model.plan import Plan, PlanChange
from monitors.evaluator.model.series import Floats, Int32s, Int64s, Series
from monitors.evaluator.model.spec import LOOK_BACK, InstanceKey, RuleKey, RuleSpec
from monitors.evaluator.model.state import OpenEpisode, State, Status
from monitors.evaluator.model.window import Window
from monitors.mesh.times import HOUR

CATCH_UP = HOUR
"""Points that are older than this when they come are history: they enter windows but are never evaluated at."""


class Points(NamedTuple):
    """Points in order of arrival, one entry of each array for each: series index, nanoseconds, number."""

    series: Int32s
    times: Int64s
    values: Floats

    def where(self, wanted: Booleans) -> "Points":
        """Some of the points."""
        return Points(self.series[wanted], self.times[wanted], self.values[wanted])

    def then(self, later: "Points") -> "Points":
        """These points, and others that came after them."""
        return Points(
            np.concatenate((self.series, later.series)),
            np.concatenate((self.times, later.times)),
            np.concatenate((self.values, later.values)),
        )


NO_POINTS = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))


@dataclass(frozen=True)
class Fill:
    """Rows of the window that lack points from before they were needed: those no older than `oldest`."""

    rows: frozenset[int]
    oldest: int

    @cached_property
    def _mask(self) -> Booleans:
        mask = np.zeros(max(self.rows, default=-1) + 1, dtype=np.bool_)
        mask[list(self.rows)] = True
        return mask

    def wants(self, rows: Places) -> Booleans:
        """Which of `rows` are to be filled."""
        wanted = rows < len(self._mask)
        wanted[wanted] = self._mask[rows[wanted]]
        return wanted


class _Events(NamedTuple):
    """Instants that points or changes of rules cause, sorted by place and time, distinct."""

    places: Places
    times: Int64s
    from_point: Booleans


class Evaluation:
    """Plan, window and state, which belong together. Owned by one thread; time is always an argument.

    `advance` is the step. Rules are put in two moves, since a rule may need points from before it existed: `put_rule`
    tells what is missing, `fill` takes it, and `activate` lets the rule be evaluated.
    """

    def __init__(self, now: int) -> None:
        self.plan = Plan()
        self.window = Window()
        self.state = State(now)
        self.orphans: list[OpenEpisode] = []
        """Open episodes whose instance isn't known (yet)."""
        self._touched: list[int] = []
        self._held = NO_POINTS
        self._past: list[tuple[Places, Int64s, Floats]] = []
        self._filled: dict[int, int] = {}

    # --- rules and series ---

    def add_series(self, series: Iterable[Series]) -> None:
        """Takes series that have become known and have no points yet."""
        change = self.plan.add_series(series)
        if not (change.created or change.rows):
            return
        self._follow(change)
        for row in change.rows:
            self._filled.setdefault(row, NEVER)
            self.window.set_retention(row, self.plan.retention_of(row))
        self._adopt_orphans(change.created)
        self._enable(change.created)

    def put_rule(self, spec: RuleSpec, now: int) -> tuple[Fill, list[Transition]]:
        """Adds or changes a rule. It rests until `activate`. Firing instances that it no longer has resolve (E2)."""
        change = self.plan.put_rule(spec)
        resolved = [self._updated(place, now) for place in change.removed if self._is_firing(place)]
        self._follow(change)
        lacking = set()
        for row in change.rows:
            retention, span = self.plan.retention_of(row), self.plan.span_of(row)
            known = self._filled.get(row)
            if known is None or known < span or self.window.retention(row) < retention:
                lacking.add(row)
            self.window.set_retention(row, retention)
        for place in (*change.created, *change.kept):
            self.plan.instances.live[place] = False
            self.state.instances.next_slot[place] = NEVER
            self.state.instances.due[place] = NEVER
        self._adopt_orphans(change.created)
        # At least a look-back, so that a point that is sent again soon is known as such.
        span = max((LOOK_BACK, *(self.plan.span_of(row) for row in lacking)))
        away = sum(end - start for start, end in self.state.gaps)
        return Fill(frozenset(lacking), min(now, self.state.watermark) - span - away), resolved

    def fill(self, fill: Fill, points: Points) -> None:
        """Takes points of the past, in their order of arrival, for the rows that lack them; see `filled`."""
        past = points.where(points.times <= self.state.watermark)
        positions, rows = self.plan.rows_of_series.follow(past.series)
        wanted = fill.wants(rows)
        at = positions[wanted]
        self._past.append((rows[wanted], past.times[at], past.values[at]))

    def filled(self, fill: Fill, seen: Sequence[bool] | Booleans) -> None:
        """Ends a fill: its points enter their rows, without being evaluated at, unless newer ones did already.

        `seen` tells for each series whether it ever had a point, be it one from the future.
        """
        if self._past:
            rows, times, values = (np.concatenate(column) for column in zip(*self._past, strict=True))
            self._past = []
            self.window.insert_past(rows, times, values)
        coming = set(self._held.series.tolist())
        for row in fill.rows:
            series = self.plan.series_of_row(row)
            if not series:
                continue
            self._filled[row] = max(self._filled.get(row, 0), self.plan.span_of(row))
            is_empty = self.plan.is_group(row) and self.window.newest[row] == UNSET
            if is_empty and any(seen[index] and index not in coming for index in series):
                # It has reported once, but longer ago than matters: absent, not unheard of.
                place = np.array([row], dtype=np.intp)
                self.window.insert(place, np.array([fill.oldest - 1]), np.array([np.nan]))

    def activate(self, keys: Iterable[RuleKey], *, at_once: bool = True) -> None:
        """Lets rules be evaluated whose windows are filled; `at_once` in the next step already."""
        places = [place for key in keys if key in self.plan.rules for place in self.plan.places_of(key)]
        self._enable(places)
        if at_once:
            self._touched += places

    def remove_rule(self, key: RuleKey, *, resolve_at: int | None = None) -> list[Transition]:
        """Takes a rule away. Nothing is told, since who removed it closes its alerts, unless `resolve_at` is given."""
        resolved: list[Transition] = []
        if resolve_at is not None and key in self.plan.rules:
            firing = [place for place in self.plan.places_of(key) if self._is_firing(place)]
            resolved = [self._updated(place, resolve_at) for place in firing]
        self._follow(self.plan.remove_rule(key))
        self.orphans = [one for one in self.orphans if RuleKey(one.key.tenant, one.key.rule_id) != key]
        return resolved

    def _follow(self, change: PlanChange) -> None:
        """Brings window and state in line with a change of the plan."""
        instances = self.state.instances
        instances.reserve(self.plan.instances.capacity)
        for row in change.dropped_rows:
            self.window.release(row)
            self._filled.pop(row, None)
        for place in (*change.removed, *change.created):
            instances.clear(place)
        if change.removed:
            gone = set(change.removed)
            self._touched = [place for place in self._touched if place not in gone]
            self.plan.free(change.removed)

    def _enable(self, places: list[int]) -> None:
        if not places:
            return
        some = np.array(places, dtype=np.intp)
        columns, instances = self.plan.instances, self.state.instances
        columns.live[some] = True
        newest = self.window.newest[columns.row[some]]
        instances.last_instant[some] = np.maximum(instances.last_instant[some], newest)
        self.state.set_slots(some, columns.interval[some])
        watermark = np.full(len(some), self.state.watermark, dtype=np.int64)
        schedule(self.plan, self.window, self.state, some, watermark)

    def _adopt_orphans(self, places: list[int]) -> None:
        waiting = {one.key: one for one in self.orphans}
        if not waiting:
            return
        for place in places:
            episode = waiting.pop(self.plan.key_of(place), None)
            if episode:
                self.set_firing(place, episode)
        self.orphans = list(waiting.values())

    def set_firing(self, place: int, episode: OpenEpisode) -> None:
        """Makes an instance go on with an episode that RuleService has open."""
        instances = self.state.instances
        instances.status[place] = Status.FIRING
        instances.active_at[place] = episode.episode
        instances.fired_at[place] = episode.fired_at
        # A point that is replayed can't undo what came after it.
        instances.last_instant[place] = max(int(instances.last_instant[place]), episode.fired_at)

    def adopt(self, key: InstanceKey, episode: int, adopted: int) -> None:
        """Lets the episode of a firing instance go on under the number of the one that RuleService had open."""
        place = self.plan.place_of(key)
        if place is not None and self._is_firing(place) and self.state.instances.active_at[place] == episode:
            self.state.instances.active_at[place] = adopted

    def _is_firing(self, place: int) -> bool:
        return bool(self.state.instances.status[place] == Status.FIRING)

    def _updated(self, place: int, now: int) -> Transition:
        spec, episode = self.plan.spec_of(place), int(self.state.instances.active_at[place])
        return Transition(
            self.plan.key_of(place), spec.revision, TransitionKind.RESOLVED, now, episode, None, "updated", 0
        )

    # --- the step ---

    def hold(self, points: Points) -> None:
        """Keeps points whose time is still to come."""
        if len(points.times):
            self._held = self._held.then(points)

    def next_wake(self) -> int:
        """When there is something to do even if no point comes; in the past if there is now. NEVER if never."""
        if self._touched:
            return self.state.watermark
        held = int(self._held.times.min()) if len(self._held.times) else NEVER
        return min(self.state.earliest, held)

    def advance(self, points: Points, now: int) -> list[Transition]:
        """Takes points and evaluates at every instant up to `now`, each instance's in the order of time.

        Instants are the times of new points, the slots k × interval, and deadlines. Points from later than `now` wait.
        Returns the transitions, by time; of one instance in order.
        """
        now = max(now, self.state.watermark)
        events = self._take(points, now)
        changes = Changes()
        self._run(events, now, changes)
        self.state.watermark = now
        return changes.transitions(self.plan, now)

    def _take(self, points: Points, now: int) -> _Events:
        if len(self._held.times) and self._held.times.min() <= now:
            points = self._held.then(points)
            self._held = NO_POINTS
        future = points.times > now
        if future.any():
            self.hold(points.where(future))
            points = points.where(~future)
        positions, rows = self.plan.rows_of_series.follow(points.series)
        times = points.times[positions]
        fresh = self.window.insert(rows, times, points.values[positions])
        fresh &= times >= now - CATCH_UP
        rows, times = rows[fresh], times[fresh]
        positions, places = self.plan.instances_of_row.follow(rows)
        times = times[positions]
        wanted = self._accepts_instants(places) & (times >= self.state.instances.last_instant[places])
        return self._with_touched(places[wanted], times[wanted], now)

    def _accepts_instants(self, places: Places) -> Booleans:
        return self.plan.instances.every_point[places] & self.plan.instances.live[places]

    def _with_touched(self, places: Places, times: Int64s, now: int) -> _Events:
        from_point = np.ones(len(places), dtype=np.bool_)
        if self._touched:
            touched = np.unique(np.array(self._touched, dtype=np.intp))
            self._touched = []
            touched = touched[self._accepts_instants(touched)]
            places = np.concatenate((places, touched))
            times = np.concatenate((times, np.full(len(touched), now)))
            from_point = np.concatenate((from_point, np.zeros(len(touched), dtype=np.bool_)))
        order = np.lexsort((~from_point, times, places))
        places, times, from_point = places[order], times[order], from_point[order]
        first = np.ones(len(places), dtype=np.bool_)
        first[1:] = (places[1:] != places[:-1]) | (times[1:] != times[:-1])
        return _Events(places[first], times[first], from_point[first])

    def _run(self, events: _Events, now: int, changes: Changes) -> None:
        """Rounds: each evaluates, for every instance that has any left, its next instant."""
        instances, intervals = self.state.instances, self.plan.instances.interval
        size = self.plan.size
        timed = self.state.earliest <= now
        if timed:
            wake = np.minimum(instances.due[:size], instances.next_slot[:size]) <= now
            places = np.union1d(events.places, np.flatnonzero(wake))
        else:
            places = np.unique(events.places)
        cursor = np.searchsorted(events.places, places, side="left")
        end = np.searchsorted(events.places, places, side="right")
        event_times = np.append(events.times, NEVER)
        from_point = np.append(events.from_point, False)
        while True:
            at_event = np.where(cursor < end, cursor, len(events.times))
            times = np.minimum(event_times[at_event], np.minimum(instances.next_slot[places], instances.due[places]))
            left = times <= now
            if not left.all():
                places, times, cursor, end, at_event = (a[left] for a in (places, times, cursor, end, at_event))
            if not len(places):
                break
            is_event = event_times[at_event] == times
            slotted = instances.next_slot[places] == times
            instances.next_slot[places[slotted]] += intervals[places[slotted]]
            instances.due[places[instances.due[places] == times]] = NEVER
            # What the state has already moved past isn't undone by an older slot, as in a replay.
            current = times >= instances.last_instant[places]
            evaluate(
                self.plan, self.window, self.state, places[current], times[current],
                (is_event & from_point[at_event])[current], changes,
            )  # fmt: skip
            cursor = cursor + is_event
        if timed:
            upcoming = np.minimum(instances.due[:size], instances.next_slot[:size])
            self.state.earliest = int(upcoming.min(initial=NEVER))
