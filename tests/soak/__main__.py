"""`python -m tests.soak --minutes 30`: a soak, and what it has shown."""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import machine, say
from tests.soak.plan import Plan
from tests.soak.run import soak


def main() -> int:
    """The command. Ends with status 1 if something grows or was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long it's under load, warming up included")
    parser.add_argument("--rules", type=int, default=Plan.rules)
    parser.add_argument("--points", type=int, default=Plan.points, help="a second")
    parser.add_argument("--transitions", type=int, default=Plan.transitions, help="a second, each told by a webhook")
    parser.add_argument("--leak", default="", help="what the notifier leaks on purpose: memory,tasks,files,…")
    given = parser.parse_args()
    plan = Plan(given.rules, given.points, given.transitions)
    say(machine())
    with tempfile.TemporaryDirectory(prefix="monitors-soak-") as folder:
        report = soak(Path(folder), plan, given.minutes * 60, given.leak, say)
    print(report)  # noqa: T201
    for complaint in report.complaints():
        print(f"NOT MET: {complaint}")  # noqa: T201
    return 1 if report.complaints() else 0


if __name__ == "__main__":
    sys.exit(main())
