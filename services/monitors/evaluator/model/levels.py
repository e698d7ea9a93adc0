"""Levels of severity: at which one an instance is, as Kapacitor has them (L1–L3)."""

import numpy as np

from monitors.evaluator.model.arrays import Booleans, Places
from monitors.evaluator.model.condition import own_test
from monitors.evaluator.model.ladders import Levels
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.series import Floats
from monitors.evaluator.model.state import State, Status


def highest(plan: Plan, places: Places, values: Floats) -> Levels:
    """The highest level that each value enters, 0 if none does or the rule has no levels (L1)."""
    ladders, found = plan.profiles.ladders, np.zeros(len(places), dtype=np.int8)
    some = np.flatnonzero(plan.profiles.has_levels[plan.instances.profile[places]])
    places, values = places[some], values[some]
    numbers = plan.instances.profile[places]
    own = np.where(own_test(plan, places, values), ladders.own(numbers), 0)
    found[some] = np.maximum(own, ladders.entered(numbers, values))
    return found


def following(plan: Plan, state: State, places: Places, values: Floats) -> Levels:
    """The level of each instance after a value, 0 if none is left or the rule has none.

    Up at once, down only if the present level's reset holds, and then to the highest that the value enters; the resets
    of those below aren't asked (L2, L3). What is unknown leaves it as it is; from what isn't known it begins at the
    condition's own.
    """
    ladders, numbers = plan.profiles.ladders, plan.instances.profile[places]
    levels = np.zeros(len(places), dtype=np.int8)
    some = np.flatnonzero(plan.profiles.has_levels[numbers])
    places, numbers, values = places[some], numbers[some], values[some]
    entered, present = highest(plan, places, values), state.instances.level[places]
    stays = (entered < present) & ~ladders.may_leave(present, numbers, values)
    after = np.where(stays, present, entered)
    begun = np.where(present == 0, ladders.own(numbers), present)
    levels[some] = np.where(np.isnan(values), begun, after)
    return levels


def may_end(plan: Plan, places: Places, values: Floats) -> Booleans:
    """Whether no level's reset keeps it from being left."""
    profiles, numbers = plan.profiles, plan.instances.profile[places]
    ends = np.ones(len(places), dtype=np.bool_)
    some = np.flatnonzero(profiles.has_levels[numbers])
    ends[some] = profiles.ladders.may_leave_all(numbers[some], values[some])
    return ends


def settle(plan: Plan, state: State, places: Places) -> None:
    """Puts what fires at a level that its rule has: after a change of the rule, that of the condition itself stands for
    one that is gone."""
    profiles, level = plan.profiles, state.instances.level
    fires = state.instances.status[places] == Status.FIRING
    has_levels = profiles.has_levels[plan.instances.profile[places]]
    some = places[fires & has_levels]
    level[some] = profiles.ladders.remaining(level[some], plan.instances.profile[some])
    others = places[~(fires & has_levels)]
    if level[others].any():
        level[others] = 0
