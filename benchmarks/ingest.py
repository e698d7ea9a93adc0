"""Points per CPU-second of the ways in: from the bytes of a body or message until they are durable and evaluated.

The process that is measured does what the evaluator does with a write: it reads the body, resolves the series, commits
to SQLite (WAL, every commit synced) and steps an `Evaluation`. CPU-seconds are those of the whole process, with all of
its threads; HTTP, gRPC and the sender aren't in them. Each figure stands beside a limit of the same run: for lines,
`bytes.split` and `float` in plain Python, which knows no series and keeps nothing; for columns, a copy of the bytes and
their commit as one SQLite blob.
"""

import argparse
import asyncio
import gc
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.intake import Intake
from monitors.evaluator.model.evaluation import Evaluation, Points
from monitors.evaluator.model.series import Batch, FieldType, Series, SeriesKey
from monitors.evaluator.model.spec import ConditionKind, RuleSpec
from monitors.evaluator.newest import Newest
from monitors.evaluator.points import Definition
from monitors.evaluator.points import Points as SamplePoints
from monitors.evaluator.reader import LineReader
from monitors.evaluator.registering import SeriesRegistry
from monitors.evaluator.registry import Registry
from monitors.evaluator.samples import SampleStream
from monitors.evaluator.store import Store
from monitors.mesh.channels import open_channel
from monitors.mesh.config import RulesSettings
from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.identity import with_service_token
from monitors.mesh.server import MeshServer
from monitors.mesh.times import DAY, now_nanos
from monitors.rules.main import open_rules
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import monitor_pb2

TENANT = "acme"


class NoRegistry:
    """Knows every series already: RuleService isn't asked for known ones either."""

    async def report(self, tenant: str, definitions: Sequence[Definition]) -> list[FieldType | None]:
        return [None] * len(definitions)


class Stepping:
    """An evaluation that steps as soon as a batch comes, with one `latest` rule on each series, or with none."""

    def __init__(self, *, with_rules: bool) -> None:
        self._with_rules = with_rules
        self._evaluation = Evaluation(now_nanos())
        self._seen = 0
        self.step_count = 0

    def add_series(self, series: Sequence[Series]) -> None:
        self._evaluation.add_series(series)
        if self._with_rules:
            fill, _ = self._evaluation.put_rules([_rule(one) for one in series], now_nanos())
            self._evaluation.filled(fill, [False] * len(self._evaluation.plan.series))
            self._evaluation.activate(list(self._evaluation.plan.rules()), at_once=False)

    async def room(self) -> None:
        """There is always room: it evaluates at once."""

    def push(self, batch: Batch) -> None:
        self._evaluation.advance(Points(batch.series, batch.times, batch.values), batch.accepted_at)
        self.step_count += 1


def _rule(series: Series) -> RuleSpec:
    key = series.key
    return RuleSpec(
        key.tenant, f"rule_{series.index}", key.monitor, ConditionKind.THRESHOLD, measurement=key.measurement,
        field=key.field, low=1e9,
    )  # fmt: skip


@dataclass
class WaysIn:
    """What a write passes through."""

    catalogue: Catalogue
    intake: Intake
    reader: LineReader
    database: Database
    evaluation: "Stepping"


@asynccontextmanager
async def ways_in(folder: Path, *, with_rules: bool, registry: SeriesRegistry | None = None) -> AsyncIterator[WaysIn]:
    """Opens a store of its own."""
    database = Database(sqlite_url(folder / "samples.db"), name="samples", migrations="monitors.evaluator.migrations")
    database.upgrade()
    store = Store(database)
    catalogue = Catalogue(await store.load(), max_series=MANY)
    evaluation = Stepping(with_rules=with_rules)
    intake = Intake(store, catalogue, Newest(), registry or NoRegistry(), evaluation, 30 * DAY)
    running = asyncio.create_task(intake.run())
    try:
        yield WaysIn(catalogue, intake, LineReader(catalogue), database, evaluation)
    finally:
        intake.close()
        await running
        database.close()


# --- what is sent ----------------------------------------------------------------------------------------------------


def uniform_lines(count: int, now: int) -> bytes:
    """One point of each of `count` series, a tick of a collector."""
    values = [f"{random.uniform(0, 100):.2f}" for _ in range(count)]
    lines = [f"m,monitor_id=mon{index:06d},region=eu-1 v={value} {now}" for index, value in enumerate(values)]
    return "\n".join(lines).encode()


