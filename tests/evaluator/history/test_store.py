"""The embedded store: exact, durable, in order, and the same history whether raw, joined or sealed."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitors.evaluator.model.series import Batch, FieldType
from monitors.evaluator.model.texts import code_of
from monitors.evaluator.newest import Newest
from monitors.evaluator.points import Points, decode, encode, in_time_order, thinned_places
from monitors.evaluator.readable import HistorySize, TooManyPoints
from monitors.evaluator.store import Store
from monitors.mesh.errors import StorageUnavailable
from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND
from tests.evaluator.history.parts import (
    SAMPLES,
    SERIES,
    START,
    Sample,
    columns,
    content,
    floats,
    last_written,
    opened,
)
from tests.harness import LoopThread

T = TypeVar("T")
EVER = (-(2**63), 2**63 - 1)


@pytest.fixture
def store(loop_thread: LoopThread, folder: Path) -> Iterator[Store]:
    with loop_thread.opened(opened(folder)) as one:
        yield one


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are joined from two on, and read two at a time."""
    monkeypatch.setattr("monitors.evaluator.store.raw.MERGE_ROWS", 2)
    monkeypatch.setattr("monitors.evaluator.store.raw.PAGE_ROWS", 2)
    monkeypatch.setattr("monitors.evaluator.store.store.PAGE_BLOCKS", 1)


async def listed(found: AsyncIterator[T]) -> list[T]:
    return [one async for one in found]


def last_seen(batches: list[Batch]) -> dict[tuple[int, int], str]:
    """The last value of each series and time, in order of arrival."""
    return {
        (series, time): str(value)
        for one in batches
        for series, time, value in zip(one.series.tolist(), one.times.tolist(), one.values.tolist(), strict=True)
    }


def newest_of(store: Store, parts: list[Points]) -> list[tuple[int, int, object]]:
    newest = Newest()
    for points in parts:
        newest.update(points, store.is_text(points))
    return content(newest.all())


def told(batches: list[Batch]) -> list[tuple[int, int, list[int], list[int], list[float]]]:
    return [
        (one.number, one.accepted_at, one.series.tolist(), one.times.tolist(), one.values.tolist()) for one in batches
    ]


@given(st.lists(SAMPLES, max_size=20))
@example([(SERIES[0], 0, -0.0), (SERIES[0], 0, float("nan")), (SERIES[4], 1, "\0ü"), (SERIES[4], 1, "")])
def test_every_value_survives_to_the_last_bit(samples: list[Sample]) -> None:
    points = columns(samples)
    assert content(decode(encode(points))) == content(points)


@given(
    batches=st.lists(st.lists(SAMPLES, min_size=1, max_size=4), min_size=1, max_size=8),
    sealed=st.integers(0, 8),
    after=st.integers(0, 8),
    chosen=st.sets(st.integers(0, 5)),
)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_history_is_the_same_raw_joined_and_sealed_and_opened_again(
    loop_thread: LoopThread,
    tmp_path_factory: pytest.TempPathFactory,
    empty_database: Path,
    few_rows: None,
    batches: list[list[Sample]],
    sealed: int,
    after: int,
    chosen: set[int],
) -> None:
    async def use(store: Store) -> tuple[object, ...]:
        window = await listed(store.read_window(START, max(after, sealed), chosen))
        return (
            [str(one) for one in told(await listed(store.batches_after(max(after, sealed))))],
            last_written(await store.read_series([0, 2, 4], *EVER)),
            last_written(await store.read_series(chosen, 0, START)),
            last_seen(window),
            newest_of(store, await listed(store.load_newest())),
        )

    async def tidied(store: Store) -> list[tuple[object, ...]]:
        for place, samples in enumerate(batches):
            await store.append(SERIES if place == 0 else [], START + place * SECOND, columns(samples))
        found = [await use(store)]
        while await store.merge():
            pass
        found.append(await use(store))
        while await store.seal_closed(START + 2 * HOUR, sealed):
            pass
        return [*found, await use(store)]

    folder = tmp_path_factory.mktemp("store")
    shutil.copy(empty_database, folder)
    with loop_thread.opened(opened(folder)) as store:
        found = loop_thread.run(tidied(store))
    with loop_thread.opened(opened(folder)) as store:
        assert loop_thread.run(store.newest_batch()) == len(batches)
        found.append(loop_thread.run(use(store)))
    raw, joined, moved, again = found
    assert joined == raw
    assert moved == raw
    assert again == raw


