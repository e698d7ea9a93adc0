"""Mute timings as they are remembered."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from monitors.mesh.errors import AlreadyExists, NotFound, QuotaExceeded
from monitors.mesh.rows import read_rows, read_value
from monitors.notifier.model.timings import MOST, MuteTiming
from monitors.notifier.model.windows import Window
from monitors.notifier.store.matchers import read_matchers, write_matchers
from monitors.notifier.store.tables import mute_timings

_OF_TENANT = mute_timings.c.tenant_id == bindparam("tenant")
_ALL = select(mute_timings).where(_OF_TENANT)
_ONE = _ALL.where(mute_timings.c.id == bindparam("wanted")).with_for_update()
_COUNT = select(func.count()).select_from(mute_timings).where(_OF_TENANT)
_NAMED = select(mute_timings.c.id).where(_OF_TENANT, mute_timings.c.name == bindparam("wanted"))
MAKE_ROOM_SECONDS = 60.0


def all_of(session: Session, tenant: str) -> list[MuteTiming]:
    """Those of a tenant."""
    return _read(read_rows(session, _ALL, {"tenant": tenant}))


def insert_timing(session: Session, timing: MuteTiming) -> None:
    """Remembers a new mute timing. Raises AlreadyExists and QuotaExceeded."""
    _check_free(session, timing)
    present = read_value(session, _COUNT, {"tenant": timing.tenant})
    if present >= MOST:
        raise QuotaExceeded(
            f"there are {present} mute timings already, and {MOST} is as many as may be; delete one that isn't needed",
            retry_after=MAKE_ROOM_SECONDS,
        )
    session.execute(insert(mute_timings).values(_values(timing)))


def update_timing(session: Session, timing: MuteTiming) -> None:
    """Remembers a mute timing as it is now. Raises AlreadyExists."""
    _check_free(session, timing)
    is_it = mute_timings.c.tenant_id == timing.tenant, mute_timings.c.id == timing.id
    session.execute(update(mute_timings).where(*is_it).values(_values(timing)))


def delete_timing(session: Session, timing: MuteTiming) -> None:
    """Forgets a mute timing."""
    is_it = mute_timings.c.tenant_id == timing.tenant, mute_timings.c.id == timing.id
    session.execute(delete(mute_timings).where(*is_it))


def get(session: Session, tenant: str, timing_id: str) -> MuteTiming:
    """A tenant's mute timing, which nobody else changes until the transaction ends. Raises NotFound."""
    found = _read(read_rows(session, _ONE, {"tenant": tenant, "wanted": timing_id}))
    if not found:
        raise NotFound("mute timing", timing_id[:64], "ListMuteTimings shows those that there are")
    return found[0]


def list_page(session: Session, tenant: str, after: str, limit: int) -> list[MuteTiming]:
    """At most `limit` mute timings, by name, after the name `after`."""
    conditions = mute_timings.c.tenant_id == tenant, mute_timings.c.name > after
    query = select(mute_timings).where(*conditions).order_by(mute_timings.c.name).limit(limit)
    return _read(session.execute(query))


def _check_free(session: Session, timing: MuteTiming) -> None:
    holder = read_value(session, _NAMED, {"tenant": timing.tenant, "wanted": timing.name})
    if holder not in (None, timing.id):
        raise AlreadyExists("mute timing", timing.name)


def _values(timing: MuteTiming) -> dict[str, Any]:
    return {
        "tenant_id": timing.tenant,
        "id": timing.id,
        "name": timing.name,
        "matchers": write_matchers(timing.matchers),
        "windows": json.dumps(list(map(asdict, timing.windows))),
        "is_active": timing.active,
        "created_at": timing.create_time,
        "revision": timing.revision,
    }


def _read(rows: Iterable[Any]) -> list[MuteTiming]:
    return [
        MuteTiming(
            tenant=row.tenant_id,
            id=row.id,
            name=row.name,
            matchers=read_matchers(row.matchers),
            windows=tuple(map(_window, json.loads(row.windows))),
            active=bool(row.is_active),
            create_time=row.created_at,
            revision=row.revision,
        )
        for row in rows
    ]


def _window(kept: dict[str, Any]) -> Window:
    zone = kept.pop("zone")
    return Window(**{part: tuple((first, last) for first, last in spans) for part, spans in kept.items()}, zone=zone)
