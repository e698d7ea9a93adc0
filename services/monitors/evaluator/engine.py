"""The engine: follows the rules and the data, decides in its thread, and has RuleService record what was decided."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import grpc

from monitors.evaluator.core import Core
from monitors.evaluator.leases import CALL_TIMEOUT, Leases
from monitors.evaluator.model.evaluation import AMPLE, Capacity, Evaluation, Fill, Points
from monitors.evaluator.model.machine import Transition
from monitors.evaluator.model.recovery import begin, checkpoint, restore
from monitors.evaluator.model.series import Batch, Series
from monitors.evaluator.model.spec import InstanceKey
from monitors.evaluator.model.state import Checkpoint, OpenEpisode
from monitors.evaluator.recorder import Recorder
from monitors.evaluator.translate import to_open_episode
from monitors.evaluator.watch import RuleChanges, RuleWatch
from monitors.mesh.times import now_nanos, to_timestamp
from monitors.v1 import mesh_pb2
from monitors.v1 import rule_service_pb2 as pb

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

STATE_SHARD = 0
"""One evaluator holds all shards, and saves one state for all of them under this one."""
SAVE_INTERVAL = 5.0
IDLE_SAVE_INTERVAL = 15.0
"""How often the state is saved if only time has passed: what passed unsaved counts as an outage after a crash."""
FAREWELL_TIMEOUT = 2.0


class History(Protocol):
    """The stored points, as the engine needs them."""

    async def series(self) -> list[Series]:
        """All series, by index."""

    async def newest_batch(self) -> int:
        """The number of the last batch, 0 if there is none."""

    def batches_after(self, number: int) -> AsyncIterator[Batch]:
        """All batches later than `number`, in order."""

    def read_window(
        self, oldest: int, newest_batch: int, series: Collection[int] | None = None
    ) -> AsyncIterator[Batch]:
        """The points of time `oldest` and later from the batches up to `newest_batch`, in order of arrival.

        Only those of the series with these indexes, if they're given.
        """


@dataclass(frozen=True)
class EngineStatus:
    """How the engine fares. Times and durations are nanoseconds."""

    rule_count: int
    instance_count: int
    evaluated_to: int
    last_step_duration: int
    missed_slots: int
    unrecorded_transitions: int
    shard_count: int
    problems: list[str]


@dataclass(frozen=True)
class _Saved:
    state: Checkpoint | None
    episodes: list[OpenEpisode]


class Engine:
    """Evaluates all rules. `run` does everything; `add_series` and `push` feed it from the loop that it runs on.

    What it decides is told to RuleService and kept until it is recorded there. Its state is saved with the number of
    the last batch whose transitions have been recorded, so that after a crash the later batches are evaluated again
    and come to the same.
    """

    def __init__(
        self,
        rules: "RuleServiceAsyncStub",
        history: History,
        closing: asyncio.Event,
        address: str,
        *,
        capacity: Capacity = AMPLE,
    ) -> None:
        self.ready = asyncio.Event()
        self.saved_batch = 0
        """No batch up to this one is ever evaluated again: the state after it has been saved."""
        self._rules = rules
        self._history = history
        self._capacity = capacity
        self._closing = closing
        self._core = Core(self._on_transitions)
        self._leases = Leases(rules, address, exclusive=True)
        self._recorder = Recorder(rules, self._leases, self._on_adopted)
        self._watch = RuleWatch(rules)
        self._arrived: list[Batch | Sequence[Series]] | None = None
        self._save_problem = ""

    def add_series(self, series: Sequence[Series]) -> None:
        """Makes new series known, before their first batch."""
        self._feed(list(series))

    def push(self, batch: Batch) -> None:
        """Evaluates a batch that has become durable; in the order of the batches."""
        self._feed(batch)

    def status(self) -> EngineStatus:
        """How it fares."""
        progress = self._core.progress
        by_rule = {**self._core.problems, **self._watch.problems}
        general = (self._leases.problem, self._watch.problem, self._recorder.problem, self._save_problem)
        return EngineStatus(
            rule_count=progress.rule_count,
            instance_count=progress.instance_count,
            evaluated_to=progress.evaluated_to,
            last_step_duration=progress.last_step_duration,
            missed_slots=progress.missed_slots,
            unrecorded_transitions=self._recorder.waiting_count,
            shard_count=len(self._leases.held),
            problems=[
                *filter(None, general),
                *self._core.general_problems,
                *(f"rule {key.rule_id}: {text}" for key, text in by_rule.items()),
            ],
        )

    async def run(self) -> None:
        """Evaluates until `closing` is set. Raises what makes going on impossible."""
        self._core.start()
        tasks = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("closing", self._closing.wait()),
                ("core", _wait_for(self._core.failed)),
                ("leases", self._leases.run()),
                ("recorder", self._recorder.run()),
                ("rules", self._follow_rules()),
                ("saver", self._save_again_and_again()),
            )
        ]
        closing, *_ = tasks
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {closing}:
                task.result()
            for task in tasks[4:]:
                task.cancel()
            await self._say_farewell()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._core.stop()

    # --- input ---

    def _feed(self, arrived: Batch | Sequence[Series]) -> None:
        if self.ready.is_set():
            self._forward(arrived)
        elif self._arrived is not None:
            self._arrived.append(arrived)
        # Before that, what arrives is read from the history.

    def _forward(self, arrived: Batch | Sequence[Series]) -> None:
        if isinstance(arrived, Batch):
            self._core.push(arrived)
        else:
            self._core.post(lambda evaluation: evaluation.add_series(arrived))

    async def _follow_rules(self) -> None:
        await self._leases.complete.wait()
        async for change in self._watch.changes():
            if not self.ready.is_set():
                await self._start(change)
            else:
                await self._apply(change)

    # --- start ---

    async def _start(self, change: RuleChanges) -> None:
        saved = await self._load()
        # From here on nothing may be missed: what comes now is kept until the history has been replayed.
        self._arrived = []
        series, newest = await self._history.series(), await self._history.newest_batch()
        now = now_nanos()
        number, watermark = newest, now
        if saved.state:
            # A history that is shorter than it was has been replaced; its batches count from the beginning.
            number, watermark = min(saved.state.batch_number, newest), min(saved.state.watermark, now)
        await self._core.call(lambda _: self._core.begin(self._evaluation(saved.state, watermark), number, series))
        fill = await self._put(change, now)
        await self._fill(fill, number, hold=True)

        def take_up(evaluation: Evaluation) -> list[Transition]:
            transitions = restore(evaluation, saved.state, saved.episodes, now)
            evaluation.activate(list(evaluation.plan.rules()), at_once=False)
            return transitions

        self._recorder.add(await self._core.call(take_up))
        await self._replay(number, len(series))
        await self._core.call(lambda _: self._core.go_live())
        await self._save()
        for arrived in self._arrived:
            self._forward(arrived)
        self._arrived = None
        self.ready.set()

    def _evaluation(self, state: Checkpoint | None, watermark: int) -> Evaluation:
        return begin(state, watermark, Evaluation(watermark, capacity=self._capacity))

    async def _load(self) -> _Saved:
        while True:
            try:
                state, episodes = b"", []
                request = pb.LoadShardStatesRequest(leases=self._leases.held.values())
                async for response in self._rules.LoadShardStates(request, wait_for_ready=True):
                    state = next((one.state for one in response.states if one.shard == STATE_SHARD), state)
                    episodes += [to_open_episode(one) for one in response.open_episodes]
                return _Saved(_read_state(state), episodes)
            except grpc.aio.AioRpcError as error:
                log.warning("the saved state can't be loaded yet (%s); trying again", error.code().name)
                await asyncio.sleep(1.0)

    async def _replay(self, number: int, series_count: int) -> None:
        """Evaluates the batches after `number` as if they came now, each at the time when it was accepted."""
        async for batch in self._history.batches_after(number):
            if len(batch.series) and int(batch.series.max()) >= series_count:
                series = await self._history.series()
                series_count = len(series)
                await self._core.call(lambda evaluation, series=series: evaluation.add_series(series))  # type: ignore[misc]
            await self._core.call(lambda _, batch=batch: self._core.replay(batch))  # type: ignore[misc]

    # --- rules ---

    async def _apply(self, change: RuleChanges) -> None:
        fill = await self._put(change, now_nanos())
        # Later batches have reached the new rows already; what comes both ways is taken once.
        await self._fill(fill, self._core.progress.batch_number, hold=False)
        keys = [spec.key for spec in change.put]
        await self._core.call(lambda evaluation: evaluation.activate(keys))

    async def _put(self, change: RuleChanges, now: int) -> Fill:
        def work(evaluation: Evaluation) -> tuple[Fill, list[Transition]]:
            transitions: list[Transition] = []
            removed = list(change.removed)
            if change.is_snapshot:
                removed += set(evaluation.plan.rules()) - {spec.key for spec in change.put} - set(change.unusable)
            for key in removed:
                evaluation.remove_rule(key)
            for key in change.unusable:
                transitions += evaluation.remove_rule(key, resolve_at=now)
            plan = evaluation.plan
            for episode in change.resolved:
                evaluation.silence(episode.key, episode.episode)
            if change.is_snapshot:
                change.put = [spec for spec in change.put if spec.key not in plan or plan.spec(spec.key) != spec]
            fill, resolved = evaluation.put_rules(change.put, now)
            return fill, transitions + resolved

        fill, transitions = await self._core.call(work)
        self._recorder.add(transitions)
        return fill

    async def _fill(self, fill: Fill, newest_batch: int, *, hold: bool) -> None:
        """Brings points from before now into the window's rows that lack them."""

        def take(evaluation: Evaluation, batch: Batch) -> None:
            points = Points(batch.series, batch.times, batch.values)
            evaluation.fill(fill, points)
            if hold:
                evaluation.hold(points.where(points.times > evaluation.state.watermark))

        if len(fill.rows):
            async for batch in self._history.read_window(fill.oldest, newest_batch):
                await self._core.call(lambda evaluation, batch=batch: take(evaluation, batch))  # type: ignore[misc]
        await self._core.call(lambda evaluation: evaluation.filled(fill, self._core.seen()))

    # --- output ---

    def _on_transitions(self, transitions: list[Transition]) -> None:
        self._recorder.add(transitions)

    def _on_adopted(self, key: InstanceKey, episode: int, adopted: int) -> None:
        self._core.post(lambda evaluation: evaluation.adopt(key, episode, adopted))

    async def _save_again_and_again(self) -> None:
        await self.ready.wait()
        saved_number, saved_count, saved_at = self._core.progress.batch_number, 0, time.monotonic()
        while True:
            await asyncio.sleep(SAVE_INTERVAL)
            number, count = self._core.progress.batch_number, self._recorder.added_count
            waited = time.monotonic() - saved_at
            if (number, count) == (saved_number, saved_count) and waited < IDLE_SAVE_INTERVAL:
                continue
            if await self._save():
                saved_number, saved_count, saved_at = number, count, time.monotonic()

    async def _save(self) -> bool:
        """Saves the state once everything that it contains is recorded."""
        core = self._core
        state = await core.call(lambda evaluation: checkpoint(evaluation, core.progress.batch_number))
        await self._recorder.until_recorded(self._recorder.added_count)
        data = await asyncio.to_thread(state.to_bytes)
        lease = self._leases.held.get(STATE_SHARD, mesh_pb2.ShardLease())
        message = mesh_pb2.ShardState(
            shard=STATE_SHARD, epoch=lease.epoch, state=data, save_time=to_timestamp(now_nanos())
        )
        try:
            await self._rules.SaveShardState(pb.SaveShardStateRequest(states=[message]), timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            self._save_problem = f"RuleService doesn't save the state ({error.code().name}); trying again"
            log.warning("%s", self._save_problem)
            return False
        self._save_problem = ""
        self.saved_batch = state.batch_number
        return True

    async def _say_farewell(self) -> None:
        """Records and saves what can be; what can't is evaluated again at the next start."""
        with suppress(TimeoutError, grpc.aio.AioRpcError):
            async with asyncio.timeout(FAREWELL_TIMEOUT):
                if self.ready.is_set():
                    await self._save()
                await self._leases.leave()


def _read_state(data: bytes) -> Checkpoint | None:
    if not data:
        return None
    try:
        return Checkpoint.from_bytes(data)
    except ValueError as error:
        log.error("%s; going on from the open alerts alone", error)
        return None


async def _wait_for(future: asyncio.Future[None]) -> None:
    await future
