"""`python -m benchmarks.evaluation [part …]`: the figures of the evaluation, each beside its peer or limit."""

import argparse
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from benchmarks.evaluation.parts import PARTS, Run
from benchmarks.evaluation.prometheus import NoPrometheus, prometheus_version
from benchmarks.measure import Figure, machine, print_table, say, versions

BESIDE = ("history", "ingest", "transitions")
"""Modules of their own that print their figures themselves."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the parts that are named, or all, and prints the table. Returns the exit code."""
    given = _arguments(arguments)
    run = Run(
        rules=given.rules,
        large=given.large,
        ticks=given.ticks,
        steps=given.steps,
        changes=given.changes,
        alerts=given.alerts,
        with_peer=not given.no_peer,
    )
    title = _title(run)
    print(title, flush=True)
    figures: list[Figure] = []
    failed = []
    started = time.monotonic()
    for name in given.parts or [*PARTS, *BESIDE]:
        say(f"== {name}")
        try:
            if name in PARTS:
                figures += PARTS[name](run)
            else:
                _run_module(name)
        except NoPrometheus as error:
            print(f"{error}, or leave it out with --no-peer", file=sys.stderr)
            return 1
        except Exception:
            # The table of what was measured before is worth more than an early end.
            traceback.print_exc()
            failed.append(name)
    if (run.rules, run.large) != (Run.rules, Run.large):
        say(f"the goals are for {Run.rules:,} and {Run.large:,} rules: other sizes aren't judged")
        figures = [replace(figure, must=None, stretch=None) for figure in figures]
    print_table(title, figures)
    say(f"took {time.monotonic() - started:.0f} s" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=__doc__)
    known = [*PARTS, *BESIDE]
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(known)}; all if none is named")
    parser.add_argument("--rules", type=int, default=Run.rules, help="rules beside Prometheus (%(default)s)")
    parser.add_argument("--large", type=int, default=Run.large, help="rules of the large figures (%(default)s)")
    parser.add_argument("--ticks", type=int, default=Run.ticks, help="seconds of the whole mesh (%(default)s)")
    parser.add_argument("--steps", type=int, default=Run.steps, help="steps of the large figures (%(default)s)")
    parser.add_argument("--changes", type=int, default=Run.changes, help="rules that are changed (%(default)s)")
    parser.add_argument("--alerts", type=int, default=Run.alerts, help="points whose way is timed (%(default)s)")
    parser.add_argument("--no-peer", action="store_true", help="leave Prometheus and the ratios to it out")
    given = parser.parse_args(arguments)
    for name in given.parts:
        if name not in known:
            parser.error(f"there is no part {name!r}; there are {', '.join(known)}")
    return given


def _title(run: Run) -> str:
    peers = [prometheus_version()] if run.with_peer else []
    return (
        f"{machine()}\n{versions(*peers)}\n"
        f"{run.rules:,} rules, one on each of as many series; 10 % firing, 0.1 % flipping a tick; "
        "CPU seconds of all threads of the processes named, median [lowest..highest]"
    )


def _run_module(name: str) -> None:
    if find_spec(f"benchmarks.{name}") is None:
        say(f"there is no benchmarks.{name}")
        return
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    sys.exit(main())
