"""Silences as they are remembered."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from monitors.mesh.rows import Row
from monitors.notifier.model.silences import KEPT, MOST, Silence
from monitors.notifier.store.matchers import read_matchers, write_matchers
from monitors.notifier.store.policies import Rows
from monitors.notifier.store.tables import silences


class SilenceRows(Rows[Silence]):
    """Those that are over are kept for a while, to be shown, and count no more."""

    order: ClassVar[Mapping[str, type]] = {"created_at": int, "id": str}
    is_newest_first: ClassVar[bool] = True

    def insert(self, session: Session, entry: Silence, now: int) -> Silence:
        """Remembers a new one, and forgets those that have long been over. Raises QuotaExceeded."""
        old = silences.c.tenant_id == entry.tenant, silences.c.end_at < now - KEPT
        session.execute(delete(silences).where(*old))
        return super().insert(session, entry, now)

    def lasting(self, session: Session, tenant: str, now: int) -> list[Silence]:
        """Those of a tenant that aren't over."""
        query = select(silences).where(silences.c.tenant_id == tenant, *self._lasting(now))
        return list(map(self.entry, session.execute(query)))

    def _lasting(self, now: int) -> Iterable[ColumnElement[bool]]:
        return (silences.c.end_at > now,)


def _write(silence: Silence) -> dict[str, Any]:
    return {
        "matchers": write_matchers(silence.matchers),
        "start_at": silence.start,
        "end_at": silence.end,
        "comment": silence.comment,
        "creator": silence.creator,
    }


def _read(row: Row, common: dict[str, Any]) -> Silence:
    return Silence(
        **common,
        matchers=read_matchers(row.matchers),
        start=row.start_at,
        end=row.end_at,
        comment=row.comment,
        creator=row.creator,
    )


ROWS = SilenceRows(Silence, silences, MOST, "ListSilences", _write, _read)
