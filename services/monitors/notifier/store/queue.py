"""The queue: deliveries come in, are claimed under a lease, and end in a state that stays."""

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select, update
from sqlalchemy.orm import Session, aliased

from monitors.mesh.audit import BY_ITSELF, OURSELVES, Change, events_of
from monitors.mesh.audit_table import append
from monitors.mesh.ids import new_id
from monitors.mesh.times import SECOND
from monitors.notifier.model.channel import Channel, ConsoleTarget
from monitors.notifier.model.delivery import (
    UNFINISHED,
    Arrival,
    Decision,
    Outcome,
    OutcomeKind,
    Planned,
    State,
    never_told,
    plan,
)
from monitors.notifier.model.message import Kind
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.tables import AttemptRow, ChannelRow, DeliveryRow, audit

LEASE = 30 * SECOND
CUT_OFF = "the notifier stopped while it was being sent; whether it arrived is unknown"
CHANNEL_DELETED = "the channel was deleted"
FIRING_NEVER_TOLD = "that the alert fired was never told, so its end isn't either"


@dataclass(frozen=True)
class Claim:
    """A delivery that is ours to attempt until `lease_until`. `attempt` counts from 1."""

    tenant: str
    delivery_id: str
    channel: Channel
    payload: bytes
    attempt: int
    broken_before: bool
    lease_token: str
    lease_until: int


@dataclass(frozen=True)
class Finished:
    """An attempt that has ended, with what follows from it."""

    claim: Claim
    outcome: Outcome
    decision: Decision
    started_at: int
    ended_at: int


