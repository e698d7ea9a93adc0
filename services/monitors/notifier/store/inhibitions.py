"""Inhibitions as they are remembered. The one that is built in is a row only once it has been changed."""

import json
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from monitors.mesh.errors import AlreadyExists, NotFound
from monitors.mesh.rows import Row
from monitors.notifier.model.inhibitions import BUILT_IN, MOST, Inhibition, built_in
from monitors.notifier.store.matchers import read_matchers, write_matchers
from monitors.notifier.store.policies import Position, Rows
from monitors.notifier.store.tables import inhibitions


class InhibitionRows(Rows[Inhibition]):
    """Those of a tenant's own, and the one that is built in."""

    def update(self, session: Session, entry: Inhibition) -> Inhibition:
        """Remembers one as it is now. Raises AlreadyExists."""
        if entry.id == BUILT_IN and not self._has_changed(session, entry.tenant):
            session.execute(insert(inhibitions).values(self._values(entry)))
            return entry
        return super().update(session, entry)

    def get(self, session: Session, tenant: str, id_or_name: str) -> Inhibition:
        """One of a tenant's, which nobody else changes until the transaction ends. Raises NotFound."""
        try:
            return super().get(session, tenant, id_or_name)
        except NotFound:
            known = built_in(tenant)
            if id_or_name in (known.id, known.name):
                return known
            raise

    def all_of(self, session: Session, tenant: str) -> list[Inhibition]:
        """All of a tenant's by name."""
        return _with_built_in(tenant, super().all_of(session, tenant))

    def list_page(
        self, session: Session, tenant: str, after: Position | None, limit: int, now: int, *, everything: bool
    ) -> list[Inhibition]:
        """At most `limit` by name, after a name."""
        found = super().list_page(session, tenant, after, limit, now, everything=everything)
        is_before = after and str(after[0]) >= built_in(tenant).name
        return found if is_before or self._has_changed(session, tenant) else _with_built_in(tenant, found)[:limit]

    def _has_changed(self, session: Session, tenant: str) -> bool:
        return session.scalar(select(inhibitions.c.id).where(*self._is(tenant, BUILT_IN))) is not None

    def _check_free(self, session: Session, entry: Inhibition) -> None:
        if entry.id != BUILT_IN and entry.name == built_in(entry.tenant).name:
            raise AlreadyExists(self.kind.noun, entry.name)
        super()._check_free(session, entry)


def _with_built_in(tenant: str, found: list[Inhibition]) -> list[Inhibition]:
    if any(one.id == BUILT_IN for one in found):
        return found
    return sorted([*found, built_in(tenant)], key=lambda one: one.name)


def _write(inhibition: Inhibition) -> dict[str, Any]:
    return {
        "sources": write_matchers(inhibition.sources),
        "targets": write_matchers(inhibition.targets),
        "equal_names": json.dumps(inhibition.equal),
        "enabled": inhibition.enabled,
    }


def _read(row: Row, common: dict[str, Any]) -> Inhibition:
    sources, targets = read_matchers(row.sources), read_matchers(row.targets)
    equal = tuple(json.loads(row.equal_names))
    return Inhibition(**common, sources=sources, targets=targets, equal=equal, enabled=bool(row.enabled))


ROWS = InhibitionRows(Inhibition, inhibitions, MOST, "ListInhibitions", _write, _read)
