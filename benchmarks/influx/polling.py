"""A poll of all series from the real InfluxDB: where its seconds go, and its CPU beside a query for each rule."""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import numpy as np

from benchmarks.influx.load import MEASUREMENT, Load
from benchmarks.measure import Figure, Spread, collector_off, cpu_seconds, say
from monitors.evaluator.model.series import FieldType
from monitors.evaluator.model.window import Window
from monitors.evaluator.points import Points, numbers
from monitors.evaluator.sources.detect import open_source
from monitors.evaluator.sources.influxql_answer import CsvAnswer, naming
from monitors.evaluator.sources.influxql_text import Measurement, Statement
from monitors.evaluator.sources.port import EVERYTHING, Source
from monitors.evaluator.sources.series_book import SeriesBook
from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh.times import HOUR, MINUTE
from tests.servers.influxdb import InfluxServer

WARM_UP = 2
IN_FLIGHT = 16


@dataclass(frozen=True)
class Run:
    """How much is measured: series, polls, and how many rules' own queries stand for those of all."""

    series: int
    polls: int
    sample: int


@dataclass(frozen=True)
class Poll:
    """One poll: its wall-clock seconds, those of them that are ours, and the CPU seconds of both sides."""

    wall: float
    query: float
    transfer: float
    parse: float
    insert: float
    cpu: float
    ours: float
    """CPU seconds of this process."""


def polling(server: InfluxServer, run: Run) -> list[Figure]:
    """Writes tick after tick, polls each, and then asks for one rule after the other."""
    load = Load(run.series)
    for number in range(WARM_UP):
        server.write(load.lines(number))
    polls = asyncio.run(_polls(server, load, run))
    say(f"asking for {run.sample} rules, one query each")
    naive_cpu, naive_rate = asyncio.run(_one_by_one(server, load, run))
    return _figures(run, polls, naive_cpu, naive_rate)


async def _polls(server: InfluxServer, load: Load, run: Run) -> list[Poll]:
    source = await open_source(InfluxSettings(server.url))
    try:
        window = _window(run.series)
        whole, found = await _whole(source, load, window, WARM_UP - 1, server.pid)
        assert found == run.series, f"{found:,} points"
        polls = []
        for number in range(WARM_UP, WARM_UP + run.polls):
            await asyncio.to_thread(server.write, load.lines(number))
            say(f"poll {number - WARM_UP + 1} of {run.polls}")
            with collector_off():
                whole, found = await _whole(source, load, window, number, server.pid)
                query, transfer, body = await _raw(server, load, number)
            assert found == run.series, f"{found:,} points"
            polls.append(_with_parts(whole, query, transfer, body, load, number))
        return polls
    finally:
        await source.close()


def _window(series: int) -> Window:
    window = Window()
    window.set_retention(np.arange(series), HOUR)
    return window


async def _whole(source: Source, load: Load, window: Window, number: int, pid: int) -> tuple[Poll, int]:
    """The poll as the evaluator does it: read, and put into the window."""
    database, ours, began = cpu_seconds(pid), time.process_time(), time.perf_counter()
    found, inserting = 0, 0.0
    async for points in source.read(EVERYTHING, *load.tick(number)):
        inserted_at = time.perf_counter()
        _insert(window, points)
        inserting += time.perf_counter() - inserted_at
        found += len(points)
    wall, ours = time.perf_counter() - began, time.process_time() - ours
    return Poll(wall, 0, 0, 0, inserting, cpu_seconds(pid) - database + ours, ours), found


def _insert(window: Window, points: Points) -> None:
    kinds = np.full(len(points), FieldType.FLOAT, np.uint8)
    window.insert(points.series, points.times, numbers(points.values, kinds))


