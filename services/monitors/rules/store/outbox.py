"""Notifications that wait for the notifier, in order per stream."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import BindParameter, ColumnElement, FromClause, and_, bindparam, case, func, or_, select, update
from sqlalchemy.orm import Session

from monitors.mesh.rows import change_rows, find_rows, insert_rows, read_rows, read_value
from monitors.mesh.tenancy import crosses_tenants
from monitors.mesh.times import SECOND
from monitors.rules.model.alert import EventKind, Held
from monitors.rules.store import counters
from monitors.rules.store.paging import chunks
from monitors.rules.store.tables import outbox

WAITING, TAKEN, SUPPRESSED = 0, 1, 2


def _is_waiting(table: FromClause) -> ColumnElement[bool]:
    """For rows that are named: `state = 0` would let SQLite take the index of all that waits instead of theirs."""
    return and_(table.c.state != TAKEN, table.c.state != SUPPRESSED)


_IS_WAITING = _is_waiting(outbox)
LEASE = 30 * SECOND
# Of a burst each transaction costs as much as leasing dozens; single messages don't wait for more. Where a list has 200
# values MariaDB begins to go by its statistics, which know nothing of a burst, and reads the whole table.
LARGEST_BATCH = 150
LOOKED_AT = 1000
# A gRPC message has 4 MiB at most.
LARGEST_BATCH_BYTES = 3 * 1024 * 1024


class Leased(NamedTuple):
    """A notification that was leased; `body` is a serialised monitors.v1.Notification without its sequence."""

    tenant: str
    id: str
    sequence: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of what was due; `is_cut`: there may be more. `looked_at` rows, those due first, were looked at for it."""

    leased: list[Leased]
    is_cut: bool
    looked_at: int


