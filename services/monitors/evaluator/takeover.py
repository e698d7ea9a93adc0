"""Shards that come and go while everything else is evaluated on."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import numpy as np

from monitors.evaluator.core import REPLAY_OUTAGE, Core
from monitors.evaluator.history import History, goes_on_from
from monitors.evaluator.leases import LeaseChange, Leases
from monitors.evaluator.loading import Loaded, load
from monitors.evaluator.model.arrays import Booleans
from monitors.evaluator.model.arrivals import take
from monitors.evaluator.model.evaluation import NO_POINTS, Evaluation, Fill, Points
from monitors.evaluator.model.handover import begin_aside, give_up, hand_over, joined, pass_time, take_up
from monitors.evaluator.model.recovery import checkpoints, reanchor
from monitors.evaluator.model.series import Arrival, Batch
from monitors.evaluator.model.shards import shard_of
from monitors.evaluator.model.spec import RuleKey
from monitors.evaluator.model.state import Checkpoint, OpenEpisode
from monitors.evaluator.recorder import Recorder
from monitors.evaluator.saving import ShardSaver
from monitors.mesh.events import first_of
from monitors.mesh.times import now_nanos
from monitors.v1 import mesh_pb2

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

RULES_AT_ONCE = 2_000
SHARDS_AT_ONCE = 4
"""How much is done in the evaluating thread before a batch that came meanwhile has its turn."""
PAUSE = 0.5


@dataclass
class _Aside:
    """Shards that are taken over together, since they were saved together, and their evaluation."""

    number: int
    """The last batch that it contains."""
    epochs: dict[int, int]
    """The leases under which their states were loaded."""
    evaluation: Evaluation
    states: dict[int, Checkpoint]
    episodes: list[OpenEpisode]


class ShardFollower:
    """Takes over, gives up and gives back shards as the leases change. `shards` are those that are evaluated.

    A shard comes in three moves: an evaluation of its own begins from the saved state, catches up from the history with
    what has been evaluated of the other shards, and is moved over to them between two batches. Batches that come wait
    for none of that.
    """

    def __init__(
        self,
        rules: "RuleServiceAsyncStub",
        core: Core,
        leases: Leases,
        recorder: Recorder,
        saver: ShardSaver,
        history: History,
    ) -> None:
        self.shards: set[int] = set()
        self._rules, self._core, self._leases, self._recorder = rules, core, leases, recorder
        self._saver, self._history = saver, history

    async def run(self, one_at_a_time: asyncio.Lock) -> None:
        """Follows the leases for ever; no rules may change while `one_at_a_time` is held."""
        async for change in self._leases.changes():
            async with one_at_a_time:
                await self._follow(change)

    async def _follow(self, change: LeaseChange) -> None:
        if change.lost:
            await self._lose(change.lost)
        wanted = change.wanted_back & self._leases.held.keys()
        if wanted:
            await self._give_back(wanted)
        gained = change.gained - wanted
        if gained:
            await self._take_over(gained)

    # --- what goes ---

    async def _lose(self, shards: Collection[int]) -> None:
        ours = self.shards & set(shards)
        self.shards -= ours
        if ours:
            log.warning("%d shards were lost to another evaluator", len(ours))
            await self._core.call(lambda evaluation: give_up(evaluation, ours))
        await self._recorder.drop(shards)

    async def _give_back(self, shards: Collection[int]) -> None:
        """Gives shards to others once everything that was decided about them is recorded and saved."""
        ours, core = self.shards & set(shards), self._core
        epochs = self._saver.leases_of(ours)

        def part(evaluation: Evaluation) -> dict[int, Checkpoint]:
            core.advance()
            states = checkpoints(evaluation, core.progress.batch_number, ours)
            give_up(evaluation, ours)
            return states

        if ours:
            states = await core.call(part)
            self.shards -= ours
            # What is lost while RuleService is away is somebody else's, who has its former state.
            while self._saver.leases_of(ours) and not await self._saver.save_states(states, epochs):
                await first_of(self._leases.renewed.upcoming, within=PAUSE)
        log.info("giving %d shards back", len(shards))
        # What RuleService can't be told now, the next heartbeat tells it.
        with suppress(grpc.aio.AioRpcError):
            await self._leases.release(shards)

    # --- what comes ---

    async def _take_over(self, shards: Collection[int]) -> None:
        epochs: dict[int, int] = {}

        def current() -> list[mesh_pb2.ShardLease]:
            nonlocal epochs
            epochs = self._saver.leases_of(shards)
            return [mesh_pb2.ShardLease(shard=shard, epoch=epoch) for shard, epoch in epochs.items()]

        loaded = await load(self._rules, current)
        newest = await self._history.newest_batch()
        await self._save_beginnings(loaded, epochs)
        for (number, watermark), group in self._groups(loaded, epochs, newest).items():
            aside = await self._core.call(lambda main: _aside(main, loaded, group, number, watermark))  # noqa: B023
            await self._begin(aside)
            await self._move(aside)
        # A crash from now on is to go on from here.
        self._saver.hurry()

    async def _save_beginnings(self, loaded: Loaded, epochs: dict[int, int]) -> None:
        """Saves of shards that have no state where they begin, so that even a crash before their first state is saved
        leaves nothing unevaluated."""

        def beginning(main: Evaluation) -> Checkpoint:
            return Checkpoint(self._core.progress.batch_number, main.state.watermark)

        fresh = epochs.keys() - loaded.states.keys()
        if fresh:
            state = await self._core.call(beginning)
            loaded.states.update(dict.fromkeys(fresh, state))
            await self._saver.save_states(dict.fromkeys(fresh, state), epochs)

    def _groups(
        self, loaded: Loaded, epochs: Mapping[int, int], newest: int
    ) -> Mapping[tuple[int, int], dict[int, int]]:
        """The shards with their epochs by what they go on from: a batch, and a time."""
        now, by_start = now_nanos(), defaultdict[tuple[int, int], dict[int, int]](dict)
        for shard, epoch in epochs.items():
            by_start[goes_on_from(self._history, loaded.states[shard], newest, now)][shard] = epoch
        return by_start

    async def _begin(self, aside: _Aside) -> None:
        """Gives it rules, points and state."""
        core, evaluation = self._core, aside.evaluation
        # Of a million rules few are about these shards: to take them all would take longer than a lease.
        keys = await core.call(lambda main: main.plan.rules_on(evaluation.plan.shards))
        fill = Fill(np.empty(0, dtype=np.intp), evaluation.state.watermark)
        for start in range(0, len(keys), RULES_AT_ONCE):
            page = keys[start : start + RULES_AT_ONCE]
            fill = joined(fill, await core.call(lambda main, page=page: _put_rules(main, evaluation, page)))  # type: ignore[misc]
        if len(fill.rows):
            async for batch in self._history.read_window(fill.oldest, aside.number):
                await self._know_series(evaluation, batch)
                await core.call(lambda _, batch=batch: _fill(evaluation, fill, batch))  # type: ignore[misc]

        def take() -> None:
            evaluation.filled(fill, self._seen(evaluation))
            core.tell(take_up(evaluation, aside.states, aside.episodes, evaluation.state.watermark))

        await core.call(lambda _: take())
        self._saver.note_loaded(dict.fromkeys(aside.epochs, aside.number))

    async def _move(self, aside: _Aside) -> None:
        """Moves its shards over one after the other, each when it has caught up."""
        left = set(aside.epochs)
        while left:
            await self._catch_up(aside)
            current = self._saver.leases_of(left)
            lost = {shard for shard in left if current.get(shard) != aside.epochs[shard]}
            part = set(sorted(left - lost)[:SHARDS_AT_ONCE])
            moved = await self._core.call(lambda main: self._switch(main, aside, part, lost))  # noqa: B023
            left -= lost
            if moved:
                left -= part
                self.shards |= part

    async def _catch_up(self, aside: _Aside) -> None:
        """Evaluates what has been evaluated of the other shards."""
        # It may get ahead of them by batches that are on their way there: what comes both ways is taken once.
        async for batch in self._history.batches_after(aside.number):
            await self._know_series(aside.evaluation, batch)
            await self._core.call(lambda _, batch=batch: self._replay(aside, batch))  # type: ignore[misc]

    def _replay(self, aside: _Aside, batch: Batch) -> None:
        if batch.arrival is Arrival.PUSHED:
            pass_time(aside.evaluation, batch.accepted_at, self._core.evaluating_since, REPLAY_OUTAGE)
        self._core.tell(take(aside.evaluation, batch))
        aside.number = batch.number

    def _switch(self, main: Evaluation, aside: _Aside, part: set[int], lost: set[int]) -> bool:
        """Moves shards over if nothing has come meanwhile. In the evaluating thread."""
        core = self._core
        give_up(aside.evaluation, lost)
        if aside.number < core.progress.batch_number:
            return False
        now = core.advance(aside.evaluation.state.watermark)
        if now < aside.evaluation.state.watermark:
            reanchor(aside.evaluation, now)
        aside.evaluation.await_no_more(max(now, now_nanos()))
        pass_time(aside.evaluation, now, core.evaluating_since, REPLAY_OUTAGE)
        core.tell(aside.evaluation.advance(NO_POINTS, now))
        hand_over(aside.evaluation, main, part, self._seen(aside.evaluation))
        return True

    async def _know_series(self, evaluation: Evaluation, batch: Batch) -> None:
        if len(batch.series) and int(batch.series.max()) >= len(evaluation.plan.series):
            series = await self._history.series()
            await self._core.call(lambda _: evaluation.add_series(series))

    def _seen(self, evaluation: Evaluation) -> Booleans:
        """Which of its series have ever had a point; those that the core hasn't heard of have one in the history."""
        seen = self._core.seen()
        unheard = max(0, len(evaluation.plan.series) - len(seen))
        return np.append(seen, np.full(unheard, self._history.reported is None))


def _aside(main: Evaluation, loaded: Loaded, epochs: dict[int, int], number: int, watermark: int) -> _Aside:
    """An evaluation of these shards, which go on from there. In the evaluating thread."""
    states = {shard: state for shard, state in loaded.states.items() if shard in epochs}
    episodes = [one for one in loaded.episodes if shard_of(one.key.tenant, one.key.monitor) in epochs]
    return _Aside(number, epochs, begin_aside(main, states, epochs, watermark), states, episodes)


def _put_rules(main: Evaluation, evaluation: Evaluation, keys: Collection[RuleKey]) -> Fill:
    fill, _ = evaluation.put_rules([main.plan.spec(key) for key in keys], evaluation.state.watermark)
    return fill


def _fill(evaluation: Evaluation, fill: Fill, batch: Batch) -> None:
    points = Points(batch.series, batch.times, batch.values)
    evaluation.fill(fill, points)
    evaluation.hold(points.where(points.times > evaluation.state.watermark))
