"""How notifications become deliveries: all that come at once are looked up, planned and inserted together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.orm import Session

from monitors.mesh.ids import id_series
from monitors.mesh.rows import find_rows, in_parts, insert_rows
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import (
    FOLLOWS,
    NO_CHANNEL,
    SAYS_IT_FIRES,
    Arrival,
    OutcomeKind,
    Planned,
    State,
    never_told,
    plan,
)
from monitors.notifier.model.escalation import plan_care
from monitors.notifier.model.message import Kind
from monitors.notifier.model.muting import MUTABLE, under
from monitors.notifier.model.routes import Route
from monitors.notifier.model.targets import ConsoleTarget
from monitors.notifier.store import escalations, inhibiting, repeats
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.named import stream_of
from monitors.notifier.store.policy import PolicyStore
from monitors.notifier.store.standing import end_waiting
from monitors.notifier.store.tables import DeliveryRow, attempts, deliveries
from monitors.notifier.store.timing import Timing

FIRING_NEVER_TOLD = "that the alert fired was never told, so what became of it isn't either"
# What was never tried has the same in the last ones.
_COLUMNS = (
    "tenant_id", "id", "notification_id", "alert_id", "channel_id", "channel_name", "kind", "severity", "stream_key",
    "sequence", "payload", "state", "detail", "next_at", "report_due", "created_at", "updated_at", "group_key",
    "attempt_count", "last_outcome", "lease_token", "leased_at", "lease_until", "version", "message_id",
)  # fmt: skip
_NOT_TRIED = (0, 0, "", 0, 0, 1, "")
_ID = _COLUMNS.index("id")
_GOES_ON = (*FOLLOWS, Kind.SEVERITY_CHANGED)
"""What goes to who has heard that the alert fires."""


@dataclass
class Told:
    """What has said that alerts fire."""

    states: dict[tuple[str, str, str], list[State]] = field(default_factory=dict)
    """What became of it, by tenant, stream and alert."""
    heard: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    """The names of the channels, by tenant and alert."""
    escalated: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict)
    """Those of them to which it was escalated."""

    def note(self, tenant: str, alert_id: str, channels: Collection[str]) -> None:
        """Notes that channels hear that an alert fires."""
        named = (name for name in channels if name != NO_CHANNEL)
        self.heard.setdefault((tenant, alert_id), {}).update(dict.fromkeys(named))


_KNOWN = select(deliveries.c.notification_id).where(
    deliveries.c.tenant_id == bindparam("tenant"), deliveries.c.notification_id.in_(bindparam("ids", expanding=True))
)
# Of what was given up, or isn't wanted any more: whether one of the attempts may have arrived.
_MAY_BE_KNOWN = and_(
    deliveries.c.state.in_((int(State.DEAD), int(State.SUPERSEDED))),
    select(attempts.c.number)
    .where(
        attempts.c.tenant_id == deliveries.c.tenant_id,
        attempts.c.delivery_id == deliveries.c.id,
        attempts.c.outcome == int(OutcomeKind.AMBIGUOUS),
    )
    .exists(),
)
_TOLD = (
    select(
        deliveries.c.stream_key,
        deliveries.c.alert_id,
        deliveries.c.channel_name,
        deliveries.c.kind,
        deliveries.c.state,
        _MAY_BE_KNOWN,
    )
    .where(
        deliveries.c.tenant_id == bindparam("tenant"),
        deliveries.c.alert_id.in_(bindparam("alerts", expanding=True)),
        deliveries.c.kind.in_(list(map(int, SAYS_IT_FIRES))),
        # A step that waits isn't for anybody yet.
        or_(deliveries.c.kind != int(Kind.ESCALATED), deliveries.c.state != int(State.SUPPRESSED)),
    )
    # Locked, so that the end of an alert and the end of all attempts to tell its firing don't miss each other.
    .with_for_update(read=True)
)


def take_in(
    session: Session, channels: ChannelStore, policies: PolicyStore, arrivals: Sequence[Arrival], now: int
) -> list[Arrival]:
    """Makes the deliveries of notifications. One that has come before changes nothing.

    Returns the new ones that no console channel will print.
    """
    planned: list[tuple[Arrival, list[Planned]]] = []
    told = Told()
    for tenant in dict.fromkeys(arrival.tenant for arrival in arrivals):
        of_tenant = {one.notification_id: one for one in arrivals if one.tenant == tenant}
        known = _known(session, tenant, list(of_tenant))
        new = [one for name, one in of_tenant.items() if name not in known]
        if new:
            present, policy = channels.list_all(session, tenant), policies.of(session, tenant, now)
            # What was to be escalated and isn't any more comes first: it wasn't told then.
            escalations.follow(session, tenant, policy.escalations, new, now)
            look_up(session, told, tenant, {one.alert_id for one in new if one.kind in _GOES_ON})
            inhibits = inhibiting.follow(session, tenant, policy.inhibitions, new, now)
            mutings = (*policy.mutings, inhibits) if inhibits.found else policy.mutings
            # What mutes an alert is decided by how it is after all that has come of it.
            latest = {one.alert_id: one.facts for one in new if one.kind in MUTABLE} if mutings else {}
            for one in new:
                plans = _plan(one, present, policy.routes, told)
                planned.append((one, under(mutings, one, plans, now, latest.get(one.alert_id))))
    repeats.follow(session, planned, insert(session, planned, now, told), now)
    inhibiting.hold(session, planned)
    return [arrival for arrival, plans in planned if not _is_printed(plans)]


def _plan(arrival: Arrival, channels: Sequence[Channel], routes: Sequence[Route], told: Told) -> list[Planned]:
    """Plans what comes after all that has been planned before."""
    alert = arrival.tenant, arrival.alert_id
    planned = plan(arrival, channels, routes, told.heard.get(alert, ()))
    if arrival.kind is Kind.ACKNOWLEDGED:
        planned += plan_care(told.escalated.get(alert, ()), channels, planned)
    if arrival.kind in SAYS_IT_FIRES:
        told.note(*alert, [one.channel_name for one in planned])
    return planned


def insert(session: Session, planned: repeats.Plans, now: int, told: Told | None = None) -> repeats.Made:
    """Makes the deliveries that are planned; `told` is what was told of what ends, or is taken care of. Gives the ids
    of those that tell something, or are muted."""
    told = told or Told()
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


def look_up(session: Session, told: Told, tenant: str, alert_ids: Collection[str]) -> None:
    """Looks up what has said that alerts fire."""
    for part in in_parts(sorted(alert_ids)):
        for stream, alert_id, name, kind, state, may_be_known in find_rows(
            session, _TOLD, {"tenant": tenant}, "alerts", part
        ):
            # What may have arrived is awaited to end as much as what was taken.
            known = State.ACCEPTED if may_be_known else State(state)
            told.states.setdefault((tenant, stream, alert_id), []).append(known)
            told.note(tenant, alert_id, [name])
            if kind == Kind.ESCALATED:
                told.escalated.setdefault((tenant, alert_id), {})[name] = None


def supersede_ends(session: Session, firings: Collection[tuple[str, str, str]], now: int) -> None:
    """Of alerts of which it's certain that nobody will have been told of them, what follows isn't told either. They're
    named by tenant, stream and alert."""
    told = Told()
    for tenant in sorted({tenant for tenant, _, _ in firings}):
        look_up(session, told, tenant, {alert for of, _, alert in firings if of == tenant})
    for tenant, stream, alert in firings:
        if never_told(told.states.get((tenant, stream, alert), [])):
            follows = (
                DeliveryRow.tenant_id == tenant,
                DeliveryRow.stream_key == stream,
                DeliveryRow.alert_id == alert,
                DeliveryRow.kind.in_(list(map(int, FOLLOWS))),
                DeliveryRow.state == int(State.PENDING),
            )
            end_waiting(session, follows, State.SUPERSEDED, FIRING_NEVER_TOLD, now)


def _row(
    delivery_id: str, arrival: Arrival, planned: Planned, told: Told, time: tuple[str, int], now: int
) -> tuple[object, ...]:
    """A row in the order of _COLUMNS. What says that an alert fires is noted in `told`: its end may come with it."""
    channel_id = _channel_id(planned)
    stream_key = stream_of(channel_id, arrival.stream_key)
    state, reason = planned.state, planned.reason
    alert = arrival.tenant, stream_key, arrival.alert_id
    if arrival.kind in SAYS_IT_FIRES:
        told.states.setdefault(alert, []).append(state)
    elif arrival.kind in FOLLOWS and state is State.PENDING and never_told(told.states.get(alert, [])):
        state, reason = State.SUPERSEDED, FIRING_NEVER_TOLD
    group_key, next_at = time
    return (
        arrival.tenant, delivery_id, arrival.notification_id, arrival.alert_id, channel_id, planned.channel_name,
        int(arrival.kind), arrival.severity, stream_key, arrival.sequence, arrival.payload, int(state), reason, next_at,
        state is not State.PENDING, now, now, group_key,
        *_NOT_TRIED,
    )  # fmt: skip


def _channel_id(planned: Planned) -> str:
    return planned.channel.id if planned.channel else ""
