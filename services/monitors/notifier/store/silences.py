"""Silences as they are remembered."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from monitors.mesh.errors import NotFound, QuotaExceeded
from monitors.mesh.rows import change_rows, read_rows, read_value
from monitors.notifier.model.silences import KEPT, MOST, Silence
from monitors.notifier.store.matchers import read_matchers, write_matchers
from monitors.notifier.store.tables import silences

_OF_TENANT = silences.c.tenant_id == bindparam("tenant")
_ACTIVE = select(silences).where(
    _OF_TENANT, silences.c.end_at > bindparam("now"), silences.c.start_at <= bindparam("now")
)
_ONE = select(silences).where(_OF_TENANT, silences.c.id == bindparam("wanted")).with_for_update()
_COUNT = select(func.count()).select_from(silences).where(_OF_TENANT, silences.c.end_at > bindparam("now"))
_FORGET = delete(silences).where(_OF_TENANT, silences.c.end_at < bindparam("before"))
MAKE_ROOM_SECONDS = 60.0


def active(session: Session, tenant: str, now: int) -> list[Silence]:
    """Those of a tenant that silence something now."""
    return _read(read_rows(session, _ACTIVE, {"tenant": tenant, "now": now}))


def insert_silence(session: Session, silence: Silence, now: int) -> None:
    """Remembers a new silence, and forgets those that have long been over. Raises QuotaExceeded."""
    change_rows(session, _FORGET, {"tenant": silence.tenant, "before": now - KEPT})
    present = read_value(session, _COUNT, {"tenant": silence.tenant, "now": now})
    if present >= MOST:
        raise QuotaExceeded(
            f"there are {present} silences already, and {MOST} is as many as may be; end one that isn't needed",
            retry_after=MAKE_ROOM_SECONDS,
        )
    session.execute(insert(silences).values(_values(silence)))


def update_silence(session: Session, silence: Silence) -> None:
    """Remembers a silence as it is now."""
    is_it = silences.c.tenant_id == silence.tenant, silences.c.id == silence.id
    session.execute(update(silences).where(*is_it).values(_values(silence)))


def get(session: Session, tenant: str, silence_id: str) -> Silence:
    """A tenant's silence, which nobody else changes until the transaction ends. Raises NotFound."""
    found = _read(read_rows(session, _ONE, {"tenant": tenant, "wanted": silence_id}))
    if not found:
        raise NotFound("silence", silence_id[:64], "ListSilences shows those that there are")
    return found[0]


def list_page(
    session: Session, tenant: str, now: int, before: tuple[int, str] | None, limit: int, *, include_expired: bool
) -> list[Silence]:
    """At most `limit` silences, newest first, after the place `before` (creation time and id)."""
    conditions = [silences.c.tenant_id == tenant]
    if not include_expired:
        conditions.append(silences.c.end_at > now)
    if before:
        time, silence_id = before
        is_same_time = and_(silences.c.created_at == time, silences.c.id < silence_id)
        conditions.append(or_(silences.c.created_at < time, is_same_time))
    newest = silences.c.created_at.desc(), silences.c.id.desc()
    return _read(session.execute(select(silences).where(*conditions).order_by(*newest).limit(limit)))


def _values(silence: Silence) -> dict[str, Any]:
    return {
        "tenant_id": silence.tenant,
        "id": silence.id,
        "matchers": write_matchers(silence.matchers),
        "start_at": silence.start,
        "end_at": silence.end,
        "comment": silence.comment,
        "creator": silence.creator,
        "created_at": silence.create_time,
        "revision": silence.revision,
    }


def _read(rows: Iterable[Any]) -> list[Silence]:
    return [
        Silence(
            tenant=row.tenant_id,
            id=row.id,
            matchers=read_matchers(row.matchers),
            start=row.start_at,
            end=row.end_at,
            comment=row.comment,
            creator=row.creator,
            create_time=row.created_at,
            revision=row.revision,
        )
        for row in rows
    ]
