"""Numbers that grow. The row is locked until the commit, so a number that is seen has no smaller one still to come."""

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from monitors.mesh.rows import change_rows, read_rows, read_value
from monitors.rules.store.tables import counters

REVISION = "revision"
"""Of rules: one for each change of any rule."""
SEQUENCE = "sequence"
"""Of alerts' events and the outbox."""
PRUNED = "pruned"
"""The highest revision of a deletion that has been forgotten."""

LEASES = "leases"
"""Not a number: whoever leases notifications has its row locked, so that two never see the same ones as free."""


# Made once: to put a statement together takes longer than to execute it, and every transition needs these.
_CURRENT = select(counters.c.value).where(counters.c.name == bindparam("wanted"))
_NEWEST = select(counters.c.name, counters.c.value).where(counters.c.name.in_(bindparam("names", expanding=True)))
_GROW = (
    update(counters).where(counters.c.name == bindparam("wanted")).values(value=counters.c.value + bindparam("growth"))
)


def current(session: Session, name: str) -> int:
    """The last number that was taken; 0 before the first."""
    return read_value(session, _CURRENT, {"wanted": name}) or 0


def newest(session: Session) -> tuple[int, int]:
    """The last revision and the last sequence that were taken."""
    values = {row.name: row.value for row in read_rows(session, _NEWEST, {"names": [REVISION, SEQUENCE]})}
    return values.get(REVISION, 0), values.get(SEQUENCE, 0)


def take(session: Session, name: str, count: int = 1) -> int:
    """Takes `count` numbers and returns the first."""
    if change_rows(session, _GROW, {"wanted": name, "growth": count}) == 0:
        session.execute(insert(counters).values(name=name, value=count))
        return 1
    return current(session, name) - count + 1


_LOCK = select(counters.c.value).where(counters.c.name == bindparam("wanted")).with_for_update()


def lock(session: Session, name: str) -> None:
    """Waits until nobody else has the row locked, and keeps it so until the commit. SQLite has one writer anyway."""
    read_rows(session, _LOCK, {"wanted": name})


def raise_to(session: Session, name: str, value: int) -> None:
    """Makes a number at least `value`."""
    is_less = counters.c.name == name, counters.c.value < value
    session.execute(update(counters).where(*is_less).values(value=value))
    if current(session, name) < value:
        session.execute(insert(counters).values(name=name, value=value))
