"""All rules together: points and time in, transitions out. The one function that decides, live and in tests."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitors.evaluator.model import episodes
from monitors.evaluator.model.agenda import Agenda
from monitors.evaluator.model.ahead import Ahead
from monitors.evaluator.model.arrays import NEVER, UNSET, Booleans, Places, are_distinct, selection
from monitors.evaluator.model.awaited import Awaited
from monitors.evaluator.model.condition import newest_of_inputs
from monitors.evaluator.model.filling import Fill, Filling
from monitors.evaluator.model.instances import Limits, PlanChange
from monitors.evaluator.model.levels import settle
from monitors.evaluator.model.machine import Changes, Transition, evaluate, schedule
from monitors.evaluator.model.monitors import Monitors
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.points import NO_POINTS, Points
from monitors.evaluator.model.ring_rows import MOST_CELLS
from monitors.evaluator.model.rings import MOST_LANES
from monitors.evaluator.model.series import Int64s, Series
from monitors.evaluator.model.shards import ALL_SHARDS
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, RuleKey, RuleSpec
from monitors.evaluator.model.state import OpenEpisode, State
from monitors.evaluator.model.window import Window
from monitors.mesh.times import HOUR

__all__ = ["AMPLE", "CATCH_UP", "NO_POINTS", "Capacity", "Evaluation", "Fill", "Points"]

CATCH_UP = HOUR
"""Points that are older than this when they come are history: they enter windows but are never evaluated at."""


@dataclass(frozen=True)
class Capacity:
    """How much an evaluation takes on: instances, points in memory, and for how many nanoseconds they are stored."""

    instances: Limits
    window_points: int
    history: int = NEVER
    lanes: int = MOST_LANES
    """How many rows of the window are kept beside one another."""


AMPLE = Capacity(Limits(), MOST_CELLS)


class Evaluation:
    """Plan, window and state, which belong together. Owned by one thread; time is always an argument.

    `advance` is the step. Rules are put in two moves, since a rule may need points from before it existed: `put_rule`
    tells what is missing, `fill` takes it, and `activate` lets the rule be evaluated. The same goes for `hold_shards`.
    """

    def __init__(
        self,
        now: int,
        shards: Iterable[int] = ALL_SHARDS,
        *,
        capacity: Capacity = AMPLE,
        monitors: Monitors | None = None,
    ) -> None:
        """`monitors` are known already, with their series."""
        self.capacity = capacity
        self.plan = Plan(shards, capacity.instances, monitors)
        self.window = Window(capacity.window_points, capacity.lanes)
        self.state = State(now)
        self.orphans: list[OpenEpisode] = []
        """Open episodes whose instance isn't known (yet)."""
        self._awaited = Awaited(self.plan, self.window)
        self._touched: list[int] = []
        self._ended_meanwhile: list[Transition] = []
        """Ends of instances that a rule has no more since other series became known."""
        self._held = NO_POINTS
        self._filling = Filling(self.plan, self.window, self.state)
        self._ahead = Ahead()
        self._reserve(len(self.plan.series))

    # --- rules and series ---

    def add_series(self, series: Iterable[Series]) -> None:
        """Takes series that have become known and have no points yet."""
        known = len(self.plan.series)
        change = self.plan.add_series(series)
        self._reserve(len(self.plan.series))
        self._ended_meanwhile += episodes.ended(self.plan, self.state, change, self.state.watermark)
        self._follow(change)
        if change.series:
            rows = np.fromiter(change.series, dtype=np.intp)
            self.window.set_retention(rows, self.plan.reach_of(rows)[0])
            self._filling.lacks_nothing(rows[rows >= known])
        self._adopt_orphans(change.created)
        self._enable(np.array(change.created, dtype=np.intp))

    def meet_series(self, series: Iterable[Series]) -> tuple[Fill, list[InstanceKey]]:
        """Takes series that have become known and may have had points before. What they change rests until it's given
        to `wake`."""
        change = self.plan.add_series(series)
        self._reserve(len(self.plan.series))
        self._ended_meanwhile += episodes.ended(self.plan, self.state, change, self.state.watermark)
        self._follow(change)
        self._rest(change)
        places = np.array([*change.created, *change.kept], dtype=np.intp)
        return self._filling.lacking(change.series, self.state.watermark), self.plan.keys_of(places)

    def wake(self, keys: Iterable[InstanceKey]) -> None:
        """Lets instances be evaluated whose windows are filled, as far as they are still there."""
        places = [self.plan.place_of(key) for key in keys]
        self.activate_places([place for place in places if place is not None])

    def put_rule(self, spec: RuleSpec, now: int) -> tuple[Fill, list[Transition]]:
        """Adds or changes a rule; see `put_rules`."""
        return self.put_rules([spec], now)

    def put_rules(self, specs: Iterable[RuleSpec], now: int) -> tuple[Fill, list[Transition]]:
        """Adds or changes rules. They rest until `activate`. Firing instances that they no longer have resolve (E2)."""
        change = self.plan.put_rules(specs)
        self._keep_from_going_back(change)
        resolved = episodes.ended(self.plan, self.state, change, now)
        self._follow(change)
        self._rest(change)
        return self._filling.lacking(change.series, now), resolved

    def _keep_from_going_back(self, change: PlanChange) -> None:
        """Lets instances that have other inputs now be evaluated at nothing older than what they had before."""
        changed_at, newest = self.state.instances.changed_at, self.window.newest
        for place in change.kept:
            changed_at[place] = max(int(changed_at[place]), int(newest[change.former[place]].max(initial=UNSET)))

    def hold_shards(self, shards: Iterable[int], now: int) -> tuple[Fill, list[int]]:
        """Evaluates the monitors of these shards from now on, and no others. Gives the places that came, at rest."""
        change = self.plan.hold(shards)
        self._follow(change)
        self._rest(change)
        return self._filling.lacking(change.series, now), change.created

    def _rest(self, change: PlanChange) -> None:
        settle(self.plan, self.state, np.array(change.kept, dtype=np.intp))
        for place in change.kept:
            self.plan.instances.live[place] = False
            self.state.instances.due[place] = NEVER
            self.state.instances.fingerprint[place] = 0
        self._adopt_orphans(change.created)

    def fill(self, fill: Fill, points: Points) -> None:
        """Takes points of the past, in their order of arrival, for the rows that lack them; see `filled`."""
        self._filling.take(fill, points)

    def filled(self, fill: Fill, seen: Sequence[bool] | Booleans) -> None:
        """Ends a fill: its points enter their rows, without being evaluated at, unless newer ones did already.

        `seen` tells for each series whether it ever had a point, be it one from the future.
        """
        self._filling.end(fill, seen, self._held.series)

    def activate(self, keys: Collection[RuleKey] | None = None, *, at_once: bool = True) -> None:
        """Lets rules, or all that there are, be evaluated whose windows are filled; `at_once` in the next step."""
        places = self.plan.places() if keys is None else self.plan.places_of(keys)
        self._enable(places)
        if at_once:
            self._touched += places.tolist()

    def activate_places(self, places: Iterable[int]) -> None:
        """Lets instances be evaluated whose windows are filled."""
        self._enable(np.fromiter(places, dtype=np.intp))

    def remove_rule(self, key: RuleKey, *, resolve_at: int | None = None) -> list[Transition]:
        """Takes a rule away. Nothing is told, since who removed it closes its alerts, unless `resolve_at` is given."""
        if key not in self.plan:
            return []
        revision = self.plan.spec(key).revision
        change = self.plan.remove_rule(key)
        resolved = [] if resolve_at is None else episodes.ended(self.plan, self.state, change, resolve_at, revision)
        self._follow(change)
        self.orphans = [one for one in self.orphans if RuleKey(one.key.tenant, one.key.rule_id) != key]
        return resolved

    def _reserve(self, size: int) -> None:
        self.window.reserve(size)
        self._filling.reserve(size)

    def _follow(self, change: PlanChange) -> None:
        """Brings window and state in line with a change of the plan."""
        instances = self.state.instances
        instances.reserve(self.plan.instances.capacity)
        for row in change.dropped:
            self.window.release(row)
            self._filling.release(row)
        for place in change.removed:
            instances.clear(place)
            self._awaited.forget(place)
            self._ahead.forget(place)
        if change.removed:
            self._touched = [place for place in self._touched if place not in change.removed]
            self.plan.free(change.removed)

    def _enable(self, places: Places) -> None:
        if not len(places):
            return
        columns, profiles, state = self.plan.instances, self.plan.profiles, self.state
        columns.live[places] = True
        numbers = np.unique(columns.profile[places])
        numbers = numbers[profiles.next_slot[numbers] == NEVER]
        profiles.next_slot[numbers] = (state.watermark // profiles.interval[numbers] + 1) * profiles.interval[numbers]
        now = np.full(len(places), state.watermark, dtype=np.int64)
        if self.plan.further_inputs:
            self._note_groups(places, newest_of_inputs(self.plan, self.window, places, now))
        schedule(self.plan, self.window, state, places, now)

    def _adopt_orphans(self, places: list[int]) -> None:
        if not self.orphans or not places:
            return
        waiting = {one.key: one for one in self.orphans}
        for place, key in zip(places, self.plan.keys_of(np.array(places)), strict=True):
            episode = waiting.pop(key, None)
            if episode:
                self.set_firing(place, episode)
        self.orphans = list(waiting.values())

    # --- episodes ---

    def set_firing(self, place: int, episode: OpenEpisode) -> None:
        """Makes an instance go on with an episode that RuleService has open."""
        episodes.go_on(self.plan, self.state, place, episode)

    def await_points(self, times: Mapping[int, int]) -> None:
        """Lets instances that were set firing, by place, pass over a replay's slots until it comes to their points.

        `times` are those of the points that their episodes come from. These may have come late: then slots that are
        later than a point were over before it came.
        """
        self._awaited.add(times)

    def await_no_more(self, now: int) -> None:
        """Ends a replay at `now`: what it hasn't come to never comes, and no episode holds off what comes from now on.

        One that fired by a clock that was ahead, and has been set back since, would do so until then (C2).
        """
        self._awaited.clear()
        changed_at = self.state.instances.changed_at
        np.minimum(changed_at, now, out=changed_at)

    def adopt(self, key: InstanceKey, episode: int, adopted: int) -> None:
        """Lets the episode of a firing instance go on under the number of the one that RuleService had open."""
        place = episodes.firing_place(self.plan, self.state, key, episode)
        if place is not None:
            self.state.instances.active_at[place] = adopted

    def silence(self, key: InstanceKey, episode: int) -> None:
        """Lets a firing instance go on without an alert, since somebody resolved that by hand."""
        place = episodes.firing_place(self.plan, self.state, key, episode)
        if place is not None:
            self.state.instances.silent[place] = True

    # --- the step ---

    def hold(self, points: Points) -> None:
        """Keeps points whose time is still to come."""
        if len(points.times):
            self._held = self._held.then(points)

    def waiting(self) -> Points:
        """The points whose time is still to come."""
        return self._held

    def next_wake(self) -> int:
        """When there is something to do even if no point comes; in the past if there is now. NEVER if never."""
        if self._touched:
            return self.state.watermark
        held = int(self._held.times.min()) if len(self._held.times) else NEVER
        return min(self.state.earliest, int(self.plan.profiles.next_slot.min()), held)

    def accept(self, points: Points, now: int, *, clock: int = 0) -> list[Transition]:
        """Takes points that came at `now`, see `advance`. What was due by then is evaluated without them, as it was if
        nothing held the evaluation up: a busy evaluator and a replay decide the same."""
        due = self.advance(NO_POINTS, now, clock=clock) if len(points.times) and self.next_wake() <= now else []
        return [*due, *self.advance(points, now, clock=clock)]

    def advance(self, points: Points, now: int, *, clock: int = 0) -> list[Transition]:
        """Takes points and evaluates at every instant up to `now`, each instance's in the order of time.

        Instants are the times of new points, the slots k × interval, and deadlines. Points from later than `now` wait.
        If `clock` is later than `now`, the evaluation is behind: once a slot has been evaluated, those that are over by
        the clock are skipped and counted, but for the last.
        Returns the transitions, by time; of one instance in order.
        """
        now = max(now, self.state.watermark)
        points = self._due(points, now)
        changes = Changes()
        distinct = are_distinct(points.series)
        places, times = pointed = self._events(*self._insert(points, now))
        places, times = self._with_touched(places, times, now)
        # With one event at most for each instance their order doesn't matter.
        single = distinct and not self._touched
        next_slot = self.plan.profiles.next_slot
        while (slot := int(next_slot.min())) <= now:
            before = times <= slot
            self._run(places[before], times[before], slot, changes, single=single)
            places, times = places[~before], times[~before]
            self._evaluate_slot(slot, changes)
            self._set_next_slot(slot, clock)
        self._run(places, times, now, changes, single=single)
        self._touched = []
        self._note_groups(*pointed)
        self.state.watermark = now
        ended, self._ended_meanwhile = self._ended_meanwhile, []
        return [*ended, *changes.transitions(self.plan, now)]

    def run_ahead(self, points: Points, now: int) -> list[Transition]:
        """Takes points that came at `now`, later than the watermark perhaps, and evaluates the instances that they are
        inputs of, each in the order of time up to its newest point: at slots, deadlines and the points themselves.

        For all others the time stays what it is. When it comes to these instants, they are over. Points from later than
        `now` are left to whoever brings that time.
        """
        rows, instants = self._insert(points.where((points.times <= now) & self.window.keeps(points.series)), now)
        positions, reached = self.plan.instances_of_series.follow(rows)
        if not len(reached):
            return []
        changes, state = Changes(), self.state
        places, times = pointed = self._events(rows, instants)
        distinct, slots = self._ahead.slots(self.plan, reached, instants[positions], state.watermark)
        # The deadlines of others aren't reached yet.
        earliest, state.earliest = state.earliest, NEVER
        self._run_agenda(np.append(places, distinct), np.append(times, slots), int(instants.max()), changes)
        state.earliest = min(state.earliest, earliest)
        self._note_groups(*pointed)
        self._ahead.note(reached, instants[positions])
        return changes.transitions(self.plan, now)

    def evaluated_to(self, place: int) -> int:
        """Up to when a place has been evaluated: ahead of the watermark where points were pushed."""
        return max(self.state.watermark, self._ahead.reached(place))

    def _run(self, places: Places, times: Int64s, until: int, changes: Changes, *, single: bool) -> None:
        """Evaluates at events and deadlines until a time."""
        state = self.state
        further = self.plan.further_inputs
        if single and (further or state.earliest <= until):
            crossed = state.instances.due[places] <= until
            if further:
                crossed |= further.have(places)
            self._run_agenda(places[crossed], times[crossed], until, changes)
            places, times = places[~crossed], times[~crossed]
        if single:
            evaluate(self.plan, self.window, state, places, times, changes)
            places, times = places[:0], times[:0]
        # What was evaluated may have got deadlines that are over already.
        if len(places) or state.earliest <= until:
            self._run_agenda(places, times, until, changes)

    def _run_agenda(self, places: Places, times: Int64s, until: int, changes: Changes) -> None:
        state, size = self.state, self.plan.size
        agenda = Agenda(state, size, places, times, until)
        while following := agenda.next_round():
            places, times = following
            # What the state has already moved past isn't undone by something older, as in a replay.
            current = times >= state.instances.changed_at[places]
            evaluate(self.plan, self.window, state, places[current], times[current], changes)
        state.earliest = min(state.earliest, int(state.instances.due[:size].min(initial=NEVER)))

    def _evaluate_slot(self, slot: int, changes: Changes) -> None:
        columns, profiles, size = self.plan.instances, self.plan.profiles, self.plan.size
        ours = profiles.next_slot == slot
        places: Places = np.flatnonzero(columns.live[:size] & (self.state.instances.changed_at[:size] <= slot))
        if not ours[: len(profiles.templates)].all():
            places = places[ours[columns.profile[places]]]
        places = self._awaited.without(self._ahead.without_done(places, slot))
        times = np.broadcast_to(np.int64(slot), len(places))
        evaluate(self.plan, self.window, self.state, places, times, changes)

    def _set_next_slot(self, slot: int, clock: int) -> None:
        profiles = self.plan.profiles
        ours = np.flatnonzero(profiles.next_slot == slot)
        intervals = profiles.interval[ours]
        following = np.maximum(slot + intervals, clock // intervals * intervals)
        skipped = (following - slot) // intervals - 1
        if skipped.any():
            self.state.missed_slots += int((skipped * self.plan.live_counts()[ours]).sum())
        profiles.next_slot[ours] = following

    def _due(self, points: Points, now: int) -> Points:
        """The points whose time has come, of rows that keep any; the future ones are held."""
        if len(self._held.times) and self._held.times.min() <= now:
            points, self._held = self._held.then(points), NO_POINTS
        if len(points.times) and points.times.max() > now:
            future = points.times > now
            self.hold(points.where(future))
            points = points.where(~future)
        kept = self.window.keeps(points.series)
        return points if kept.all() else points.where(kept)

    def _insert(self, points: Points, now: int) -> tuple[Places, Int64s]:
        """Puts points into the window. Gives rows and times of those that are evaluated at."""
        rows, times, values = points
        # Only what is later than all that a series had is evaluated at; what is late enters later windows.
        accepted = times > self.window.newest[selection(rows)]
        accepted &= self.window.insert(rows, times, values)
        accepted &= times >= now - CATCH_UP
        return (rows, times) if accepted.all() else (rows[accepted], times[accepted])

    def _events(self, rows: Places, times: Int64s) -> tuple[Places, Int64s]:
        """The instants that points cause: places, and when."""
        positions, places = self.plan.instances_of_series.follow(rows)
        times, where = times[positions], selection(places)
        wanted = self._accepts_instants(where) & (times >= self.state.instances.changed_at[where])
        return (places, times) if wanted.all() else (places[wanted], times[wanted])

    def _with_touched(self, places: Places, times: Int64s, now: int) -> tuple[Places, Int64s]:
        """Adds the instants that changes of rules cause."""
        if not self._touched:
            return places, times
        touched = np.unique(np.array(self._touched, dtype=np.intp))
        touched = touched[self._accepts_instants(touched)]
        return np.append(places, touched), np.append(times, np.full(len(touched), now))

    def _note_groups(self, places: Places, times: Int64s) -> None:
        """Keeps instances of several series from going back to a point that is late among them all."""
        if self.plan.further_inputs:
            profiles, numbers = self.plan.profiles, self.plan.instances.profile[places]
            some = profiles.joins[numbers] | (profiles.kind[numbers] == ConditionKind.ABSENCE)
            np.maximum.at(self.state.instances.changed_at, places[some], times[some])

    def _accepts_instants(self, where: Places | slice) -> Booleans:
        columns, profiles = self.plan.instances, self.plan.profiles
        if profiles.all_every_point:
            return columns.live[where]
        return np.asarray(columns.live[where] & profiles.every_point[columns.profile[where]])
