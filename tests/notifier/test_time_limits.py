"""Time limits: what takes too long is ended, and nothing else."""

import asyncio
from collections.abc import Sequence
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.notifier.time_limits import TimeLimits

SECONDS = 0.02


async def ended(over: Sequence[bool]) -> list[int]:
    """Begins something for each, ends it at once where that is said, and tells what ran out, in order."""
    limits, ran_out, last = TimeLimits(SECONDS), list[int](), asyncio.Event()
    for number, is_over in enumerate(over):
        limits.begin(partial(ran_out.append, number)).is_over = is_over
    limits.begin(last.set)
    await last.wait()
    return ran_out


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), max_size=20))
def test_all_that_is_not_over_runs_out_in_the_order_in_which_it_began(over: list[bool]) -> None:
    assert asyncio.run(ended(over)) == [number for number, is_over in enumerate(over) if not is_over]


def test_what_has_run_out_is_over() -> None:
    async def work() -> bool:
        ran_out = asyncio.Event()
        limit = TimeLimits(SECONDS).begin(ran_out.set)
        await ran_out.wait()
        return limit.is_over

    assert asyncio.run(work())


def test_what_begins_as_something_runs_out_gets_its_own_time() -> None:
    async def work() -> float:
        limits, ran_out = TimeLimits(SECONDS), asyncio.Event()
        limits.begin(lambda: limits.begin(ran_out.set))
        begun = asyncio.get_running_loop().time()
        await ran_out.wait()
        return asyncio.get_running_loop().time() - begun

    assert asyncio.run(work()) >= 2 * SECONDS * 0.9


def test_nothing_runs_out_once_it_is_closed() -> None:
    async def work() -> list[str]:
        ran_out, later = list[str](), asyncio.Event()
        closed = TimeLimits(SECONDS)
        closed.begin(lambda: ran_out.append("closed"))
        closed.close()
        TimeLimits(2 * SECONDS).begin(later.set)
        await later.wait()
        return ran_out

    assert asyncio.run(work()) == []


def test_work_that_takes_too_long_is_ended() -> None:
    async def work() -> list[str]:
        told, limits = list[str](), TimeLimits(SECONDS)
        try:
            await limits.run(asyncio.Event().wait())
        except TimeoutError:
            told.append("too long")
        # What is done afterwards isn't ended as well.
        await asyncio.sleep(0)
        return [*told, await limits.run(answer())]

    async def answer() -> str:
        return "in time"

    assert asyncio.run(work()) == ["too long", "in time"]


def test_work_that_is_cancelled_within_its_time_stays_cancelled() -> None:
    async def work() -> bool:
        working = asyncio.create_task(TimeLimits(60.0).run(asyncio.Event().wait()))
        await asyncio.sleep(0)
        working.cancel()
        await asyncio.wait([working])
        return working.cancelled()

    assert asyncio.run(work())
