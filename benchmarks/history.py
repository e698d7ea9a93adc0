"""The durable history: bytes a point, sealing, reading, and opening it after a kill, beside Parquet and plain zstd.

The data: random walks of doubles rounded to two decimals, one point a series every ten seconds. A week of 1,000 series
is written and sealed hour by hour, as the evaluator does it; the file is measured when closed, with all that SQLite
puts around the points. Parquet (pyarrow) gets the same points in the same order, encoded as makes its file smallest;
zstd alone gets the raw columns. The limit is the entropy of the steps: no code that knows nothing else goes below it.

For the reopening a process writes 10 million points of 10,000 series, goes on writing, and is killed with SIGKILL; what
is measured then is everything from opening the file until the first new batch is durable, in a process that has its
modules loaded.
"""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import zstandard

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.housekeeping import Housekeeping, Limits
from monitors.evaluator.model.series import FieldType, Int32s, Series, SeriesKey
from monitors.evaluator.newest import Newest
from monitors.evaluator.points import Points
from monitors.evaluator.store import Store
from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.times import DAY, HOUR, SECOND

START = 1_772_323_200 * SECOND
TICK = 10 * SECOND
TICKS_OF_HOUR = HOUR // TICK
WEEK = 7 * 24
SERIES = 1_000
CRASH_SERIES, CRASH_TICKS = 10_000, 1_000
COMMIT_SERIES, COMMITS, COMMIT_PAUSE = 100_000, 200, 0.05
READS = 20
DELTAS = {"series": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED"}
PARQUET: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "deltas": {"use_dictionary": ["value"], "column_encoding": DELTAS},
    "deltas, split": {"use_dictionary": False, "column_encoding": {**DELTAS, "value": "BYTE_STREAM_SPLIT"}},
}
"""Ways to encode the columns; the one that makes the smallest file is the peer."""
LIMITS = Limits(30 * DAY, 10**11)


def make_series(count: int) -> list[Series]:
    return [
        Series(index, SeriesKey("local", f"mon{index // 10}", "m", f"f{index % 10}", (("dc", "a"),)), FieldType.FLOAT)
        for index in range(count)
    ]


class Walks:
    """Random walks: an array of ticks x series at a time, rounded to two decimals."""

    def __init__(self, series: int) -> None:
        self._random = np.random.default_rng(7)
        self._now = 100 + 20 * self._random.random(series)
        self.indexes: Int32s = np.arange(series, dtype=np.int32)

    def next(self, first_tick: int, ticks: int) -> Points:
        steps = self._random.normal(0, 1, (ticks, len(self._now)))
        walks = self._now + np.cumsum(steps, axis=0)
        self._now = walks[-1]
        times = np.repeat(START + (first_tick + np.arange(ticks)) * TICK, len(self._now))
        return Points(np.tile(self.indexes, ticks), times, np.round(walks, 2).ravel().view(np.uint64))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    database = Database(sqlite_url(folder / "samples.db"), name="samples", migrations="monitors.evaluator.migrations")
    await asyncio.to_thread(database.upgrade)
    store = Store(database)
    await store.load()
    try:
        yield store
    finally:
        database.close()