def test_the_series_are_those_of_the_start_and_all_that_came_since(loop_thread: LoopThread, folder: Path) -> None:
    with loop_thread.opened(opened(folder)) as store:
        loop_thread.run(store.append(SERIES[:2], START, columns([(SERIES[1], 5, 1)])))
    with loop_thread.opened(opened(folder)) as store:
        loop_thread.run(store.append(SERIES[2:], START, columns([(SERIES[2], 5, 1)])))
        first, again = loop_thread.run(store.series()), loop_thread.run(store.series())
    assert first == again == SERIES


def test_what_append_returned_is_there_after_a_crash(loop_thread: LoopThread, store: Store, folder: Path) -> None:
    batch = loop_thread.run(store.append(SERIES, START, columns([(SERIES[4], 5, "kept"), (SERIES[0], 6, 1.5)])))
    # A copy of the files is what a killed process leaves: nothing of it was closed or flushed.
    crashed = folder / "crashed"
    crashed.mkdir()
    for path in folder.glob("samples.db*"):
        shutil.copy(path, crashed)
    with loop_thread.opened(opened(crashed)) as again:
        assert loop_thread.run(again.series()) == SERIES
        assert loop_thread.run(again.newest_batch()) == batch.number == 1
        found = loop_thread.run(again.read_series([0, 4], 0, 10))
        assert content(found) == [(4, 5, "kept"), (0, 6, np.float64(1.5).view(np.uint64))]


def test_the_engine_sees_booleans_and_integers_as_numbers_and_texts_as_their_codes(
    loop_thread: LoopThread, store: Store
) -> None:
    samples = list(zip(SERIES, range(5), [1.5, -3, 2**63, True, "a"], strict=True))
    batch = loop_thread.run(store.append(SERIES, START, columns(samples)))
    assert batch.values.tolist() == [1.5, -3.0, 2.0**63, 1.0, code_of("a")]


def test_texts_are_the_same_codes_however_they_are_stored_and_read(
    loop_thread: LoopThread, folder: Path, few_rows: None
) -> None:
    said = ["up", "down", "", "up", "düwn", "down"]
    rows = [(SERIES[4], START + place, text) for place, text in enumerate(said)]
    numbers = [(SERIES[0], START + place, 1.5) for place in range(len(said))]
    expected = {(4, START + place): code_of(text) for place, text in enumerate(said)}

    def codes(batches: list[Batch]) -> dict[tuple[int, int], float]:
        return {
            (series, time): value
            for batch in batches
            for series, time, value in zip(
                batch.series.tolist(), batch.times.tolist(), batch.values.tolist(), strict=True
            )
        }

    async def check(store: Store) -> None:
        assert codes(await listed(store.batches_after(0))).items() >= expected.items()
        assert codes(await listed(store.read_window(START, 9, [4]))) == expected
        # The texts stay behind when only numbers are wanted.
        assert set(codes(await listed(store.read_window(START, 9, [0]))).values()) == {1.5}

    async def use(store: Store) -> None:
        pushed: dict[tuple[int, int], float] = {}
        for start in range(0, len(said), 2):
            part = [*rows[start : start + 2], *numbers[start : start + 2]]
            pushed |= codes([await store.append([] if start else SERIES, START, columns(part))])
        assert pushed.items() >= expected.items()
        await check(store)
        while await store.merge():
            pass
        await check(store)
        assert await store.seal_closed(START + 2 * HOUR, 9)
        assert codes(await listed(store.read_window(START, 9, [4]))) == expected
        found = await store.read_series([4], START, START + HOUR)
        assert store.numbers(found).tolist() == list(expected.values())

    with loop_thread.opened(opened(folder)) as store:
        loop_thread.run(use(store))