class Waiting(NamedTuple):
    """A row to be written, as it's written; see the table."""

    tenant: str
    id: str
    sequence: int
    alert_id: str
    kind: int
    stream_key: str
    due_time: int
    body: bytes
    create_time: int
    state: int = WAITING
    lease_token: str = ""
    lease_until: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How the outbox stands: how many rows wait, and since when the first of them has been due, None if none is."""

    waiting: int
    oldest_due: int | None


@dataclass(frozen=True, slots=True)
class Receiver:
    """A notifier that is ready to take what is due at `now`, in nanoseconds since 1970 by the database's clock, under
    the token of its lease."""

    token: str
    now: int


_COLUMNS = (
    "tenant_id", "id", "sequence", "alert_id", "kind", "stream_key", "due_time", "body", "create_time", "state",
    "lease_token", "lease_until",
)  # fmt: skip


def insert_waiting(
    session: Session,
    rows: Sequence[Waiting],
    receiver: Receiver | None = None,
    undecided: Collection[str] = (),
    *,
    before: int = 0,
) -> list[Leased]:
    """Lets notifications wait for their time; `before` is added to their sequences. Those that may go out at once are
    leased to the receiver from the beginning and returned in their order, to be sent after the commit; never about the
    alerts `undecided`, of whose messages it's decided only after this what becomes of them.

    To be called with the numbers' counter locked, as `counters.take` leaves it: nobody else writes meanwhile what would
    stand before them in their streams.
    """
    leased = _free(session, rows, receiver.now, undecided) if receiver else []
    if receiver and leased:
        token, until, ids = receiver.token, receiver.now + LEASE, {row.id for row in leased}
        rows = [row._replace(lease_token=token, lease_until=until) if row.id in ids else row for row in rows]
    insert_rows(session, outbox, _COLUMNS, rows, raised=("sequence", before))
    return [Leased(row.tenant, row.id, before + row.sequence, row.body) for row in leased]


# Left to choose, MariaDB reads all rows of a tenant for each stream.
_BY_STREAM = ("FORCE INDEX (ix_outbox_stream)", "mysql")
_OCCUPIED = (
    select(outbox.c.stream_key)
    # Of an instance's messages of a week hardly ever one still waits.
    .with_hint(outbox, "INDEXED BY ix_outbox_stream", "sqlite")
    .with_hint(outbox, *_BY_STREAM)
    .where(
        outbox.c.tenant_id == bindparam("tenant"),
        outbox.c.stream_key.in_(bindparam("streams", expanding=True)),
        outbox.c.state == WAITING,
    )
)


def _free(session: Session, rows: Sequence[Waiting], now: int, undecided: Collection[str]) -> list[Waiting]:
    """Those of new rows that are due and have nothing before them in their streams but others of them, in order. Of
    many rows none: they are leased in parts, as the receiver takes them."""
    if len(rows) > LARGEST_BATCH:
        return []
    streams: dict[str, set[str]] = {}
    for row in rows:
        streams.setdefault(row.tenant, set()).add(row.stream_key)
    occupied = {
        (tenant, found.stream_key)
        for tenant, keys in streams.items()
        for found in find_rows(session, _OCCUPIED, {"tenant": tenant}, "streams", sorted(keys))
    }
    free: list[Waiting] = []
    size = 0
    for row in sorted(rows, key=lambda row: row.sequence):
        stream = (row.tenant, row.stream_key)
        size += len(row.body)
        if row.due_time > now or row.alert_id in undecided or stream in occupied or size > LARGEST_BATCH_BYTES:
            occupied.add(stream)
        else:
            free.append(row)
    return free


# What is held back together: that it fires, and that it got worse meanwhile.
_IS_HELD = or_(outbox.c.kind == int(EventKind.FIRING), outbox.c.kind == int(EventKind.SEVERITY_CHANGED))
# An alert's messages are found by their stream: an index of alerts would be written to for each, and read for few.
_OF_ALERT = (
    outbox.c.tenant_id == bindparam("row_tenant"),
    outbox.c.stream_key == bindparam("row_stream"),
    outbox.c.alert_id == bindparam("row_alert"),
    _IS_WAITING,
)
_OF_ALERTS = (
    outbox.c.tenant_id == bindparam("tenant"),
    outbox.c.stream_key.in_(bindparam("streams", expanding=True)),
    outbox.c.alert_id.in_(bindparam("ids", expanding=True)),
)
_WAITED_FOR = select(outbox.c.alert_id).with_hint(outbox, *_BY_STREAM).where(*_OF_ALERTS, _IS_WAITING)
_SUPPRESS = update(outbox).where(*_OF_ALERTS, _IS_WAITING).values(state=SUPPRESSED)
_RESCHEDULE = update(outbox).where(*_OF_ALERT, _IS_HELD, outbox.c.lease_token == "").values(due_time=bindparam("due"))
# Also those that aren't released are locked: they mustn't go out while it's decided what becomes of them.
_FIRING = (
    select(outbox.c.alert_id, outbox.c.state, outbox.c.lease_token)
    .where(*_OF_ALERTS, outbox.c.kind == int(EventKind.FIRING))
    .with_for_update()
)


def suppress(session: Session, held: Sequence[Held]) -> None:
    """Stops what waits about alerts whose firing is told no more."""
    for tenant, of_tenant in _by_tenant(held).items():
        for part in chunks(of_tenant):
            change_rows(session, _SUPPRESS, {"tenant": tenant, **_named(part)})


def waited_for(session: Session, tenant: str, held: Sequence[Held]) -> set[str]:
    """The ids of those of a tenant's alerts of which something waits to be told."""
    rows = read_rows(session, _WAITED_FOR, {"tenant": tenant, **_named(held)}) if held else []
    return {row.alert_id for row in rows}


def reschedule(session: Session, held: Sequence[tuple[Held, int]]) -> None:
    """Moves held messages about firing, and what got worse meanwhile, to another due time."""
    if held:
        rows = [
            {"row_tenant": alert.tenant, "row_stream": alert.stream_key, "row_alert": alert.alert_id, "due": due}
            for alert, due in held
        ]
        session.execute(_RESCHEDULE, rows)


