"""`python -m benchmarks.conditions [part …]`: the figures of conditions of all kinds, each beside its peer or limit."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.conditions.load import SHARES
from benchmarks.conditions.parts import PARTS, Run
from benchmarks.evaluation.prometheus import NoPrometheus, prometheus_version
from benchmarks.measure import Figure, machine, print_table, say, versions


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts that are named, or all, and prints the table. Returns the exit code."""
    given = _arguments(arguments)
    names = given.parts or list(PARTS)
    run = Run(
        rules=given.rules,
        of_a_kind=given.of_a_kind,
        steps=given.steps,
        backtests=given.backtests,
        interval=given.interval,
        with_peer=not given.no_peer and "step" in names,
    )
    figures: list[Figure] = []
    started = time.monotonic()
    try:
        title = _title(run)
        print(title, flush=True)
        for name in names:
            say(f"== {name}")
            figures += PARTS[name](run)
    except NoPrometheus as error:
        print(f"{error}, or leave it out with --no-peer", file=sys.stderr)
        return 1
    if run.rules != Run.rules:
        say(f"the goals are for {Run.rules:,} rules: other sizes aren't judged")
        figures = [replace(figure, must=None, stretch=None) for figure in figures]
    print_table(title, figures)
    say(f"took {time.monotonic() - started:.0f} s")
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conditions", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all if none is named")
    parser.add_argument("--rules", type=int, default=Run.rules, help="rules of all kinds (%(default)s)")
    parser.add_argument("--of-a-kind", type=int, default=Run.of_a_kind, help="rules of one kind (%(default)s)")
    parser.add_argument("--steps", type=int, default=Run.steps, help="steps that are measured (%(default)s)")
    parser.add_argument("--backtests", type=int, default=Run.backtests, help="backtests over a day (%(default)s)")
    parser.add_argument("--interval", type=int, default=Run.interval, help="seconds of Prometheus' (%(default)s)")
    parser.add_argument("--no-peer", action="store_true", help="leave Prometheus and the ratio to it out")
    given = parser.parse_args(arguments)
    for name in given.parts:
        if name not in PARTS:
            parser.error(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    return given


def _title(run: Run) -> str:
    peers = [prometheus_version()] if run.with_peer else []
    return (
        f"{machine()}\n{versions(*peers)}\n"
        f"{SHARES}, 20 rules on 23 series of each monitor;\n"
        "points every 10 s, each rule evaluated at them and every 30 s; "
        "10 % of the monitors firing, 0.1 % of the rules flipping a tick;\n"
        "CPU seconds of all threads of the processes named, median [lowest..highest]"
    )


if __name__ == "__main__":
    sys.exit(main())
