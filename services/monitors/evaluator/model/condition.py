"""What the conditions say: truth and value of many instances, each at its own instant."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import NEVER, UNSET, Booleans, Places, selection
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.programs import Program, Scenery
from monitors.evaluator.model.reading import Term
from monitors.evaluator.model.series import Floats, Int64s
from monitors.evaluator.model.spec import MissingPolicy
from monitors.evaluator.model.state import State
from monitors.evaluator.model.terms import occurs, value_of, within
from monitors.evaluator.model.window import Window


class Truths(NamedTuple):
    """Of each instance: whether its condition holds, the value that decided, NaN if there is none, and whether what it
    says is unknown."""

    holds: Booleans
    values: Floats
    unknown: Booleans

    @classmethod
    def empty(cls, count: int) -> "Truths":
        """Room for so many."""
        return cls(np.empty(count, dtype=np.bool_), np.empty(count), np.empty(count, dtype=np.bool_))

    def at(self, some: Places) -> "Truths":
        """Those of some of the instances."""
        return Truths(self.holds[some], self.values[some], self.unknown[some])

    def put(self, some: Places | slice, found: "Truths") -> None:
        """Sets those of some of the instances."""
        for column, new in zip(self, found, strict=True):
            column[some] = new


def truths(plan: Plan, window: Window, state: State, places: Places, times: Int64s) -> Truths:
    """What each place's condition says at its time."""
    columns, where = plan.instances, selection(places)
    values: Floats | None = None
    decided: list[tuple[Places | slice, Truths]] = []
    """What isn't told by the value alone."""
    for what, some in plan.profiles.by_term(columns.profile[where]):
        if isinstance(what, Term) and what.occurrence is None:
            found = value_of(window, what, columns.series[where][some], times[some])
        elif isinstance(what, Program) and not what.is_condition:
            found = what.values(scenery(plan, window, state), columns.row[where][some], times[some])
        else:
            decision = _decide(plan, window, state, what, places[some], times[some])
            decided.append((some, decision))
            found = decision.values
        if isinstance(some, slice):
            values = found
        else:
            values = np.full(len(places), np.nan) if values is None else values
            values[some] = found
    if values is None:
        values = np.full(len(places), np.nan)
    result = Truths(compare(plan, where, values), values, np.isnan(values))
    for some, decision in decided:
        result.put(some, decision)
    return result


def compare(plan: Plan, where: Places | slice, values: Floats) -> Booleans:
    """Whether each value is what its place's rule asks for, at any level."""
    holds = own_test(plan, where, values)
    if plan.profiles.level_count:
        numbers = plan.instances.profile[where]
        some = np.flatnonzero(plan.profiles.has_levels[numbers])
        holds[some] |= plan.profiles.ladders.entered(numbers[some], values[some]) > 0
    return holds


def own_test(plan: Plan, where: Places | slice, values: Floats) -> Booleans:
    """Whether each value passes the test of its place's condition. Not a number never does, whatever the operator
    (T7)."""
    columns = plan.instances
    outside = columns.outside[where] if plan.profiles.outside_count else False
    return within(values, columns.low[where], columns.high[where], outside)


def _decide(
    plan: Plan, window: Window, state: State, what: Term | Program | None, places: Places, times: Int64s
) -> Truths:
    columns = plan.instances
    if what is None:
        # An absence is always known.
        holds = _is_absent(plan, window, state, places, times)
        return Truths(holds, np.full(len(places), np.nan), np.zeros(len(places), dtype=np.bool_))
    if isinstance(what, Program):
        found = what.truths(scenery(plan, window, state), columns.row[places], times)
        return Truths(found.holds, found.values, found.unknown)
    bounds = columns.low[places], columns.high[places], columns.outside[places]
    holds, values = occurs(window, what, columns.series[places], times, *bounds)
    return Truths(holds, values, np.isnan(values))


def scenery(plan: Plan, window: Window, state: State) -> Scenery:
    """What the programs of a plan look at."""

    def outage_since(newest: Int64s, series: Places) -> Int64s:
        return state.outage_since(newest, plan.monitors.shards_of_series(series))

    return Scenery(window, outage_since)