def telegraf_lines(count: int, now: int) -> bytes:
    """What Telegraf's cpu, mem, disk and system plugins send, ten fields a line or so, lines in changing order."""
    lines = []
    for index in range(count):
        host = f"web{index // 8:05d}"
        time_ = now - index % 8
        match index % 8:
            case 6:
                fields = ",".join(f"{name}={random.randrange(10**10)}i" for name in MEMORY)
                lines.append(f"mem,host={host} {fields},used_percent={random.uniform(0, 100)!r} {time_}")
            case 7:
                load = ",".join(f"load{minutes}={random.uniform(0, 8):.2f}" for minutes in (1, 5, 15))
                lines.append(f'system,host={host} {load},n_cpus=8i,uptime_format="1 day,  1:{index % 60:02d}" {time_}')
            case cpu:
                fields = ",".join(f"usage_{name}={random.uniform(0, 100)!r}" for name in CPU)
                lines.append(f"cpu,cpu=cpu{cpu},host={host} {fields},usage_steal=0 {time_}")
    random.shuffle(lines)
    return "\n".join(lines).encode()


def columns(count: int, start: int, now: int, *, defining: bool) -> pb.WriteSamplesRequest:
    """One point of each of `count` series as a message of columns."""
    names = [
        pb.SeriesDefinition(
            key=monitor_pb2.SeriesKey(monitor_id=f"mon{index:06d}", measurement="m", field="v"),
            type=monitor_pb2.FIELD_TYPE_FLOAT,
        )
        for index in range(start, start + count)
    ]
    values = np.round(np.random.default_rng(start).uniform(0, 100, count), 2)
    return pb.WriteSamplesRequest(
        series=names if defining else [],
        series_indexes=np.arange(start, start + count, dtype="<u4").tobytes(),
        times=np.full(count, now, "<i8").tobytes(),
        values=values.astype("<f8").tobytes(),
    )


MEMORY = ("active", "available", "buffered", "cached", "free", "inactive", "total", "used", "wired")
CPU = ("user", "system", "idle", "iowait", "irq", "nice", "softirq", "guest", "guest_nice")
MANY = 10_000_000


# --- measuring -------------------------------------------------------------------------------------------------------


async def rate(write: Callable[[int], Awaitable[int]], rounds: int) -> float:
    """Points per CPU-second of the process; the median of the rounds. `write` tells how many points it wrote."""
    rates = []
    for round_ in range(rounds):
        start = time.process_time()
        count = await write(round_)
        rates.append(count / (time.process_time() - start))
    return statistics.median(rates)


async def lines_rate(
    make: Callable[[int, int], bytes], count: int, rounds: int, *, with_rules: bool, senders: int = 1
) -> float:
    """Bodies of `count` lines, of as many senders at once. The first isn't counted: it makes the series known."""
    with tempfile.TemporaryDirectory() as folder:
        async with ways_in(Path(folder), with_rules=with_rules) as ways:

            async def write(body: bytes) -> int:
                parsed = ways.reader.read(body, TENANT, 1, now_nanos())
                written = await ways.intake.write(parsed.submission)
                if parsed.errors or written.refused:
                    raise RuntimeError(f"not all was taken: {parsed.errors[:1]} {written.refusals[:1]}")
                return written.accepted

            await write(make(count, now_nanos()))
            bodies = [[make(count, now_nanos() + sender) for sender in range(senders)] for _ in range(rounds)]

            async def round_of_all(number: int) -> int:
                return sum(await asyncio.gather(*map(write, bodies[number])))

            return await rate(round_of_all, rounds)


async def columns_rate(series: int, rounds: int, *, with_rules: bool) -> float:
    """Messages of 50,000 points as they come off the wire, one of each series a round; the first isn't counted."""
    with tempfile.TemporaryDirectory() as folder:
        async with ways_in(Path(folder), with_rules=with_rules) as ways:
            stream = SampleStream(TENANT, ways.catalogue)

            async def write(messages: Sequence[bytes]) -> int:
                count = 0
                for message in messages:
                    count += (await ways.intake.write(stream.take(pb.WriteSamplesRequest.FromString(message)))).accepted
                return count

            def tick(now: int, *, defining: bool = False) -> list[bytes]:
                starts = range(0, series, MESSAGE_POINTS)
                return [columns(MESSAGE_POINTS, at, now, defining=defining).SerializeToString() for at in starts]

            await write(tick(now_nanos(), defining=True))
            ticks = iter([tick(now_nanos() + round_) for round_ in range(rounds)])
            return await rate(lambda _: write(next(ticks)), rounds)


MESSAGE_POINTS = 50_000


def split_rate(body: bytes, points: int) -> float:
    """Lines by `bytes.split` and `float`: the least that plain Python could do."""
    start = time.process_time()
    for line in body.split(b"\n"):
        _, fields, time_ = line.split(b" ") if line.count(b" ") == 2 else (b"", b"", b"0")
        int(time_)
        for field in fields.split(b","):
            _, _, value = field.partition(b"=")
            if value[-1:].isdigit():
                float(value)
    return points / (time.process_time() - start)