def cpu(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


async def fill_week(folder: Path) -> tuple[float, list[Points]]:
    """The CPU seconds that sealing took, reading the rows and writing the blocks included; and the points, by hour."""
    walks, hours, seconds = Walks(SERIES), list[Points](), 0.0
    async with opened(folder) as store:
        for hour in range(WEEK):
            parts = []
            for part in range(6):
                first = hour * TICKS_OF_HOUR + part * TICKS_OF_HOUR // 6
                points = walks.next(first, TICKS_OF_HOUR // 6)
                now = START + first * TICK
                await store.append(make_series(SERIES) if not store.series_count else [], now, points)
                parts.append(points)
            start = time.process_time()
            while await store.seal_closed(now + HOUR, await store.newest_batch()):
                pass
            seconds += time.process_time() - start
            hours.append(
                Points(
                    np.concatenate([part.series for part in parts]),
                    np.concatenate([part.times for part in parts]),
                    np.concatenate([part.values for part in parts]),
                )
            )
        await store.save_newest(await store.newest_batch(), hours[-1].take(np.arange(-SERIES, 0)))
    return seconds, hours


def by_series(hours: list[Points]) -> Iterator[Points]:
    for points in hours:
        yield points.take(np.argsort(points.series, kind="stable"))


def write_parquet(hours: list[Points], path: Path, options: dict[str, Any]) -> None:
    schema = pa.schema([("series", pa.int32()), ("time", pa.int64()), ("value", pa.float64())])
    with pq.ParquetWriter(path, schema, compression="zstd", **options) as writer:
        for points in by_series(hours):
            columns = [points.series, points.times, points.values.view(np.float64)]
            writer.write_table(pa.table(columns, schema=schema), 65_536)


def zstd_bytes(hours: list[Points]) -> int:
    compressor = zstandard.ZstdCompressor(level=3)
    columns = (column for points in by_series(hours) for column in (points.series, points.times, points.values))
    return sum(len(compressor.compress(column.tobytes())) for column in columns)


def entropy_bytes(hours: list[Points]) -> float:
    """Bytes a point that the steps of the walks hold, in hundredths."""
    scaled = np.rint(np.concatenate([hour.values for hour in hours[:24]]).view(np.float64) * 100).astype(np.int64)
    steps = np.diff(scaled.reshape(-1, SERIES), axis=0)
    _, counts = np.unique(steps, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum() / 8)


def milliseconds(found: list[float]) -> str:
    return f"{median(found) * 1e3:.1f} ms [{min(found) * 1e3:.1f}..{max(found) * 1e3:.1f}]"


async def read_days(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds to read a day of one series, and the last hour of one series as the back-fill of a new rule does it."""
    days, fills = [], []
    async with opened(folder) as store:
        for index in np.linspace(0, SERIES - 1, READS, dtype=int).tolist():
            start = time.perf_counter()
            points = await store.read_series([index], START + 3 * DAY, START + 4 * DAY - 1)
            days.append(time.perf_counter() - start)
            if len(points) != DAY // TICK:
                raise RuntimeError(f"{len(points)} points instead of a day's")
            start = time.perf_counter()
            async for _ in store.read_window(START + 7 * DAY - HOUR, 10**9, {index}):
                pass
            fills.append(time.perf_counter() - start)
    return days, fills


def read_parquet_days(path: Path) -> list[float]:
    days = []
    file = ds.dataset(path)
    for index in np.linspace(0, SERIES - 1, READS, dtype=int).tolist():
        start = time.perf_counter()
        wanted = (
            (ds.field("series") == index) & (ds.field("time") >= START + 3 * DAY) & (ds.field("time") < START + 4 * DAY)
        )
        table = file.to_table(columns=["time", "value"], filter=wanted, use_threads=False)
        days.append(time.perf_counter() - start)
        if len(table) != DAY // TICK:
            raise RuntimeError(f"{len(table)} points instead of a day's")
    return days


async def write_until_killed(folder: Path) -> None:
    """What the child does: a line for each durable batch after the ten million points."""
    walks, newest = Walks(CRASH_SERIES), Newest()
    async with opened(folder) as store:
        housekeeping = Housekeeping(store, newest, LIMITS, lambda: store_number)
        tick = 0
        while True:
            now = START + tick * TICK
            points = walks.next(tick, 1)
            batch = await store.append(make_series(CRASH_SERIES) if tick == 0 else [], now, points)
            store_number = batch.number
            newest.update(points, store.is_text(points))
            await housekeeping.tidy(now)
            tick += 1
            if tick >= CRASH_TICKS:
                print(f"durable {batch.number}", flush=True)


def fill_and_kill(folder: Path) -> int:
    """Kills the writer some batches after it has written everything. The number of its last batch."""
    arguments = [sys.executable, "-m", "benchmarks.history", "--write", str(folder)]
    durable = 0
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            durable = int(line.split()[1])
            if durable == CRASH_TICKS + 7:
                os.kill(child.pid, signal.SIGKILL)
    return durable


async def reopen(folder: Path, durable: int) -> tuple[float, float, float, float]:
    """Seconds until the series are known, the newest points are, and a new batch is durable; and the CPU seconds."""
    start, cpu_start = time.perf_counter(), time.process_time()
    database = Database(sqlite_url(folder / "samples.db"), name="samples", migrations="monitors.evaluator.migrations")
    await asyncio.to_thread(database.upgrade)
    store, newest = Store(database), Newest()
    catalogue = Catalogue(await store.load())
    known = time.perf_counter() - start
    async for points in store.load_newest():
        newest.update(points, store.is_text(points))
    ready = time.perf_counter() - start
    points = newest.all()
    await store.append([], time.time_ns(), Points(points.series, points.times + TICK, points.values))
    written = time.perf_counter() - start
    cpu_seconds = time.process_time() - cpu_start
    number = await store.newest_batch()
    if number < durable + 1 or len(catalogue) != CRASH_SERIES or len(points) != CRASH_SERIES:
        raise RuntimeError("something that was durable is lost")
    database.close()
    return known, ready, written, cpu_seconds


def copies(folder: Path, count: int) -> list[Path]:
    """The killed writer's files several times, since opening them once tidies them."""
    made = []
    for place in range(count):
        copy = folder.with_name(f"{folder.name}{place}")
        copy.mkdir()
        for path in folder.glob("samples.db*"):
            (copy / path.name).write_bytes(path.read_bytes())
        made.append(copy)
    return made


async def commit_ticks(folder: Path) -> list[float]:
    """Seconds for each commit of a tick of 100,000 points."""
    walks, seconds = Walks(COMMIT_SERIES), []
    async with opened(folder) as store:
        await store.append(make_series(COMMIT_SERIES), START, walks.next(0, 1))
        for tick in range(1, COMMITS):
            points = walks.next(tick, 1)
            start = time.perf_counter()
            await store.append([], START + tick * TICK, points)
            seconds.append(time.perf_counter() - start)
            await asyncio.sleep(COMMIT_PAUSE)
    return seconds


def commit_blobs(file: Path) -> list[float]:
    """Seconds for each commit of as many bytes by SQLite alone, which checkpoints within every so many commits."""
    seconds = []
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.executescript("pragma journal_mode=wal; pragma synchronous=full; create table t (x blob)")
        blob = np.random.default_rng(1).bytes(COMMIT_SERIES * 20)
        for _ in range(COMMITS):
            start = time.perf_counter()
            database.execute("insert into t values (?)", (blob,))
            seconds.append(time.perf_counter() - start)
            time.sleep(COMMIT_PAUSE)
    return seconds


def report_commits(folder: Path) -> None:
    print(f"durable commits of {COMMIT_SERIES:,} points, {COMMIT_PAUSE * 1e3:.0f} ms apart:")
    plain = commit_blobs(folder / "plain.db")
    for what, seconds in (("the store", asyncio.run(commit_ticks(folder))), ("as many bytes, SQLite alone", plain)):
        p50, p95 = np.percentile(seconds, [50, 95]) * 1e3
        print(f"  {what:28} p50 {p50:.1f} ms, p95 {p95:.1f} ms")


def report_size(folder: Path) -> None:
    seconds, hours = asyncio.run(fill_week(folder))
    count = sum(len(hour) for hour in hours)
    size = (folder / "samples.db").stat().st_size
    peers = {}
    for name, options in PARQUET.items():
        path = folder / f"{name}.parquet"
        seconds_of_peer = cpu(lambda path=path, options=options: write_parquet(hours, path, options))  # type: ignore[misc]
        peers[path.stat().st_size] = name, path, seconds_of_peer
    parquet_size = min(peers)
    encoding, path, parquet_seconds = peers[parquet_size]
    path.rename(folder / "points.parquet")
    print(f"{count:,} points of {SERIES:,} series, two decimals, every 10 s")
    print(f"  the store's file, closed        {size / count:.2f} bytes a point")
    print(f"  Parquet, zstd, {encoding:15}  {parquet_size / count:.2f} (pyarrow {pa.__version__})")
    print(f"  zstd of the raw columns         {zstd_bytes(hours) / count:.2f}")
    print(f"  the entropy of the steps        {entropy_bytes(hours):.2f}")
    print(f"sealing: {count / seconds / 1e6:.1f} M points per CPU-second, rows read and blocks durable")
    print(f"  writing the Parquet file: {count / parquet_seconds / 1e6:.1f} M points per CPU-second")


def report_reading(folder: Path) -> None:
    days, fills = asyncio.run(read_days(folder))
    print(f"a day of one series, 8,640 points: {milliseconds(days)}")
    print(f"  Parquet, by row groups' statistics: {milliseconds(read_parquet_days(folder / 'points.parquet'))}")
    print(f"the last hour of one series, for a rule that is added: {milliseconds(fills)}")


def report_reopening(folder: Path) -> None:
    durable = fill_and_kill(folder)
    log = sum(path.stat().st_size for path in folder.glob("samples.db-wal"))
    found = [asyncio.run(reopen(copy, durable)) for copy in copies(folder, 5)]
    print(f"after kill -9, {durable * CRASH_SERIES:,} points, {CRASH_SERIES:,} series, log of {log / 1e6:.1f} MB:")
    for place, what in enumerate(("series known", "newest points known", "first new batch durable", "all, CPU")):
        print(f"  {what:24} {milliseconds([one[place] for one in found])}")


def main() -> None:
    if sys.argv[1:2] == ["--write"]:
        asyncio.run(write_until_killed(Path(sys.argv[2])))
        return
    with tempfile.TemporaryDirectory() as folder:
        week, commits, crash = (Path(folder, name) for name in ("week", "commits", "crash"))
        for path in (week, commits, crash):
            path.mkdir()
        report_size(week)
        report_reading(week)
        report_commits(commits)
        report_reopening(crash)


if __name__ == "__main__":
    main()
