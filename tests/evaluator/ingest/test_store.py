"""The embedded store: exact, durable, in order, and the same history whether merged or not."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitors.evaluator.model.series import Batch, FieldType, Series, SeriesKey
from monitors.evaluator.newest import Newest
from monitors.evaluator.points import Points, decode, encode, in_time_order, thinned_places
from monitors.evaluator.store import Store
from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.errors import InvalidField
from monitors.mesh.times import HOUR, MINUTE, SECOND
from tests.harness import LoopThread

T = TypeVar("T")
START = 1_700_000_000 * SECOND // HOUR * HOUR
KINDS = list(FieldType)
SERIES = [
    Series(index, SeriesKey("acme", "web", "m", kind.name, (("a", "ü\\,="),)), kind) for index, kind in enumerate(KINDS)
]
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.FLOAT: st.floats(),
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    FieldType.UNSIGNED: st.integers(0, 2**64 - 1),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.STRING: st.text(st.characters(codec="utf-8")),
}
TIMES = st.integers(0, 3) | st.integers(-(2**63), 2**63 - 1)
SAMPLES = st.sampled_from(SERIES).flatmap(lambda one: st.tuples(st.just(one), TIMES, VALUES[one.type]))
DTYPES = {FieldType.FLOAT: np.float64, FieldType.INTEGER: np.int64}


def columns(samples: list[tuple[Series, int, Any]]) -> Points:
    texts = tuple(value for series, _, value in samples if series.type == FieldType.STRING)
    bits, place = [], 0
    for series, _, value in samples:
        if series.type == FieldType.STRING:
            value, place = place, place + 1
        bits.append(np.array([value], DTYPES.get(series.type, np.uint64)).view(np.uint64)[0])
    return Points(
        np.array([series.index for series, _, _ in samples], np.int32),
        np.array([time for _, time, _ in samples], np.int64),
        np.array(bits, np.uint64),
        texts,
    )


def content(points: Points) -> list[tuple[int, int, Any]]:
    """What points say, to the last bit, with their texts in place."""
    found = zip(points.series.tolist(), points.times.tolist(), points.values.tolist(), strict=True)
    is_text = FieldType.STRING - 1
    return [(series, time, points.texts[bits] if series == is_text else bits) for series, time, bits in found]


def floats(*points: tuple[int, float]) -> Points:
    return columns([(SERIES[0], time, value) for time, value in points])


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    database = Database(sqlite_url(folder / "samples.db"), name="samples", migrations="monitors.evaluator.migrations")
    await asyncio.to_thread(database.upgrade)
    store = Store(database)
    await store.load()
    yield store
    database.close()


@pytest.fixture
def store(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Store]:
    with loop_thread.opened(opened(tmp_path)) as one:
        yield one


async def listed(found: AsyncIterator[T]) -> list[T]:
    return [one async for one in found]


def told(batches: list[Batch]) -> list[tuple[int, int, list[int], list[int], list[float]]]:
    return [
        (one.number, one.accepted_at, one.series.tolist(), one.times.tolist(), one.values.tolist()) for one in batches
    ]


@given(st.lists(SAMPLES, max_size=20))
@example([(SERIES[0], 0, -0.0), (SERIES[0], 0, float("nan")), (SERIES[4], 1, "\0ü"), (SERIES[4], 1, "")])
def test_every_value_survives_to_the_last_bit(samples: list[tuple[Series, int, Any]]) -> None:
    points = columns(samples)
    assert content(decode(encode(points))) == content(points)


@given(batches=st.lists(st.lists(SAMPLES, min_size=1, max_size=4), min_size=1, max_size=8), after=st.integers(0, 8))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_history_is_the_same_before_and_after_it_was_merged(
    loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory, batches: Any, after: int
) -> None:
    async def use(store: Store) -> tuple[Any, ...]:
        start, end = -(2**63), 2**63 - 1
        return (
            [str(one) for one in told(await listed(store.batches_after(after)))],
            content(await store.read_series([0, 2, 4], start, end)),
            sum([len(batch.times) for batch in await listed(store.read_window(start, after))]),
        )

    async def check(store: Store) -> None:
        for place, samples in enumerate(batches):
            new = SERIES if place == 0 else []
            await store.append(new, START + place * SECOND, columns(samples))
        before = await use(store)
        while await store.merge_closed(START + HOUR):
            pass
        assert await use(store) == before
        everything = [content(points) for points in await listed(store.load_newest())]
        assert everything == [[one for samples in batches for one in content(columns(samples))]]

    with loop_thread.opened(opened(tmp_path_factory.mktemp("store"))) as store:
        loop_thread.run(check(store))


def test_what_append_returned_is_there_after_a_crash(loop_thread: LoopThread, store: Store, tmp_path: Path) -> None:
    batch = loop_thread.run(store.append(SERIES, START, columns([(SERIES[4], 5, "kept"), (SERIES[0], 6, 1.5)])))
    # A copy of the files is what a killed process leaves: nothing of it was closed or flushed.
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for path in tmp_path.glob("samples.db*"):
        shutil.copy(path, crashed)
    with loop_thread.opened(opened(crashed)) as again:
        assert loop_thread.run(again.series()) == SERIES
        assert loop_thread.run(again.newest_batch()) == batch.number == 1
        found = loop_thread.run(again.read_series([0, 4], 0, 10))
        assert content(found) == [(4, 5, "kept"), (0, 6, np.float64(1.5).view(np.uint64))]


def test_the_engine_sees_booleans_and_integers_as_numbers_and_texts_as_unknown(
    loop_thread: LoopThread, store: Store
) -> None:
    samples = list(zip(SERIES, range(5), [1.5, -3, 2**63, True, "a"], strict=True))
    batch = loop_thread.run(store.append(SERIES, START, columns(samples)))
    assert batch.values.tolist()[:4] == [1.5, -3.0, 2.0**63, 1.0]
    assert np.isnan(batch.values[4])


def test_batches_merge_only_when_their_ten_minutes_have_been_over_for_ten_minutes(
    loop_thread: LoopThread, store: Store
) -> None:
    async def use() -> tuple[bool, bool, list[int]]:
        for minute in range(15):
            await store.append(SERIES if minute == 0 else [], START + minute * MINUTE, floats((minute, 1.0)))
        early = await store.merge_closed(START + 19 * MINUTE)
        late = await store.merge_closed(START + 20 * MINUTE)
        rows = [len(batch.times) for batch in await listed(store.read_window(0, 100))]
        return early, late, rows

    early, late, rows = loop_thread.run(use())
    assert (early, late, rows) == (False, True, [10, 1, 1, 1, 1, 1])


def test_rows_that_stayed_single_are_not_merged_across_others_after_a_restart(
    loop_thread: LoopThread, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.evaluator.store.MERGE_POINTS", 4)

    async def merge(store: Store) -> list[tuple[int, int]]:
        while await store.merge_closed(START + HOUR):
            pass
        return [(batch.number, len(batch.times)) for batch in await listed(store.batches_after(0))]

    async def fill(store: Store) -> None:
        for place, count in enumerate((3, 2, 2, 1)):
            points = floats(*[(time, 1.0) for time in range(count)])
            await store.append(SERIES if place == 0 else [], START, points)

    wanted = [(1, 3), (2, 2), (3, 2), (4, 1)]
    with loop_thread.opened(opened(folder)) as store:
        loop_thread.run(fill(store))
        assert loop_thread.run(merge(store)) == wanted
        rows = loop_thread.run(listed(store.read_window(0, 9)))
        assert [len(batch.times) for batch in rows] == [3, 4, 1]
    with loop_thread.opened(opened(folder)) as store:
        assert loop_thread.run(merge(store)) == wanted


def test_a_reader_loses_and_repeats_nothing_while_batches_are_merged(
    loop_thread: LoopThread, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.evaluator.store.PAGE_ROWS", 2)

    async def use() -> list[int]:
        for place in range(9):
            await store.append(SERIES if place == 0 else [], START + place, floats((place, 1.0)))
        numbers = []
        async for batch in store.batches_after(1):
            numbers.append(batch.number)
            if batch.number == 4:
                while await store.merge_closed(START + HOUR):
                    pass
        return numbers

    assert loop_thread.run(use()) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_retention_deletes_what_is_too_old_and_never_gives_a_number_twice(
    loop_thread: LoopThread, store: Store, tmp_path: Path
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
    with loop_thread.opened(opened(tmp_path)) as again:
        assert loop_thread.run(again.append([], START, floats((40, 1.0)))).number == 3
        loaded = [content(points) for points in loop_thread.run(listed(again.load_newest()))]
        assert [[time for _, time, _ in points] for points in loaded] == [[30], [40]]


def test_a_range_with_too_many_points_is_refused_with_the_fix(
    loop_thread: LoopThread, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.evaluator.store.MAX_READ_POINTS", 2)
    loop_thread.run(store.append(SERIES, START, floats((1, 1.0), (2, 1.0), (3, 1.0))))
    with pytest.raises(InvalidField, match="shorter time range"):
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