def released(session: Session, held: Sequence[Held]) -> set[str]:
    """The ids of those of the alerts whose message about firing has gone out, or is on its way."""
    found: set[str] = set()
    for tenant, of_tenant in _by_tenant(held).items():
        for part in chunks(of_tenant):
            rows = read_rows(session, _FIRING, {"tenant": tenant, **_named(part)})
            found |= {row.alert_id for row in rows if row.state == TAKEN or row.lease_token}
    return found


def _by_tenant(held: Sequence[Held]) -> dict[str, list[Held]]:
    grouped: dict[str, list[Held]] = {}
    for each in held:
        grouped.setdefault(each.tenant, []).append(each)
    return grouped


def _named(held: Sequence[Held]) -> dict[str, list[str]]:
    return {"streams": [each.stream_key for each in held], "ids": [each.alert_id for each in held]}


_IS_DUE = (outbox.c.due_time <= bindparam("now"), outbox.c.lease_until <= bindparam("now"))
_MAY_GO = (_IS_WAITING, *_IS_DUE)
_FRONT = (
    select(outbox.c.sequence)
    .where(outbox.c.state == WAITING, *_IS_DUE)
    .order_by(outbox.c.due_time, outbox.c.sequence)
    .limit(bindparam("most"))
)
_OTHER = outbox.alias()
_LISTED: BindParameter[int] = bindparam("sequences", expanding=True)
_DUE = (
    select(outbox.c.tenant_id, outbox.c.id, outbox.c.sequence, outbox.c.body)
    .where(
        # By their numbers: of those that came due at the same time there may be thousands.
        outbox.c.sequence.in_(_LISTED),
        *_MAY_GO,
        ~select(_OTHER.c.id)
        .with_hint(_OTHER, *_BY_STREAM)
        .where(
            _OTHER.c.tenant_id == outbox.c.tenant_id,
            _OTHER.c.stream_key == outbox.c.stream_key,
            _OTHER.c.state == WAITING,
            _OTHER.c.sequence < outbox.c.sequence,
            # Also what isn't held or leased any more, but was when those in front were looked for.
            or_(
                _OTHER.c.sequence.not_in(_LISTED),
                _OTHER.c.due_time > bindparam("now"),
                _OTHER.c.lease_until > bindparam("now"),
            ),
        )
        .exists(),
    )
    # What is being suppressed or put off just now mustn't go out.
    .with_for_update()
)


_LEASE = (
    update(outbox)
    .where(outbox.c.sequence.in_(bindparam("sequences", expanding=True)), outbox.c.state == WAITING)
    .values(lease_token=bindparam("token"), lease_until=bindparam("until"))
)


@crosses_tenants("the notifier tells for all tenants")
def lease(session: Session, now: int, token: str, former: Batch | None = None) -> Batch:
    """Leases what is due, in order, for 30 seconds. A message waits while an earlier one of its stream is held or
    leased; it may come in the same batch. A further batch is leased in the transaction of the `former`, but nothing
    farther behind what waits for that."""
    counters.lock(session, counters.LEASES)
    rows, is_cut, looked_at = _due(session, now, former.looked_at if former else 0)
    batch: list[Leased] = []
    size = 0
    for row in rows[:LARGEST_BATCH]:
        size += len(row.body)
        if batch and size > LARGEST_BATCH_BYTES:
            break
        batch.append(row)
    if batch:
        sequences = [each.sequence for each in batch]
        change_rows(session, _LEASE, {"sequences": sequences, "token": token, "until": now + LEASE})
    return Batch(batch, is_cut=is_cut or len(batch) < len(rows), looked_at=looked_at)


def _due(session: Session, now: int, at_most: int = 0) -> tuple[list[Leased], bool, int]:
    """What is due, in order, whether there may be more, and how many were looked at for it.

    Only those that came due first are looked at, so that it takes the same time however many there are. What isn't
    looked at together counts as held meanwhile, whatever becomes of it. Where most of them wait for others, more are
    looked at, unless `at_most` so many may be; else each transaction would look at them again for a handful.
    """
    most = at_most or LARGEST_BATCH
    while True:
        front = read_rows(session, _FRONT, {"now": now, "most": most})
        if not front:
            return [], False, most
        is_cut = len(front) == most
        rows = [
            Leased(*row)
            for part in chunks([row.sequence for row in front], LARGEST_BATCH)
            for row in find_rows(session, _DUE, {"now": now}, "sequences", part)
        ]
        is_worth_it = len(rows) * 4 >= LARGEST_BATCH or (bool(rows) and most > LARGEST_BATCH)
        if is_worth_it or at_most or not is_cut:
            return sorted(rows, key=lambda row: row.sequence), is_cut, most
        most *= 4


