"""Numbers that grow. The row is locked until the commit, so a number that is seen has no smaller one still to come."""

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from monitors.rules.store.tables import counters

REVISION = "revision"
"""Of rules: one for each change of any rule."""
SEQUENCE = "sequence"
"""Of alerts' events and the outbox."""
PRUNED = "pruned"
"""The highest revision of a deletion that has been forgotten."""


def current(session: Session, name: str) -> int:
    """The last number that was taken; 0 before the first."""
    return session.scalar(select(counters.c.value).where(counters.c.name == name)) or 0


def take(session: Session, name: str, count: int = 1) -> int:
    """Takes `count` numbers and returns the first."""
    grown = update(counters).where(counters.c.name == name).values(value=counters.c.value + count)
    if session.execute(grown).rowcount == 0:  # type: ignore[attr-defined]
        session.execute(insert(counters).values(name=name, value=count))
        return 1
    return current(session, name) - count + 1


def raise_to(session: Session, name: str, value: int) -> None:
    """Makes a number at least `value`."""
    missing = value - current(session, name)
    if missing > 0:
        take(session, name, missing)
