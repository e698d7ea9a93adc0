"""`python -m benchmarks.notify [part …]`: the figures of delivery, each beside its peer or limit."""

import argparse
import sys
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.measure import Figure, machine, print_table, say, versions
from benchmarks.notify import alertmanager, mesh
from benchmarks.notify.alertmanager import Burst, NoAlertmanager
from benchmarks.notify.endpoints import Endpoints, receiving
from monitors.evaluator.model.series import Floats

BURST, BURSTS = 10_000, 3
RULES = 100_000
ALERTS = 1_000
PER_SECOND = 100.0
DEAD, STORM, WELL = 40, 50, 600


def burst(endpoints: Endpoints, given: argparse.Namespace) -> list[Figure]:
    """10,000 alerts at once, each a webhook of its own, beside Alertmanager: by turns, and of each the middle burst.
    One of Alertmanager's lasts a second, and may cost a fifth more than the next."""
    ours, peers = [], []
    for _ in range(given.bursts):
        ours.append(mesh.measure_burst(endpoints, given.burst))
        say(f"ours: {_told(ours[-1])}")
        if not given.no_peer:
            peers.append(alertmanager.measure_burst(endpoints, given.burst))
            say(f"Alertmanager: {_told(peers[-1])}")
    slowest = max(ours, key=lambda one: one.seconds)
    middle = _middle(ours)
    figures = [
        Figure(
            f"{given.burst:,} own-group alerts at once, until the last webhook",
            f"{slowest.seconds:.1f} s, {slowest.count / slowest.seconds:,.0f} a second",
            judged=slowest.seconds, must=8.0, unit="s", more_is_better=False,
        )
    ]  # fmt: skip
    name = "webhooks per CPU second, durable"
    if given.no_peer:
        return [*figures, Figure(name, _told(middle))]
    peer = _middle(peers)
    ratio = middle.per_cpu_second / peer.per_cpu_second
    return [*figures, Figure(name, _told(middle), _told(peer), ratio, must=0.5, stretch=1.0)]


def _middle(bursts: Sequence[Burst]) -> Burst:
    return sorted(bursts, key=lambda one: one.per_cpu_second)[len(bursts) // 2]


def latency(endpoints: Endpoints, given: argparse.Namespace) -> list[Figure]:
    """From a pushed point to the receiver, with many rules loaded."""
    times = mesh.measure_latency(endpoints, given.rules, given.alerts, PER_SECOND)
    p50, p99 = np.percentile(times, [50, 99])
    name = f"point to receiver, {PER_SECOND:.0f} alerts/s, {given.rules:,} rules"
    return [
        Figure(f"{name}, p50", _spread(times), judged=p50, must=15, stretch=8, unit="ms", more_is_better=False),
        Figure(f"{name}, p99", _spread(times), judged=p99, must=60, stretch=25, unit="ms", more_is_better=False),
    ]


def isolation(endpoints: Endpoints, given: argparse.Namespace) -> list[Figure]:
    """A channel that is well beside many that hang, answer without an end, speak no TLS or are throttled; and beside as
    many with as many alerts that are well, for what these cost by themselves isn't the fault of dead endpoints."""
    alone = mesh.measure_isolation(endpoints, 0, 0, WELL, PER_SECOND / 2)
    well = mesh.measure_isolation(endpoints, given.dead, STORM, WELL, PER_SECOND / 2, ["ok"])
    dead = mesh.measure_isolation(endpoints, given.dead, STORM, WELL, PER_SECOND / 2)
    delay = float(np.percentile(dead, 99) - np.percentile(well, 99))
    name = f"p99 of a channel that is well, beside {given.dead} dead ones with {STORM} alerts each"
    limit = f"beside as many that are well {_spread(well)}; alone {_spread(alone)}"
    return [Figure(name, _spread(dead), limit, delay, must=100, unit="ms more", more_is_better=False)]


PARTS: dict[str, Callable[[Endpoints, argparse.Namespace], list[Figure]]] = {
    "burst": burst,
    "latency": latency,
    "isolation": isolation,
}


def _told(burst: Burst) -> str:
    split = ", ".join(f"{name} {cpu / burst.count * 1e6:.0f}" for name, cpu in burst.cpu.items())
    return f"{burst.per_cpu_second:,.0f}; µs each: {split}; {burst.count / burst.seconds:,.0f} a second"


def _spread(times: Floats) -> str:
    p50, p90, p99 = np.percentile(times, [50, 90, 99])
    return f"p50 {p50:.1f} ms, p90 {p90:.1f}, p99 {p99:.1f}, max {times.max():.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts that are named, or all, and prints the table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.notify", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all if none is named")
    parser.add_argument("--burst", type=int, default=BURST, help="alerts at once (%(default)s)")
    parser.add_argument("--bursts", type=int, default=BURSTS, help="how many of them (%(default)s)")
    parser.add_argument("--rules", type=int, default=RULES, help="rules of the latency (%(default)s)")
    parser.add_argument("--alerts", type=int, default=ALERTS, help="alerts whose way is timed (%(default)s)")
    parser.add_argument("--dead", type=int, default=DEAD, help="dead channels (%(default)s)")
    parser.add_argument("--no-peer", action="store_true", help="leave Alertmanager and the ratio to it out")
    given = parser.parse_args(arguments)
    for name in given.parts:
        if name not in PARTS:
            parser.error(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    try:
        peers = [] if given.no_peer else [alertmanager.alertmanager_version()]
    except NoAlertmanager as error:
        print(f"{error}, or leave it out with --no-peer", file=sys.stderr)
        return 1
    title = f"{machine()}\n{versions(*peers)}\nours: three processes, SQLite, every commit synced, webhooks signed"
    title += f"\nAlertmanager: {alertmanager.settings()}, nothing durable" if peers else ""
    print(title, flush=True)
    figures: list[Figure] = []
    with receiving() as endpoints:
        for name in given.parts or PARTS:
            say(f"== {name}")
            figures += PARTS[name](endpoints, given)
    print_table(title, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
