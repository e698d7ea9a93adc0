"""What it costs that several evaluators share the monitors out: `make bench-shares`.

Each knows every series and every rule, so that it can take any shard over, and evaluates those of its shards. So a
series and a rule take memory wherever they are evaluated, and more where they are. And each asks InfluxDB for its own
monitors, by name, where one alone would ask for everything.
"""

import argparse
import asyncio
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.evaluation.load import WARM_UP_TICKS
from benchmarks.evaluation.load import Load as Rules
from benchmarks.evaluation.steps import FIRST_RULES, START, WINDOW, WINDOW_POINTS, Bed, series_of
from benchmarks.influx.load import Load as Points
from benchmarks.measure import Figure, Spread, collector_off, cpu_seconds, in_child, machine, print_table, rss_bytes
from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.model.evaluation import Evaluation
from monitors.evaluator.polling.interest import Interest
from monitors.evaluator.sources.detect import open_source
from monitors.evaluator.sources.port import EVERYTHING, Selection, Source
from monitors.evaluator.sources.settings import InfluxSettings
from monitors.evaluator.watch import RuleChanges
from monitors.mesh.memory import give_back_freed_memory
from tests.servers.influxdb import INFLUXD, InfluxServer, influx_server

POLLS = 3
SHARES = (8, 32)


def known_series(size: int) -> list[object]:
    """What an evaluator knows of a series that is evaluated elsewhere: its names, and its place in the plan."""
    evaluation = Evaluation(START, shards=())
    evaluation.add_series(map(series_of, range(size)))
    return [Catalogue(map(series_of, range(size))), evaluation]


def known_rules(size: int) -> list[object]:
    """The same with a rule on each, evaluated elsewhere too."""
    return _ruled(size, Bed(Rules(size, mixed=True), WINDOW // WINDOW_POINTS, shards=()))


def evaluated_rules(size: int) -> list[object]:
    """The same, evaluated here, with 30 points in each window."""
    bed = Bed(Rules(size, mixed=True), WINDOW // WINDOW_POINTS)
    with collector_off():
        for _ in range(WARM_UP_TICKS):
            bed.step()
    return _ruled(size, bed)


def _ruled(size: int, bed: Bed) -> list[object]:
    catalogue, plan = Catalogue(map(series_of, range(size))), bed.evaluation.plan
    interest = Interest(catalogue)
    interest.follow(RuleChanges([plan.spec(key) for key in plan.rules()]))
    return [catalogue, bed, interest]


def bytes_of_each(make: Callable[[int], list[object]], size: int) -> float:
    """Bytes of memory for each of `size` that are made, in this process."""
    # Modules that the first of all load aren't counted, nor what is freed again.
    make(FIRST_RULES)
    give_back_freed_memory()
    before = rss_bytes()
    kept = make(size)
    give_back_freed_memory()
    used = rss_bytes() - before
    assert kept
    return used / size


def memory(size: int) -> list[Figure]:
    """Bytes of a series, of a rule, and of what comes with its evaluation."""
    series, rules, evaluated = (
        in_child(bytes_of_each, make, size) for make in (known_series, known_rules, evaluated_rules)
    )
    return [
        Figure("a series, wherever it is evaluated", f"{series:,.0f} B"),
        Figure("a rule, wherever it is evaluated", f"{rules - series:,.0f} B"),
        Figure("a rule that is evaluated here, with 30 points of its series, more", f"{evaluated - rules:,.0f} B"),
    ]


def polls(series: int) -> list[Figure]:
    """CPU of InfluxDB and of us for a polled point: by one that asks for all, and by one of several; for a look at what
    series there are; and InfluxDB's memory of a series."""
    with tempfile.TemporaryDirectory() as folder, influx_server(Path(folder)) as server:
        return asyncio.run(_polls(server, Points(series)))


async def _polls(server: InfluxServer, load: Points) -> list[Figure]:
    source = await open_source(InfluxSettings(server.url))
    try:
        empty = rss_bytes(server.pid)
        await asyncio.to_thread(server.write, load.lines(0))
        held = rss_bytes(server.pid) - empty
        await _poll(source, server, load, EVERYTHING, 0)
        costs: dict[int, list[tuple[float, float]]] = {1: [], **{share: [] for share in SHARES}}
        for number in range(1, POLLS + 1):
            await asyncio.to_thread(server.write, load.lines(number))
            for share, found in costs.items():
                names = tuple(f"mon_{place:06d}" for place in range(0, load.series, share))
                selection = EVERYTHING if share == 1 else Selection(monitors=names)
                found.append(await _poll(source, server, load, selection, number))
        looks = [await _look(source, server, load) for _ in range(POLLS)]
        return [
            Figure("InfluxDB's memory of a series and its first point", f"{held / load.series:,.0f} B"),
            Figure("a look at a series: whether it's known, and what it had last", _of_both(looks)),
            *(
                Figure(f"a point polled by one of {share}, {load.series // share:,} series each", _of_both(found))
                for share, found in costs.items()
            ),
        ]
    finally:
        await source.close()


async def _look(source: Source, server: InfluxServer, load: Points) -> tuple[float, float]:
    """The same for each series, of what the evaluator asks to learn which there are."""
    database, ours = cpu_seconds(server.pid), time.process_time()
    with collector_off():
        found = sum([len(points) async for points in source.newest(EVERYTHING, load.tick(0)[0], load.tick(POLLS)[1])])
    assert found == load.series
    return (cpu_seconds(server.pid) - database) / found, (time.process_time() - ours) / found


async def _poll(
    source: Source, server: InfluxServer, load: Points, selection: Selection, number: int
) -> tuple[float, float]:
    """CPU seconds of InfluxDB and of this process for each point."""
    database, ours = cpu_seconds(server.pid), time.process_time()
    with collector_off():
        found = sum([len(points) async for points in source.read(selection, *load.tick(number))])
    return (cpu_seconds(server.pid) - database) / found, (time.process_time() - ours) / found


def _of_both(found: list[tuple[float, float]]) -> str:
    return f"InfluxDB {_micros(found, 0)}, evaluator {_micros(found, 1)} µs of CPU"


def _micros(found: list[tuple[float, float]], which: int) -> str:
    return f"{Spread.of([one[which] * 1e6 for one in found]):.1f}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help="memory, polls; both if none is named")
    parser.add_argument("--rules", type=int, default=200_000)
    parser.add_argument("--series", type=int, default=50_000)
    given = parser.parse_args()
    parts = given.parts or ["memory", "polls"]
    print(machine())
    if "memory" in parts:
        print_table(f"memory of an evaluator, {given.rules:,} rules", memory(given.rules))
    if "polls" in parts:
        if INFLUXD is None:
            raise SystemExit("InfluxDB isn't installed: apt-get install influxdb")
        print(subprocess.run([INFLUXD, "version"], capture_output=True, text=True, check=True).stdout.strip())
        print_table(f"polls of {given.series:,} series of InfluxDB 1.x", polls(given.series))


if __name__ == "__main__":
    main()
