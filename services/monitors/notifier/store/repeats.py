"""When alerts are told again: a row for each alert that fires and each channel to which it was or will be told."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import BigInteger, ColumnElement, bindparam, case, delete, func, insert, select, update
from sqlalchemy.orm import Session

from monitors.mesh.rows import Row, change_rows, execute_rows, find_rows, read_rows, read_value, update_rows
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import NEVER, UNFINISHED, Arrival, Planned, State
from monitors.notifier.model.message import Kind
from monitors.notifier.model.muting import Muting, under
from monitors.notifier.model.repeats import COUNTS, IS_OVER, Timer, is_told, take_turn
from monitors.notifier.store import inhibiting
from monitors.notifier.store.named import Key
from monitors.notifier.store.policy import PolicyStore
from monitors.notifier.store.tables import deliveries, repeats

T = TypeVar("T")
Compose = Callable[[bytes, int, int], Arrival]
"""Makes a repeat of what was told: from its payload, the number of the repeat, and how bad it is now."""
FindChannels = Callable[[Session, Collection[Key]], Mapping[Key, Channel]]
Plans = Sequence[tuple[Arrival, Sequence[Planned]]]
Made = Mapping[tuple[str, str, str], str]
"""The ids of deliveries that tell something or are muted, by tenant, notification and channel."""

# What was never told has the same in the last ones.
_COLUMNS = (
    "tenant_id", "alert_id", "channel_id", "severity", "repeat_interval", "due_at", "delivery_id", "muted_until",
    "told_at", "quiet_until", "repeat_count",
)  # fmt: skip
_NOT_TOLD = (0, 0, 0)
_KEY = ("tenant_id", "alert_id", "channel_id")
_CHANGED = ("severity", "repeat_interval", "quiet_until", "told_at", "muted_until", "due_at")
_CHUNK = 500
_ENDS = (Kind.RESOLVED, Kind.ACKNOWLEDGED)
_CHANGES = (Kind.SEVERITY_CHANGED, Kind.REPEAT_CHANGED)
# One that is there already stays: an alert fires once.
_INSERT = insert(repeats).prefix_with("OR IGNORE", dialect="sqlite").prefix_with("IGNORE", dialect="mysql")
_OF_ALERTS = (
    select(repeats)
    .where(repeats.c.tenant_id == bindparam("tenant"), repeats.c.alert_id.in_(bindparam("ids", expanding=True)))
    .with_for_update()
)
# What it takes to count anew.
_COUNTED = _OF_ALERTS.with_only_columns(
    repeats.c.alert_id, repeats.c.channel_id, repeats.c.repeat_interval, repeats.c.quiet_until, repeats.c.muted_until,
    repeats.c.delivery_id,
)  # fmt: skip
_FORGET = delete(repeats).where(
    repeats.c.tenant_id == bindparam("tenant"), repeats.c.alert_id.in_(bindparam("ids", expanding=True))
)
_IS_REPEAT = deliveries.c.kind == int(Kind.STILL_FIRING)
_SUPERSEDE = (
    update(deliveries)
    .where(deliveries.c.tenant_id == bindparam("tenant"), deliveries.c.alert_id.in_(bindparam("ids", expanding=True)))
    .where(_IS_REPEAT, deliveries.c.state == int(State.PENDING))
    .values(
        state=int(State.SUPERSEDED),
        detail=IS_OVER,
        version=deliveries.c.version + 1,
        report_due=True,
        updated_at=bindparam("now"),
    )
)
_FIRST = select(func.min(repeats.c.due_at))
# What another notifier is about to tell again is passed over.
_DUE = (
    select(repeats)
    .where(repeats.c.due_at <= bindparam("now"))
    .order_by(repeats.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_TOLD = select(deliveries.c.tenant_id, deliveries.c.id, deliveries.c.channel_name, deliveries.c.payload).where(
    deliveries.c.tenant_id == bindparam("tenant"), deliveries.c.id.in_(bindparam("ids", expanding=True))
)
_ON_THEIR_WAY = select(deliveries.c.alert_id, deliveries.c.channel_id).where(
    deliveries.c.tenant_id == bindparam("tenant"),
    deliveries.c.alert_id.in_(bindparam("ids", expanding=True)),
    _IS_REPEAT,
    deliveries.c.state.in_(list(map(int, UNFINISHED))),
)


Timed = tuple[str, str, str]
"""A timer: its tenant, alert and channel."""


class Ended(NamedTuple):
    """A delivery whose attempt has ended, and the state in which that leaves it."""

    tenant: str
    delivery_id: str
    alert_id: str
    channel_id: str
    kind: Kind
    state: State

    @property
    def key(self) -> Timed:
        """Which timer is concerned."""
        return self.tenant, self.alert_id, self.channel_id


def follow(session: Session, planned: Plans, made: Made, now: int) -> None:
    """Sets, changes and ends timers as new notifications say, which stand in the order of their streams."""
    over = {(one.tenant, one.alert_id) for one, _ in planned if one.kind in _ENDS}
    begun = [
        _first_row(arrival, one.channel.id, one.muted_until, made)
        for arrival, plans in planned
        if arrival.kind is Kind.FIRING and (arrival.tenant, arrival.alert_id) not in over
        for one in _hearing(plans)
        if one.channel
    ]
    execute_rows(session, _INSERT, _COLUMNS, begun)
    # What is over needs no change before, and of several changes the last one counts.
    changed = {(one.tenant, one.alert_id): (one, plans) for one, plans in planned if one.kind in _CHANGES}
    for tenant in sorted({tenant for tenant, _ in over | changed.keys()}):
        ended = sorted(alert for of, alert in over if of == tenant)
        rows = _of_alerts(session, tenant, [*ended, *(alert for of, alert in changed if of == tenant)])
        for part in _chunks(ended if rows else []):
            change_rows(session, _FORGET, {"tenant": tenant, "ids": part})
        going_on = [row for row in rows if (tenant, row.alert_id) not in over]
        # Of what has got worse others may hear as well; not of what somebody has taken care of, which has no timer.
        timed, had = {row.alert_id for row in going_on}, {(row.alert_id, row.channel_id) for row in going_on}
        also = [
            _first_row(arrival, one.channel.id, one.muted_until, made)
            for (of, alert), (arrival, plans) in changed.items()
            if of == tenant and alert in timed and arrival.kind is Kind.SEVERITY_CHANGED
            for one in _hearing(plans)
            if one.channel and (alert, one.channel.id) not in had
        ]
        execute_rows(session, _INSERT, _COLUMNS, also)
        timers = [_changed_row(row, *changed[tenant, row.alert_id], now) for row in going_on]
        update_rows(session, repeats, _KEY, _CHANGED, timers)
        for part in _chunks(sorted({row.alert_id for row in rows if row.repeat_count})):
            change_rows(session, _SUPERSEDE, {"tenant": tenant, "ids": part, "now": now})


def _hearing(plans: Sequence[Planned]) -> list[Planned]:
    """Those to which it's told now, or once it isn't muted any more."""
    return [one for one in plans if one.channel and (one.state is State.PENDING or one.muted_until)]


def _first_row(arrival: Arrival, channel_id: str, muted_until: int, made: Made) -> tuple[Any, ...]:
    delivery_id = made[arrival.tenant, arrival.notification_id, channel_id]
    return (
        arrival.tenant, arrival.alert_id, channel_id, arrival.severity, arrival.repeat_interval, muted_until or NEVER,
        delivery_id, muted_until,
        *_NOT_TOLD,
    )  # fmt: skip


def _changed_row(row: Row, arrival: Arrival, plans: Sequence[Planned], now: int) -> tuple[Any, ...]:
    told_at, muted_until = row.told_at, row.muted_until
    if arrival.kind is Kind.SEVERITY_CHANGED:
        muted_until = max(
            (one.muted_until for one in plans if one.channel and one.channel.id == row.channel_id), default=0
        )
        # That it got worse is about to be told, which begins a new interval.
        told_at = now if told_at and not muted_until else told_at
    timer = Timer(arrival.repeat_interval, told_at, arrival.repeat_after, muted_until)
    return (
        row.tenant_id, row.alert_id, row.channel_id, arrival.severity, timer.interval, timer.quiet_until, timer.told_at,
        timer.muted_until, timer.due_at,
    )  # fmt: skip


def _later(one: ColumnElement[int], other: ColumnElement[int]) -> ColumnElement[int]:
    return case((one > other, one), else_=other)


_AT = bindparam("told_at", type_=BigInteger)
# As most timers are, those of what is told for the first time: `Timer.due_at` in the database's words, which spares it
# to find them first.
_COUNT = (
    update(repeats)
    .where(
        repeats.c.tenant_id == bindparam("tenant"),
        repeats.c.alert_id.in_(bindparam("alerts", expanding=True)),
        repeats.c.delivery_id.in_(bindparam("deliveries", expanding=True)),
    )
    .values(
        told_at=_AT,
        due_at=case(
            (repeats.c.muted_until > 0, _later(repeats.c.muted_until, repeats.c.quiet_until)),
            (repeats.c.repeat_interval == 0, NEVER),
            else_=_later(_AT + repeats.c.repeat_interval, repeats.c.quiet_until),
        ),
    )
)


def note(session: Session, ended: Iterable[Ended], ended_at: int) -> list[Ended]:
    """Counts anew from what was told, all of it at `ended_at`. Gives the repeats that wait to be tried again and that
    nobody wants any more."""
    concerned = {one.key: one for one in ended if one.kind in COUNTS and _matters(one)}
    for told in _first_told(concerned.values()):
        names = {"alerts": [one.alert_id for one in told], "deliveries": [one.delivery_id for one in told]}
        if change_rows(session, _COUNT, {"tenant": told[0].tenant, "told_at": ended_at, **names}) == len(told):
            for one in told:
                del concerned[one.key]
    return _note_one_by_one(session, concerned, ended_at)


def _first_told(ended: Iterable[Ended]) -> Iterator[Sequence[Ended]]:
    """What tells that alerts fire, by tenant, as many as a statement takes. Their timers name these deliveries if
    nothing else was told since and they were set since timers name what will be told."""
    by_tenant: dict[str, list[Ended]] = {}
    for one in ended:
        if one.kind is Kind.FIRING:
            by_tenant.setdefault(one.tenant, []).append(one)
    for tenant in sorted(by_tenant):
        yield from _chunks(sorted(by_tenant[tenant], key=lambda one: one.alert_id))


def _note_one_by_one(session: Session, concerned: Mapping[Timed, Ended], ended_at: int) -> list[Ended]:
    rows = {
        (tenant, row.alert_id, row.channel_id): row
        for tenant in sorted({tenant for tenant, _, _ in concerned})
        for part in _chunks(sorted({alert for of, alert, _ in concerned if of == tenant}))
        for row in find_rows(session, _COUNTED, {"tenant": tenant}, "ids", part)
    }
    told = [
        _told_row(rows[key], one, ended_at)
        for key, one in concerned.items()
        if key in rows and one.state is not State.PENDING
    ]
    update_rows(session, repeats, _KEY, ("told_at", "due_at", "delivery_id"), told)
    return [
        one
        for key, one in concerned.items()
        if one.state is State.PENDING and (key not in rows or rows[key].quiet_until > ended_at)
    ]


def _matters(one: Ended) -> bool:
    return is_told(one.kind, one.state) or (one.kind is Kind.STILL_FIRING and one.state is State.PENDING)


def _told_row(row: Row, one: Ended, ended_at: int) -> tuple[Any, ...]:
    timer = Timer(row.repeat_interval, ended_at, row.quiet_until, row.muted_until)
    is_news = one.kind is not Kind.STILL_FIRING and one.state is not State.DEAD
    return (*one.key, timer.told_at, timer.due_at, one.delivery_id if is_news else row.delivery_id)


def look_again(session: Session, tenant: str, now: int) -> None:
    """What keeps a tenant's alerts from being told has changed: those that are muted have their turn now."""
    change_rows(session, _LOOK_AGAIN, {"tenant": tenant, "now": now})