def newest_of_inputs(plan: Plan, window: Window, places: Places, times: Int64s) -> Int64s:
    """The time of the newest point of any input at each time, UNSET if there is none."""
    newest = window.newest_until(plan.instances.series[places], times)
    if plan.bindings.bare:
        newest[np.isin(places, list(plan.bindings.bare))] = UNSET
    positions, rows = plan.further_inputs.follow(places)
    if len(rows):
        which = np.arange(len(places))[positions]
        np.maximum.at(newest, which, window.newest_until(rows, times[which]))
    return newest


def inputs_of(plan: Plan, place: int) -> Places:
    """The series that an instance reads."""
    where = np.array([place])
    own = where[:0] if place in plan.bindings.bare else plan.instances.series[where]
    return np.append(own, plan.further_inputs.follow(where)[1]).astype(np.intp)


def _is_absent(plan: Plan, window: Window, state: State, places: Places, times: Int64s) -> Booleans:
    newest = newest_of_inputs(plan, window, places, times)
    seen = newest != UNSET
    silence = times - np.where(seen, newest, times)
    away = state.outage_since(newest, plan.shards_at(places))
    absent_for = plan.profiles.absent_for[plan.instances.profile[places]]
    return np.asarray(seen & (silence - away > absent_for))


def absence_due(plan: Plan, window: Window, state: State, places: Places, times: Int64s) -> Int64s:
    """When each absence becomes true unless a point comes: strictly after its duration (M8)."""
    newest = newest_of_inputs(plan, window, places, times)
    absent_for = plan.profiles.absent_for[plan.instances.profile[places]]
    due = newest + absent_for + state.outage_since(newest, plan.shards_at(places)) + 1
    return np.where(newest == UNSET, NEVER, due)


def silence_due(plan: Plan, window: Window, state: State, places: Places, times: Int64s) -> Int64s:
    """When something that a place's formula asks about falls silent next, unless a point comes."""
    due, view = np.full(len(places), NEVER, dtype=np.int64), scenery(plan, window, state)
    for what, some in plan.profiles.by_term(plan.instances.profile[places]):
        if isinstance(what, Program):
            due[some] = what.due(view, plan.instances.row[places[some]], times[some])
    return due


def recovered(plan: Plan, places: Places, values: Floats) -> Booleans:
    """Whether what says that firing ends holds; where there is no such clause, True. Levels have their own."""
    profiles, numbers = plan.profiles, plan.instances.profile[places]
    inside = (values >= profiles.recover_low[numbers]) & (values <= profiles.recover_high[numbers])
    return np.asarray(~profiles.recovers[numbers] | (inside ^ profiles.recover_outside[numbers]))


def unknown_policies(
    plan: Plan, window: Window, state: State, places: Places, times: Int64s
) -> tuple[NDArray[np.int32], Booleans]:
    """For instances whose condition is unknown: the policy that applies, and whether others of its scope report."""
    columns, numbers = plan.instances, plan.instances.profile[places]
    pairs = np.stack([columns.scope[places].astype(np.int64), times])
    scopes, which = np.unique(pairs, axis=1, return_inverse=True)
    positions, members = plan.instances_of_scope.follow(scopes[0])
    which_scope = np.arange(scopes.shape[1])[positions]
    live = columns.live[members]
    which_scope, members = which_scope[live], members[live]
    found = truths(plan, window, state, members, scopes[1][which_scope])
    known = np.zeros(scopes.shape[1], dtype=np.bool_)
    known[which_scope[~found.unknown]] = True
    others_report = known[which.reshape(-1)]
    profiles = plan.profiles
    policies = np.where(others_report, profiles.missing_series[numbers], profiles.no_data[numbers])
    # After an outage of ours nothing is known to be missing before its look-back has passed once.
    resumed_at = state.resumed_at[plan.shards_at(places)]
    grace = (resumed_at != UNSET) & (times - resumed_at < profiles.span[numbers])
    return np.where(grace, MissingPolicy.KEEP, policies), others_report
