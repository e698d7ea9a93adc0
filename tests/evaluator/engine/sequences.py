"""Sequences of events, played on the engine and on one oracle for each rule, which must agree after each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from monitors.evaluator.model.evaluation import NO_POINTS, Evaluation, Points
from monitors.evaluator.model.machine import Transition
from monitors.evaluator.model.recovery import reanchor, resume
from monitors.evaluator.model.series import Series
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, RuleKey, RuleSpec
from monitors.evaluator.model.state import Checkpoint
from tests.evaluator.engine.comparing import heard, plainly
from tests.evaluator.engine.events import (
    Appear,
    Arrive,
    Close,
    Crash,
    Event,
    Move,
    Put,
    Remove,
    Restart,
    Rows,
    Save,
    SetBack,
    Stand,
)
from tests.evaluator.engine.oracle import Identity, Oracle, Told
from tests.evaluator.engine.restarts import OpenAlerts, joined, saved_of, taken_up
from tests.evaluator.engine.scene import SECOND, START, level_of, status_of


def nanos(seconds: float) -> int:
    return round(seconds * SECOND)


@dataclass
class Member:
    """An evaluator, and the monitors for which it speaks. It is fed everything; what it says of others is dropped."""

    evaluation: Evaluation
    monitors: frozenset[str]


@dataclass
class _Saving:
    """A saved state, and what came since."""

    state: Checkpoint
    batch_count: int
    is_replayable: bool = True
    """Whether a replay must come to exactly the same: nothing came but points, and no point came late."""


@dataclass
class World:
    """The engine in one or more processes, RuleService's open alerts, the stored points, and the oracles.

    `candidates` are the series in the order in which they appear, the first `known_count` of which are known at first.
    """

    candidates: Sequence[Series]
    known_count: int
    now: int = START
    members: list[Member] = field(default_factory=list)
    oracles: dict[str, Oracle] = field(default_factory=dict)
    alerts: OpenAlerts = field(default_factory=OpenAlerts)
    told: set[tuple[str, Told]] = field(default_factory=set)
    batches: list[tuple[int, Points]] = field(default_factory=list)
    outages: list[tuple[int, int]] = field(default_factory=list)
    resumed_at: int | None = None
    saving: _Saving | None = None
    set_back_to: int = 0
    """No point comes that is older than the time to which the clock was set back."""
    revision: int = 0
    asked: bool = False
    """Whether something waits for the next step, whatever comes: rules that are new, points that had to wait."""

    def __post_init__(self) -> None:
        evaluation = Evaluation(self.now)
        evaluation.add_series(self.known)
        self.members = [Member(evaluation, frozenset(one.key.monitor for one in self.candidates))]

    @property
    def known(self) -> list[Series]:
        """The series that have appeared."""
        return list(self.candidates[: self.known_count])

    @property
    def stored(self) -> list[Points]:
        """All points, by batch."""
        return [points for _, points in self.batches]

    @property
    def specs(self) -> list[RuleSpec]:
        """The rules as they are now."""
        return [oracle.spec for oracle in self.oracles.values()]

    def play(self, event: Event) -> None:
        """Lets something happen, and compares."""
        match event:
            case Arrive(after, rows):
                self.arrive(self.now + nanos(after), rows)
            case Appear():
                self.appear()
            case Put():
                self.put(event)
            case Remove(rule_id, unusable):
                self.remove(rule_id, unusable)
            case Close(rule_id):
                self.close(rule_id)
            case Save():
                self.settle()
                self.saving = _Saving(self.state(), len(self.batches))
            case Crash(away):
                self.crash(nanos(away))
            case Restart(away, put):
                self.restart(nanos(away), put)
            case Stand(away):
                self.stand(nanos(away))
            case SetBack(by):
                self.set_back(self.now - nanos(by))
            case Move(monitor):
                self.move(monitor)
        self.compare_states()

    # --- events ---

    def arrive(self, now: int, rows: Rows) -> None:
        """Points, or the passing of time alone."""
        timed = [(index, now - nanos(age), value) for index, age, value in rows if index < self.known_count]
        listed = [row for row in timed if row[1] >= self.set_back_to]
        points = Points(
            np.array([row[0] for row in listed], dtype=np.int32),
            np.array([row[1] for row in listed], dtype=np.int64),
            np.array([row[2] for row in listed], dtype=np.float64),
        )
        if any(time <= self.now for _, time, _ in listed):
            self._spoil_replay()
        expected = {rule_id: oracle.feed(listed, now) for rule_id, oracle in self.oracles.items()}
        self.now = now
        if listed:
            self.batches.append((now, points))
        told = []
        for member in self.members:
            wake = member.evaluation.next_wake()
            mine = self._of(member, member.evaluation.advance(points, now))
            # The thread sleeps until `next_wake`: what time alone brings about must not come before it.
            assert listed or not mine or wake <= now
            told += mine
        self.asked = False
        self.compare(told, expected)

    def appear(self) -> None:
        """One more series."""
        if self.known_count == len(self.candidates):
            return
        self._spoil_replay()
        series = self.candidates[self.known_count]
        self.known_count += 1
        for oracle in self.oracles.values():
            oracle.add_series(series)
        for member in self.members:
            member.evaluation.add_series([series])

    def put(self, put: Put) -> None:
        """A new rule, or an edit."""
        self._spoil_replay()
        spec, now = self._edited(put), self.now + nanos(put.after)
        told, expected = [], {}
        oracle = self.oracles.get(spec.rule_id)
        if oracle:
            expected[spec.rule_id] = oracle.edit(spec, now)
        else:
            self.oracles[spec.rule_id] = self._new_oracle(spec)
        for member in self.members:
            fill, transitions = member.evaluation.put_rule(spec, now)
            told += self._of(member, transitions)
            for batch in self.stored:
                member.evaluation.fill(fill, batch)
            member.evaluation.filled(fill, self._seen())
            member.evaluation.activate([spec.key])
        self.asked = True
        self.compare(told, expected)

    def remove(self, rule_id: str, unusable: bool) -> None:
        """A deletion, a pause, or an edit to what can't be evaluated."""
        oracle = self.oracles.pop(rule_id, None)
        if oracle is None:
            return
        self._spoil_replay()
        nothing = replace(oracle.spec, monitor="nobody")
        expected = {rule_id: oracle.edit(nothing, self.now) if unusable else []}
        told = []
        for member in self.members:
            resolve_at = self.now if unusable else None
            told += self._of(member, member.evaluation.remove_rule(RuleKey("t", rule_id), resolve_at=resolve_at))
        self.compare(told, expected)
        self.alerts.close("t", rule_id)

    def close(self, rule_id: str) -> None:
        """A person resolves what fires: the evaluators learn of it, and go on in silence."""
        for episode in self.alerts.listed():
            if episode.key.rule_id == rule_id:
                for member in self.members:
                    member.evaluation.silence(episode.key, episode.episode)
        self.alerts.close("t", rule_id)

    def stand(self, away: int) -> None:
        """An outage without the loss of anything."""
        self._spoil_replay()
        self._be_away(away)
        self.asked = True
        for member in self.members:
            resume(member.evaluation, self.now)

    def set_back(self, now: int) -> None:
        """A clock that was wrong."""
        self._spoil_replay()
        for member in self.members:
            reanchor(member.evaluation, now)
        for oracle in self.oracles.values():
            oracle.set_back(now)
        # What had come by then and lies in the future now is forgotten; what was of the future anyway still waits.
        self.batches = [
            (min(accepted, now), points.where((points.times <= now) | (points.times > self.now)))
            for accepted, points in self.batches
        ]
        self.outages = [(min(start, now), min(end, now)) for start, end in self.outages]
        self.resumed_at = None if self.resumed_at is None else min(self.resumed_at, now)
        self.now = now
        # Whether a point of before is still evaluated at depends on points that are forgotten now.
        self.set_back_to = now

    def move(self, monitor: str) -> None:
        """Another evaluator takes up what one has saved of a monitor, and speaks for it from now on."""
        self.settle()
        for member in self.members:
            if monitor in member.monitors and len(member.monitors) > 1:
                state = saved_of(member.evaluation, [monitor])
                episodes = [one for one in self.alerts.listed() if one.key.monitor == monitor]
                other, told = taken_up(state, self.known, self.specs, self.stored, episodes)
                assert told == []
                other.await_no_more(self.now)
                other.activate([spec.key for spec in self.specs])
                for rule_id, oracle in self.oracles.items():
                    oracle.go_on(self._opened(rule_id), monitor)
                self.asked = True
                member.monitors -= {monitor}
                self.members.append(Member(other, frozenset({monitor})))
                return

    def restart(self, away: int, put: Put | None = None) -> None:
        """All that there is to know is in the saved state, the open alerts and the stored points."""
        self.settle()
        state, expected, edited = self.state(), {}, ""
        if put and put.spec.rule_id in self.oracles:
            edited = put.spec.rule_id
            told = self.oracles[edited].edit(self._edited(put), self.now)
            # What nobody has open any more needs no end.
            opened = self._opened(edited)
            expected[edited] = [one for one in told if (one[1], one[2]) in opened]
        for rule_id, oracle in self.oracles.items():
            oracle.restart(self._opened(rule_id), edited=rule_id == edited)
        evaluation, transitions = taken_up(state, self.known, self.specs, self.stored, self.alerts.listed())
        self.compare(transitions, expected)
        self._come_back(evaluation, away)

    def crash(self, away: int) -> None:
        """What came since the state was saved is replayed, and comes to what had been recorded already."""
        saving = self.saving
        if saving is None or not saving.is_replayable or (self.batches and self.batches[-1][0] != self.now):
            self.restart(away)
            return
        before = self.stored[: saving.batch_count]
        evaluation, transitions = taken_up(saving.state, self.known, self.specs, before, self.alerts.listed())
        for accepted, points in self.batches[saving.batch_count :]:
            transitions += evaluation.advance(points, accepted)
        # Nothing may have come since but time, which no point bears witness to.
        transitions += evaluation.advance(NO_POINTS, self.now)
        # A replay knows nothing of what a person closed since, and tells its end again.
        heard_again = [one for one in transitions if not self.alerts.ended_before(one)]
        assert {(one.key.rule_id, plainly(one)) for one in heard_again} <= self.told
        self.members = [Member(evaluation, frozenset(one.key.monitor for one in self.candidates))]
        self.compare_states()
        for rule_id, oracle in self.oracles.items():
            oracle.restart(self._opened(rule_id), edited=False)
        self._come_back(evaluation, away)

    # --- in common ---

    def settle(self) -> None:
        """What is to be evaluated at once has been before a state is saved, which doesn't hold it."""
        if self.asked:
            self.arrive(self.now, ())

    def state(self) -> Checkpoint:
        """What all members have saved, each of its monitors."""
        return joined([saved_of(one.evaluation, one.monitors) for one in self.members if one.monitors])

    def _come_back(self, evaluation: Evaluation, away: int) -> None:
        self._be_away(away)
        resume(evaluation, self.now)
        evaluation.await_no_more(self.now)
        evaluation.activate([spec.key for spec in self.specs])
        self.asked = True
        for rule_id, oracle in self.oracles.items():
            oracle.go_on(self._opened(rule_id))
        self.members = [Member(evaluation, frozenset(one.key.monitor for one in self.candidates))]
        self.saving = None

    def _be_away(self, away: int) -> None:
        if away:
            self.outages.append((self.now, self.now + away))
            self.now += away
            self.resumed_at = self.now
        for oracle in self.oracles.values():
            oracle.be_away(self.now)

    def _edited(self, put: Put) -> RuleSpec:
        self.revision += 1
        spec = self._changed(put)
        self.alerts.follow(spec)
        return replace(spec, revision=self.revision)

    def _changed(self, put: Put) -> RuleSpec:
        oracle = self.oracles.get(put.spec.rule_id)
        if oracle is None or not put.changed:
            return put.spec
        changes: dict[str, Any] = {name: getattr(put.spec, name) for name in put.changed}
        edited = replace(oracle.spec, **changes)
        if edited.formula is not None:
            edited = replace(edited, of_text=False, texts=())
        # Only what is compared has a value that could recover or enter a level, and only of absence any field may be
        # meant.
        if edited.kind >= ConditionKind.ABSENCE:
            return replace(edited, recover=None, levels=())
        # A text is at no level, and points that are counted have several values.
        if edited.of_text or (edited.occurrence is not None and edited.formula is None):
            edited = replace(edited, levels=())
        return edited if edited.field else replace(edited, field="cpu")

    def _new_oracle(self, spec: RuleSpec) -> Oracle:
        oracle = Oracle(spec, self.known, self.now)
        oracle.outages, oracle.resumed_at = list(self.outages), self.resumed_at
        rows = [row for points in self.stored for row in zip(*(column.tolist() for column in points), strict=True)]
        oracle.remember(rows)
        oracle.touch()
        return oracle

    def _seen(self) -> list[bool]:
        seen = {index for points in self.stored for index in points.series.tolist()}
        return [one.index in seen for one in self.known]

    def _opened(self, rule_id: str) -> dict[Identity, int]:
        listed = [one for one in self.alerts.listed() if one.key.rule_id == rule_id]
        return {(one.key.monitor, one.key.tags): one.fired_at for one in listed}

    def _spoil_replay(self) -> None:
        if self.saving:
            self.saving.is_replayable = False

    @staticmethod
    def _of(member: Member, transitions: list[Transition]) -> list[Transition]:
        return [one for one in transitions if one.key.monitor in member.monitors]

    # --- comparison ---

    def compare(self, transitions: list[Transition], expected: dict[str, list[Told]]) -> None:
        """What was told is what the oracles tell, of each instance in the same order."""
        told: dict[str, list[Told]] = {rule_id: [] for rule_id in expected}
        for one in transitions:
            told.setdefault(one.key.rule_id, []).append(plainly(one))
        for rule_id, mine in told.items():
            opened = set(self._opened(rule_id))
            assert heard(mine, opened) == heard(expected.get(rule_id, []), opened), f"of {rule_id}"
        self.told |= {(rule_id, one) for rule_id, mine in told.items() for one in mine}
        self.alerts.record(transitions)

    def compare_states(self) -> None:
        """Every instance is in the state in which its oracle is."""
        for rule_id, oracle in self.oracles.items():
            for (monitor, tags), one in oracle.instances.items():
                (member,) = [member for member in self.members if monitor in member.monitors]
                key = InstanceKey("t", rule_id, monitor, tags)
                status, level = status_of(member.evaluation, key), level_of(member.evaluation, key)
                assert (status.name.lower(), level) == (one.state, one.level), f"of {rule_id} on {monitor} {tags}"
