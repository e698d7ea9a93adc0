"""How the deliveries of all tenants stand, for whoever runs the mesh."""

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from monitors.mesh.tenancy import crosses_tenants
from monitors.notifier.model.delivery import State
from monitors.notifier.store.tables import deliveries


@dataclass(frozen=True)
class Totals:
    """Numbers of deliveries, and since when the first of them has been due; None if none is."""

    pending: int
    in_flight: int
    dead: int
    suppressed: int
    oldest_due: int | None


# What was delivered, which is most, isn't looked at: the index begins with the state.
_COUNTED = (State.PENDING, State.IN_FLIGHT, State.DEAD, State.SUPPRESSED)
_COUNTS = (
    select(deliveries.c.state, func.count())
    .where(deliveries.c.state.in_([int(state) for state in _COUNTED]))
    .group_by(deliveries.c.state)
)
_OLDEST = select(func.min(deliveries.c.next_at)).where(
    deliveries.c.state == int(State.PENDING), deliveries.c.next_at <= bindparam("now")
)


@crosses_tenants("how deliveries stand is counted over all tenants, and names none")
def count(session: Session, now: int) -> Totals:
    """How deliveries stand."""
    counted: dict[int, int] = dict(session.execute(_COUNTS).all())
    pending, in_flight, dead, suppressed = (counted.get(int(state), 0) for state in _COUNTED)
    return Totals(pending, in_flight, dead, suppressed, session.scalar(_OLDEST, {"now": now}))
