"""What the conditions say: truth and value of many instances, each at its own instant."""

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import UNSET, Booleans, Places
from monitors.evaluator.model.plan import Instances, Plan
from monitors.evaluator.model.series import Floats, Int64s
from monitors.evaluator.model.spec import ConditionKind, MissingPolicy, Operator
from monitors.evaluator.model.state import State, Truth
from monitors.evaluator.model.window import Window

Truths = NDArray[np.int8]


def truths(plan: Plan, window: Window, state: State, places: Places, times: Int64s) -> tuple[Truths, Floats]:
    """The truth of each place's condition at its time, and the value that it was decided by (NaN if there is none)."""
    columns = plan.instances
    absence = columns.kind[places] == ConditionKind.ABSENCE
    if not absence.any():
        return _of_values(columns, window, places, times)
    result = np.empty(len(places), dtype=np.int8)
    values = np.full(len(places), np.nan)
    ordinary = ~absence
    result[ordinary], values[ordinary] = _of_values(columns, window, places[ordinary], times[ordinary])
    result[absence] = _of_absence(columns, window, state, places[absence], times[absence])
    return result, values


def _of_values(columns: Instances, window: Window, places: Places, times: Int64s) -> tuple[Truths, Floats]:
    values = window.aggregate(columns.row[places], columns.aggregation[places], columns.window[places], times)
    low = columns.low[places]
    holds = np.zeros(len(places), dtype=np.bool_)
    ranged = columns.kind[places] == ConditionKind.RANGE
    some = np.flatnonzero(ranged)
    if len(some):
        inside = (values[some] >= low[some]) & (values[some] <= columns.high[places[some]])
        holds[some] = inside != columns.outside[places[some]]
    operators = np.where(ranged, 0, columns.operator[places])
    for operator in np.unique(operators):
        if operator:
            some = np.flatnonzero(operators == operator)
            holds[some] = _compare(int(operator), values[some], low[some], columns.tolerance[places[some]])
    # Not a number is unknown, whatever the operator makes of it (T7).
    return np.where(np.isnan(values), Truth.UNKNOWN, holds).astype(np.int8), values


def _compare(operator: int, values: Floats, thresholds: Floats, tolerances: Floats) -> Booleans:
    match operator:
        case Operator.GREATER:
            return np.asarray(values > thresholds)
        case Operator.GREATER_OR_EQUAL:
            return np.asarray(values >= thresholds)
        case Operator.LESS:
            return np.asarray(values < thresholds)
        case Operator.LESS_OR_EQUAL:
            return np.asarray(values <= thresholds)
    equal = np.asarray(np.abs(values - thresholds) <= tolerances)
    return equal if operator == Operator.EQUAL else ~equal


def _of_absence(columns: Instances, window: Window, state: State, places: Places, times: Int64s) -> Truths:
    newest = window.newest_until(columns.row[places], times)
    seen = newest != UNSET
    silence = times - np.where(seen, newest, times)
    holds: Booleans = seen & (silence - state.outage_since(newest) > columns.absent_for[places])
    return holds.astype(np.int8)


def absence_due(plan: Plan, window: Window, state: State, places: Places, times: Int64s) -> Int64s:
    """When each absence becomes true unless a point comes: strictly after its duration (M8)."""
    newest = window.newest_until(plan.instances.row[places], times)
    due = newest + plan.instances.absent_for[places] + state.outage_since(newest) + 1
    return np.where(newest == UNSET, np.iinfo(np.int64).max, due)


def unknown_policies(
    plan: Plan, window: Window, state: State, places: Places, times: Int64s
) -> tuple[NDArray[np.int32], Booleans]:
    """For instances whose condition is unknown: the policy that applies, and whether others of its scope report."""
    columns = plan.instances
    pairs = np.stack([columns.scope[places].astype(np.int64), times])
    scopes, which = np.unique(pairs, axis=1, return_inverse=True)
    positions, members = plan.instances_of_scope.follow(scopes[0])
    live = columns.live[members]
    positions, members = positions[live], members[live]
    truth, _ = truths(plan, window, state, members, scopes[1][positions])
    known = np.zeros(scopes.shape[1], dtype=np.bool_)
    known[positions[truth != Truth.UNKNOWN]] = True
    others_report = known[which.reshape(-1)]
    policies = np.where(others_report, columns.missing_series[places], columns.no_data[places])
    if state.resumed_at == UNSET:
        return policies, others_report
    # After an outage of ours nothing is known to be missing before its look-back has passed once.
    grace = times - state.resumed_at < columns.window[places]
    return np.where(grace, MissingPolicy.KEEP, policies), others_report