async def _raw(server: InfluxServer, load: Load, number: int) -> tuple[float, float, bytes]:
    """The same question without reading its answer: seconds to the first byte and from there to the last, and the
    bytes."""
    start, end = load.tick(number)
    form = {
        "db": "monitors",
        "epoch": "ns",
        "chunked": "true",
        "q": f'SELECT "value"::float AS s0f0, "monitor_id"::tag AS s0t0 FROM "{MEASUREMENT}" '
        f"WHERE time >= {start} AND time <= {end}",
    }
    headers = {"Accept": "application/csv", "Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(headers=headers) as session:
        began = time.perf_counter()
        async with session.post(f"{server.url}/query", data=form) as response:
            first = await response.content.readany()
            first_at = time.perf_counter()
            body = first + await response.read()
    return first_at - began, time.perf_counter() - first_at, body


_NAMES = naming(SeriesBook())


def _with_parts(whole: Poll, query: float, transfer: float, body: bytes, load: Load, number: int) -> Poll:
    measurement = Measurement(MEASUREMENT, (("value", FieldType.FLOAT),), ("monitor_id",))
    answer = CsvAnswer([Statement("", "s0", measurement, measurement.fields)], _NAMES)
    _NAMES.begin()
    with collector_off():
        began = time.perf_counter()
        points = [*answer.feed(body), *answer.end()]
        parse = time.perf_counter() - began
    assert sum(map(len, points)) == load.series
    return Poll(whole.wall, query, transfer, parse, whole.insert, whole.cpu, whole.ours)


async def _one_by_one(server: InfluxServer, load: Load, run: Run) -> tuple[float, float]:
    """CPU seconds of both sides for one rule's own query, and such queries a second. The client is the cheapest there
    is in the product: kept connections, many in flight, JSON."""
    names = [f"mon_{place:06d}" for place in range(0, run.series, max(1, run.series // run.sample))][: run.sample]
    start, end = load.tick(WARM_UP + run.polls - 1)
    waiting = asyncio.Queue[str]()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:

        async def ask(name: str) -> None:
            where = f"\"monitor_id\" = '{name}' AND time > {start - 5 * MINUTE} AND time <= {end}"
            form = {"db": "monitors", "epoch": "ns", "q": f'SELECT last("value") FROM "{MEASUREMENT}" WHERE {where}'}
            async with session.post(f"{server.url}/query", data=form) as response:
                answer = json.loads(await response.read())
            assert answer["results"][0]["series"][0]["values"][0][1] > 0

        async def work() -> None:
            while not waiting.empty():
                await ask(waiting.get_nowait())

        for names_of_round in (names[:IN_FLIGHT], names):
            for name in names_of_round:
                waiting.put_nowait(name)
            cpu, began = cpu_seconds(server.pid, os.getpid()), time.perf_counter()
            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
            cpu, wall = cpu_seconds(server.pid, os.getpid()) - cpu, time.perf_counter() - began
    return cpu / len(names), len(names) / wall


def _figures(run: Run, polls: Sequence[Poll], naive_cpu: float, naive_rate: float) -> list[Figure]:
    def spread(values: list[float]) -> str:
        return f"{Spread.of(values):.3f} s"

    share = Spread.of([100 * (poll.parse + poll.insert) / poll.wall for poll in polls])
    cpu_share = Spread.of([100 * poll.ours / poll.wall for poll in polls])
    cpu = Spread.of([poll.cpu for poll in polls])
    naive = naive_cpu * run.series
    return [
        Figure(f"a poll of {run.series:,} series, from the question to the window", spread([p.wall for p in polls])),
        Figure("  query: to the first byte", spread([poll.query for poll in polls])),
        Figure("  transfer: to the last byte", spread([poll.transfer for poll in polls])),
        Figure("  parse: bytes to columns of known series", spread([poll.parse for poll in polls])),
        Figure("  insert into the window", spread([poll.insert for poll in polls])),
        Figure(
            "parse + insert, of the whole",
            f"{share:.1f} %",
            judged=share.median,
            must=15,
            unit="%",
            more_is_better=False,
        ),
        Figure("all CPU of this process, of the whole", f"{cpu_share:.1f} %"),
        Figure(
            "CPU of InfluxDB and us for all rules",
            f"{cpu:.2f} s a poll",
            f"{naive:.1f} s by a query for each rule ({run.sample} asked, {naive_cpu * 1e6:.0f} µs and "
            f"{naive_rate:,.0f} a second; scaled to {run.series:,})",
            naive / cpu.median,
            20,
            35,
        ),
    ]
