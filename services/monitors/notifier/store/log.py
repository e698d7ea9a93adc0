"""The delivery log: what was sent, waits or failed; retries by hand; what RuleService has still to learn."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session

from monitors.mesh.errors import NotFound, WrongState
from monitors.mesh.rows import Row, read_rows, update_rows
from monitors.mesh.tenancy import crosses_tenants
from monitors.notifier.model.delivery import UNFINISHED, OutcomeKind, State
from monitors.notifier.model.message import Kind, message_id
from monitors.notifier.store.tables import AttemptRow, ChannelRow, DeliveryRow, deliveries


@dataclass(frozen=True)
class Attempt:
    """One attempt to deliver."""

    started_at: int
    ended_at: int
    outcome: OutcomeKind
    status: int
    detail: str


@dataclass(frozen=True)
class Delivery:
    """One message to one channel, as the log shows it. `next_at` is 0 unless it waits."""

    tenant: str
    id: str
    notification_id: str
    alert_id: str
    channel_name: str
    kind: Kind
    state: State
    detail: str
    attempt_count: int
    next_at: int
    version: int
    created_at: int
    updated_at: int
    message_id: str = ""
    """What told it last; empty before the first attempt."""
    attempts: tuple[Attempt, ...] = ()
    escalation: bytes = b""
    """What was sent, of an escalation: how far it had come stands in it."""


@dataclass(frozen=True)
class Query:
    """Which deliveries to list; empty parts mean any."""

    alert_id: str = ""
    channel_name: str = ""
    state: State | None = None
    with_attempts: bool = False
    told_with: str = ""
    """The id of a delivery, for those that the same message told."""


@dataclass(frozen=True)
class Counts:
    """How a tenant's deliveries fare. `oldest_due` is 0 if none waits."""

    pending: int
    dead: int
    suppressed: int
    oldest_due: int


# Without what was sent, which a report doesn't need.
_UNREPORTED = (
    select(*(column for column in deliveries.columns if column is not deliveries.c.payload))
    .where(deliveries.c.report_due.is_(True))
    .order_by(deliveries.c.updated_at)
    .limit(bindparam("limit"))
)


def list_page(
    session: Session, tenant: str, query: Query, before: tuple[int, str] | None, limit: int
) -> list[Delivery]:
    """At most `limit` deliveries, newest first, those older than the position `before` (creation time and id). Of
    heartbeats only those to a channel that is asked for: they'd leave no room for anything else. Raises NotFound."""
    statement = select(DeliveryRow).where(DeliveryRow.tenant_id == tenant)
    if query.alert_id:
        statement = statement.where(DeliveryRow.alert_id == query.alert_id)
    if query.told_with:
        statement = statement.where(*_is_told_with(_row(session, tenant, query.told_with)))
    if query.channel_name:
        statement = statement.where(DeliveryRow.channel_name == query.channel_name)
    elif not query.told_with:
        statement = statement.where(DeliveryRow.kind != int(Kind.HEARTBEAT))
    if query.state is not None:
        statement = statement.where(DeliveryRow.state == query.state)
    if before is not None:
        time, delivery_id = before
        # The first of these alone is what an index can begin at.
        statement = statement.where(
            DeliveryRow.created_at <= time,
            or_(DeliveryRow.created_at < time, and_(DeliveryRow.created_at == time, DeliveryRow.id < delivery_id)),
        )
    rows = session.scalars(statement.order_by(DeliveryRow.created_at.desc(), DeliveryRow.id.desc()).limit(limit)).all()
    attempts = _attempts(session, tenant, [row.id for row in rows]) if query.with_attempts else {}
    return [_delivery(row, attempts.get(row.id, [])) for row in rows]


def get(session: Session, tenant: str, delivery_id: str) -> Delivery:
    """A delivery with its attempts. Raises NotFound."""
    row = _row(session, tenant, delivery_id)
    return _delivery(row, _attempts(session, tenant, [row.id]).get(row.id, []))


def _row(session: Session, tenant: str, delivery_id: str) -> DeliveryRow:
    row: DeliveryRow | None = session.get(DeliveryRow, (tenant, delivery_id))
    if row is None:
        raise NotFound("delivery", delivery_id[:80])
    return row


def _is_told_with(row: DeliveryRow) -> list[ColumnElement[bool]]:
    """What is told together is of one group, of which there is an index."""
    if not row.message_id:
        return [DeliveryRow.id == row.id]
    return [DeliveryRow.group_key == row.group_key, DeliveryRow.message_id == row.message_id]


def retry(session: Session, tenant: str, delivery_id: str, now: int) -> tuple[Delivery, Delivery]:
    """Makes a dead or suppressed delivery due again, and with a firing also the end that it took along. Returns the
    delivery before and after.

    Its schedule goes on where it was: no further waits are added. Raises NotFound or WrongState.
    """
    row = session.get(DeliveryRow, (tenant, delivery_id), with_for_update=True)
    if row is None:
        raise NotFound("delivery", delivery_id[:80])
    state = State(row.state)
    if state not in (State.DEAD, State.SUPPRESSED):
        raise WrongState(
            f"delivery_id: {delivery_id!r} is {state.name.lower()}; only a dead or suppressed delivery can be retried",
            metadata={"state": state.name.lower()},
        )
    channel = session.scalar(
        select(ChannelRow).where(ChannelRow.tenant_id == tenant, ChannelRow.name == row.channel_name)
    )
    if channel is None or channel.disabled_reason or channel.id != (row.channel_id or channel.id):
        raise WrongState(
            f"delivery_id: the channel {row.channel_name!r} of {delivery_id!r} is turned off or gone; "
            "mend the channel first",
            metadata={"state": state.name.lower()},
        )
    return _retried(session, row, channel.id, now)


