"""`python -m tests.scale --seed 7 --seconds 120`: one run, or several seeds, and what was counted."""

import argparse
import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.crash.chaos import Chaos
from tests.crash.invariants import check_told
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.scale.gaps import check_gaps
from tests.scale.launcher import BREAKS
from tests.scale.sharing import LEASE_SECONDS, check_epochs, check_sharing
from tests.scale.turns import check_turns
from tests.scale.world import World, running

SOON = 5.0
"""Seconds beyond a lease within which whatever happens must be told."""
SHARED_WITHIN = 10.0
AWAY = (LEASE_SECONDS + 1, LEASE_SECONDS + 5)
"""For how long evaluators are frozen or cut off: until others have what they had."""
CALM_SECONDS = 4.0
SLACK = 20.0
"""Seconds for a machine that does other things besides: how fast it is says nothing about the code."""
FEWEST, MOST = 5, 10
"""How many evaluators there are meanwhile."""
INVARIANT = re.compile(r".*\b[IS]\d: ")

Plan = Callable[[World, int], Mapping[str, int]]
"""What is done to a mesh, by a seed; gives what was done, and how often."""


def at_random(seconds: float) -> Plan:
    """One thing after the other, for so long, each when shards have found their places after the last."""

    def plan(world: World, seed: int) -> Mapping[str, int]:
        fleet = world.fleet

        def with_some_left(work: Callable[[random.Random], None]) -> Callable[[random.Random], None]:
            def do(choice: random.Random) -> None:
                if len(fleet.well) <= FEWEST:
                    fleet.join(2)
                # Who took something over, or has come back for a share, and dies of the next fault before it has caught
                # up costs another lease.
                world.wait_until_balanced()
                work(choice)
                world.wait_until_balanced()

            return do

        def join(_: random.Random) -> None:
            if len(fleet.well) + len(fleet.away) < MOST:
                fleet.join()

        actions = {
            "kill an evaluator": with_some_left(fleet.kill),
            "freeze an evaluator": with_some_left(lambda choice: fleet.freeze(choice, choice.uniform(*AWAY))),
            "cut an evaluator off": with_some_left(lambda choice: fleet.cut_off(choice, choice.uniform(*AWAY))),
            "scale down": with_some_left(fleet.leave),
            "scale up": join,
            "kill a RuleService": world.kill_rules,
            "rest": lambda _: _wait(2 * SHARED_WITHIN),
        }
        chaos = Chaos(actions, seed)
        chaos.run(seconds, (1.0, 6.0))
        return chaos.done

    return plan


def all_at_once(world: World, seed: int) -> Mapping[str, int]:
    """One is killed, one frozen and one cut off, all for longer than a lease, while a RuleService is killed as well,
    one joins and another leaves. Then those that were away find themselves without shards, and get others."""
    fleet, choice = world.fleet, random.Random(seed)
    fleet.kill(choice)
    fleet.freeze(choice, LEASE_SECONDS + 3)
    fleet.cut_off(choice, LEASE_SECONDS + 3)
    world.kill_rules(choice)
    fleet.join()
    fleet.leave(choice)
    fleet.wait_until_all_are_back()
    wait_for(lambda: world.fenced >= 2, "who was frozen and who was cut off to find themselves without shards")
    _wait(SHARED_WITHIN + 2)
    done = (
        "kill an evaluator",
        "freeze an evaluator",
        "cut an evaluator off",
        "kill a RuleService",
        "scale up",
        "scale down",
    )
    return dict.fromkeys(done, 1)


def run(home: Path, seed: int, loop: LoopThread, plan: Plan, broken: str = "", slack: float = 0.0) -> str:
    """One run. Gives a line with what was counted. `slack` is for how many seconds longer everything may take on a
    machine that does other things besides.

    Raises AssertionError where an invariant doesn't hold.
    """
    with running(home, seed, loop, broken) as world:
        calls = world.calls()
        world.load.start()
        _wait(CALM_SECONDS)
        shares = check_turns(calls, world.calls())
        done = plan(world, seed)
        world.fleet.wait_until_all_are_back()
        world.settle()
        told = world.told()
        duplicates = check_told(told)
        gaps = check_gaps(told, LEASE_SECONDS + SOON + slack)
        shared = check_sharing(world.watcher.looks, SHARED_WITHIN + slack)
        check_epochs(world.watcher.looks)
        fenced = world.fenced
    faults = ", ".join(f"{count} × {name}" for name, count in sorted(done.items()))
    return (
        f"seed {seed}: {len(told.expected):,} transitions, 0 lost, 0 doubled, 0 ghosts, {duplicates} messages twice; "
        f"told after {gaps.median:.1f} s (median), {gaps.p99:.1f} s (p99), at most {gaps.longest:.1f} s; "
        f"{shared.changes} changes of the evaluators, shared out within {shared.slowest:.1f} s, then at most "
        f"{shared.worst:.2f} × the fair share; {fenced} found themselves without shards; RuleServices took "
        f"{' and '.join(f'{share:.0%}' for share in shares)} of the calls; {faults}"
    )


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def find_out(home: Path, loop: LoopThread, broken: str) -> str:
    """A run of a mesh that lacks something. Gives a line with the invariant that it was found out by; raises
    AssertionError if that wasn't."""
    try:
        run(home, 1, loop, all_at_once, broken, slack=SLACK)
    except AssertionError as error:
        if not INVARIANT.match(str(error)):
            raise
        return f"{broken}: found out by {error}"
    raise AssertionError(f"{broken}: a mesh without a guard wasn't found out")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after the other; 0 for none")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--short", action="store_true", help="what the tests do")
    parser.add_argument("--broken", nargs="*", choices=sorted(BREAKS), default=[], help="what is taken out afterwards")
    given = parser.parse_args()
    loop = LoopThread()
    plan = all_at_once if given.short else at_random(given.seconds)
    for seed in range(given.seed, given.seed + given.seeds):
        _print_run(lambda home, seed=seed: run(home, seed, loop, plan))  # type: ignore[misc]
    for broken in given.broken:
        _print_run(lambda home, broken=broken: find_out(home, loop, broken))  # type: ignore[misc]
    loop.close()


def _print_run(work: Callable[[Path], str]) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="monitors-scale-") as folder:
        told = work(Path(folder))
    sys.stdout.write(f"{told}; {time.monotonic() - started:.0f} s in all\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
