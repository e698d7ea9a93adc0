"""Housekeeping: what is saved for a start, when points are sealed, and what goes when there's too much."""

from pathlib import Path

import numpy as np
import pytest

from monitors.evaluator.housekeeping import Housekeeping, Limits
from monitors.evaluator.newest import Newest
from monitors.evaluator.store import Store
from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND
from tests.evaluator.history.parts import SERIES, START, content, floats, opened
from tests.harness import LoopThread

RETENTION = 30 * DAY
NOISE = np.random.default_rng(1)


class House:
    """A store with its housekeeping; every batch counts as evaluated."""

    def __init__(self, store: Store, history_bytes: int = 10**9) -> None:
        self.store, self.newest = store, Newest()
        self.housekeeping = Housekeeping(store, self.newest, Limits(RETENTION, history_bytes), lambda: 10**9)

    async def hour(self, start: int, count: int = 3_600) -> None:
        """An hour of noise that takes eight bytes a point however it's stored."""
        points = floats(*[(start + place * SECOND, float(NOISE.random())) for place in range(count)])
        await self.store.append(SERIES if not self.store.series_count else [], start, points)
        self.newest.update(points, self.store.is_text(points))


def test_what_came_in_a_closed_hour_is_sealed_and_the_start_finds_the_newest_points(
    loop_thread: LoopThread, folder: Path
) -> None:
    async def keep(store: Store) -> None:
        house = House(store)
        for hour in range(3):
            await house.hour(START + hour * HOUR)
        await house.housekeeping.tidy(START + 3 * HOUR)
        assert [batch.number async for batch in store.batches_after(0)] == [3]
        assert store.points_since_newest == 0
        await house.hour(START + 3 * HOUR)
        await house.housekeeping.tidy(START + 3 * HOUR + MINUTE)
        assert store.points_since_newest == 3_600

    async def newest_again(store: Store) -> tuple[list[tuple[int, int, object]], int]:
        newest, read = Newest(), 0
        async for points in store.load_newest():
            newest.update(points, store.is_text(points))
            read += len(points)
        return content(newest.all()), read

    with loop_thread.opened(opened(folder)) as store:
        loop_thread.run(keep(store))
    with loop_thread.opened(opened(folder)) as store:
        found, read = loop_thread.run(newest_again(store))
        assert [time for _, time, _ in found] == [START + 4 * HOUR - SECOND]
        assert read == 3_601


def test_the_newest_points_are_saved_before_a_start_would_have_to_read_many(
    loop_thread: LoopThread, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.evaluator.housekeeping.NEWEST_POINTS", 5_000)

    async def keep(store: Store) -> list[int]:
        house, counts = House(store), []
        await house.housekeeping.tidy(START)
        for minute in range(3):
            await house.hour(START + minute * MINUTE)
            await house.housekeeping.tidy(START + minute * MINUTE)
            counts.append(store.points_since_newest)
        return counts

    with loop_thread.opened(opened(folder)) as store:
        assert loop_thread.run(keep(store)) == [3_600, 0, 3_600]


def test_points_that_are_too_old_go(loop_thread: LoopThread, folder: Path) -> None:
    async def keep(store: Store) -> int | None:
        house = House(store)
        for day in (0, 1, 2):
            await house.hour(START + day * DAY)
        await house.housekeeping.tidy(START + RETENTION + DAY)
        return (await store.size()).start

    with loop_thread.opened(opened(folder)) as store:
        assert loop_thread.run(keep(store)) == START + DAY


def test_a_history_that_grows_too_large_loses_its_oldest_points_and_says_so_until_there_is_room_again(
    loop_thread: LoopThread, folder: Path
) -> None:
    limit = 1_000_000

    async def keep(store: Store) -> tuple[list[str], list[int], int | None]:
        house, problems, sizes = House(store, limit), [], []
        for hour in range(60):
            await house.hour(START + hour * HOUR)
            await house.housekeeping.tidy(START + (hour + 1) * HOUR + MINUTE)
            problems.append(house.housekeeping.problem)
            sizes.append((await store.size()).bytes)
        start = (await store.size()).start
        await house.housekeeping.tidy(START + RETENTION + 58 * HOUR)
        problems.append(house.housekeeping.problem)
        await house.hour(START + 60 * HOUR)
        assert await store.newest_batch() == 61
        return problems, sizes, start

    with loop_thread.opened(opened(folder)) as store:
        problems, sizes, start = loop_thread.run(keep(store))
    assert max(sizes) <= limit
    assert problems[0] == ""
    hours = 60 - (start - START) // HOUR if start is not None else 0
    assert 20 < hours < 60
    assert problems[-2] == (
        f"the history is kept for {hours} hours instead of 30 days: it fills the 0.001 GB that it may take; "
        "raise MONITORS_HISTORY_GB, or lower MONITORS_RETENTION_DAYS"
    )
    assert problems[-1] == ""


def test_points_of_an_open_hour_are_sealed_when_they_would_take_a_quarter_of_all_space(
    loop_thread: LoopThread, folder: Path
) -> None:
    async def keep(store: Store) -> list[int]:
        house, raw = House(store, 4_000_000), []
        for minute in range(30):
            await house.hour(START + minute * MINUTE, count=3_000)
            await house.housekeeping.tidy(START + minute * MINUTE)
            raw.append(sum([len(batch.times) async for batch in store.batches_after(0)]))
        return raw

    with loop_thread.opened(opened(folder)) as store:
        raw = loop_thread.run(keep(store))
    assert max(raw) <= 50_000
    assert 0 in raw
