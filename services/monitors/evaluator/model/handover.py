"""Shards that come from another evaluator: evaluated aside until they have caught up, then moved over in one go."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from monitors.evaluator.model.arrays import Booleans
from monitors.evaluator.model.evaluation import Evaluation, Fill, Points
from monitors.evaluator.model.machine import Transition
from monitors.evaluator.model.recovery import restore, resume
from monitors.evaluator.model.shards import SHARD_COUNT, shard_of
from monitors.evaluator.model.state import GAP_LIMIT, Checkpoint, Gap, InstanceStates, OpenEpisode


def begin_aside(
    main: Evaluation, states: Mapping[int, Checkpoint], shards: Iterable[int], watermark: int
) -> Evaluation:
    """An evaluation of these shards alone, whose times are those that were saved of each of them. It knows the series
    that the other one knows."""
    aside = Evaluation(watermark, shards, capacity=main.capacity, monitors=main.plan.monitors.copy())
    gaps: dict[tuple[int, int], Booleans] = {}
    for shard, saved in states.items():
        aside.state.resumed_at[shard] = saved.resumed_at
        for span in saved.gaps:
            gaps.setdefault(span, np.zeros(SHARD_COUNT, dtype=np.bool_))[shard] = True
    aside.state.gaps = _newest_gaps([Gap(*span, mask) for span, mask in gaps.items()])
    return aside


def take_up(
    aside: Evaluation, states: Mapping[int, Checkpoint], episodes: Sequence[OpenEpisode], now: int
) -> list[Transition]:
    """Restores what was saved of its shards and lets them be evaluated, once rules, series and windows are there."""
    saved = Checkpoint(
        0,
        aside.state.watermark,
        instances={key: one for state in states.values() for key, one in state.instances.items()},
        firing=b"".join(state.firing for state in states.values()),
    )
    transitions = restore(aside, saved, episodes, now)
    aside.activate(at_once=False)
    return transitions


def joined(one: Fill, other: Fill) -> Fill:
    """What two changes lack together."""
    return Fill(np.union1d(one.rows, other.rows), min(one.oldest, other.oldest))


def pass_time(aside: Evaluation, until: int, witnessed_since: int, outage: int) -> None:
    """Takes the time from its watermark to `until` as an outage as far as nobody evaluated then.

    `witnessed_since` is when the evaluation that it is for began to see everything that comes: silence since then, and
    silence of less than `outage`, is what the data's senders did.
    """
    unseen = min(until, witnessed_since)
    if unseen > aside.state.watermark + outage:
        resume(aside, unseen)


def hand_over(aside: Evaluation, main: Evaluation, shards: Collection[int], seen: Booleans) -> None:
    """Moves shards with their windows and states from one evaluation to another that is evaluated up to the same time.

    `seen` tells for each series whether it ever had a point. What they have in the end is what they would have if the
    other had evaluated the shards from the beginning.
    """
    now = main.state.watermark
    main.add_series(aside.plan.series[len(main.plan.series) :])
    fill, created = main.hold_shards(main.plan.shards | set(shards), now)
    main.fill(fill, Points(*aside.window.points_of(fill.rows)))
    waiting = aside.waiting()
    main.hold(waiting.where(_is_of(main, waiting, shards)))
    main.filled(fill, seen)
    _copy_states(aside, main, created)
    _copy_outages(aside, main, shards)
    main.orphans += [one for one in aside.orphans if _shard(one) in shards]
    main.state.missed_slots += aside.state.missed_slots
    aside.state.missed_slots = 0
    main.activate_places(created)
    give_up(aside, shards)


def give_up(evaluation: Evaluation, shards: Collection[int]) -> None:
    """Evaluates shards no more, and forgets all about them."""
    evaluation.hold_shards(evaluation.plan.shards - set(shards), evaluation.state.watermark)
    evaluation.orphans = [one for one in evaluation.orphans if _shard(one) not in shards]


def _copy_states(aside: Evaluation, main: Evaluation, created: list[int]) -> None:
    keys = main.plan.keys_of(np.array(created, dtype=np.intp))
    found = [(place, aside.plan.place_of(key)) for place, key in zip(created, keys, strict=True)]
    pairs = np.array([pair for pair in found if pair[1] is not None], dtype=np.intp).reshape(-1, 2)
    for name in InstanceStates.LAYOUT:
        getattr(main.state.instances, name)[pairs[:, 0]] = getattr(aside.state.instances, name)[pairs[:, 1]]


def _copy_outages(aside: Evaluation, main: Evaluation, shards: Collection[int]) -> None:
    moved = np.zeros(SHARD_COUNT, dtype=np.bool_)
    moved[list(shards)] = True
    main.state.resumed_at[moved] = aside.state.resumed_at[moved]
    # What is remembered of them from before they were somebody else's is out of date.
    gaps = [replace(gap, shards=gap.shards & ~moved) for gap in main.state.gaps]
    for gap in aside.state.gaps:
        same = next((at for at, one in enumerate(gaps) if (one.start, one.end) == (gap.start, gap.end)), None)
        if same is None:
            gaps.append(replace(gap, shards=gap.shards & moved))
        else:
            gaps[same] = replace(gap, shards=gaps[same].shards | (gap.shards & moved))
    main.state.gaps = _newest_gaps(gaps)


def _newest_gaps(gaps: Iterable[Gap]) -> list[Gap]:
    return sorted((gap for gap in gaps if gap.shards.any()), key=lambda gap: (gap.end, gap.start))[-GAP_LIMIT:]


def _is_of(evaluation: Evaluation, points: Points, shards: Collection[int]) -> Booleans:
    ours = np.zeros(SHARD_COUNT, dtype=np.bool_)
    ours[list(shards)] = True
    known = points.series < len(evaluation.plan.series)
    wanted = known.copy()
    wanted[known] = ours[evaluation.plan.monitors.shards_of_series(points.series[known])]
    return wanted


def _shard(episode: OpenEpisode) -> int:
    return shard_of(episode.key.tenant, episode.key.monitor)