_LOOK_AGAIN = (
    update(repeats)
    .where(repeats.c.tenant_id == bindparam("tenant"), repeats.c.muted_until > 0)
    .values(due_at=case((repeats.c.quiet_until > bindparam("now"), repeats.c.quiet_until), else_=bindparam("now")))
)


def first_due(session: Session) -> int | None:
    """When the next alert is told again, which may have been; None if none is."""
    found: int | None = read_value(session, _FIRST, {})
    return None if found in (None, NEVER) else found


def take_due(
    session: Session, find: FindChannels, policies: PolicyStore, compose: Compose, now: int, most: int
) -> tuple[list[tuple[Arrival, list[Planned]]], int]:
    """At most `most` repeats that are due, and what was muted until now, with the channel of each; and how many timers
    were due. Each is set anew."""
    rows = read_rows(session, _DUE, {"now": now, "most": most})
    if not rows:
        return [], 0
    channels = find(session, {(row.tenant_id, row.channel_id) for row in rows})
    told, busy = _look_up(session, rows)
    due, gone = [], []
    for row in rows:
        channel, original = channels.get((row.tenant_id, row.channel_id)), told.get((row.tenant_id, row.delivery_id))
        if channel is None or original is None:
            gone.append({"tenant": row.tenant_id, "alert": row.alert_id, "channel": row.channel_id})
            continue
        # What was muted from its beginning is told now for the first time.
        number = row.repeat_count + 1 if row.told_at else 0
        due.append((row, channel, original.channel_name, number, compose(original.payload, number, row.severity)))
    mutings = _mutings(session, policies, [arrival for *_, arrival in due], now)
    made, left, timers = [], [], []
    for row, channel, name, number, arrival in due:
        is_busy = (row.tenant_id, row.alert_id, row.channel_id) in busy
        timer = Timer(row.repeat_interval, row.told_at, row.quiet_until, row.muted_until)
        turn = take_turn(timer, channel, now, is_busy=is_busy)
        (planned,) = under(mutings[row.tenant_id], arrival, [Planned(name, channel, turn.state, turn.reason)], now)
        left.append((arrival, [planned]))
        if planned.muted_until:
            turn = turn.muted(timer, planned.muted_until)
        if turn.is_shown:
            made.append((arrival, [planned]))
        count = number if turn.is_shown else row.repeat_count
        timers.append((row.tenant_id, row.alert_id, row.channel_id, turn.due_at, turn.muted_until, count))
    inhibiting.hold(session, left)
    update_rows(session, repeats, _KEY, ("due_at", "muted_until", "repeat_count"), timers)
    if gone:
        session.execute(_FORGET_ONE, gone)
    return made, len(rows)


