"""How deliveries stand, and how they come to stand otherwise: rows for the tables, many at once."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, select, update
from sqlalchemy.orm import Session

from monitors.mesh.rows import Row, find_rows, in_parts, insert_rows, update_rows
from monitors.notifier.model.delivery import Decision, Outcome, OutcomeKind, State, detail_of, remembered
from monitors.notifier.store.tables import STANDING, DeliveryRow, attempts, deliveries

CUT_OFF = "the notifier stopped while it was being sent; whether it arrived is unknown"
KEY = ("tenant_id", "id")
ATTEMPT = tuple(column.name for column in attempts.columns)
_ENDED = ("state", "detail", "last_outcome", "lease_token", "version", "report_due", "updated_at")
_RELEASED = ("state", "detail", "last_outcome", "next_at", "lease_token")
# When it was due doesn't count any more.
_SENT = tuple(column for column in STANDING if column.name != "next_at")
_IN_FLIGHT = (
    select(*_SENT)
    .where(deliveries.c.tenant_id == bindparam("tenant"), deliveries.c.id.in_(bindparam("ids", expanding=True)))
    .where(deliveries.c.state == int(State.IN_FLIGHT))
    .with_for_update()
)


_LEASES = _IN_FLIGHT.with_only_columns(
    deliveries.c.id, deliveries.c.lease_token, deliveries.c.attempt_count, deliveries.c.version
)


def in_flight(session: Session, named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Row]:
    """Those of the deliveries, named by tenant and id, that are being sent. They are locked."""
    return _of_named(session, _IN_FLIGHT, named)


def _of_named(session: Session, query: Select[Any], named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Row]:
    ids: dict[str, list[str]] = {}
    for tenant, delivery_id in named:
        ids.setdefault(tenant, []).append(delivery_id)
    return {
        (tenant, row.id): row
        for tenant, of_tenant in sorted(ids.items())
        for part in in_parts(sorted(of_tenant))
        for row in find_rows(session, query, {"tenant": tenant}, "ids", part)
    }


class Sent(NamedTuple):
    """A delivery of which an attempt has ended, as it was claimed; `attempt_count` and `version` as they stand."""

    tenant_id: str
    id: str
    alert_id: str
    kind: int
    stream_key: str
    attempt_count: int
    version: int


def leases(session: Session, named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Row]:
    """The leases of those of the deliveries, named by tenant and id, that are being sent, with how often each was
    tried. They are locked."""
    return _of_named(session, _LEASES, named)


class End(NamedTuple):
    """A row on its way to a state in which it's no longer being sent. If it's to be sent again, at `next_at`."""

    row: Sent | Row
    state: State
    detail: str
    outcome: int
    next_at: int = 0


def end(session: Session, ends: Iterable[End], now: int) -> None:
    """Brings rows to states that RuleService should know of those about an alert."""
    over: list[tuple[Any, ...]] = []
    again: list[tuple[Any, ...]] = []
    for one in ends:
        row = one.row
        values = (
            row.tenant_id, row.id, int(one.state), one.detail[:1000], one.outcome, "", row.version + 1,
            bool(row.alert_id), now,
        )  # fmt: skip
        if one.next_at:
            again.append((*values, one.next_at))
        else:
            over.append(values)
    update_rows(session, deliveries, KEY, _ENDED, over)
    update_rows(session, deliveries, KEY, (*_ENDED, "next_at"), again)


def ended_by(row: Sent, outcome: Outcome, decision: Decision, told: int, *, is_digest: bool, is_minimal: bool) -> End:
    """How a row ends after an attempt, whose message told so many deliveries."""
    detail = detail_of(outcome, told, is_digest=is_digest)
    kind = int(remembered(outcome.kind, is_minimal=is_minimal))
    return End(row, decision.state, detail, kind, decision.next_time)


def end_waiting(session: Session, is_waiting: tuple[Any, ...], state: State, reason: str, now: int) -> None:
    """Ends what waits, however much that is."""
    session.execute(
        update(DeliveryRow)
        .where(*is_waiting)
        .values(
            state=int(state),
            detail=reason[:1000],
            lease_token="",
            version=DeliveryRow.version + 1,
            report_due=DeliveryRow.alert_id != "",
            updated_at=now,
        )
    )


def is_due(row: Row, now: int) -> bool:
    """Whether a row that is on its way may be claimed: it waits no more, or its lease has run out."""
    due: int = row.lease_until if row.state == State.IN_FLIGHT else row.next_at
    return due <= now


def outcome_so_far(row: Row) -> int:
    """The outcome of a row's last attempt. One that is still being sent was cut off."""
    if row.state != State.IN_FLIGHT:
        return int(row.last_outcome)
    was_minimal = row.last_outcome == OutcomeKind.TOO_LARGE
    return int(remembered(OutcomeKind.AMBIGUOUS, is_minimal=was_minimal))


def note_cut_off(session: Session, rows: Sequence[Row], now: int) -> None:
    """Remembers the attempts of rows that are still being sent, of which nobody will learn how they ended."""
    outcome = Outcome(OutcomeKind.AMBIGUOUS, CUT_OFF)
    cut_off = [attempt(row, row.leased_at, now, outcome) for row in rows if row.state == State.IN_FLIGHT]
    insert_rows(session, attempts, ATTEMPT, cut_off)


def send_again(session: Session, rows: Sequence[Row], now: int) -> None:
    """Makes due what was being sent."""
    note_cut_off(session, rows, now)
    released = [(row.tenant_id, row.id, int(State.PENDING), CUT_OFF, outcome_so_far(row), now, "") for row in rows]
    update_rows(session, deliveries, KEY, _RELEASED, released)


def attempt(row: Sent | Row, started_at: int, ended_at: int, outcome: Outcome) -> tuple[Any, ...]:
    """A row of the attempts, in the table's order."""
    return (
        row.tenant_id, row.id, row.attempt_count, started_at, ended_at, int(outcome.kind), outcome.status,
        outcome.detail[:1000],
    )  # fmt: skip
