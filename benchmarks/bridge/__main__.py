"""`python -m benchmarks.bridge [part …]`: what the bridge weighs and costs, and how it lets go of a call."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.bridge.parts import PARTS, Run
from benchmarks.measure import Figure, machine, print_table, say, versions


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts that are named, or all, and prints the table. Returns the exit code."""
    given = _arguments(arguments)
    run = Run(given.starts, given.calls, given.cancellations)
    title = f"{machine()}\n{versions()}\nmilliseconds and seconds on the wall's clock, median [lowest..highest]"
    print(title, flush=True)
    figures: list[Figure] = []
    for name in given.parts or PARTS:
        say(f"== {name}")
        figures += PARTS[name](run)
    print_table(title, figures)
    return 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bridge", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all if none is named")
    parser.add_argument("--starts", type=int, default=Run.starts, help="cold starts (%(default)s)")
    parser.add_argument("--calls", type=int, default=Run.calls, help="calls by each way (%(default)s)")
    parser.add_argument("--cancellations", type=int, default=Run.cancellations, help="of each kind (%(default)s)")
    given = parser.parse_args(arguments)
    for name in given.parts:
        if name not in PARTS:
            parser.error(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    return given


if __name__ == "__main__":
    sys.exit(main())
