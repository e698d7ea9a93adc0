"""Going on after an interruption: what is saved, how it is taken up again, and what an outage of ours doesn't count."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitors.evaluator.model.arrays import UNSET
from monitors.evaluator.model.evaluation import Evaluation
from monitors.evaluator.model.machine import Transition, TransitionKind, schedule
from monitors.evaluator.model.spec import RuleKey
from monitors.evaluator.model.state import Checkpoint, OpenEpisode, SavedInstance, Status
from monitors.mesh.times import HOUR

OUTAGE_LIMIT = HOUR
"""After a longer outage what was pending starts over (R2)."""
_CLOCKS = ("active_at", "false_since", "frozen_since", "missing_since")


def checkpoint(evaluation: Evaluation, batch_number: int) -> Checkpoint:
    """The state after the batch of that number was evaluated.

    It holds what isn't at rest, and what came to rest without a point: how far the others were evaluated is seen from
    their points.
    """
    plan, state = evaluation.plan, evaluation.state
    columns = state.instances
    stirring = columns.status[: plan.size] != Status.INACTIVE
    without_point = columns.last_instant[: plan.size] > evaluation.window.newest[plan.instances.row[: plan.size]]
    saved = {}
    for place in np.flatnonzero(stirring | without_point).tolist():
        saved[plan.key_of(place)] = SavedInstance(
            revision=plan.spec_of(place).revision,
            status=Status(int(columns.status[place])),
            active_at=int(columns.active_at[place]),
            fired_at=int(columns.fired_at[place]),
            false_since=int(columns.false_since[place]),
            frozen_since=int(columns.frozen_since[place]),
            missing_since=int(columns.missing_since[place]),
            last_instant=int(columns.last_instant[place]),
        )
    return Checkpoint(batch_number, state.watermark, state.resumed_at, tuple(state.gaps), saved)


def restore(
    evaluation: Evaluation, saved: Checkpoint | None, episodes: Sequence[OpenEpisode], now: int
) -> list[Transition]:
    """Takes up a saved state and the open episodes, once rules, series and windows are there; before `activate`.

    RuleService's episodes win: they were recorded, perhaps after the state was saved. An instance that was saved as
    firing without an open episode goes on in silence if its rule is the same: its alert was resolved by hand, or by a
    transition that is about to be repeated, and neither may open another. An open episode whose instance the rule has
    no more (it was edited meanwhile) resolves.
    """
    plan = evaluation.plan
    open_by_key = {one.key: one for one in episodes}
    for key, one in (saved.instances if saved else {}).items():
        place = plan.place_of(key)
        if place is None:
            continue
        if one.status is Status.FIRING and key not in open_by_key and one.revision != plan.spec_of(place).revision:
            one = replace(one, status=Status.INACTIVE, active_at=UNSET, fired_at=UNSET, false_since=UNSET,
                          frozen_since=UNSET, missing_since=UNSET)  # fmt: skip
        episode = open_by_key.get(key)
        if episode and (one.status is not Status.FIRING or one.active_at != episode.episode):
            one = replace(one, false_since=UNSET, frozen_since=UNSET, missing_since=UNSET)
        _put(evaluation, place, one)
    resolved = []
    for episode in episodes:
        place = plan.place_of(episode.key)
        rule = plan.rules.get(RuleKey(episode.key.tenant, episode.key.rule_id))
        if place is not None:
            evaluation.set_firing(place, episode)
        elif rule and plan.has_monitor(episode.key.tenant, episode.key.monitor):
            resolved.append(
                Transition(
                    episode.key, rule.spec.revision, TransitionKind.RESOLVED, now, episode.episode, None, "updated", 0
                )
            )
        elif rule:
            evaluation.orphans.append(episode)
    return resolved


def _put(evaluation: Evaluation, place: int, one: SavedInstance) -> None:
    columns = evaluation.state.instances
    columns.status[place] = one.status
    columns.fired_at[place] = one.fired_at
    columns.last_instant[place] = max(int(columns.last_instant[place]), one.last_instant)
    for name in _CLOCKS:
        getattr(columns, name)[place] = getattr(one, name)


def resume(evaluation: Evaluation, now: int) -> None:
    """Goes on at `now` after an outage of ours since the watermark.

    The outage counts neither towards `for` nor towards keep-firing, and after more than an hour what was pending
    starts over; silence during it isn't absence; its slots are skipped and counted; firing stays firing.
    """
    state, plan = evaluation.state, evaluation.plan
    length = now - state.watermark
    if length <= 0:
        return
    columns, rules = state.instances, plan.instances
    places = np.flatnonzero(rules.live[: plan.size])
    status, running = columns.status[places], columns.frozen_since[places] == UNSET
    pending = status == Status.PENDING
    if length > OUTAGE_LIMIT:
        columns.status[places[pending]] = Status.INACTIVE
        for name in _CLOCKS:
            getattr(columns, name)[places[pending]] = UNSET
    else:
        columns.active_at[places[pending & running]] += length
    keeping = (status == Status.FIRING) & running & (columns.false_since[places] != UNSET)
    columns.false_since[places[keeping]] += length
    intervals = rules.interval[places]
    skipped = now // intervals - (columns.next_slot[places] - 1) // intervals
    state.missed_slots += int(np.clip(skipped, 0, None).sum())
    state.add_gap(state.watermark, now)
    state.resumed_at = state.watermark = now
    _reschedule(evaluation)


def reanchor(evaluation: Evaluation, now: int) -> None:
    """Goes on at `now` after the clock was set back: nothing that is remembered lies in the future (C2)."""
    state = evaluation.state
    columns = state.instances
    evaluation.window.cut(now)
    columns.last_instant[:] = np.minimum(columns.last_instant, now)
    pending = columns.status == Status.PENDING
    columns.active_at[pending] = np.minimum(columns.active_at[pending], now)
    for clock in (columns.false_since, columns.frozen_since, columns.missing_since):
        clock[:] = np.minimum(clock, now)
    state.gaps = [(min(start, now), min(end, now)) for start, end in state.gaps]
    state.resumed_at = min(state.resumed_at, now)
    state.watermark = now
    _reschedule(evaluation)


def _reschedule(evaluation: Evaluation) -> None:
    plan, state = evaluation.plan, evaluation.state
    places = np.flatnonzero(plan.instances.live[: plan.size])
    state.set_slots(places, plan.instances.interval[places])
    watermark = np.full(len(places), state.watermark, dtype=np.int64)
    schedule(plan, evaluation.window, state, places, watermark)