class Queue:
    """Deliveries on their way."""

    def __init__(self, channels: ChannelStore) -> None:
        self._channels = channels

    def take_in(self, session: Session, arrivals: Sequence[Arrival], now: int) -> list[Arrival]:
        """Makes the deliveries of notifications. One that has come before changes nothing.

        Returns the new ones that no console channel will print.
        """
        unprinted = []
        channels: dict[str, list[Channel]] = {}
        for arrival in arrivals:
            known = select(DeliveryRow.id).where(
                DeliveryRow.tenant_id == arrival.tenant, DeliveryRow.notification_id == arrival.notification_id
            )
            if session.scalar(known.limit(1)) is not None:
                continue
            if arrival.tenant not in channels:
                channels[arrival.tenant] = self._channels.list_all(session, arrival.tenant)
            deliveries = plan(arrival, channels[arrival.tenant])
            for planned in deliveries:
                session.add(self._new_row(session, arrival, planned, now))
            if not any(isinstance(one.channel.target, ConsoleTarget) for one in deliveries if one.channel):
                unprinted.append(arrival)
        return unprinted

    def _new_row(self, session: Session, arrival: Arrival, planned: Planned, now: int) -> DeliveryRow:
        channel_id = planned.channel.id if planned.channel else ""
        stream_key = stream_of(channel_id, arrival.stream_key)
        state, reason = planned.state, planned.reason
        is_end = arrival.kind is Kind.RESOLVED and state is State.PENDING
        if is_end and never_told(_firing_states(session, arrival.tenant, stream_key, arrival.alert_id)):
            state, reason = State.SUPERSEDED, FIRING_NEVER_TOLD
        return DeliveryRow(
            tenant_id=arrival.tenant,
            id=new_id("dlv"),
            notification_id=arrival.notification_id,
            alert_id=arrival.alert_id,
            channel_id=channel_id,
            channel_name=planned.channel_name,
            kind=int(arrival.kind),
            severity=arrival.severity,
            stream_key=stream_key,
            sequence=arrival.sequence,
            payload=arrival.payload,
            state=int(state),
            detail=reason,
            next_at=now,
            report_due=state is not State.PENDING,
            created_at=now,
            updated_at=now,
        )

    def claim(
        self, session: Session, now: int, *, capacity: int, busy: Mapping[str, int], per_channel: int
    ) -> list[Claim]:
        """Leases at most `capacity` due deliveries, none before an earlier one of its stream: first those whose lease
        has run out, then what waits, critical ones first.

        `busy` counts what is being sent per channel id; no channel gets more than `per_channel` at once.
        """
        claims: list[Claim] = []
        load = Counter(busy)
        for query, severity in _queries(session):
            while len(claims) < capacity:
                full = [channel for channel, count in load.items() if count >= per_channel]
                wanted = capacity - len(claims)
                values = {"now": now, "full": full, "severity": severity, "wanted": wanted}
                rows = session.scalars(query, values).all()
                for row in rows:
                    if load[row.channel_id] < per_channel and (claim := self._lease(session, row, now)):
                        claims.append(claim)
                        load[row.channel_id] += 1
                if len(rows) < wanted:
                    break  # That was all; a full channel's rest waits until one of its attempts has ended.
        return claims

    def _lease(self, session: Session, row: DeliveryRow, now: int) -> Claim | None:
        if row.state == State.IN_FLIGHT:
            _cut_off(session, row, now)
        channel_row = session.get(ChannelRow, (row.tenant_id, row.channel_id))
        channel = self._channels.to_channel(channel_row) if channel_row else None
        if channel is None or channel.unusable_reason:
            reason = f"the channel is turned off: {channel.unusable_reason}" if channel else CHANNEL_DELETED
            _end(row, State.SUPPRESSED, reason, now)
            return None
        row.state = State.IN_FLIGHT
        row.attempt_count += 1
        row.lease_token = secrets.token_hex(8)
        row.leased_at = now
        row.lease_until = now + LEASE
        return Claim(
            tenant=row.tenant_id,
            delivery_id=row.id,
            channel=channel,
            payload=row.payload,
            attempt=row.attempt_count,
            broken_before=row.last_outcome == OutcomeKind.CONFIGURATION_BROKEN,
            lease_token=row.lease_token,
            lease_until=row.lease_until,
        )

    def finish(self, session: Session, finished: Finished) -> bool:
        """Records an attempt and its consequences. False, with nothing recorded, if the lease has passed to another."""
        claim, outcome, decision = finished.claim, finished.outcome, finished.decision
        now = finished.ended_at
        row = session.get(DeliveryRow, (claim.tenant, claim.delivery_id))
        if row is None or row.lease_token != claim.lease_token or row.state != State.IN_FLIGHT:
            return False
        session.add(_attempt(row, finished.started_at, now, outcome))
        row.last_outcome = int(outcome.kind)
        row.next_at = decision.next_time or row.next_at
        _end(row, decision.state, outcome.detail, now)
        if decision.state is State.DEAD and row.kind in _SAYS_IT_FIRES:
            _supersede_end(session, row, now)
        if decision.quiet_until:
            _keep_quiet(session, claim, decision.quiet_until)
        if decision.disable_reason:
            self._disable(session, claim, decision.disable_reason, now)
        return True

    def _disable(self, session: Session, claim: Claim, reason: str, now: int) -> None:
        row = session.get(ChannelRow, (claim.tenant, claim.channel.id))
        # A channel that was changed meanwhile isn't the one that was refused.
        if row is not None and row.revision == claim.channel.revision:
            before = {"disabledReason": row.disabled_reason}
            row.disabled_reason = reason[:1000]
            row.revision += 1
            change = Change("channel", row.id, before, {"disabledReason": row.disabled_reason})
            events = events_of(claim.tenant, BY_ITSELF, OURSELVES, "DisableChannel", now, [change])
            append(session, audit, events)
            self.suppress_waiting(session, claim.tenant, row.id, f"the channel is turned off: {reason}", now)

    def suppress_waiting(self, session: Session, tenant: str, channel_id: str, reason: str, now: int) -> None:
        """Suppresses what waits for a channel, however much that is."""
        session.execute(
            update(DeliveryRow)
            .where(
                DeliveryRow.tenant_id == tenant,
                DeliveryRow.channel_id == channel_id,
                DeliveryRow.state == State.PENDING,
            )
            .values(
                state=State.SUPPRESSED,
                detail=reason[:1000],
                version=DeliveryRow.version + 1,
                report_due=True,
                updated_at=now,
            )
        )

    def release_all(self, session: Session, now: int) -> None:
        """Makes everything due that a former run was sending; only if nobody else can be sending."""
        for row in session.scalars(select(DeliveryRow).where(DeliveryRow.state == State.IN_FLIGHT)):
            _cut_off(session, row, now)
            row.state = State.PENDING
            row.next_at = now

    def next_due(self, session: Session, now: int) -> int | None:
        """When something becomes due by itself after `now`; None if nothing does."""
        times = (
            select(func.min(DeliveryRow.next_at)).where(DeliveryRow.state == State.PENDING, DeliveryRow.next_at > now),
            select(func.min(DeliveryRow.lease_until)).where(
                DeliveryRow.state == State.IN_FLIGHT, DeliveryRow.lease_until > now
            ),
            select(func.min(ChannelRow.quiet_until)).where(ChannelRow.quiet_until > now),
        )
        found = [time for query in times if (time := session.scalar(query)) is not None]
        return min(found, default=None)


def stream_of(channel_id: str, stream_key: str) -> str:
    """The key of a stream within a channel, of fixed length."""
    return hashlib.sha256(f"{channel_id}\0{stream_key}".encode()).hexdigest()


