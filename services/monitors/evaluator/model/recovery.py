"""Going on after an interruption: what is saved, how it is taken up again, and what an outage of ours doesn't count."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import NEVER, UNSET, Booleans, Places
from monitors.evaluator.model.evaluation import Evaluation
from monitors.evaluator.model.levels import settle
from monitors.evaluator.model.machine import Transition, TransitionKind, schedule
from monitors.evaluator.model.series import Int64s
from monitors.evaluator.model.shards import ALL_SHARDS, SHARD_COUNT
from monitors.evaluator.model.spec import InstanceKey, RuleKey
from monitors.evaluator.model.state import CLOCKS, Checkpoint, Gap, OpenEpisode, SavedInstance, Status
from monitors.mesh.times import HOUR

OUTAGE_LIMIT = HOUR
"""After a longer outage what was pending starts over (R2)."""


def checkpoint(evaluation: Evaluation, batch_number: int, shards: Iterable[int] = ALL_SHARDS) -> Checkpoint:
    """The state of shards after the batch of that number was evaluated.

    It holds what doesn't rest, what fires at a level, and what changed without a point or ahead of the watermark: how
    far the others were evaluated is seen from their points. What else fires and rests is only named, since RuleService
    knows its episode.
    """
    plan, state = evaluation.plan, evaluation.state
    held = _mask(shards)
    restless, firing = (places[held[plan.shards_at(places)]] for places in _restless_and_firing(evaluation))
    gaps = tuple((gap.start, gap.end) for gap in state.gaps if (gap.shards & held).any())
    resumed_at = int(state.resumed_at[held].max(initial=UNSET))
    saved = _saved_instances(evaluation, restless)
    return Checkpoint(batch_number, state.watermark, resumed_at, gaps, saved, _names(evaluation, firing))


def checkpoints(evaluation: Evaluation, batch_number: int, shards: Iterable[int]) -> dict[int, Checkpoint]:
    """The state of each of some shards by itself; see `checkpoint`."""
    plan, state = evaluation.plan, evaluation.state
    restless, firing = (_by_shard(plan.shards_at(places), places) for places in _restless_and_firing(evaluation))
    nothing = np.empty(0, dtype=np.intp)
    return {
        shard: Checkpoint(
            batch_number,
            state.watermark,
            int(state.resumed_at[shard]),
            tuple((gap.start, gap.end) for gap in state.gaps if gap.shards[shard]),
            _saved_instances(evaluation, restless.get(shard, nothing)),
            _names(evaluation, firing.get(shard, nothing)),
        )
        for shard in shards
    }


def _restless_and_firing(evaluation: Evaluation) -> tuple[Places, Places]:
    """The places that are saved in full, and those that are named since they fire and rest."""
    plan, state, size = evaluation.plan, evaluation.state, evaluation.plan.size
    columns = state.instances
    status = columns.status[:size]
    stirring = (status == Status.PENDING) | columns.clocked[:size] | columns.silent[:size]
    newest = evaluation.window.newest[plan.instances.series[:size]]
    positions, rows = plan.further_inputs.follow(np.arange(size))
    np.maximum.at(newest, np.arange(size)[positions], evaluation.window.newest[rows])
    changed_at = columns.changed_at[:size]
    # What is evaluated again from the watermark on mustn't come to what was over before that.
    restless = stirring | (changed_at > newest) | (changed_at > state.watermark)
    if plan.profiles.level_count:
        restless |= columns.level[:size] > 0
    there = plan.instances.rule[:size] >= 0
    return np.flatnonzero(restless & there), np.flatnonzero((status == Status.FIRING) & ~restless & there)


def _by_shard(shards: NDArray[np.uint8], places: Places) -> dict[int, Places]:
    order = np.argsort(shards, kind="stable")
    numbers, starts = np.unique(shards[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(places[order], starts[1:]), strict=True)) if len(places) else {}


def _saved_instances(evaluation: Evaluation, places: Places) -> dict[InstanceKey, SavedInstance]:
    plan, columns = evaluation.plan, evaluation.state.instances
    return {
        key: SavedInstance(
            revision=revision,
            status=Status(int(columns.status[place])),
            active_at=int(columns.active_at[place]),
            fired_at=int(columns.fired_at[place]),
            false_since=int(columns.false_since[place]),
            frozen_since=int(columns.frozen_since[place]),
            missing_since=int(columns.missing_since[place]),
            changed_at=int(columns.changed_at[place]),
            level=int(columns.level[place]),
        )
        for place, key, revision in zip(places, plan.keys_of(places), plan.revisions_of(places), strict=True)
    }


def _names(evaluation: Evaluation, places: Places) -> bytes:
    return _fingerprints(evaluation, places).astype("<i8").tobytes()


def _mask(shards: Iterable[int]) -> Booleans:
    mask = np.zeros(SHARD_COUNT, dtype=np.bool_)
    mask[list(shards)] = True
    return mask


def _fingerprints(evaluation: Evaluation, places: Places) -> Int64s:
    column = evaluation.state.instances.fingerprint
    new = places[column[places] == 0]
    keys, revisions = evaluation.plan.keys_of(new), evaluation.plan.revisions_of(new)
    column[new] = [key.fingerprint(revision) for key, revision in zip(keys, revisions, strict=True)]
    return column[places]


def begin(saved: Checkpoint | None, watermark: int, evaluation: Evaluation) -> Evaluation:
    """Sets the times of an evaluation that nothing was evaluated in yet to those that were saved."""
    held = _mask(evaluation.plan.shards)
    evaluation.state.watermark = watermark
    if saved:
        evaluation.state.resumed_at[held] = saved.resumed_at
        evaluation.state.gaps = [Gap(start, end, held) for start, end in saved.gaps]
    return evaluation


def restore(
    evaluation: Evaluation, saved: Checkpoint | None, episodes: Sequence[OpenEpisode], now: int
) -> list[Transition]:
    """Takes up a saved state and the open episodes, once rules, series and windows are there; before `activate`.

    RuleService's episodes win: they were recorded, perhaps after the state was saved. An instance that was saved as
    firing without an open episode goes on in silence if its rule is the same: its alert was resolved by hand, or by a
    transition that the replay comes to again, and neither may open another. An open episode whose instance the rule has
    no more (it was edited meanwhile) resolves.
    """
    plan = evaluation.plan
    open_by_key = {one.key: one for one in episodes}
    for key, one in (saved.instances if saved else {}).items():
        place = plan.place_of(key)
        if place is None:
            continue
        if one.status is Status.FIRING and key not in open_by_key and one.revision != plan.revision_of(place):
            one = replace(one, status=Status.INACTIVE, active_at=UNSET, fired_at=UNSET, false_since=UNSET,
                          frozen_since=UNSET, missing_since=UNSET, level=0)  # fmt: skip
        episode = open_by_key.get(key)
        if episode and (
            one.status is not Status.FIRING or one.active_at != episode.episode or one.changed_at < episode.leveled_at
        ):
            one = replace(one, false_since=UNSET, frozen_since=UNSET, missing_since=UNSET)
        _put(evaluation, place, one, silent=one.status is Status.FIRING and episode is None)
    if saved and saved.firing:
        _go_on_in_silence(evaluation, np.frombuffer(saved.firing, dtype="<i8"))
    settle(plan, evaluation.state, plan.places())
    resolved, awaited = [], dict[int, int]()
    for episode in episodes:
        place = plan.place_of(episode.key)
        rule = RuleKey(episode.key.tenant, episode.key.rule_id)
        if place is not None:
            evaluation.set_firing(place, episode)
            if saved and _is_news(evaluation, place, saved.instances.get(episode.key), episode):
                awaited[place] = _begun_at(episode)
        elif rule in plan and plan.has_monitor(episode.key.tenant, episode.key.monitor):
            resolved.append(
                Transition(
                    episode.key, plan.spec(rule).revision, TransitionKind.RESOLVED, now, episode.episode, None,
                    "updated", 0,
                )
            )  # fmt: skip
        elif rule in plan:
            evaluation.orphans.append(episode)
    evaluation.await_points(awaited)
    return resolved


def _is_news(evaluation: Evaluation, place: int, one: SavedInstance | None, episode: OpenEpisode) -> bool:
    """Whether an episode may come from a point that the saved state doesn't know. What a slot found came in time."""
    begun = _begun_at(episode)
    if one and one.status is Status.FIRING and one.active_at == episode.episode and one.changed_at >= begun:
        return False
    interval = int(evaluation.plan.profiles.interval[evaluation.plan.instances.profile[place]])
    return begun < evaluation.state.watermark or begun % interval != 0


