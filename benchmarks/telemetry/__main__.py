"""`python -m benchmarks.telemetry`: what following one trace in twenty costs, in CPU seconds of the whole mesh.

Two meshes take the same work in turns: one exports spans to a collector, the other doesn't. Each pair of turns gives a
ratio; their median is judged, for a machine that others use as well has slow and fast minutes.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.measure import Figure, Spread, machine, print_table, say, versions
from benchmarks.telemetry.alone import micros_of_a_span
from benchmarks.telemetry.sides import Side, opened
from tests.collector import environment, spans
from tests.processes import receiver

PAIRS = 6
POINTS, ALERTS, CALLS = 300_000, 100, 400
MUST = 5.0

Work = Callable[[Side], float]


@dataclass(frozen=True)
class Measured:
    """CPU seconds of each turn, without spans and with them."""

    count: int
    """What is done in a turn."""
    without: Sequence[float]
    followed: Sequence[float]

    @property
    def costs(self) -> Spread:
        """By how many percent each turn with spans took more than that without beside it."""
        pairs = zip(self.without, self.followed, strict=True)
        return Spread.of([(followed / without - 1) * 100 for without, followed in pairs])

    def micros(self, seconds: Sequence[float]) -> float:
        """CPU microseconds for each that is done, over all turns."""
        return sum(seconds) / len(seconds) / self.count * 1e6

    def figure(self, name: str, *, is_judged: bool = True) -> Figure:
        """The line of the table."""
        without, followed = self.micros(self.without), self.micros(self.followed)
        cost = self.costs
        return Figure(
            name, f"{followed:,.1f} µs CPU with spans", f"{without:,.1f} µs without; pairs {cost:+.1f} %",
            judged=cost.median if is_judged else followed - without, must=MUST if is_judged else None,
            unit="% more" if is_judged else "µs more", more_is_better=False,
        )  # fmt: skip


def measure(off: Side, on: Side, count: int, work: Work, pairs: int) -> Measured:
    """Turns of work, each on both sides, whose order changes. The first one is a warm-up."""
    without, followed = [], []
    for pair in range(pairs + 1):
        took = {side is on: work(side) for side in ((off, on) if pair % 2 else (on, off))}
        if pair:
            without.append(took[False])
            followed.append(took[True])
    return Measured(count, without, followed)


def measure_all(pairs: int, points: int, alerts: int, calls: int) -> list[Figure]:
    """All lines of the table."""
    with receiver() as collector, opened(alerts, {}) as off, opened(alerts, environment(collector, delay="5000")) as on:
        say("both meshes run")
        taken = measure(off, on, points, lambda side: side.take_points(points), pairs)
        say("points are taken")
        # All fire in one turn and resolve in the next: only both together are the same work again.
        told = measure(off, on, 2 * alerts, lambda side: side.tell_alerts() + side.tell_alerts(), pairs)
        say("alerts are told")
        answered = measure(off, on, calls, lambda side: side.answer_calls(calls), pairs)
        exported = len(spans(collector))
        ignored, followed = (micros_of_a_span(collector, sampler) for sampler in ("always_off", "always_on"))
    return [
        taken.figure("a point, 1,000 in a write, until it's evaluated"),
        told.figure("an alert's message, from points of ten monitors in a write to the webhook"),
        answered.figure("a unary call, ListAlerts", is_judged=False),
        Figure("spans that the collector got", f"{exported:,}"),
        Figure("a span by itself", f"{followed:.1f} µs CPU, followed and exported", f"{ignored:.1f} µs, not followed"),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="pairs of turns (%(default)s)")
    parser.add_argument("--points", type=int, default=POINTS, help="points of a turn (%(default)s)")
    parser.add_argument("--alerts", type=int, default=ALERTS, help="rules, each with two messages a turn (%(default)s)")
    parser.add_argument("--calls", type=int, default=CALLS, help="calls of a turn (%(default)s)")
    given = parser.parse_args(arguments)
    say(f"{machine()}\n{versions()}\nthree processes, SQLite, every commit synced; 5 % of the traces are followed")
    print_table("following one trace in twenty", measure_all(given.pairs, given.points, given.alerts, given.calls))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