def blob_rate(rounds: int) -> float:
    """Columns of 50,000 points (20 bytes each) copied and committed as one blob to SQLite, WAL, synced."""
    columns_ = [np.zeros(MESSAGE_POINTS, kind) for kind in ("<i4", "<i8", "<u8")]
    blobs = [one.tobytes() for one in columns_]
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "blobs.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE blobs (number INTEGER PRIMARY KEY, points BLOB)")
        start = time.process_time()
        for _ in range(rounds):
            copies = [np.frombuffer(blob, np.uint8).copy() for blob in blobs]
            connection.execute("INSERT INTO blobs (points) VALUES (?)", (b"".join(one.tobytes() for one in copies),))
        taken = time.process_time() - start
        connection.close()
    return rounds * MESSAGE_POINTS / taken


async def new_series_rate(count: int) -> tuple[float, float]:
    """Series per CPU-second and per second: a body of points of series that nobody knew, RuleService's work and all."""
    with tempfile.TemporaryDirectory() as name:
        folder, closing = Path(name), asyncio.Event()
        target = f"unix:{folder / 'mesh.sock'}"
        async with (
            open_channel(target, "token") as channel,
            open_rules(RulesSettings(sqlite_url(folder / "rules.db")), closing, channel) as rules,
            ways_in(folder, with_rules=False, registry=Registry(channel)) as ways,
        ):
            server = MeshServer(with_service_token("token", rules.authenticate), closing)
            server.host(rules)
            await server.start([target], variable="MONITORS_GRPC_PORT")
            body = uniform_lines(count, now_nanos())
            started, cpu = time.perf_counter(), time.process_time()
            written = await ways.intake.write(ways.reader.read(body, TENANT, 1, now_nanos()).submission)
            cpu, taken = time.process_time() - cpu, time.perf_counter() - started
            await server.stop()
    return written.accepted / cpu, written.accepted / taken


def memory_per_series(count: int) -> float:
    """Bytes that the catalogue and the newest points grow by for each series, of a monitor of its own."""
    catalogue, newest = Catalogue(max_series=MANY), Newest()
    before = psutil.Process().memory_info().rss
    for index in range(count):
        catalogue.find_or_add(Definition(SeriesKey(TENANT, f"mon{index:07d}", "m", "v", ()), FieldType.FLOAT))
        if index % 10_000 == 9_999:
            catalogue.mark_saved(catalogue.unsaved())
    every = np.arange(count, dtype=np.int32)
    newest.update(SamplePoints(every, np.ones(count, np.int64), np.ones(count, np.uint64)))
    return (psutil.Process().memory_info().rss - before) / count


def show(name: str, measured: float, limit: float | None, must: float, unit: str = "points/CPU-s") -> None:
    """A line of the table."""
    beside = f"{limit:>14,.0f}" if limit else f"{'':>14}"
    print(f"{name:<58} {measured:>14,.0f} {beside} {must:>12,.0f}  {unit}", flush=True)


def main() -> None:
    """Measures and prints everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--series", type=int, default=100_000, help="series of the uniform bodies and of the columns")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    count, rounds = arguments.series, arguments.rounds
    random.seed(1)
    memory = memory_per_series(10 * count)
    gc.collect()
    gc.freeze()
    gc.disable()
    print(f"{'way in':<58} {'measured':>14} {'limit':>14} {'must':>12}")
    telegraf = telegraf_lines(10_000, now_nanos())
    points = telegraf.count(b"=") - telegraf.count(b",host=") - telegraf.count(b",cpu=")
    for with_rules in (False, True):
        suffix = ", a rule each" if with_rules else ""
        split = split_rate(telegraf, points)
        figure = asyncio.run(lines_rate(telegraf_lines, 10_000, rounds, with_rules=with_rules))
        show(f"Telegraf's lines, bodies of 10,000{suffix}", figure, split, 300_000)
        for lines, senders in ((5_000, 1), (5_000, 8), (count, 1)):
            split = split_rate(uniform_lines(lines, now_nanos()), lines)
            figure = asyncio.run(lines_rate(uniform_lines, lines, rounds, with_rules=with_rules, senders=senders))
            show(f"uniform lines, {senders} × {lines:,} at once{suffix}", figure, split, 1_500_000)
        figure = asyncio.run(columns_rate(count, rounds, with_rules=with_rules))
        show(f"WriteSamples, {MESSAGE_POINTS:,} a message{suffix}", figure, blob_rate(20), 10_000_000)
    per_cpu, per_second = asyncio.run(new_series_rate(count))
    show("new series by lines, with RuleService", per_cpu, None, 100_000 / 1.5, "series/CPU-s")
    show("the same on the wall's clock", per_second, None, 100_000 / 1.5, "series/s")
    show(f"memory of {10 * count:,} series", memory, None, 250, "bytes a series")


if __name__ == "__main__":
    main()
