"""What keeps a tenant's alerts from being told."""

from sqlalchemy.orm import Session

from monitors.notifier.model.muting import Muting
from monitors.notifier.store import silences, timings


def mutings(session: Session, tenant: str, now: int) -> list[Muting]:
    """The silences that have begun and aren't over, and the mute timings."""
    return [*silences.ROWS.active(session, tenant, now), *timings.all_of(session, tenant)]
