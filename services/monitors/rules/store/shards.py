"""Which evaluator holds which shard, and the states that they saved."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from monitors.mesh.errors import LeaseLost
from monitors.mesh.times import SECOND
from monitors.rules.model.alert import SHARDS
from monitors.rules.store.tables import shard_states, shards

LEASE = 10 * SECOND


@dataclass(frozen=True, slots=True)
class SavedState:
    """What an evaluator saved of a shard under a lease's epoch, in its own format."""

    shard: int
    epoch: int
    state: bytes
    save_time: int


def lease_all(session: Session, owner: str, address: str, released: Sequence[int], now: int) -> list[tuple[int, int]]:
    """Gives back `released`, takes what is free or expired, keeps what is held; all that is held, with its epoch."""
    rows = {row.shard: row for row in session.execute(select(shards))}
    if not rows:
        made = [{"shard": number, "epoch": 0, "owner": "", "address": "", "expire_time": 0} for number in range(SHARDS)]
        session.execute(insert(shards), made)
        rows = {row.shard: row for row in session.execute(select(shards))}
    given_back = {number for number in released if number in rows and rows[number].owner == owner}
    if given_back:
        freed = update(shards).where(shards.c.shard.in_(given_back)).values(owner="", address="", expire_time=0)
        session.execute(freed)
    kept = [n for n, row in rows.items() if row.owner == owner and row.expire_time > now and n not in given_back]
    taken = [n for n, row in rows.items() if row.expire_time <= now and n not in given_back]
    held = {"owner": owner, "address": address, "expire_time": now + LEASE}
    if kept:
        session.execute(update(shards).where(shards.c.shard.in_(kept)).values(held))
    if taken:
        session.execute(update(shards).where(shards.c.shard.in_(taken)).values(held | {"epoch": shards.c.epoch + 1}))
    leases = [(number, rows[number].epoch) for number in kept] + [(number, rows[number].epoch + 1) for number in taken]
    return sorted(leases)


def void_all(session: Session) -> None:
    """Ends every lease. Whoever held one is refused from now on."""
    session.execute(update(shards).values(owner="", address="", expire_time=0, epoch=shards.c.epoch + 1))


def check_leases(session: Session, leases: set[tuple[int, int]]) -> None:
    """Raises LeaseLost unless each shard is still under its epoch."""
    if not leases:
        return
    query = select(shards.c.shard, shards.c.epoch).where(shards.c.shard.in_({shard for shard, _ in leases}))
    epochs = {row.shard: row.epoch for row in session.execute(query.with_for_update(read=True))}
    for shard, epoch in sorted(leases):
        if epochs.get(shard) != epoch:
            raise LeaseLost(shard, epoch)


def save_states(session: Session, states: Sequence[SavedState]) -> None:
    """Remembers the states. Raises LeaseLost, and then remembers none."""
    check_leases(session, {(each.shard, each.epoch) for each in states})
    session.execute(delete(shard_states).where(shard_states.c.shard.in_([each.shard for each in states])))
    latest = {each.shard: each for each in states}
    rows = [
        {"shard": each.shard, "epoch": each.epoch, "state": each.state, "save_time": each.save_time}
        for each in latest.values()
    ]
    if rows:
        session.execute(insert(shard_states), rows)


def load_states(session: Session, numbers: Sequence[int]) -> Iterator[SavedState]:
    """The saved states of shards."""
    query = select(shard_states).where(shard_states.c.shard.in_(numbers)).order_by(shard_states.c.shard)
    for row in session.execute(query):
        yield SavedState(row.shard, row.epoch, bytes(row.state), row.save_time)
