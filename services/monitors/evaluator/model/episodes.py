"""Episodes of instances that RuleService knows: how they go on, and how they end because a rule was changed."""

import numpy as np

from monitors.evaluator.model.instances import PlanChange
from monitors.evaluator.model.levels import settle
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.spec import InstanceKey
from monitors.evaluator.model.state import OpenEpisode, State, Status


def go_on(plan: Plan, state: State, place: int, episode: OpenEpisode) -> None:
    """Makes an instance go on with an episode that RuleService has open."""
    instances = state.instances
    instances.status[place] = Status.FIRING
    instances.active_at[place] = episode.episode
    instances.fired_at[place] = episode.fired_at
    instances.silent[place] = False
    # A point that is replayed can't undo what came after it.
    instances.changed_at[place] = max(int(instances.changed_at[place]), episode.changed_at)
    if plan.profiles.level_count:
        instances.level[place] = episode.level
        settle(plan, state, np.array([place]))


def firing_place(plan: Plan, state: State, key: InstanceKey, episode: int) -> int | None:
    """The place of an instance if it's firing, in that episode."""
    place, instances = plan.place_of(key), state.instances
    if place is None or instances.status[place] != Status.FIRING or instances.active_at[place] != episode:
        return None
    return place


def ended(plan: Plan, state: State, change: PlanChange, now: int, revision: int | None = None) -> list[Transition]:
    """The ends of the firing instances that a change removes, of a rule in that revision or in the present one."""
    instances, ends = state.instances, []
    for place, key in change.removed.items():
        if instances.status[place] == Status.FIRING and not instances.silent[place]:
            told = plan.revision_of(place) if revision is None else revision
            episode = int(instances.active_at[place])
            ends.append(Transition(key, told, TransitionKind.RESOLVED, now, episode, None, "updated", 0))
    return ends