def _sendable(due: ColumnElement[bool]) -> Select[DeliveryRow]:
    """Of what is due, at most `wanted` that nothing holds up; `full` are channels that get no more."""
    earlier = aliased(DeliveryRow)
    waits_for_earlier = (
        select(earlier.id)
        .where(
            earlier.tenant_id == DeliveryRow.tenant_id,
            earlier.stream_key == DeliveryRow.stream_key,
            earlier.sequence < DeliveryRow.sequence,
            earlier.state.in_(UNFINISHED),
        )
        .exists()
    )
    return (
        select(DeliveryRow)
        .outerjoin(
            ChannelRow,
            (ChannelRow.tenant_id == DeliveryRow.tenant_id) & (ChannelRow.id == DeliveryRow.channel_id),
        )
        .where(
            due,
            func.coalesce(ChannelRow.quiet_until, 0) <= bindparam("now"),
            DeliveryRow.channel_id.not_in(bindparam("full", expanding=True)),
            ~waits_for_earlier,
        )
        .order_by(DeliveryRow.next_at, DeliveryRow.sequence)
        .limit(bindparam("wanted"))
    )


_IS_PENDING = DeliveryRow.state == State.PENDING
# Made once, as a step of the delivery loop asks several times.
_EXPIRED = _sendable((DeliveryRow.state == State.IN_FLIGHT) & (DeliveryRow.lease_until <= bindparam("now")))
_PENDING = _sendable(
    and_(_IS_PENDING, DeliveryRow.severity == bindparam("severity"), DeliveryRow.next_at <= bindparam("now"))
)
_HIGHEST = select(func.max(DeliveryRow.severity)).where(_IS_PENDING, DeliveryRow.severity < bindparam("severity"))
_ABOVE_ALL = 1000


def _queries(session: Session) -> Iterator[tuple[Select[DeliveryRow], int]]:
    """What asks for deliveries that can be sent. It's a query for each severity, so that an index gives them in order,
    however much waits."""
    yield _EXPIRED, 0
    severity = session.scalar(_HIGHEST, {"severity": _ABOVE_ALL})
    while severity is not None:
        yield _PENDING, severity
        severity = session.scalar(_HIGHEST, {"severity": severity})


def _end(row: DeliveryRow, state: State, detail: str, now: int) -> None:
    """Moves a row to a state that RuleService should know."""
    row.state = int(state)
    row.detail = detail[:1000]
    row.lease_token = ""
    row.version += 1
    row.report_due = True
    row.updated_at = now


def _cut_off(session: Session, row: DeliveryRow, now: int) -> None:
    outcome = Outcome(OutcomeKind.AMBIGUOUS, CUT_OFF)
    session.add(_attempt(row, row.leased_at, now, outcome))
    row.last_outcome = int(outcome.kind)
    row.lease_token = ""
    row.detail = CUT_OFF


def _attempt(row: DeliveryRow, started_at: int, ended_at: int, outcome: Outcome) -> AttemptRow:
    return AttemptRow(
        tenant_id=row.tenant_id,
        delivery_id=row.id,
        number=row.attempt_count,
        started_at=started_at,
        ended_at=ended_at,
        outcome=int(outcome.kind),
        status=outcome.status,
        detail=outcome.detail[:1000],
    )


_SAYS_IT_FIRES = (Kind.FIRING, Kind.SEVERITY_CHANGED)


def _firing_states(session: Session, tenant: str, stream_key: str, alert_id: str) -> list[State]:
    states = session.scalars(
        select(DeliveryRow.state).where(
            DeliveryRow.tenant_id == tenant,
            DeliveryRow.stream_key == stream_key,
            DeliveryRow.alert_id == alert_id,
            DeliveryRow.kind.in_(list(map(int, _SAYS_IT_FIRES))),
        )
    )
    return list(map(State, states))


def _supersede_end(session: Session, firing: DeliveryRow, now: int) -> None:
    if not never_told(_firing_states(session, firing.tenant_id, firing.stream_key, firing.alert_id)):
        return
    ends = session.scalars(
        select(DeliveryRow).where(
            DeliveryRow.tenant_id == firing.tenant_id,
            DeliveryRow.stream_key == firing.stream_key,
            DeliveryRow.alert_id == firing.alert_id,
            DeliveryRow.kind == Kind.RESOLVED,
            DeliveryRow.state == State.PENDING,
        )
    )
    for row in ends:
        _end(row, State.SUPERSEDED, FIRING_NEVER_TOLD, now)


def _keep_quiet(session: Session, claim: Claim, until: int) -> None:
    session.execute(
        update(ChannelRow)
        .where(ChannelRow.tenant_id == claim.tenant, ChannelRow.id == claim.channel.id, ChannelRow.quiet_until < until)
        .values(quiet_until=until)
    )
