"""`python -m tests.crash --seed 7 --seconds 60`: one run, or several seeds, and what was counted."""

import argparse
import math
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.crash.backends import Backends, backends
from tests.crash.chaos import Chaos
from tests.crash.invariants import check, check_calm
from tests.crash.points import BREAKS
from tests.crash.starting import running
from tests.harness import LoopThread

INTERRUPTION = re.compile(r"(kill|freeze|death in the middle of) notifier( 2)?|.* MariaDB")
"""What keeps notifiers from saying how an attempt ended."""
SOON = 5.0
"""Seconds. Only the command looks at it: a machine that does other things besides would fail a test for nothing."""


def run(
    home: Path, seed: int, seconds: float, loop: LoopThread, broken: str = "", only: Sequence[str] = (),
    servers: Backends | None = None, soon: float = math.inf,
) -> str:  # fmt: skip
    """One run, with all that can be done to the mesh or `only` some of it. Gives a line with what was counted.

    Before the first fault 99 of 100 messages must be on their way within `soon` seconds.

    Raises AssertionError where an invariant doesn't hold.
    """
    with running(home, seed=seed, loop=loop, broken=broken, servers=servers) as world:
        world.make_rules()
        actions = {name: action for name, action in world.actions().items() if not only or name in only}
        chaos = Chaos(actions, seed)
        world.start()
        world.live_in_calm()
        chaos.run(seconds)
        stopped = time.monotonic()
        world.settle()
        drained = time.monotonic() - stopped
        interruptions = sum(count for name, count in chaos.done.items() if INTERRUPTION.fullmatch(name))
        outcome = world.outcome()
        counted = check(outcome, interruptions)
        latest = check_calm(outcome)
        assert latest <= soon, f"I7: of the messages before the first fault one in a hundred took {latest:.1f} s"
    faults = ", ".join(f"{count} × {name}" for name, count in sorted(chaos.done.items()))
    told = ", ".join(f"{count:,} {name}" for name, count in counted.items())
    return (
        f"seed {seed}: {told}, 0 lost, 0 reordered, 0 ghosts; before the first fault told within {latest:.2f} s (p99); "
        f"at rest after {drained:.1f} s; {faults}"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after the other")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--servers", action="store_true", help="on MariaDB and Redis, which are killed as well")
    parser.add_argument("--broken", choices=sorted(BREAKS), default="")
    given = parser.parse_args()
    loop = LoopThread()
    for seed in range(given.seed, given.seed + given.seeds):
        with tempfile.TemporaryDirectory(prefix="monitors-crash-") as folder, ExitStack() as stack:
            servers = stack.enter_context(backends()) if given.servers else None
            sys.stdout.write(run(Path(folder), seed, given.seconds, loop, given.broken, (), servers, SOON) + "\n")
            sys.stdout.flush()
    loop.close()


if __name__ == "__main__":
    main()
