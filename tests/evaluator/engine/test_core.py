"""The evaluating thread when more comes than it can do."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from monitors.evaluator.core import Core
from monitors.evaluator.model.evaluation import Evaluation
from monitors.evaluator.model.recovery import reanchor
from monitors.evaluator.model.series import Batch
from monitors.mesh.times import SECOND, now_nanos
from tests.evaluator.engine.scene import series, threshold
from tests.harness import LoopThread


@asynccontextmanager
async def live_core(*, most_waiting: int = 100) -> AsyncIterator[Core]:
    """A core that evaluates one rule every second."""

    def begin() -> None:
        evaluation = Evaluation(now_nanos())
        core.begin(evaluation, 0, [series(0)])
        fill, _ = evaluation.put_rule(threshold(interval=1, every_point=False), now_nanos())
        evaluation.filled(fill, core.seen())
        core.go_live()

    core = Core(lambda _: None, most_waiting=most_waiting)
    core.start()
    await core.call(lambda _: begin())
    try:
        yield core
    finally:
        await core.stop()


def wait_for(event: threading.Event) -> None:
    assert event.wait(30)


def batch(number: int, count: int) -> Batch:
    now = now_nanos()
    return Batch(number, now, np.zeros(count, np.int32), np.arange(count) + now - count, np.ones(count))


def test_c1_an_evaluator_that_fell_behind_skips_what_it_missed_and_says_so(loop_thread: LoopThread) -> None:
    async def scenario() -> None:
        async with live_core() as core:
            first, second = threading.Event(), threading.Event()
            core.post(lambda _: wait_for(first))
            behind = asyncio.ensure_future(core.call(lambda evaluation: reanchor(evaluation, now_nanos() - 8 * SECOND)))
            await asyncio.sleep(0)
            core.post(lambda _: wait_for(second))
            first.set()
            await behind
            assert "seconds behind" in core.general_problems[0]
            second.set()
            await core.call(lambda _: None)
            while core.progress.evaluated_to < now_nanos() - 2 * SECOND:
                await core.call(lambda _: None)
            assert core.progress.missed_slots >= 5
            assert core.general_problems == []

    loop_thread.run(scenario())


def test_when_too_many_points_wait_to_be_evaluated_more_have_no_room(loop_thread: LoopThread) -> None:
    async def scenario() -> None:
        async with live_core(most_waiting=100) as core:
            gate = threading.Event()
            core.post(lambda _: wait_for(gate))
            core.push(batch(1, 100))
            await core.room()
            core.push(batch(2, 1))
            waiting = asyncio.ensure_future(core.room())
            await asyncio.sleep(0)
            assert not waiting.done()
            gate.set()
            await waiting
            assert core.progress.batch_number >= 1

    loop_thread.run(scenario())
