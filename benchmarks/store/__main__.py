"""`python -m benchmarks.store [part …]`: the speed of the stores on each database, beside the plain driver's."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import fields, replace

from benchmarks.measure import Figure, machine, print_table, say, versions
from benchmarks.store.parts import PARTS, Run
from benchmarks.store.targets import TARGETS, NoServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts that are named, or all, on each database, and prints the table. Returns the exit code."""
    given = _arguments(arguments)
    run = Run(**{one.name: getattr(given, one.name) for one in fields(Run)})
    title, figures, started = f"{machine()}\n{versions()}", list[Figure](), time.monotonic()
    try:
        for name in given.on or TARGETS:
            with TARGETS[name]() as target:
                title += f"\n{target.settings}"
                for part in given.parts or PARTS:
                    figures += PARTS[part](run, target)
    except NoServer as error:
        print(f"{error}, or leave it out with --on sqlite", file=sys.stderr)
        return 1
    if run != Run():
        say("the goals are for the sizes that are set: others aren't judged")
        figures = [replace(figure, must=None, stretch=None) for figure in figures]
    print_table(title, figures)
    say(f"took {time.monotonic() - started:.0f} s")
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all if none is named")
    parser.add_argument("--on", action="append", choices=TARGETS, help="a database; all if none is named")
    for one in fields(Run):
        parser.add_argument(f"--{one.name}", type=int, default=one.default, help="(%(default)s)")
    given = parser.parse_args(arguments)
    for name in given.parts:
        if name not in PARTS:
            parser.error(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    return given


if __name__ == "__main__":
    sys.exit(main())
