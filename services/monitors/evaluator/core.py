"""The thread that owns plan, window and state, and runs every step."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np

from monitors.evaluator.model.arrays import Booleans, selection
from monitors.evaluator.model.arrivals import take
from monitors.evaluator.model.evaluation import NO_POINTS, Evaluation
from monitors.evaluator.model.machine import Transition
from monitors.evaluator.model.recovery import reanchor, resume
from monitors.evaluator.model.series import Arrival, Batch, Series
from monitors.evaluator.model.spec import RuleKey
from monitors.mesh.events import Changes, first_of
from monitors.mesh.times import SECOND, now_nanos

T = TypeVar("T")
# The thread never sleeps longer, so that a longer silence of the clock means that the process stood still.
LONGEST_SLEEP = 1.0
OUTAGE = 10 * SECOND
"""Time that passed unseen for longer than this was an outage of ours: slots are skipped, silence is no absence."""
REPLAY_OUTAGE = 30 * SECOND
"""The same in a replay; states are saved often enough that a running evaluator leaves no such gap."""
OVERRUN = 3 * SECOND
"""Slots that have waited for longer than this aren't evaluated one after the other: only the last of them is."""
MOST_WAITING = 4_000_000
"""How many points may wait to be evaluated; writers wait when there are more."""
CLOCK_SLACK = 2 * SECOND
"""A clock that is set back by more than this is followed; by less, it is waited for."""


class Phase(StrEnum):
    """What becomes of a batch on its way to an alert, one after the other."""

    WAIT = "wait"
    """It waits for the steps before it."""
    EVALUATE = "evaluate"
    """Its points go into the window, and everything that has become due is decided. Also what time alone brings."""
    RECORD = "record"
    """RuleService records what was decided."""


@dataclass
class Progress:
    """How far the thread has come; written by it alone, read by anybody."""

    batch_number: int = 0
    evaluated_to: int = 0
    last_step_duration: int = 0
    step_count: int = 0
    rule_count: int = 0
    instance_count: int = 0
    missed_slots: int = 0


