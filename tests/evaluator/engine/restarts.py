"""Another process takes an evaluation up: from a saved state, the open episodes, and the points that were stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from monitors.evaluator.model.evaluation import Evaluation, Points
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.recovery import begin, checkpoint, restore
from monitors.evaluator.model.series import Series
from monitors.evaluator.model.shards import ALL_SHARDS, shard_of
from monitors.evaluator.model.spec import InstanceKey, RuleSpec
from monitors.evaluator.model.state import Checkpoint, OpenEpisode


@dataclass
class OpenAlerts:
    """What RuleService has open: by instance, after the transitions that were recorded there."""

    episodes: dict[InstanceKey, OpenEpisode] = field(default_factory=dict)
    known: set[tuple[InstanceKey, int, TransitionKind, int]] = field(default_factory=set)
    closed: set[tuple[InstanceKey, int]] = field(default_factory=set)
    """What was closed before its end was told."""

    def record(self, transitions: Iterable[Transition]) -> None:
        """Takes transitions in their order; one that was recorded before changes nothing."""
        for one in transitions:
            # An episode begins and ends once, but may change its level often.
            when = one.time if one.kind is TransitionKind.SEVERITY_CHANGED else 0
            if (one.key, one.episode, one.kind, when) in self.known:
                continue
            self.known.add((one.key, one.episode, one.kind, when))
            if one.kind is TransitionKind.FIRING:
                self.episodes.setdefault(one.key, OpenEpisode(one.key, one.episode, one.time, one.level))
                continue
            opened = self.episodes.get(one.key)
            if opened is None or opened.episode != one.episode:
                continue
            if one.kind is TransitionKind.RESOLVED:
                del self.episodes[one.key]
            else:
                self.episodes[one.key] = replace(opened, level=one.level, leveled_at=one.time)

    def follow(self, spec: RuleSpec) -> None:
        """An edit: alerts at levels that the rule has no more go on at its own."""
        known = {int(one.severity) for one in spec.levels} | {int(spec.severity or 0)}
        for key, one in self.episodes.items():
            if (key.tenant, key.rule_id) == spec.key and one.level not in known:
                self.episodes[key] = replace(one, level=int(spec.severity or 0))

    def close(self, tenant: str, rule_id: str) -> None:
        """Closes what a rule has open, as its deletion does."""
        gone = [key for key in self.episodes if (key.tenant, key.rule_id) == (tenant, rule_id)]
        for key in gone:
            self.closed.add((key, self.episodes.pop(key).episode))

    def ended_before(self, one: Transition) -> bool:
        """Whether this is of what was closed already, and so says nothing."""
        return one.kind is not TransitionKind.FIRING and (one.key, one.episode) in self.closed

    def listed(self) -> list[OpenEpisode]:
        """The open episodes."""
        return list(self.episodes.values())


def saved(evaluation: Evaluation, shards: Iterable[int] = ALL_SHARDS) -> Checkpoint:
    """The state of shards as it is read back from what was saved."""
    return Checkpoint.from_bytes(checkpoint(evaluation, 1, shards).to_bytes())


def saved_of(evaluation: Evaluation, monitors: Iterable[str]) -> Checkpoint:
    """The state of monitors, each of which has a shard of its own, as it is read back from what was saved."""
    return saved(evaluation, {shard_of("t", monitor) for monitor in monitors})


def joined(states: Sequence[Checkpoint]) -> Checkpoint:
    """States of different monitors, saved at one time, as one."""
    instances = {key: one for state in states for key, one in state.instances.items()}
    return replace(states[0], instances=instances, firing=b"".join(state.firing for state in states))


def taken_up(
    state: Checkpoint,
    series: Sequence[Series],
    specs: Iterable[RuleSpec],
    stored: Sequence[Points],
    episodes: Sequence[OpenEpisode] = (),
    *,
    every_seen: bool = False,
) -> tuple[Evaluation, list[Transition]]:
    """An evaluation that goes on from a state; `stored` are the batches up to it, in their order of arrival.

    With `every_seen` each series has had a point, be it one that isn't stored any more. Also returns what it tells
    about rules that were edited meanwhile.
    """
    evaluation = begin(state, state.watermark, Evaluation(state.watermark))
    evaluation.add_series(series)
    seen = np.full(len(series), every_seen, dtype=np.bool_)
    for batch in stored:
        evaluation.hold(batch.where(batch.times > state.watermark))
        seen[batch.series] = True
    keys = []
    for spec in specs:
        keys.append(spec.key)
        fill, _ = evaluation.put_rule(spec, state.watermark)
        for batch in stored:
            evaluation.fill(fill, batch)
        evaluation.filled(fill, seen)
    transitions = restore(evaluation, state, episodes, state.watermark)
    evaluation.activate(keys, at_once=False)
    return evaluation, transitions