def _begun_at(episode: OpenEpisode) -> int:
    """The instant that brought about what the episode is now."""
    return episode.episode if episode.leveled_at == UNSET else episode.leveled_at


def _go_on_in_silence(evaluation: Evaluation, fingerprints: Int64s) -> None:
    """Makes the instances of these fingerprints fire without an alert; open episodes are put over that."""
    columns, plan = evaluation.state.instances, evaluation.plan
    places = plan.places()
    fires = places[np.isin(_fingerprints(evaluation, places), fingerprints)]
    columns.status[fires], columns.silent[fires] = Status.FIRING, True


def _put(evaluation: Evaluation, place: int, one: SavedInstance, *, silent: bool) -> None:
    columns = evaluation.state.instances
    columns.status[place], columns.silent[place] = one.status, silent
    columns.fired_at[place], columns.level[place] = one.fired_at, one.level
    columns.changed_at[place] = max(int(columns.changed_at[place]), one.changed_at)
    for name in CLOCKS:
        getattr(columns, name)[place] = getattr(one, name)
    columns.clocked[place] = any(getattr(one, name) != UNSET for name in CLOCKS[1:])


def resume(evaluation: Evaluation, now: int) -> None:
    """Goes on at `now` after an outage of ours since the watermark.

    The outage counts neither towards `for` nor towards keep-firing, and after more than an hour what was pending
    starts over; silence during it isn't absence; its slots are skipped and counted; firing stays firing.
    """
    state, plan = evaluation.state, evaluation.plan
    length = now - state.watermark
    if length <= 0:
        return
    stop_clocks(evaluation, np.flatnonzero(plan.instances.live[: plan.size]), length)
    skip_slots(evaluation, now)
    note_outage(evaluation, state.watermark, now)
    state.watermark = now
    _reschedule(evaluation)


