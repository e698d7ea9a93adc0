"""The engine: follows the rules and the data, decides in its thread, and has RuleService record what was decided."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from monitors.evaluator import spans
from monitors.evaluator.core import Core, Phase
from monitors.evaluator.history import History, ReadWindow, goes_on_from
from monitors.evaluator.leases import Leases
from monitors.evaluator.loading import load
from monitors.evaluator.model.evaluation import AMPLE, Capacity, Evaluation, Fill, Points
from monitors.evaluator.model.explanation import Explanation, explain
from monitors.evaluator.model.machine import Transition
from monitors.evaluator.model.recovery import begin, restore
from monitors.evaluator.model.series import Batch, Series
from monitors.evaluator.model.spec import InstanceKey, RuleKey
from monitors.evaluator.model.state import Checkpoint
from monitors.evaluator.parts import HEAD_SHARD
from monitors.evaluator.recorder import Recorder
from monitors.evaluator.saving import Saver, ShardSaver, WholeSaver
from monitors.evaluator.takeover import ShardFollower
from monitors.evaluator.watch import RuleChanges, RuleWatch
from monitors.mesh.spans import is_traced
from monitors.mesh.times import now_nanos

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

FAREWELL_TIMEOUT = 2.0


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
    """What is wrong with the whole."""
    rule_problems: Mapping[RuleKey, str]
    tenants: tuple[str, ...]
    """Those that have rules, or had some."""
    evaluated_batch: int = 0
    """The number of the last batch that has been evaluated."""
    shards_gained: int = 0
    shards_lost: int = 0
    """Since the start; the shards that others take and give back count as well as those that nobody renewed in time."""


class Engine:
    """Evaluates all rules. `run` does everything; `add_series` and `push` feed it from the loop that it runs on.

    An `exclusive` one evaluates all monitors or none. Others share them out by shards; each is to be fed everything
    that is stored, whoever holds its shard. `name` tells it from the other evaluators, if a process has several.
    `on_rules` hears of changes of the rules before they are evaluated.

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
        exclusive: bool = True,
        name: str | None = None,
        on_rules: Callable[[RuleChanges], None] | None = None,
    ) -> None:
        self.ready = asyncio.Event()
        self._rules = rules
        self._history = history
        self._capacity = capacity
        self._closing = closing
        self._core = Core(self._on_transitions, follows_clock=not history.keeps_time, reported=history.reported)
        self._leases = Leases(rules, address, name, exclusive=exclusive, evaluated_to=self._evaluated_to)
        self._recorder = Recorder(rules, self._leases, self._on_adopted)
        if is_traced():
            self._core.on_step, self._recorder.surroundings = spans.evaluated, spans.recording
        self._watch = RuleWatch(rules, capacity.history)
        self._on_rules = on_rules
        self._arrived: list[Batch | Sequence[Series]] | None = None
        self._one_at_a_time = asyncio.Lock()
        """Held while rules or shards change."""
        self._saver: Saver = WholeSaver(rules, self._core, self._recorder, self._leases)
        self._follower: ShardFollower | None = None
        if not exclusive:
            saver = ShardSaver(rules, self._core, self._recorder, self._leases)
            self._saver = saver
            self._follower = ShardFollower(rules, self._core, self._leases, self._recorder, saver, history)

    @property
    def held_shards(self) -> Collection[int]:
        """The shards whose leases are held."""
        return self._leases.held.keys()

    @property
    def alone_since(self) -> int | None:
        """Since when no other evaluator has had any shard, in nanoseconds; None if one has."""
        return self._leases.alone_since

    @property
    def why_unknown(self) -> str:
        """Why other evaluators may not reckon with it, so that points are better taken by them; empty if they do."""
        return self._leases.why_unknown

    @property
    def saved_batch(self) -> int:
        """No batch up to this one is ever evaluated again: the state after it has been saved."""
        return self._saver.saved_batch

    def add_series(self, series: Sequence[Series]) -> None:
        """Makes new series known, before their first batch."""
        self._feed(list(series))

    async def meet_series(self, series: Sequence[Series], until: int, read: ReadWindow) -> None:
        """Makes new series known that may have had points before; up to `until` they are read as what was before."""
        if not self.ready.is_set():
            self._feed(list(series))
            return
        fill, keys = await self._core.call(lambda evaluation: evaluation.meet_series(series))
        await self._fill(fill, until, hold=False, read=read)
        await self._core.call(lambda evaluation: evaluation.wake(keys))

    def push(self, batch: Batch) -> None:
        """Evaluates a batch that has become durable; in the order of the batches."""
        self._feed(batch)

    async def room(self) -> None:
        """Returns when so few points wait to be evaluated that more may come."""
        await self._core.room()

    def status(self) -> EngineStatus:
        """How it fares."""
        progress = self._core.progress
        general = (self._leases.problem, self._watch.problem, self._recorder.problem, self._saver.problem)
        return EngineStatus(
            rule_count=progress.rule_count,
            instance_count=progress.instance_count,
            evaluated_to=progress.evaluated_to,
            last_step_duration=progress.last_step_duration,
            missed_slots=progress.missed_slots,
            unrecorded_transitions=self._recorder.waiting_count,
            shard_count=len(self._leases.held if self._follower is None else self._follower.shards),
            problems=[*filter(None, general), *self._core.general_problems],
            rule_problems={**self._core.problems, **self._watch.problems},
            tenants=self._core.tenants,
            evaluated_batch=progress.batch_number,
            shards_gained=self._leases.gained_count,
            shards_lost=self._leases.lost_count,
        )

    def tell_phases(self, hear: Callable[[Phase, float], None]) -> None:
        """From now on tells how many seconds each phase takes; also from the thread that evaluates."""
        self._core.on_phase = hear
        self._recorder.on_recorded = lambda seconds: hear(Phase.RECORD, seconds)

    async def explain(self, key: RuleKey, monitors: Collection[str]) -> list[Explanation]:
        """Why a rule's instances, or those of some monitors, are as they are; firing ones first."""
        polled = self._history.keeps_time
        return await self._core.call(lambda evaluation: explain(evaluation, key, monitors, is_polled=polled))

    def _evaluated_to(self) -> int:
        return self._core.progress.evaluated_to

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
                ("saver", self._once_ready(self._saver.run)),
                ("shards", self._once_ready(self._follow_shards)),
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

    async def _once_ready(self, work: Callable[[], Awaitable[None]]) -> None:
        await self.ready.wait()
        await work()

    async def _follow_shards(self) -> None:
        if self._follower:
            await self._follower.run(self._one_at_a_time)
        else:
            await self._closing.wait()

    async def _follow_rules(self) -> None:
        if self._follower is None:
            await self._leases.complete.wait()
        async for change in self._watch.changes():
            if self._on_rules:
                self._on_rules(change)
            async with self._one_at_a_time:
                if self.ready.is_set():
                    await self._apply(change)
                elif self._follower is None:
                    await self._start(change)
                else:
                    await self._start_without_shards(change)

    # --- start ---

    async def _start_without_shards(self, change: RuleChanges) -> None:
        """Shards are taken over as they come, the first ones like all others."""
        self._arrived = []
        series, newest, now = await self._look()
        await self._core.call(lambda _: self._core.begin(Evaluation(now, (), capacity=self._capacity), newest, series))
        await self._put(change, now)
        await self._go_live()

    async def _start(self, change: RuleChanges) -> None:
        loaded = await load(self._rules, lambda: self._leases.held.values())
        saved, self._saver.parts = loaded.states.get(HEAD_SHARD), loaded.parts
        # From here on nothing may be missed: what comes now is kept until the history has been replayed.
        self._arrived = []
        series, newest, now = await self._look()
        number, watermark = goes_on_from(self._history, saved, newest, now) if saved else (newest, now)
        await self._core.call(lambda _: self._core.begin(self._evaluation(saved, watermark), number, series))
        fill = await self._put(change, now)
        await self._fill(fill, number, hold=True)

        def take_up(evaluation: Evaluation) -> list[Transition]:
            transitions = restore(evaluation, saved, loaded.episodes, now)
            evaluation.activate(at_once=False)
            return transitions

        self._recorder.add(await self._core.call(take_up))
        await self._replay(number, len(series))
        await self._go_live()

    async def _look(self) -> tuple[list[Series], int, int]:
        """The series, the last batch, and what time it is."""
        series, newest = await self._history.series(), await self._history.newest_batch()
        return series, newest, newest if self._history.keeps_time else now_nanos()

    async def _go_live(self) -> None:
        await self._core.call(lambda _: self._core.go_live())
        await self._saver.save()
        for arrived in self._arrived or ():
            self._forward(arrived)
        self._arrived = None
        self.ready.set()

    def _evaluation(self, state: Checkpoint | None, watermark: int) -> Evaluation:
        return begin(state, watermark, Evaluation(watermark, capacity=self._capacity))

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

    async def _fill(self, fill: Fill, newest_batch: int, *, hold: bool, read: ReadWindow | None = None) -> None:
        """Brings points from before now into the window's rows that lack them."""

        def take(evaluation: Evaluation, batch: Batch) -> None:
            points = Points(batch.series, batch.times, batch.values)
            evaluation.fill(fill, points)
            if hold:
                evaluation.hold(points.where(points.times > evaluation.state.watermark))

        if len(fill.rows):
            # Points from the future are held of all series, also of those that lack none.
            series = None if hold else fill.rows.tolist()
            read = read or self._history.read_window
            async for batch in read(fill.oldest, newest_batch, series):
                await self._core.call(lambda evaluation, batch=batch: take(evaluation, batch))  # type: ignore[misc]
        await self._core.call(lambda evaluation: evaluation.filled(fill, self._core.seen()))

    # --- output ---

    def _on_transitions(self, transitions: list[Transition]) -> None:
        self._recorder.add(transitions)

    def _on_adopted(self, key: InstanceKey, episode: int, adopted: int) -> None:
        self._core.post(lambda evaluation: evaluation.adopt(key, episode, adopted))

    async def _say_farewell(self) -> None:
        """Records and saves what can be; what can't is evaluated again at the next start."""
        with suppress(TimeoutError, grpc.aio.AioRpcError):
            async with asyncio.timeout(FAREWELL_TIMEOUT):
                if self.ready.is_set():
                    await self._saver.save()
                await self._leases.leave()


async def _wait_for(future: asyncio.Future[None]) -> None:
    await future