def _retried(session: Session, row: DeliveryRow, channel_id: str, now: int) -> tuple[Delivery, Delivery]:
    before = _delivery(row, [])
    row.channel_id = channel_id
    _wait_again(row, now)
    ends = session.scalars(
        select(DeliveryRow)
        .where(
            DeliveryRow.tenant_id == row.tenant_id,
            DeliveryRow.stream_key == row.stream_key,
            DeliveryRow.alert_id == row.alert_id,
            DeliveryRow.sequence > row.sequence,
            DeliveryRow.state == State.SUPERSEDED,
            DeliveryRow.kind == int(Kind.RESOLVED),
        )
        .with_for_update()
    )
    for end in ends:
        end.channel_id = channel_id
        _wait_again(end, now)
    return before, _delivery(row, [])


def retry_all(
    session: Session, tenant: str, query: Query, since: int, now: int, most: int
) -> tuple[list[tuple[Delivery, Delivery]], int]:
    """Makes dead and suppressed deliveries due again that were made since then, oldest first, at most `most`: each as
    by `retry`, before and after. And how many others stay as they are, for their channel is turned off or gone."""
    able = session.execute(
        select(ChannelRow.id, ChannelRow.name).where(ChannelRow.tenant_id == tenant, ChannelRow.disabled_reason == "")
    ).all()
    states = [query.state] if query.state else [State.DEAD, State.SUPPRESSED]
    wanted = [
        DeliveryRow.tenant_id == tenant,
        DeliveryRow.state.in_(list(map(int, states))),
        DeliveryRow.created_at >= since,
    ]
    if query.channel_name:
        wanted.append(DeliveryRow.channel_name == query.channel_name)
    if query.alert_id:
        wanted.append(DeliveryRow.alert_id == query.alert_id)
    # Of a channel that was made anew under its name, nothing that was told to the former one.
    has_channel = or_(
        DeliveryRow.channel_id.in_([row.id for row in able]),
        and_(DeliveryRow.channel_id == "", DeliveryRow.channel_name.in_([row.name for row in able])),
    )
    found = session.scalars(
        select(DeliveryRow)
        .where(*wanted, has_channel)
        .order_by(DeliveryRow.created_at, DeliveryRow.sequence)
        .limit(most)
        .with_for_update()
    ).all()
    ids = {row.name: row.id for row in able}
    skipped = session.scalar(select(func.count()).select_from(DeliveryRow).where(*wanted, ~has_channel)) or 0
    return [_retried(session, row, ids[row.channel_name], now) for row in found], skipped


def _wait_again(row: DeliveryRow, now: int) -> None:
    row.state = State.PENDING
    row.next_at = now
    row.version += 1
    row.report_due = bool(row.alert_id)
    row.updated_at = now


def count(session: Session, tenant: str) -> Counts:
    """How a tenant's deliveries fare."""
    rows = session.execute(
        select(DeliveryRow.state, func.count()).where(DeliveryRow.tenant_id == tenant).group_by(DeliveryRow.state)
    )
    counted = dict(rows.all())
    oldest = session.scalar(
        select(func.min(DeliveryRow.next_at)).where(DeliveryRow.tenant_id == tenant, DeliveryRow.state.in_(UNFINISHED))
    )
    return Counts(
        pending=sum(counted.get(state, 0) for state in UNFINISHED),
        dead=counted.get(State.DEAD, 0),
        suppressed=counted.get(State.SUPPRESSED, 0),
        oldest_due=oldest or 0,
    )


@crosses_tenants("what became of all tenants' messages is reported together")
def unreported(session: Session, limit: int) -> list[Delivery]:
    """Deliveries whose state RuleService doesn't know yet, oldest change first."""
    return [_delivery(row, [], with_payload=False) for row in read_rows(session, _UNREPORTED, {"limit": limit})]


@crosses_tenants("what became of all tenants' messages is reported together")
def mark_reported(session: Session, known: Sequence[Delivery]) -> None:
    """RuleService knows these, unless they have changed since they were read."""
    # The id last: in most of them all else is the same, so that they're changed together.
    rows = [(one.tenant, one.version, one.id, False) for one in known]
    update_rows(session, deliveries, ("tenant_id", "version", "id"), ("report_due",), rows)


def _attempts(session: Session, tenant: str, delivery_ids: Sequence[str]) -> dict[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = {}
    rows = session.scalars(
        select(AttemptRow)
        .where(AttemptRow.tenant_id == tenant, AttemptRow.delivery_id.in_(delivery_ids))
        .order_by(AttemptRow.number)
    )
    for row in rows:
        attempt = Attempt(row.started_at, row.ended_at, OutcomeKind(row.outcome), row.status, row.detail)
        found.setdefault(row.delivery_id, []).append(attempt)
    return found


def _delivery(row: Row, attempts: Sequence[Attempt], *, with_payload: bool = True) -> Delivery:
    return Delivery(
        tenant=row.tenant_id,
        id=row.id,
        notification_id=row.notification_id,
        alert_id=row.alert_id,
        channel_name=row.channel_name,
        kind=Kind(row.kind),
        state=State(row.state),
        detail=row.detail,
        attempt_count=row.attempt_count,
        next_at=row.next_at if row.state == State.PENDING else 0,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        message_id=(row.message_id or message_id(row.notification_id, row.channel_id)) if row.attempt_count else "",
        attempts=tuple(attempts),
        escalation=row.payload if row.kind == Kind.ESCALATED and with_payload else b"",
    )
