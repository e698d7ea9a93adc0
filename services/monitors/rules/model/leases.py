"""Which evaluator holds which shard: shared out evenly, moved no more than needed, never held by two.

An evaluator is alive while it calls within the length of a lease. Its share depends on who is alive and on who came
first, not on what anybody holds, so that shares stand still while shards move: a shard moves once, from an evaluator
that holds more than its share, or that has gone, to one that holds less. Whoever holds too many is asked to give back
and holds on until it has; nothing is taken from the living.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from monitors.mesh.times import SECOND
from monitors.rules.model.alert import SHARDS

LEASE = 10 * SECOND
LONGEST_LAG = 120 * SECOND
"""By how much the evaluation may be behind. Points of a source are evaluated when they are due to have come."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A shard as it is remembered. `owner` may have let its lease end at `expire_time`; it's empty if nobody has it."""

    shard: int
    epoch: int
    owner: str = ""
    expire_time: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """An evaluator that has called; alive until `expire_time`. One that is `exclusive` shares with nobody."""

    id: str
    join_time: int
    expire_time: int
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """What an evaluator says when it calls."""

    evaluator: str
    released: frozenset[int] = frozenset()
    exclusive: bool = False
    leaving: bool = False
    evaluated_time: int | None = None
    """Up to when it has evaluated, in nanoseconds since 1970; None if it doesn't tell."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a call, all sorted. Of the shards that were held, what isn't in `kept` isn't held any more."""

    member: Member | None
    """The caller as it is to be remembered until the leases end; None if it has left."""
    gone: tuple[str, ...]
    """Evaluators to forget."""
    freed: tuple[int, ...]
    """Given back by the caller."""
    kept: tuple[int, ...]
    """Held on to, under the same epoch."""
    taken: tuple[int, ...]
    """New to the caller, each under its next epoch."""
    wanted_back: tuple[int, ...]
    """Those of `kept` that are more than its share."""
    share: int
    next_end: int | None
    """When the next of the others is gone unless it calls before; None if there are no others."""


def decide(holdings: Sequence[Holding], members: Sequence[Member], call: Call, now: int) -> Decision:
    """What the caller holds from now on, until `now` and the length of a lease."""
    alive = {member.id: member for member in members if member.expire_time > now and member.id != call.evaluator}
    known = next((member for member in members if member.id == call.evaluator), None)
    gone = [member.id for member in members if member.expire_time <= now and member.id != call.evaluator]
    caller = None
    if call.leaving:
        gone += [known.id] if known else []
    else:
        joined = known.join_time if known and known.expire_time > now else now
        caller = alive[call.evaluator] = Member(call.evaluator, joined, now + LEASE, call.exclusive)
    share = shares(alive.values()).get(call.evaluator, 0)
    ends = (member.expire_time for member in alive.values() if member.id != call.evaluator)
    own = [one for one in holdings if one.owner == call.evaluator]
    freed = {one.shard for one in own if call.leaving or one.shard in call.released}
    kept = [one.shard for one in own if one.expire_time > now and one.shard not in freed]
    free = [one for one in holdings if one.expire_time <= now and one.shard not in call.released]
    # What it held before its lease ended comes first: it may still know its state.
    free.sort(key=lambda one: (one.owner != call.evaluator, one.shard))
    taken = [one.shard for one in free[: max(0, share - len(kept))]]
    kept.sort()
    return Decision(
        member=caller,
        gone=tuple(sorted(gone)),
        freed=tuple(sorted(freed)),
        kept=tuple(kept),
        taken=tuple(sorted(taken)),
        wanted_back=tuple(kept[share:]),
        share=share,
        next_end=min(ends, default=None),
    )


def shares(alive: Collection[Member]) -> dict[str, int]:
    """How many shards each evaluator is to have. One that is gone or joins changes the others' as little as can be."""
    order = sorted(alive, key=lambda member: (member.join_time, member.id))
    result = {member.id: 0 for member in order}
    if order and order[0].exclusive:
        result[order[0].id] = SHARDS
        return result
    sharing = [member.id for member in order if not member.exclusive]
    for place, evaluator in enumerate(sharing):
        result[evaluator] = SHARDS // len(sharing) + (place < SHARDS % len(sharing))
    return result


def evaluation_problem(held: int, evaluated: Iterable[int | None], now: int) -> str:
    """Why not all rules are being evaluated; empty if they are. `held` shards are leased, and `evaluated` says of each
    evaluator that is alive up to when it has evaluated, as far as it tells."""
    if held < SHARDS:
        return f"{SHARDS - held} of {SHARDS} shards are held by no evaluator; start one"
    lag = now - min((time for time in evaluated if time is not None), default=now)
    return f"an evaluator is {lag // SECOND} seconds behind; see its status" if lag > LONGEST_LAG else ""