def test_rows_are_joined_once_there_are_many_and_those_that_stay_single_are_not_looked_at_again(
    loop_thread: LoopThread, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.evaluator.store.raw.MERGE_POINTS", 4)
    monkeypatch.setattr("monitors.evaluator.store.raw.MERGE_ROWS", 4)

    async def merge(store: Store) -> list[tuple[int, int]]:
        while await store.merge():
            pass
        return [(batch.number, len(batch.times)) for batch in await listed(store.batches_after(0))]

    async def fill(store: Store, *counts: int) -> None:
        for count in counts:
            points = floats(*[(time, 1.0) for time in range(count)])
            await store.append(SERIES if await store.newest_batch() == 0 else [], START, points)

    async def rows(store: Store) -> list[int]:
        return [len(batch.times) for batch in await listed(store.read_window(0, 9))]

    with loop_thread.opened(opened(folder)) as store:
        loop_thread.run(fill(store, 3, 2, 2))
        loop_thread.run(merge(store))
        assert loop_thread.run(rows(store)) == [3, 2, 2]
        loop_thread.run(fill(store, 1))
        assert loop_thread.run(merge(store)) == [(1, 3), (2, 2), (3, 2), (4, 1)]
        assert loop_thread.run(rows(store)) == [3, 4, 1]
    with loop_thread.opened(opened(folder)) as store:
        loop_thread.run(fill(store, 1, 1, 1))
        assert [number for number, _ in loop_thread.run(merge(store))] == [1, 2, 3, 4, 5, 6, 7]
        assert loop_thread.run(rows(store)) == [3, 4, 4]


def test_a_reader_loses_and_repeats_nothing_while_batches_are_joined(
    loop_thread: LoopThread, store: Store, few_rows: None
) -> None:
    async def use() -> list[int]:
        for place in range(9):
            await store.append(SERIES if place == 0 else [], START + place, floats((place, 1.0)))
        numbers = []
        async for batch in store.batches_after(1):
            numbers.append(batch.number)
            if batch.number == 4:
                while await store.merge():
                    pass
        return numbers

    assert loop_thread.run(use()) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_a_reader_loses_and_repeats_nothing_while_points_are_sealed(
    loop_thread: LoopThread, store: Store, few_rows: None
) -> None:
    async def use() -> tuple[list[int], list[int]]:
        for place in range(6):
            await store.append(SERIES if place == 0 else [], START + place, floats((place, 1.0)))
        times = []
        sealing = None
        async for batch in store.read_window(0, 9):
            times += batch.times.tolist()
            if sealing is None:
                sealing = asyncio.create_task(store.seal_closed(START + 2 * HOUR, 9))
                # It waits for the reader; without that it would have moved the points by then.
                assert not (await asyncio.wait([sealing], timeout=0.3))[0]
        assert sealing is not None
        assert await sealing
        return times, [time for batch in await listed(store.read_window(0, 9)) for time in batch.times.tolist()]

    while_sealing, afterwards = loop_thread.run(use())
    assert while_sealing == afterwards == [0, 1, 2, 3, 4, 5]


def test_only_what_came_in_a_closed_hour_and_will_not_be_replayed_is_sealed(
    loop_thread: LoopThread, store: Store
) -> None:
    async def use() -> None:
        for place in range(6):
            accepted_at = START + place * 20 * MINUTE
            await store.append(SERIES if place == 0 else [], accepted_at, floats((accepted_at, 1.0)))
        # The first hour has batches 1 to 3, the second one 4 to 6.
        assert not await store.seal_closed(START + HOUR, 6)
        assert not await store.seal_closed(START + 4 * HOUR, 0)
        assert await store.seal_closed(START + HOUR + MINUTE, 2)
        assert not await store.seal_closed(START + HOUR + MINUTE, 2)
        assert [batch.number for batch in await listed(store.batches_after(0))] == [3, 4, 5, 6]
        assert await store.seal_closed(START + 4 * HOUR, 6)
        assert [batch.number for batch in await listed(store.batches_after(0))] == [4, 5, 6]
        assert not await store.seal_closed(START + HOUR, 6, most_raw=3)
        assert await store.seal_closed(START + HOUR, 6, most_raw=2)
        assert await listed(store.batches_after(0)) == []
        assert await store.newest_batch() == 6
        assert [batch.number for batch in await listed(store.read_window(0, 0))] == [2, 3, 6]

    loop_thread.run(use())


def test_a_late_point_wins_over_the_sealed_one_of_its_time(loop_thread: LoopThread, store: Store) -> None:
    async def use() -> list[tuple[int, int, object]]:
        await store.append(SERIES, START, floats((1, 1.0), (2, 2.0)))
        await store.seal_closed(START + 2 * HOUR, 1)
        await store.append([], START + 2 * HOUR, floats((1, 5.0)))
        first = last_written(await store.read_series([0], 0, 9))
        await store.seal_closed(START + 4 * HOUR, 2)
        assert last_written(await store.read_series([0], 0, 9)) == first
        return first

    assert loop_thread.run(use()) == content(floats((1, 5.0), (2, 2.0)))


def test_a_damaged_block_is_told_as_a_damaged_database(loop_thread: LoopThread, folder: Path) -> None:
    async def seal(store: Store) -> None:
        await store.append(SERIES, START, floats((1, 1.0), (2, 2.0)))
        assert await store.seal_closed(START + 2 * HOUR, 1)

    with loop_thread.opened(opened(folder)) as store:
        loop_thread.run(seal(store))
        with closing(sqlite3.connect(folder / "samples.db")) as connection, connection:
            connection.execute("update blocks set points = substr(points, 1, length(points) - 3)")
        with pytest.raises(StorageUnavailable, match="restore a backup"):
            loop_thread.run(store.read_series([0], 0, 9))


def test_only_the_blocks_of_the_series_and_times_that_are_asked_for_are_read(
    loop_thread: LoopThread, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.evaluator.blocks.ordering.BLOCK_POINTS", 2)
    texts = [(SERIES[4], START, "a"), (SERIES[4], START + HOUR, "b")]
    numbers = [(SERIES[1], START, 1), (SERIES[1], START + HOUR, 2), (SERIES[1], START + DAY, 3)]

    async def seal(store: Store) -> None:
        await store.append(SERIES, START, columns([*texts, *numbers]))
        assert await store.seal_closed(START + 2 * HOUR, 1)

    async def use(store: Store) -> None:
        whole = content(columns(texts))
        assert content(await store.read_series([4], *EVER)) == whole
        assert content(await store.read_series([2, 4, 7], START, START + HOUR)) == whole
        assert content(await store.read_series([1], START + DAY - 1, EVER[1])) == content(columns(numbers[2:]))
        assert [batch.times.tolist() for batch in await listed(store.read_window(START + 1, 1, [4]))] == [
            [START + HOUR]
        ]
        assert await listed(store.read_window(START + DAY + 1, 1, [1])) == []
        with pytest.raises(StorageUnavailable):
            await store.read_series([1], *EVER)

    with loop_thread.opened(opened(folder)) as store:
        loop_thread.run(seal(store))
        with closing(sqlite3.connect(folder / "samples.db")) as connection, connection:
            connection.execute("update blocks set points = x'00' where first_series = 1 and first_time = ?", (START,))
        loop_thread.run(use(store))


def test_retention_deletes_what_is_too_old_and_never_gives_a_number_twice(
    loop_thread: LoopThread, store: Store, folder: Path
) -> None:
    async def age() -> None:
        await store.append(SERIES, START, floats((10, 1.0), (20, 2.0)))
        await store.append([], START, floats((30, 3.0)))
        assert await store.delete_before(21)
        assert not await store.delete_before(21)
        assert [batch.number for batch in await listed(store.batches_after(0))] == [2]
        newest = Newest()
        newest.update(floats((30, 3.0)), np.array([False]))
        await store.save_newest(2, newest.all())
        await store.delete_before(100)
        assert await listed(store.batches_after(0)) == []

    loop_thread.run(age())
    with loop_thread.opened(opened(folder)) as again:
        assert loop_thread.run(again.append([], START, floats((40, 1.0)))).number == 3
        loaded = [content(points) for points in loop_thread.run(listed(again.load_newest()))]
        assert [[time for _, time, _ in points] for points in loaded] == [[30], [40]]


def test_retention_deletes_sealed_points_too_and_their_space_is_used_again(
    loop_thread: LoopThread, store: Store
) -> None:
    async def hour(number: int) -> None:
        start = START + number * HOUR
        points = floats(*[(start + place * SECOND, float(np.sin(start + place))) for place in range(3_000)])
        await store.append(SERIES if number == 0 else [], start, points)
        while await store.seal_closed(start + 2 * HOUR, number + 1):
            pass

    async def age() -> list[HistorySize]:
        sizes = []
        for number in range(8):
            await hour(number)
            while await store.delete_before(START + (number - 2) * HOUR):
                pass
            sizes.append(await store.size())
        return sizes

    sizes = loop_thread.run(age())
    assert [size.start for size in sizes] == [START + max(number - 2, 0) * HOUR for number in range(8)]
    assert sizes[-1].bytes <= sizes[2].bytes + 4 * 4_096
    assert all(
        batch.times.max() - batch.times.min() < HOUR for batch in loop_thread.run(listed(store.read_window(0, 9)))
    )


def test_a_range_with_too_many_points_is_refused(
    loop_thread: LoopThread, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.evaluator.store.store.MAX_READ_POINTS", 2)
    loop_thread.run(store.append(SERIES, START, floats((1, 1.0), (2, 1.0), (3, 1.0))))
    with pytest.raises(TooManyPoints):
        loop_thread.run(store.read_series([0], 0, 10))
    assert len(loop_thread.run(store.read_series([0], 2, 3))) == 2


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats()), max_size=60), st.integers(2, 20))
def test_thinning_keeps_the_limit_the_order_and_the_extremes(points: list[tuple[int, float]], limit: int) -> None:
    own = in_time_order(floats(*points))
    values = own.values.view(np.float64)
    chosen = thinned_places(own.times, values, limit)
    assert len(chosen) <= max(limit, 2)
    assert (np.diff(chosen) > 0).all()
    assert (np.diff(own.times.astype(object)) > 0).all()
    if np.isfinite(values).any():
        assert np.nanmin(values[chosen]) == np.nanmin(values)
        assert np.nanmax(values[chosen]) == np.nanmax(values)
    if len(own) <= limit:
        assert len(chosen) == len(own)


@given(st.lists(st.lists(SAMPLES, min_size=1, max_size=6), max_size=6))
def test_the_newest_point_is_the_latest_and_of_two_at_once_the_one_that_came_last(batches: Any) -> None:
    newest, wanted = Newest(), dict[int, tuple[int, int, Any]]()
    for samples in batches:
        points = columns(samples)
        newest.update(points, points.series == FieldType.STRING - 1)
        for one in content(points):
            if one[0] not in wanted or one[1] >= wanted[one[0]][1]:
                wanted[one[0]] = one
    # A point at the least of all times is told from none by nobody.
    wanted = {index: one for index, one in wanted.items() if one[1] != -(2**63)}
    assert content(newest.all()) == [wanted[index] for index in sorted(wanted)]
    assert [content(newest.of(index)) for index in sorted(wanted)] == [[wanted[index]] for index in sorted(wanted)]
