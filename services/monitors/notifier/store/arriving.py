"""How notifications become deliveries: all that come at once are looked up, planned and inserted together."""

from collections.abc import Collection, Sequence

from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import Session

from monitors.mesh.ids import id_series
from monitors.mesh.rows import find_rows, in_parts, insert_rows
from monitors.notifier.model.delivery import Arrival, OutcomeKind, Planned, State, never_told, plan
from monitors.notifier.model.message import Kind
from monitors.notifier.model.muting import under
from monitors.notifier.model.targets import ConsoleTarget
from monitors.notifier.store import repeats
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.muting import mutings
from monitors.notifier.store.named import stream_of
from monitors.notifier.store.tables import attempts, deliveries
from monitors.notifier.store.timing import Timing

FIRING_NEVER_TOLD = "that the alert fired was never told, so what became of it isn't either"
SAYS_IT_FIRES = (Kind.FIRING, Kind.SEVERITY_CHANGED)
_COLUMNS = tuple(column.name for column in deliveries.columns)
_ID = _COLUMNS.index("id")
_FOLLOWS = (Kind.RESOLVED, Kind.ACKNOWLEDGED)
"""What is no news to whoever was never told that the alert fired."""
Told = dict[tuple[str, str, str], list[State]]
"""States of what said that alerts fire, by tenant, stream and alert."""

_KNOWN = select(deliveries.c.notification_id).where(
    deliveries.c.tenant_id == bindparam("tenant"), deliveries.c.notification_id.in_(bindparam("ids", expanding=True))
)
# Of what was given up: whether one of the attempts may have arrived.
_MAY_BE_KNOWN = and_(
    deliveries.c.state == int(State.DEAD),
    select(attempts.c.number)
    .where(
        attempts.c.tenant_id == deliveries.c.tenant_id,
        attempts.c.delivery_id == deliveries.c.id,
        attempts.c.outcome == int(OutcomeKind.AMBIGUOUS),
    )
    .exists(),
)
_TOLD = (
    select(deliveries.c.stream_key, deliveries.c.alert_id, deliveries.c.state, _MAY_BE_KNOWN)
    .where(
        deliveries.c.tenant_id == bindparam("tenant"),
        deliveries.c.stream_key.in_(bindparam("streams", expanding=True)),
        deliveries.c.kind.in_(list(map(int, SAYS_IT_FIRES))),
    )
    # Locked, so that the end of an alert and the end of all attempts to tell its firing don't miss each other.
    .with_for_update(read=True)
)


def take_in(session: Session, channels: ChannelStore, arrivals: Sequence[Arrival], now: int) -> list[Arrival]:
    """Makes the deliveries of notifications. One that has come before changes nothing.

    Returns the new ones that no console channel will print.
    """
    planned: list[tuple[Arrival, list[Planned]]] = []
    for tenant in dict.fromkeys(arrival.tenant for arrival in arrivals):
        of_tenant = {one.notification_id: one for one in arrivals if one.tenant == tenant}
        known = _known(session, tenant, list(of_tenant))
        new = [one for name, one in of_tenant.items() if name not in known]
        if new:
            present, muting = channels.list_all(session, tenant), mutings(session, tenant, now)
            planned += [(one, under(muting, one, plan(one, present), now)) for one in new]
    repeats.follow(session, planned, insert(session, planned, now), now)
    return [arrival for arrival, plans in planned if not _is_printed(plans)]


def insert(session: Session, planned: repeats.Plans, now: int) -> repeats.Made:
    """Makes the deliveries that are planned. Gives the ids of those that tell something, or are muted."""
    told = _told(session, planned)
    timing = Timing(session, planned, now)
    times = timing.decide()
    ids = id_series("dlv")
    rows = [
        _row(next(ids), arrival, one, told, times.get((arrival.notification_id, _channel_id(one)), ("", now)), now)
        for arrival, plans in planned
        for one in plans
    ]
    insert_rows(session, deliveries, _COLUMNS, rows)
    timing.hurry(times)
    which = [(arrival, one) for arrival, plans in planned for one in plans]
    return {
        (arrival.tenant, arrival.notification_id, _channel_id(one)): str(row[_ID])
        for (arrival, one), row in zip(which, rows, strict=True)
        if one.state is State.PENDING or one.muted_until
    }


def insert_once(session: Session, arrival: Arrival, planned: Sequence[Planned], now: int) -> None:
    """Makes the deliveries of something, unless they have been made before."""
    if not _known(session, arrival.tenant, [arrival.notification_id]):
        insert(session, [(arrival, planned)], now)


def _is_printed(plans: Sequence[Planned]) -> bool:
    return any(isinstance(one.channel.target, ConsoleTarget) for one in plans if one.channel)


def _known(session: Session, tenant: str, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for part in in_parts(ids):
        found |= {name for (name,) in find_rows(session, _KNOWN, {"tenant": tenant}, "ids", part)}
    return found


def _told(session: Session, planned: Sequence[tuple[Arrival, Sequence[Planned]]]) -> Told:
    """Of the streams in which something ends, or is taken care of."""
    streams: dict[str, dict[str, None]] = {}
    for arrival, plans in planned:
        if arrival.kind in _FOLLOWS:
            of_tenant = streams.setdefault(arrival.tenant, {})
            of_tenant.update((stream_of(_channel_id(one), arrival.stream_key), None) for one in plans)
    told: Told = {}
    for tenant, keys in streams.items():
        add_told(session, told, tenant, list(keys))
    return told


def add_told(session: Session, told: Told, tenant: str, stream_keys: Collection[str]) -> None:
    """Looks up what was told in streams."""
    for part in in_parts(list(stream_keys)):
        for stream, alert_id, state, may_be_known in find_rows(session, _TOLD, {"tenant": tenant}, "streams", part):
            # What may have arrived is awaited to end as much as what was taken.
            known = State.ACCEPTED if may_be_known else State(state)
            told.setdefault((tenant, stream, alert_id), []).append(known)


def _row(
    delivery_id: str, arrival: Arrival, planned: Planned, told: Told, time: tuple[str, int], now: int
) -> tuple[object, ...]:
    """A row in the table's order. What says that an alert fires is noted in `told`: its end may come along with it."""
    channel_id = _channel_id(planned)
    stream_key = stream_of(channel_id, arrival.stream_key)
    state, reason = planned.state, planned.reason
    alert = arrival.tenant, stream_key, arrival.alert_id
    if arrival.kind in SAYS_IT_FIRES:
        told.setdefault(alert, []).append(state)
    elif arrival.kind in _FOLLOWS and state is State.PENDING and never_told(told.get(alert, [])):
        state, reason = State.SUPERSEDED, FIRING_NEVER_TOLD
    values = {
        "tenant_id": arrival.tenant,
        "id": delivery_id,
        "notification_id": arrival.notification_id,
        "alert_id": arrival.alert_id,
        "channel_id": channel_id,
        "channel_name": planned.channel_name,
        "kind": int(arrival.kind),
        "severity": arrival.severity,
        "stream_key": stream_key,
        "sequence": arrival.sequence,
        "payload": arrival.payload,
        "state": int(state),
        "detail": reason,
        "attempt_count": 0,
        "last_outcome": 0,
        "next_at": time[1],
        "lease_token": "",
        "leased_at": 0,
        "lease_until": 0,
        "version": 1,
        "report_due": state is not State.PENDING,
        "created_at": now,
        "updated_at": now,
        "group_key": time[0],
        "message_id": "",
    }
    return tuple([values[name] for name in _COLUMNS])


def _channel_id(planned: Planned) -> str:
    return planned.channel.id if planned.channel else ""