def stop_clocks(evaluation: Evaluation, places: Places, length: int) -> None:
    """Lets an outage of that length count neither towards `for` nor towards keep-firing of these places. After more
    than an hour what was pending starts over."""
    columns = evaluation.state.instances
    status, running = columns.status[places], columns.frozen_since[places] == UNSET
    pending = status == Status.PENDING
    if length > OUTAGE_LIMIT:
        columns.status[places[pending]] = Status.INACTIVE
        columns.clocked[places[pending]] = False
        for name in CLOCKS:
            getattr(columns, name)[places[pending]] = UNSET
    else:
        columns.active_at[places[pending & running]] += length
    keeping = (status == Status.FIRING) & running & (columns.false_since[places] != UNSET)
    columns.false_since[places[keeping]] += length


def note_outage(evaluation: Evaluation, start: int, end: int) -> None:
    """Remembers an outage of all shards: silence during it is no absence."""
    held = _mask(evaluation.plan.shards)
    evaluation.state.add_gap(Gap(start, end, held))
    evaluation.state.resumed_at[held] = end


def skip_slots(evaluation: Evaluation, now: int) -> None:
    """Passes over the slots up to `now` and counts them (C1)."""
    plan, profiles = evaluation.plan, evaluation.plan.profiles
    some = np.flatnonzero(profiles.next_slot <= now)
    intervals = profiles.interval[some]
    skipped = now // intervals - (profiles.next_slot[some] - 1) // intervals
    evaluation.state.missed_slots += int((skipped * plan.live_counts()[some]).sum())
    profiles.next_slot[some] = (now // intervals + 1) * intervals


def reanchor(evaluation: Evaluation, now: int) -> None:
    """Goes on at `now` after the clock was set back: nothing that is remembered lies in the future (C2)."""
    state, profiles = evaluation.state, evaluation.plan.profiles
    columns = state.instances
    evaluation.window.cut(now)
    columns.changed_at[:] = np.minimum(columns.changed_at, now)
    pending = columns.status == Status.PENDING
    columns.active_at[pending] = np.minimum(columns.active_at[pending], now)
    for clock in (columns.false_since, columns.frozen_since, columns.missing_since):
        clock[:] = np.minimum(clock, now)
    state.gaps = [replace(gap, start=min(gap.start, now), end=min(gap.end, now)) for gap in state.gaps]
    state.resumed_at = np.minimum(state.resumed_at, now)
    state.watermark = now
    some = np.flatnonzero(profiles.next_slot != NEVER)
    profiles.next_slot[some] = (now // profiles.interval[some] + 1) * profiles.interval[some]
    _reschedule(evaluation)


def _reschedule(evaluation: Evaluation) -> None:
    plan, state = evaluation.plan, evaluation.state
    places = np.flatnonzero(plan.instances.live[: plan.size])
    schedule(plan, evaluation.window, state, places, np.full(len(places), state.watermark, dtype=np.int64))
