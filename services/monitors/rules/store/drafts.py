"""What a batch was decided on before its transaction, and whether that still holds within it."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from monitors.rules.model.alert import Held
from monitors.rules.model.episodes import Known
from monitors.rules.model.recent import Instances, Recent
from monitors.rules.store import counters, outbox


class Basis(NamedTuple):
    """The state of the database, as far as a batch depends on it."""

    revision: int
    """Of the rules."""
    sequence: int
    """Of alerts' events: whoever changes an alert, or makes one, takes a number for it."""
    instances: Instances
    held: Sequence[Held]
    """Alerts whose message was held back at first: what becomes of that takes no number."""
    released: frozenset[str]


def basis_of(newest: tuple[int, int], known: Known, instances: Instances) -> Basis:
    """On what it's going to be decided: with what is known of these instances, and the last revision and sequence, both
    of the same transaction."""
    held = [alert.held for alert in known.open.values() if alert.suppress_reason]
    return Basis(*newest, instances, held, frozenset(known.released))


def holds(session: Session, basis: Basis, recent: Recent) -> bool:
    """Whether what was decided on this basis would be decided now as well. On SQLite, where nobody else writes until
    the transaction ends."""
    revision, sequence = counters.newest(session)
    if revision != basis.revision or not recent.spares(basis.instances, basis.sequence, sequence):
        return False
    return outbox.released(session, basis.held) == basis.released
