"""Leaves out of backlogs what has been overtaken; see `model.backlog`."""

from collections.abc import Sequence

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from monitors.mesh.rows import Row, find_rows, in_parts
from monitors.notifier.model.backlog import Waiting, is_backlog, overtaken
from monitors.notifier.model.delivery import OutcomeKind, State
from monitors.notifier.model.message import Kind
from monitors.notifier.store.sendable import rest_of_streams
from monitors.notifier.store.standing import End, end, is_due, note_cut_off, outcome_so_far
from monitors.notifier.store.tables import attempts

_AMBIGUOUS = select(attempts.c.delivery_id).where(
    attempts.c.tenant_id == bindparam("tenant"),
    attempts.c.delivery_id.in_(bindparam("ids", expanding=True)),
    attempts.c.outcome == int(OutcomeKind.AMBIGUOUS),
)


def collapse(session: Session, heads: Sequence[Row], now: int) -> list[Row]:
    """The heads of streams, which are due and locked; where one was held up, all that waits behind it is looked through
    and what has been overtaken ends here. The next of its stream takes its place if that is due."""
    held_up = [row for row in heads if is_backlog(row.attempt_count, row.next_at, now)]
    if not held_up:
        return list(heads)
    replaced: dict[tuple[str, str], Row | None] = {}
    ended: list[End] = []
    for tenant in sorted({row.tenant_id for row in held_up}):
        streams = rest_of_streams(session, tenant, [row.stream_key for row in held_up if row.tenant_id == tenant])
        waiting = [row for rows in streams.values() if len(rows) > 1 for row in rows]
        known = _may_be_known(session, tenant, waiting)
        gone: list[tuple[Row, str]] = []
        for rows in streams.values():
            reasons = overtaken(
                [Waiting(row.id, row.alert_id, Kind(row.kind), row.id in known) for row in rows if len(rows) > 1]
            )
            left = [row for row in rows if row.id not in reasons]
            gone += [(row, reasons[row.id]) for row in rows if row.id in reasons]
            if rows[0].id in reasons:
                replaced[tenant, rows[0].id] = left[0] if left and is_due(left[0], now) else None
        note_cut_off(session, [row for row, _ in gone], now)
        ended += [End(row, State.SUPERSEDED, reason, outcome_so_far(row)) for row, reason in gone]
    end(session, ended, now)
    kept = [replaced.get((row.tenant_id, row.id), row) for row in heads]
    return [row for row in kept if row is not None]


def _may_be_known(session: Session, tenant: str, rows: Sequence[Row]) -> set[str]:
    """Those of the rows of which an attempt may have arrived."""
    known = {row.id for row in rows if row.state == State.IN_FLIGHT}
    for part in in_parts([row.id for row in rows if row.attempt_count]):
        known |= {name for (name,) in find_rows(session, _AMBIGUOUS, {"tenant": tenant}, "ids", part)}
    return known