_NEXT_DUE = select(func.min(outbox.c.due_time)).where(outbox.c.state == WAITING, outbox.c.due_time > bindparam("now"))


@crosses_tenants("the notifier tells for all tenants")
def next_due(session: Session, now: int) -> int | None:
    """When the next message that is held comes due."""
    due: int | None = read_value(session, _NEXT_DUE, {"now": now})
    return due


_STANDING = select(
    func.count(), func.min(case((outbox.c.due_time <= bindparam("now"), outbox.c.due_time))).label("oldest_due")
).where(outbox.c.state == WAITING)


@crosses_tenants("how the outbox stands is counted over all tenants, and names none")
def standing(session: Session, now: int) -> Standing:
    """How the outbox stands."""
    waiting, oldest_due = session.execute(_STANDING, {"now": now}).one()
    return Standing(waiting, oldest_due)


_TAKE_OVER = (
    update(outbox)
    .where(outbox.c.id.in_(bindparam("ids", expanding=True)))
    .where(outbox.c.lease_token == bindparam("token"), _IS_WAITING)
    .values(state=TAKEN)
)
_BEHIND = (
    select(1)
    .select_from(outbox)
    .join(
        _OTHER,
        and_(
            _OTHER.c.tenant_id == outbox.c.tenant_id,
            _OTHER.c.stream_key == outbox.c.stream_key,
            _is_waiting(_OTHER),
        ),
    )
    .with_hint(_OTHER, *_BY_STREAM)
    .where(outbox.c.id.in_(bindparam("ids", expanding=True)))
    .limit(1)
)


@crosses_tenants("the notifier tells for all tenants")
def take_over(session: Session, token: str, ids: Sequence[str]) -> bool:
    """Marks leased notifications as the notifier's own. What isn't leased under the token stays as it is. Returns
    whether something waits behind them in their streams, which may go out now."""
    for part in chunks(ids, LARGEST_BATCH):
        change_rows(session, _TAKE_OVER, {"ids": part, "token": token})
    return any(read_rows(session, _BEHIND, {"ids": part}) for part in chunks(ids, LARGEST_BATCH))


@crosses_tenants("the notifier tells for all tenants")
def give_back(session: Session, token: str | None = None) -> None:
    """Ends the leases under a token, or all of them, before their time: whoever had them has gone."""
    leased = update(outbox).where(outbox.c.state == WAITING, outbox.c.lease_until > 0)
    if token is not None:
        leased = leased.where(outbox.c.lease_token == token)
    # The token stays: it tells that the message may have gone out, and an acknowledgement that is late still counts.
    session.execute(leased.values(lease_until=0))


_OLDEST = (
    select(outbox.c.sequence, outbox.c.state, outbox.c.create_time)
    .where(outbox.c.sequence > bindparam("after"))
    .order_by(outbox.c.sequence)
    .limit(bindparam("most"))
)


@crosses_tenants("what is old is forgotten of all tenants")
def forget_before(session: Session, time: int) -> None:
    """Forgets what is done and was recorded before `time`, of all tenants. What was recorded first has the smallest
    numbers, so that no index by time is needed."""
    after = -1
    while rows := session.execute(_OLDEST, {"after": after, "most": LOOKED_AT}).all():
        old = [row.sequence for row in rows if row.create_time < time and row.state != WAITING]
        for part in chunks(old):
            session.execute(outbox.delete().where(outbox.c.sequence.in_(part)))
        if rows[-1].create_time >= time:
            return
        after = rows[-1].sequence