def _mutings(
    session: Session, policies: PolicyStore, arrivals: Sequence[Arrival], now: int
) -> dict[str, Sequence[Muting]]:
    """What keeps alerts from being told again, by tenant."""
    by_tenant: dict[str, list[Arrival]] = {}
    for one in arrivals:
        by_tenant.setdefault(one.tenant, []).append(one)
    mutings: dict[str, Sequence[Muting]] = {}
    for tenant, told in sorted(by_tenant.items()):
        policy = policies.of(session, tenant, now)
        found = inhibiting.find_checked(session, tenant, policy.inhibitions, told)
        mutings[tenant] = (*policy.mutings, found)
    return mutings


_FORGET_ONE = delete(repeats).where(
    repeats.c.tenant_id == bindparam("tenant"),
    repeats.c.alert_id == bindparam("alert"),
    repeats.c.channel_id == bindparam("channel"),
)


def _look_up(session: Session, rows: Sequence[Row]) -> tuple[dict[tuple[str, str], Row], set[tuple[str, str, str]]]:
    """The deliveries that told alerts, by tenant and id; and the timers whose last repeat is still on its way."""
    told: dict[tuple[str, str], Row] = {}
    busy: set[tuple[str, str, str]] = set()
    for tenant in sorted({row.tenant_id for row in rows}):
        of_tenant = [row for row in rows if row.tenant_id == tenant]
        ids = [row.delivery_id for row in of_tenant]
        told |= {(tenant, each.id): each for each in session.execute(_TOLD, {"tenant": tenant, "ids": ids})}
        alerts = [row.alert_id for row in of_tenant if row.repeat_count]
        if alerts:
            found = session.execute(_ON_THEIR_WAY, {"tenant": tenant, "ids": alerts})
            busy |= {(tenant, each.alert_id, each.channel_id) for each in found}
    return told, busy


def _of_alerts(session: Session, tenant: str, alert_ids: Sequence[str]) -> list[Row]:
    return [
        row for part in _chunks(alert_ids) for row in find_rows(session, _OF_ALERTS, {"tenant": tenant}, "ids", part)
    ]


def _chunks(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