class Core:
    """Takes batches and other work in order, in one thread. `on_transitions` is called on the loop that made it.

    One that doesn't follow the clock evaluates polled batches: to it, time passes with them alone. `reported` tells of
    the first so many series which are known to have had a point, if the series of a start needn't have had any.
    """

    def __init__(
        self,
        on_transitions: Callable[[list[Transition]], None],
        *,
        most_waiting: int = MOST_WAITING,
        follows_clock: bool = True,
        reported: Callable[[int], Booleans] | None = None,
    ) -> None:
        self.progress = Progress()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._on_transitions = on_transitions
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="evaluator", daemon=True)
        self._evaluation = Evaluation(now_nanos())
        self._seen = np.zeros(0, dtype=np.bool_)
        self._live = False
        self._follows_clock, self._reported = follows_clock, reported
        # Each is written by one thread only: the loop's and the evaluating one.
        self._pushed = self._stepped = 0
        self._most_waiting = most_waiting
        self._relieved = Changes()
        self.on_phase: Callable[[Phase, float], None] | None = None
        """Called in the thread with how many seconds a phase has taken."""
        self.on_step: Callable[[Batch | None, int, list[Transition]], list[Transition]] | None = None
        """Called in the thread with a batch, or None where only time has passed, how many nanoseconds its evaluation
        took and what came of it; gives what is told of that."""
        self.evaluating_since = 0
        """Since when everything that came has been evaluated as it came. Written by the thread alone."""

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    async def stop(self) -> None:
        """Ends the thread after what was put before."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def call(self, work: Callable[[Evaluation], T]) -> T:
        """Runs `work` in the thread after everything that was put before, and returns what it returns."""
        answer: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            try:
                result = work(self._evaluation)
            except BaseException as error:
                self._tell_loop(_fail, answer, error)
            else:
                self._note()
                self._tell_loop(_answer, answer, result)

        self._queue.put(job)
        return await answer

    def push(self, batch: Batch) -> None:
        """Evaluates a batch after what was put before; one that was evaluated already is passed over."""
        self._pushed += len(batch.series)
        pushed_at = time.perf_counter_ns()
        self._queue.put(lambda: self._step_pushed(batch, pushed_at))

    async def room(self) -> None:
        """Returns when so few points wait to be evaluated that more may come."""
        while self._pushed - self._stepped > self._most_waiting:
            await first_of(self._relieved.upcoming, within=LONGEST_SLEEP)

    def post(self, work: Callable[[Evaluation], None]) -> None:
        """Runs `work` in the thread after everything that was put before; nobody waits for it."""
        self._queue.put(lambda: work(self._evaluation))

    @property
    def problems(self) -> dict[RuleKey, str]:
        """What is wrong with rules on the series that there are."""
        return dict(self._evaluation.plan.problems)

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants that have rules, or had some."""
        return self._evaluation.plan.tenants

    @property
    def general_problems(self) -> list[str]:
        """What is wrong with the evaluation as a whole."""
        problems = []
        behind = now_nanos() - self.progress.evaluated_to
        if self._live and self._follows_clock and behind > OVERRUN:
            problems.append(
                f"the evaluation is {behind / SECOND:.0f} seconds behind, so that rules skip instants of their "
                "intervals; have fewer rules, longer intervals or fewer points"
            )
        count = len(self._evaluation.window.shortened)
        if count:
            problems.append(
                f"{count:,} series look back less far than their rules ask, since as many recent points are in memory "
                "as MONITORS_WINDOW_POINTS allows; raise it, or shorten the windows of rules"
            )
        return problems

    # --- in the thread ---

    def begin(self, evaluation: Evaluation, batch_number: int, series: Iterable[Series]) -> None:
        """Starts from an evaluation at `batch_number`; the series have had points, unless `reported` says otherwise.

        To be called in the thread.
        """
        self._evaluation = evaluation
        evaluation.add_series(series)
        self._seen = np.full(len(evaluation.plan.series), self._reported is None)
        self.progress.batch_number = batch_number

    def seen(self) -> Booleans:
        """Which series have ever had a point. To be called in the thread."""
        missing = len(self._evaluation.plan.series) - len(self._seen)
        if missing > 0:
            self._seen = np.append(self._seen, np.zeros(missing, dtype=np.bool_))
        if self._reported:
            self._seen |= self._reported(len(self._seen))
        return self._seen

    def replay(self, batch: Batch) -> None:
        """Evaluates a stored batch as if it came now. To be called in the thread."""
        self._step(batch, REPLAY_OUTAGE)

    def go_live(self) -> None:
        """Takes the time since the last batch as an outage, and follows the clock from now on. In the thread."""
        now = self._now()
        if self._follows_clock:
            self._resume(now)
        # What was evaluated ahead of the time of a source isn't ahead of the clock.
        self._evaluation.await_no_more(max(now, now_nanos()))
        self._evaluation.activate()
        self._live = True

    def advance(self, at_least: int = 0) -> int:
        """Evaluates up to now, or up to a time that another clock has reached by now if ours agrees roughly.

        Returns up to when everything has been evaluated. To be called in the thread.
        """
        now = self._pass_time()
        self._advance(max(now, at_least) if at_least <= now + CLOCK_SLACK else now)
        return self._evaluation.state.watermark

    def tell(self, transitions: list[Transition]) -> None:
        """Tells transitions in their order among those of the steps. To be called in the thread."""
        if transitions:
            self._tell_loop(self._on_transitions, transitions)

    def _run(self) -> None:
        try:
            while True:
                try:
                    job = self._queue.get(timeout=self._patience())
                except queue.Empty:
                    self._tick()
                    continue
                if job is None:
                    return
                job()
                if self._queue.empty():
                    self._tick()
        except BaseException as error:
            self._tell_loop(_fail, self.failed, error)

    def _patience(self) -> float:
        if not self._live:
            return LONGEST_SLEEP
        wait = self._evaluation.next_wake() - self._now()
        return min(max(wait / SECOND, 0.0), LONGEST_SLEEP)

    def _tick(self) -> None:
        """Does what has become due with the passing of time."""
        if not self._live:
            return
        now = self._pass_time()
        if self._evaluation.next_wake() <= now or now - self._evaluation.state.watermark >= LONGEST_SLEEP * SECOND:
            self._advance(now)

    def _now(self) -> int:
        return now_nanos() if self._follows_clock else self._evaluation.state.watermark

    def _pass_time(self) -> int:
        """Follows a clock that jumped, which is told by how far everything has been evaluated. Returns the time."""
        now, watermark = self._now(), self._evaluation.state.watermark
        if now < watermark - CLOCK_SLACK:
            reanchor(self._evaluation, now)
            self.evaluating_since = now
        elif now > watermark + OUTAGE:
            self._resume(now)
        return now

    def _resume(self, now: int) -> None:
        resume(self._evaluation, now)
        self.evaluating_since = now

    def _step_pushed(self, batch: Batch, pushed_at: int) -> None:
        self._note_phase(Phase.WAIT, pushed_at)
        crowded = self._pushed - self._stepped > self._most_waiting
        self._step(batch, OUTAGE)
        self._stepped += len(batch.series)
        if crowded:
            self._tell_loop(self._relieved.announce)

    def _step(self, batch: Batch, outage: int) -> None:
        if batch.arrival is Arrival.AHEAD:
            self._take(batch)
            return
        if batch.number <= self.progress.batch_number:
            return
        if batch.arrival is Arrival.PUSHED and batch.accepted_at > self._evaluation.state.watermark + outage:
            self._resume(batch.accepted_at)
        self._take(batch)
        self.progress.batch_number = batch.number

    def _take(self, batch: Batch) -> None:
        self.seen()[selection(batch.series)] = True
        self._run_step(lambda: take(self._evaluation, batch, clock=self._overrun_at()), batch)

    def _advance(self, now: int) -> None:
        self._run_step(lambda: self._evaluation.advance(NO_POINTS, now, clock=self._overrun_at()))

    def _run_step(self, step: Callable[[], list[Transition]], batch: Batch | None = None) -> None:
        started = time.perf_counter_ns()
        transitions = step()
        self._note_phase(Phase.EVALUATE, started)
        if self.on_step:
            transitions = self.on_step(batch, time.perf_counter_ns() - started, transitions)
        self.progress.step_count += 1
        self._note()
        self.tell(transitions)
        self.progress.last_step_duration = time.perf_counter_ns() - started

    def _note_phase(self, phase: "Phase", started: int) -> None:
        if self.on_phase:
            self.on_phase(phase, (time.perf_counter_ns() - started) / SECOND)

    def _overrun_at(self) -> int:
        """What time it is if slots have waited for too long; else 0."""
        now = self._now()
        return now if self._live and now > int(self._evaluation.plan.profiles.next_slot.min()) + OVERRUN else 0

    def _note(self) -> None:
        state, plan = self._evaluation.state, self._evaluation.plan
        self.progress.evaluated_to, self.progress.missed_slots = state.watermark, state.missed_slots
        self.progress.rule_count, self.progress.instance_count = plan.rule_count, plan.instance_count

    def _tell_loop(self, function: Callable[..., None], *arguments: object) -> None:
        # The loop may have ended while the thread was busy; then nobody waits for it.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)


def _answer(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
