"""What the conditions say: truth and value of many instances, each at its own instant."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import NEVER, UNSET, Booleans, Places, are_distinct, selection
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.profiles import Term
from monitors.evaluator.model.series import Floats, Int32s, Int64s
from monitors.evaluator.model.spec import Aggregation, ConditionKind, Function, MissingPolicy, Occurrence
from monitors.evaluator.model.state import State
from monitors.evaluator.model.statistics import numbers_of
from monitors.evaluator.model.window import Window
from monitors.mesh.times import SECOND


class Truths(NamedTuple):
    """Of each instance: whether its condition holds, and the value that decided, NaN if there is none."""

    holds: Booleans
    values: Floats

    def at(self, some: Places) -> "Truths":
        """Those of some of the instances."""
        return Truths(self.holds[some], self.values[some])


def truths(plan: Plan, window: Window, state: State, places: Places, times: Int64s) -> Truths:
    """What each place's condition says at its time."""
    columns, where = plan.instances, selection(places)
    rows = columns.series[where]
    values: Floats | None = None
    decided: list[tuple[Places | slice, Booleans]] = []
    """What isn't told by the value alone."""
    for term, some in plan.profiles.by_term(columns.profile[where]):
        if term.function is None:
            decided.append((some, _is_absent(plan, window, state, places[some], times[some])))
            continue
        if term.occurrence is None:
            found = _value(window, term, rows[some], times[some])
        else:
            occurs, found = _occurs(plan, window, term, term.occurrence, places[some], times[some])
            decided.append((some, occurs))
        if isinstance(some, slice):
            values = found
        else:
            values = np.full(len(places), np.nan) if values is None else values
            values[some] = found
    if values is None:
        values = np.full(len(places), np.nan)
    holds = compare(plan, where, values)
    for some, is_true in decided:
        holds[some] = is_true
    return Truths(holds, values)


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
    holds = values >= columns.low[where]
    holds &= values <= columns.high[where]
    if plan.profiles.outside_count:
        holds ^= columns.outside[where]
        holds &= ~np.isnan(values)
    return holds


def unknown(plan: Plan, places: Places, values: Floats) -> Booleans:
    """Whether what each place's condition says is unknown; an absence is always known."""
    nothing = np.isnan(values)
    if plan.profiles.absence_count:
        nothing &= plan.profiles.kind[plan.instances.profile[places]] != ConditionKind.ABSENCE
    return nothing


def _value(window: Window, term: Term, rows: Int32s, times: Int64s) -> Floats:
    found = _aggregate(window, term, rows, times - term.offset if term.offset else times)
    if term.function == Function.VALUE:
        return found
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if term.function == Function.AGE:
            # Whole seconds first: nanoseconds since 1970 are more than a double holds.
            return (times // SECOND - found) + times % SECOND / SECOND
        older = _aggregate(window, term, rows, times - term.offset - term.since)
        if term.function == Function.CHANGE:
            return found - older
        return np.where(older == 0, np.nan, (found - older) / np.abs(older) * 100)


def _aggregate(window: Window, term: Term, rows: Int32s, times: Int64s) -> Floats:
    latest = term.measure.aggregation == Aggregation.LATEST
    if latest or len(rows) < 2 or are_distinct(rows) or (times != times[0]).any():
        return window.aggregate(rows, term.measure, term.window, times)
    # Many rules on the same series: each aggregate is taken once.
    distinct, which = np.unique(rows, return_inverse=True)
    return window.aggregate(distinct, term.measure, term.window, times[: len(distinct)])[which]


def _occurs(
    plan: Plan, window: Window, term: Term, occurrence: Occurrence, places: Places, times: Int64s
) -> tuple[Booleans, Floats]:
    """Whether enough points compare true, and the newest number of each window."""
    holds, values = np.zeros(len(places), dtype=np.bool_), np.full(len(places), np.nan)
    rows = plan.instances.series[places]
    for part, points in window.laid_out(rows, term.window, times - term.offset):
        laid, left = numbers_of(points)
        some = part[left]
        counted = laid.counts if not occurrence.of_last else np.minimum(laid.counts, occurrence.of_last)
        from_end = (laid.starts + laid.counts)[laid.which] - np.arange(len(laid.values))
        true = compare(plan, places[some][laid.which], laid.values) & (from_end <= counted[laid.which])
        needed = np.where(occurrence.at_least, occurrence.at_least, counted)
        holds[some] = laid.total(true) >= needed
        values[some] = laid.last
    return holds, values


def newest_of_inputs(plan: Plan, window: Window, places: Places, times: Int64s) -> Int64s:
    """The time of the newest point of any input at each time, UNSET if there is none."""
    newest = window.newest_until(plan.instances.series[places], times)
    positions, rows = plan.further_inputs.follow(places)
    if len(rows):
        which = np.arange(len(places))[positions]
        np.maximum.at(newest, which, window.newest_until(rows, times[which]))
    return newest


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
    known[which_scope[~unknown(plan, members, found.values)]] = True
    others_report = known[which.reshape(-1)]
    profiles = plan.profiles
    policies = np.where(others_report, profiles.missing_series[numbers], profiles.no_data[numbers])
    # After an outage of ours nothing is known to be missing before its look-back has passed once.
    resumed_at = state.resumed_at[plan.shards_at(places)]
    grace = (resumed_at != UNSET) & (times - resumed_at < profiles.span[numbers])
    return np.where(grace, MissingPolicy.KEEP, policies), others_report
