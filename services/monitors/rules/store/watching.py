"""What those who follow the rules are told: all rules, then what changes, in the order of the revisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.orm import Session

from monitors.mesh.tenancy import crosses_tenants
from monitors.rules.model.alert import Episode
from monitors.rules.store import counters
from monitors.rules.store.alerts import EPISODE_COLUMNS, read_episode
from monitors.rules.store.tables import alerts, deleted_rules, manual_resolutions, rules

StoredBody = tuple[str, bytes, int]
"""A rule's tenant, its serialised monitors.v1.Rule, and its revision."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened up to `revision`. `more`: there is more after it."""

    rules: Sequence[StoredBody]
    deleted: list[tuple[str, str]]
    """Tenant and rule."""
    resolved: list[Episode]
    """Resolved by hand."""
    revision: int
    more: bool


_BODIES = select(rules.c.tenant_id, rules.c.body, rules.c.revision)
_DELETED = select(deleted_rules.c.tenant_id, deleted_rules.c.rule_id, deleted_rules.c.revision)
_RESOLVED = select(*EPISODE_COLUMNS, manual_resolutions.c.revision).join_from(manual_resolutions, alerts)


@crosses_tenants("evaluators follow the rules of all tenants")
def snapshot_page(session: Session, after: int, limit: int) -> Sequence[StoredBody]:
    """At most `limit` rules of all tenants whose revision is greater than `after`, by revision.

    A rule that changes while the pages are read moves to the end: it's seen once more, or in its place, but not missed.
    """
    return _bodies(session, after, limit)


@crosses_tenants("evaluators follow the rules of all tenants")
def changes_since(session: Session, revision: int, limit: int) -> Changes:
    """What was changed, deleted and resolved by hand after a revision, about `limit` of each at a time."""
    newest = counters.current(session, counters.REVISION)
    if newest == revision:
        return Changes([], [], [], revision, more=False)
    changed = _bodies(session, revision, limit)
    gone = session.execute(_after(_DELETED, deleted_rules.c.revision, revision, limit)).all()
    resolved = session.execute(_after(_RESOLVED, manual_resolutions.c.revision, revision, limit)).all()
    # What was cut off may lie between what wasn't.
    upto = min([newest, *(rows[-1][-1] for rows in (changed, gone, resolved) if len(rows) == limit)])
    return Changes(
        [row for row in changed if row[-1] <= upto],
        [(row.tenant_id, row.rule_id) for row in gone if row.revision <= upto],
        [read_episode(row) for row in resolved if row.revision <= upto],
        upto,
        upto < newest,
    )


def _bodies(session: Session, revision: int, limit: int) -> Sequence[StoredBody]:
    return session.execute(_after(_BODIES, rules.c.revision, revision, limit)).all()


def _after(query: Select[Any], column: ColumnElement[int], revision: int, limit: int) -> Select[Any]:
    return query.where(column > revision).order_by(column).limit(limit)


def can_resume(session: Session, revision: int) -> bool:
    """Whether all changes after a revision are still known."""
    return counters.current(session, counters.PRUNED) <= revision <= counters.current(session, counters.REVISION)


@crosses_tenants("what is old is forgotten of all tenants")
def forget_before(session: Session, time: int) -> None:
    """Forgets that rules were deleted and alerts resolved before `time`; who watched last before that must start
    again."""
    for table, column in (
        (deleted_rules, deleted_rules.c.delete_time),
        (manual_resolutions, manual_resolutions.c.resolve_time),
    ):
        newest = session.scalar(select(func.max(table.c.revision)).where(column < time))
        if newest is not None:
            session.execute(delete(table).where(column < time))
            counters.raise_to(session, counters.PRUNED, newest)
