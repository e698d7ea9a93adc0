"""Which evaluator holds which shard, and the states that they saved."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from monitors.mesh.errors import LeaseLost
from monitors.mesh.rows import read_rows
from monitors.rules.model.alert import SHARDS
from monitors.rules.model.leases import Call, Decision, Holding, Member, decide, evaluation_problem
from monitors.rules.store.tables import evaluators, shard_states, shards


@dataclass(frozen=True, slots=True)
class SavedState:
    """What an evaluator saved of a shard under a lease's epoch, in its own format."""

    shard: int
    epoch: int
    state: bytes
    save_time: int


@dataclass(frozen=True, slots=True)
class Leased:
    """What an evaluator holds, as shards with their epochs; what of it should be given back; and its share."""

    leases: list[tuple[int, int]]
    expire_time: int
    wanted_back: tuple[int, ...]
    share: int
    next_end: int | None
    """When the next of the others is gone unless it calls before."""


def lease_shards(session: Session, call: Call, address: str, now: int) -> Leased:
    """Leases an evaluator its share, as far as it's free."""
    holdings = _holdings(session)
    members = [Member(*row) for row in session.execute(_MEMBERS)]
    decision = decide(list(holdings.values()), members, call, now)
    _remember_member(session, decision, {member.id for member in members}, address, call.evaluated_time)
    if decision.freed:
        freed = update(shards).where(shards.c.shard.in_(decision.freed))
        session.execute(freed.values(owner="", address="", expire_time=0))
    expire_time = decision.member.expire_time if decision.member else now
    held = {"owner": call.evaluator, "address": address, "expire_time": expire_time}
    if decision.kept:
        # All that is still its own is what it keeps: no need to name up to 256 of them.
        is_kept = (shards.c.owner == call.evaluator, shards.c.expire_time > now)
        session.execute(update(shards).where(*is_kept).values(held))
    if decision.taken:
        is_taken = shards.c.shard.in_(decision.taken)
        session.execute(update(shards).where(is_taken).values(held | {"epoch": shards.c.epoch + 1}))
    leases = [(shard, holdings[shard].epoch) for shard in decision.kept]
    leases += [(shard, holdings[shard].epoch + 1) for shard in decision.taken]
    return Leased(sorted(leases), expire_time, decision.wanted_back, decision.share, decision.next_end)


_MEMBERS = select(evaluators.c.id, evaluators.c.join_time, evaluators.c.expire_time, evaluators.c.exclusive)
# Locked, so that two evaluators that call at once are served one after the other.
_HOLDINGS = select(shards.c.shard, shards.c.epoch, shards.c.owner, shards.c.expire_time).with_for_update()


def _holdings(session: Session) -> dict[int, Holding]:
    """All shards; they're made when they are asked for first."""
    rows = session.execute(_HOLDINGS).all()
    if not rows:
        made = [{"shard": number, "epoch": 0, "owner": "", "address": "", "expire_time": 0} for number in range(SHARDS)]
        session.execute(insert(shards), made)
        rows = session.execute(_HOLDINGS).all()
    return {row.shard: Holding(*row) for row in rows}


def _remember_member(
    session: Session, decision: Decision, known: set[str], address: str, evaluated_time: int | None
) -> None:
    if decision.gone:
        session.execute(delete(evaluators).where(evaluators.c.id.in_(decision.gone)))
    member = decision.member
    if member is None:
        return
    values = {
        "address": address,
        "join_time": member.join_time,
        "expire_time": member.expire_time,
        "exclusive": member.exclusive,
        "evaluate_time": evaluated_time,
    }
    if member.id in known:
        session.execute(update(evaluators).where(evaluators.c.id == member.id).values(values))
    else:
        session.execute(insert(evaluators).values(id=member.id, **values))


def check_evaluation(session: Session, now: int) -> str:
    """Why not all rules are being evaluated; empty if they are."""
    held = session.scalar(select(func.count()).select_from(shards).where(shards.c.expire_time > now)) or 0
    evaluated = session.scalars(select(evaluators.c.evaluate_time).where(evaluators.c.expire_time > now))
    return evaluation_problem(held, evaluated, now)


def void_all(session: Session) -> None:
    """Ends every lease and forgets every evaluator. Whoever held a shard is refused from now on."""
    session.execute(update(shards).values(owner="", address="", expire_time=0, epoch=shards.c.epoch + 1))
    session.execute(delete(evaluators))


_EPOCHS = (
    select(shards.c.shard, shards.c.epoch)
    .where(shards.c.shard.between(bindparam("first"), bindparam("last")))
    .with_for_update(read=True)
)


def check_leases(session: Session, leases: set[tuple[int, int]]) -> None:
    """Raises LeaseLost unless each shard is still under its epoch."""
    if not leases:
        return
    # Those between are read as well: to name up to 256 of them takes longer.
    bounds = {"first": min(leases)[0], "last": max(leases)[0]}
    epochs: dict[int, int] = dict(read_rows(session, _EPOCHS, bounds))
    for shard, epoch in sorted(leases):
        if epochs.get(shard) != epoch:
            raise LeaseLost(shard, epoch)


def save_states(session: Session, states: Sequence[SavedState]) -> None:
    """Remembers the states. Raises LeaseLost, and then remembers none."""
    check_leases(session, {(each.shard, each.epoch) for each in states})
    latest = {each.shard: each for each in states}
    session.execute(delete(shard_states).where(shard_states.c.shard.in_(latest)))
    rows = [
        {"shard": each.shard, "epoch": each.epoch, "state": each.state, "save_time": each.save_time}
        for each in latest.values()
    ]
    if rows:
        session.execute(insert(shard_states), rows)


def load_states(session: Session, numbers: Sequence[int]) -> list[SavedState]:
    """The saved states of shards; one without is left out."""
    query = select(shard_states).where(shard_states.c.shard.in_(numbers)).order_by(shard_states.c.shard)
    return [SavedState(row.shard, row.epoch, bytes(row.state), row.save_time) for row in session.execute(query)]
