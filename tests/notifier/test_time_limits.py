"""Time limits: what takes too long is ended, and nothing else."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.notifier.time_limits import TimeLimits

SECONDS = 0.02


async def ended(over: Sequence[bool]) -> list[int]:
    """Begins a task for each, ends its time at once where that is said, and tells which ran out, in order."""
    limits, ran_out = TimeLimits(SECONDS), list[int]()

    async def work(number: int) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not limits.has_run_out():
                raise
            ran_out.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(len(over) + 1)]
    half = len(tasks) // 2
    limits.begin(tasks[:half])
    limits.begin(tasks[half:])
    for task, is_over in zip(tasks, over, strict=False):
        if is_over:
            limits.end(task)
    await tasks[-1]
    found = list(ran_out)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return found


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), max_size=20))
def test_all_that_is_not_over_runs_out_in_the_order_in_which_it_began(over: list[bool]) -> None:
    assert asyncio.run(ended(over)) == [*(number for number, is_over in enumerate(over) if not is_over), len(over)]


def test_what_begins_as_something_runs_out_gets_its_own_time() -> None:
    async def work() -> float:
        limits = TimeLimits(SECONDS)
        first, second = (asyncio.create_task(asyncio.Event().wait()) for _ in range(2))
        first.add_done_callback(lambda _: limits.begin([second]))
        begun = asyncio.get_running_loop().time()
        limits.begin([first])
        await asyncio.wait([first, second])
        return asyncio.get_running_loop().time() - begun

    assert asyncio.run(work()) >= 2 * SECONDS * 0.9


def test_nothing_runs_out_once_it_is_closed() -> None:
    async def work() -> list[bool]:
        closed, later = TimeLimits(SECONDS), TimeLimits(2 * SECONDS)
        kept, ended = (asyncio.create_task(asyncio.Event().wait()) for _ in range(2))
        closed.begin([kept])
        closed.close()
        later.begin([ended])
        await asyncio.wait([ended])
        kept.cancel()
        return [bool(kept.cancelling()), kept.cancelled(), ended.cancelled()]

    assert asyncio.run(work()) == [True, False, True]


def test_work_that_takes_too_long_can_go_on_with_something_else() -> None:
    limits = TimeLimits(SECONDS)

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert limits.has_run_out()
        # What is done afterwards isn't ended as well, and has time-outs of its own.
        async with asyncio.timeout(60.0):
            await asyncio.sleep(0)
        return "told"

    async def run() -> str:
        task = asyncio.create_task(work())
        limits.begin([task])
        return await task

    assert asyncio.run(run()) == "told"


def test_work_that_is_cancelled_within_its_time_stays_cancelled() -> None:
    async def work() -> bool:
        limits, told = TimeLimits(60.0), list[bool]()

        async def wait() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                told.append(limits.has_run_out())
                raise

        working = asyncio.create_task(wait())
        limits.begin([working])
        await asyncio.sleep(0)
        working.cancel()
        await asyncio.wait([working])
        return working.cancelled() and told == [False]

    assert asyncio.run(work())
