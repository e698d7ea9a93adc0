"""Points of all types, a store on a disk, and what both say, for the history's tests."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.points import Points
from monitors.evaluator.store import Store
from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.times import HOUR, SECOND

START = 1_700_000_000 * SECOND // HOUR * HOUR
KINDS = list(FieldType)
SERIES = [
    Series(index, SeriesKey("acme", "web", "m", kind.name, (("a", "ü\\,="),)), kind) for index, kind in enumerate(KINDS)
]
TYPES = np.array([one.type for one in SERIES], np.uint8)
DTYPES = {FieldType.FLOAT: np.float64, FieldType.INTEGER: np.int64}

NANS = st.integers(1, 2**52 - 1).flatmap(lambda bits: st.sampled_from((bits | 0x7FF << 52, bits | 0xFFF << 52)))
DOUBLES = (
    st.floats().map(lambda value: int(np.float64(value).view(np.uint64)))
    | st.decimals(-1_000, 1_000, places=2).map(lambda value: int(np.float64(value).view(np.uint64)))
    | NANS
)
"""The bits of doubles: any, short decimals, NaN with any payload."""
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.FLOAT: DOUBLES,
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3),
    FieldType.UNSIGNED: st.integers(0, 2**64 - 1) | st.integers(0, 3),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.STRING: st.text(st.characters(codec="utf-8")),
}
TIMES = st.integers(0, 3) | st.integers(START, START + HOUR) | st.integers(-(2**63), 2**63 - 1)
SAMPLES = st.sampled_from(SERIES).flatmap(lambda one: st.tuples(st.just(one), TIMES, VALUES[one.type]))
Sample = tuple[Series, int, Any]


def columns(samples: Sequence[Sample]) -> Points:
    """The samples as points; a double may be given by its bits."""
    texts = tuple(value for series, _, value in samples if series.type == FieldType.STRING)
    bits, place = [], 0
    for series, _, value in samples:
        if series.type == FieldType.STRING:
            value, place = place, place + 1
        as_bits = series.type == FieldType.FLOAT and isinstance(value, int)
        kind = np.uint64 if as_bits else DTYPES.get(series.type, np.uint64)
        bits.append(np.array([value], kind).view(np.uint64)[0])
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


def last_written(points: Points) -> list[tuple[int, int, Any]]:
    """What points say when a later arrival replaces an earlier one of the same series and time, in their order."""
    kept = {(series, time): value for series, time, value in content(points)}
    return [(*key, kept[key]) for key in sorted(kept)]


def floats(*points: tuple[int, float]) -> Points:
    """Points of the first series."""
    return columns([(SERIES[0], time, value) for time, value in points])


def open_database(folder: Path) -> Database:
    """The database of the store in that folder."""
    return Database(sqlite_url(folder / "samples.db"), name="samples", migrations="monitors.evaluator.migrations")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    """A store in that folder, loaded."""
    database = open_database(folder)
    await asyncio.to_thread(database.upgrade)
    store = Store(database)
    await store.load()
    try:
        yield store
    finally:
        database.close()
