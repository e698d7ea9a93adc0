"""`monitors serve …` as it is, maybe with something taken out of it on purpose, which the simulation must find out."""

import os
from collections.abc import Callable, Mapping

from monitors.cli.main import run
from tests.crash.launcher import BREAK


def no_fencing() -> None:
    """RuleService takes what is written under a lease that is over, and an evaluator that stood still writes first and
    asks whether it still has its leases afterwards."""
    import asyncio
    import time

    from monitors.evaluator.leases import Leases
    from monitors.rules.store import shards

    setattr(shards, "check_leases", lambda *_: None)  # noqa: B010
    renew, renewed = Leases.renew, [time.monotonic()]

    async def late(self: Leases) -> None:
        if time.monotonic() - renewed[0] > 10:
            await asyncio.sleep(10)
        await renew(self)
        renewed[0] = time.monotonic()

    Leases.renew = late  # type: ignore[method-assign]


def keep_everything() -> None:
    """An evaluator gives nothing back to those that come."""
    from monitors.evaluator.takeover import ShardFollower

    async def keep(self: ShardFollower, shards: object) -> None:
        return

    ShardFollower._give_back = keep  # type: ignore[method-assign]


def begin_anew() -> None:
    """Who takes a shard over goes on from now, not from where the last one was."""
    from monitors.evaluator import takeover
    from monitors.evaluator.history import History
    from monitors.evaluator.model.state import Checkpoint

    def from_now(history: History, saved: Checkpoint, newest: int, now: int) -> tuple[int, int]:
        return newest, newest

    setattr(takeover, "goes_on_from", from_now)  # noqa: B010


BREAKS: Mapping[str, Callable[[], None]] = {
    "no-fencing": no_fencing, "keep-everything": keep_everything, "begin-anew": begin_anew,
}  # fmt: skip


def _main() -> None:
    if wanted := BREAKS.get(os.environ[BREAK]):
        wanted()
    run()


if __name__ == "__main__":
    _main()
