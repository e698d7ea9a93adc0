"""The queue: deliveries come in, are claimed under a lease, and end in a state that stays.

Each step does many at once, with as many statements as for one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, func, select, union_all, update
from sqlalchemy.orm import Session

from monitors.mesh.audit import BY_ITSELF, OURSELVES, Change, events_of
from monitors.mesh.audit_table import append
from monitors.mesh.rows import insert_rows, update_rows
from monitors.mesh.tenancy import crosses_tenants
from monitors.mesh.times import HOUR, SECOND
from monitors.notifier.model.breaker import GIVES_UP_AFTER
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import Arrival, Decision, Outcome, OutcomeKind, State, never_told
from monitors.notifier.model.message import Kind, Severity
from monitors.notifier.model.repeats import IS_OVER
from monitors.notifier.store import arriving, breakers, repeats
from monitors.notifier.store.arriving import FIRING_NEVER_TOLD, SAYS_IT_FIRES, Told
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.sendable import sendable
from monitors.notifier.store.tables import STANDING, ChannelRow, DeliveryRow, attempts, audit, deliveries

LEASE = 30 * SECOND
CUT_OFF = "the notifier stopped while it was being sent; whether it arrived is unknown"
FAILED_FOR_DAYS = f"nothing has arrived for {GIVES_UP_AFTER // HOUR} hours"
CHANNEL_DELETED = "the channel was deleted"


@dataclass(frozen=True)
class Claim:
    """A delivery that is ours to attempt until `lease_until`. `attempt` counts from 1."""

    tenant: str
    delivery_id: str
    channel: Channel
    kind: Kind
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


_KEY = ("tenant_id", "id")
_ATTEMPT = tuple(column.name for column in attempts.columns)
_LEASED = ("state", "detail", "last_outcome", "attempt_count", "lease_token", "leased_at", "lease_until")
_ENDED = ("state", "detail", "last_outcome", "next_at", "lease_token", "version", "report_due", "updated_at")
_RELEASED = ("state", "detail", "last_outcome", "next_at", "lease_token")
_IN_FLIGHT = (
    select(*STANDING)
    .where(deliveries.c.tenant_id == bindparam("tenant"), deliveries.c.id.in_(bindparam("ids", expanding=True)))
    .where(deliveries.c.state == int(State.IN_FLIGHT))
    .with_for_update()
)


class Queue:
    """Deliveries on their way."""

    def __init__(self, channels: ChannelStore) -> None:
        self._channels = channels

    @crosses_tenants("messages of all tenants come in together")
    def take_in(self, session: Session, arrivals: Sequence[Arrival], now: int) -> list[Arrival]:
        """Makes the deliveries of notifications. One that has come before changes nothing.

        Returns the new ones that no console channel will print.
        """
        return arriving.take_in(session, self._channels, arrivals, now)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def claim(
        self, session: Session, now: int, token: str, *, capacity: int, busy: Mapping[str, int], per_channel: int
    ) -> list[Claim]:
        """Leases at most `capacity` due deliveries under a token, none before an earlier one of its stream: first those
        whose lease has run out, then what waits, critical ones first. What another notifier is claiming is left to it.

        `busy` counts what is being sent per channel id; no channel gets more than `per_channel` at once, and one that
        is tried again after it had failed gets one.
        """
        claims: list[Claim] = []
        load, most = Counter(busy), defaultdict(lambda: per_channel, dict.fromkeys(breakers.trying(session), 1))
        # Read once each, for their targets must be opened.
        channels: dict[tuple[str, str], Channel | None] = {}
        for query, severity in sendable(session):
            while len(claims) < capacity:
                full = [channel for channel, count in load.items() if count >= most[channel]]
                wanted = capacity - len(claims)
                values = {"now": now, "full": full, "severity": severity, "wanted": wanted}
                rows = session.execute(query, values).all()
                unknown = {_channel_key(row) for row in rows} - channels.keys()
                channels |= dict.fromkeys(unknown) | self._channels.find(session, unknown)
                chosen = []
                for row in rows:
                    if load[row.channel_id] < most[row.channel_id]:
                        chosen.append(row)
                        channel = channels[_channel_key(row)]
                        if channel and not channel.unusable_reason:
                            load[row.channel_id] += 1
                claims += self._lease(session, chosen, channels, token, now)
                if len(rows) < wanted:
                    break  # That was all; a full channel's rest waits until one of its attempts has ended.
            if len(claims) >= capacity:
                break
        return claims

    def _lease(
        self,
        session: Session,
        rows: Sequence[Row[Any]],
        channels: Mapping[tuple[str, str], Channel | None],
        token: str,
        now: int,
    ) -> list[Claim]:
        """Leases what has a channel, and ends the rest."""
        if not rows:
            return []
        _note_cut_off(session, rows, now)
        claims, leased, ended = [], [], []
        for row in rows:
            channel = channels[_channel_key(row)]
            detail, outcome = _so_far(row)
            if channel is None or channel.unusable_reason:
                reason = f"the channel is turned off: {channel.unusable_reason}" if channel else CHANNEL_DELETED
                ended.append(_end(row, State.SUPPRESSED, reason, outcome, row.next_at, now))
                continue
            claim = Claim(
                tenant=row.tenant_id,
                delivery_id=row.id,
                channel=channel,
                kind=Kind(row.kind),
                payload=row.payload,
                attempt=row.attempt_count + 1,
                broken_before=outcome == OutcomeKind.CONFIGURATION_BROKEN,
                lease_token=token,
                lease_until=now + LEASE,
            )
            claims.append(claim)
            leased.append(
                (row.tenant_id, row.id, int(State.IN_FLIGHT), detail, outcome, claim.attempt, claim.lease_token, now,
                 claim.lease_until)
            )  # fmt: skip
        update_rows(session, deliveries, _KEY, _LEASED, leased)
        update_rows(session, deliveries, _KEY, _ENDED, ended)
        return claims

    @crosses_tenants("messages of all tenants are sent by one loop")
    def finish(self, session: Session, finished: Sequence[Finished]) -> list[Finished]:
        """Records attempts and their consequences. Returns those whose lease has passed to another: of them nothing is
        recorded."""
        if not finished:
            return []
        rows = _in_flight(session, [(one.claim.tenant, one.claim.delivery_id) for one in finished])
        kept: list[tuple[Finished, Row[Any]]] = []
        lost: list[Finished] = []
        for one in finished:
            row = rows.get((one.claim.tenant, one.claim.delivery_id))
            if row is None or row.lease_token != one.claim.lease_token:
                lost.append(one)
            else:
                # What comes a second time isn't under its lease any more.
                del rows[one.claim.tenant, one.claim.delivery_id]
                kept.append((one, row))
        insert_rows(
            session, attempts, _ATTEMPT, [_attempt(row, one.started_at, one.ended_at, one.outcome) for one, row in kept]
        )
        ends = [
            _end(row, one.decision.state, one.outcome.detail, int(one.outcome.kind),
                 one.decision.next_time or row.next_at, one.ended_at)
            for one, row in kept
        ]  # fmt: skip
        update_rows(session, deliveries, _KEY, _ENDED, ends)
        _count_repeats(session, kept)
        for one, row in kept:
            if one.decision.state is State.DEAD and row.kind in SAYS_IT_FIRES:
                _supersede_end(session, row, one.ended_at)
            if one.decision.quiet_until:
                _keep_quiet(session, one.claim, one.decision.quiet_until)
            if one.decision.disable_reason:
                self._disable(session, one.claim, one.decision.disable_reason, one.ended_at)
        self._follow_breakers(session, [one for one, _ in kept])
        return lost

    def _follow_breakers(self, session: Session, finished: Sequence[Finished]) -> None:
        latest = {(one.claim.tenant, one.claim.channel.id): one for one in finished}
        ended = [((one.claim.tenant, one.claim.channel.id), one.outcome.kind, one.ended_at) for one in finished]
        for key, breaker in breakers.note(session, ended).items():
            last = latest[key]
            if breaker.gives_up(last.ended_at):
                self._disable(session, last.claim, f"{FAILED_FOR_DAYS}: {last.outcome.detail}", last.ended_at)
            elif breaker.is_open(last.ended_at):
                _keep_quiet(session, last.claim, breaker.open_until)

    def _disable(self, session: Session, claim: Claim, reason: str, now: int) -> None:
        row = session.get(ChannelRow, (claim.tenant, claim.channel.id), with_for_update=True)
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
        is_waiting = (
            DeliveryRow.tenant_id == tenant,
            DeliveryRow.channel_id == channel_id,
            DeliveryRow.state == State.PENDING,
            # Any: so that what waits is looked through, and not all that the tenant was ever told.
            DeliveryRow.severity >= 0,
        )
        _end_waiting(session, is_waiting, State.SUPPRESSED, reason, now)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def repeat(self, session: Session, now: int, most: int, compose: repeats.Compose) -> int:
        """Lets at most `most` alerts that are due be told again. Returns how many were due; if that is `most` there may
        be more."""
        made, due = repeats.take_due(session, self._channels.find, compose, now, most)
        arriving.insert(session, made, now)
        return due

    @crosses_tenants("messages of all tenants are sent by one loop")
    def release_all(self, session: Session, now: int) -> None:
        """Makes everything due that a former run was sending; only if nobody else can be sending."""
        rows = session.execute(select(*STANDING).where(deliveries.c.state == int(State.IN_FLIGHT))).all()
        _send_again(session, rows, now)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def give_up(self, session: Session, claims: Sequence[Claim], now: int) -> None:
        """Makes due what was being sent and won't be to the end."""
        tokens = {claim.lease_token for claim in claims}
        rows = _in_flight(session, [(claim.tenant, claim.delivery_id) for claim in claims]).values()
        _send_again(session, [row for row in rows if row.lease_token in tokens], now)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def take_back(self, session: Session, token: str) -> None:
        """Undoes a claim of which nobody has learnt, as if it had never been."""
        is_claimed = deliveries.c.state == int(State.IN_FLIGHT), deliveries.c.lease_token == token
        before = {"state": int(State.PENDING), "attempt_count": deliveries.c.attempt_count - 1, "lease_token": ""}
        session.execute(update(deliveries).where(*is_claimed).values(before))

    @crosses_tenants("messages of all tenants are sent by one loop")
    def next_due(self, session: Session, now: int) -> int | None:
        """When something becomes due by itself after `now`; None if nothing does."""
        found = [time for query in _DUE if (time := session.scalar(query, {"now": now})) is not None]
        return min(found, default=None)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def next_repeat(self, session: Session) -> int | None:
        """When the next alert is told again, which may have been; None if none is."""
        return repeats.first_due(session)


_NEXT_OF_EACH = union_all(
    *(
        select(func.min(DeliveryRow.next_at).label("next_at")).where(
            DeliveryRow.state == State.PENDING,
            DeliveryRow.severity == int(severity),
            DeliveryRow.next_at > bindparam("now"),
        )
        for severity in Severity
    )
).subquery()
_DUE = (
    # Severity by severity, as what waits is in order.
    select(func.min(_NEXT_OF_EACH.c.next_at)),
    select(func.min(DeliveryRow.lease_until)).where(
        DeliveryRow.state == State.IN_FLIGHT, DeliveryRow.lease_until > bindparam("now")
    ),
    select(func.min(ChannelRow.quiet_until)).where(ChannelRow.quiet_until > bindparam("now")),
)


def _in_flight(session: Session, claimed: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Row[Any]]:
    """What is being sent of what was claimed, by tenant and id. It's locked."""
    ids: dict[str, list[str]] = {}
    for tenant, delivery_id in claimed:
        ids.setdefault(tenant, []).append(delivery_id)
    return {
        (row.tenant_id, row.id): row
        for tenant, of_tenant in sorted(ids.items())
        for row in session.execute(_IN_FLIGHT, {"tenant": tenant, "ids": sorted(of_tenant)})
    }


def _channel_key(row: Row[Any]) -> tuple[str, str]:
    return row.tenant_id, row.channel_id


def _end(row: Row[Any], state: State, detail: str, outcome: int, next_at: int, now: int) -> tuple[Any, ...]:
    """A row on its way to a state that RuleService should know, if it's about an alert."""
    is_told = bool(row.alert_id)
    return (row.tenant_id, row.id, int(state), detail[:1000], outcome, next_at, "", row.version + 1, is_told, now)


def _end_waiting(session: Session, is_waiting: tuple[Any, ...], state: State, reason: str, now: int) -> None:
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


def _so_far(row: Row[Any]) -> tuple[str, int]:
    """The detail and the outcome of a row's last attempt. One that is still being sent was cut off."""
    is_cut_off = row.state == State.IN_FLIGHT
    return (CUT_OFF, int(OutcomeKind.AMBIGUOUS)) if is_cut_off else (row.detail, row.last_outcome)


def _note_cut_off(session: Session, rows: Sequence[Row[Any]], now: int) -> None:
    outcome = Outcome(OutcomeKind.AMBIGUOUS, CUT_OFF)
    cut_off = [_attempt(row, row.leased_at, now, outcome) for row in rows if row.state == State.IN_FLIGHT]
    insert_rows(session, attempts, _ATTEMPT, cut_off)


def _send_again(session: Session, rows: Sequence[Row[Any]], now: int) -> None:
    _note_cut_off(session, rows, now)
    released = [(row.tenant_id, row.id, int(State.PENDING), *_so_far(row), now, "") for row in rows]
    update_rows(session, deliveries, _KEY, _RELEASED, released)


def _attempt(row: Row[Any], started_at: int, ended_at: int, outcome: Outcome) -> tuple[Any, ...]:
    """A row of the attempts, in the table's order."""
    return (
        row.tenant_id, row.id, row.attempt_count, started_at, ended_at, int(outcome.kind), outcome.status,
        outcome.detail[:1000],
    )  # fmt: skip


def _count_repeats(session: Session, kept: Sequence[tuple[Finished, Row[Any]]]) -> None:
    unwanted = repeats.note(
        session,
        (
            repeats.Ended(row.tenant_id, row.id, row.alert_id, one.claim.channel.id, Kind(row.kind), one.decision.state,
                          one.ended_at)
            for one, row in kept
        ),
    )  # fmt: skip
    for each in unwanted:
        is_row = DeliveryRow.tenant_id == each.tenant, DeliveryRow.id == each.delivery_id
        _end_waiting(session, is_row, State.SUPERSEDED, IS_OVER, each.ended_at)


def _supersede_end(session: Session, firing: Row[Any], now: int) -> None:
    told: Told = {}
    arriving.add_told(session, told, firing.tenant_id, [firing.stream_key])
    if not never_told(told.get((firing.tenant_id, firing.stream_key, firing.alert_id), [])):
        return
    is_end = (
        DeliveryRow.tenant_id == firing.tenant_id,
        DeliveryRow.stream_key == firing.stream_key,
        DeliveryRow.alert_id == firing.alert_id,
        DeliveryRow.kind == int(Kind.RESOLVED),
        DeliveryRow.state == int(State.PENDING),
    )
    _end_waiting(session, is_end, State.SUPERSEDED, FIRING_NEVER_TOLD, now)


def _keep_quiet(session: Session, claim: Claim, until: int) -> None:
    session.execute(
        update(ChannelRow)
        .where(ChannelRow.tenant_id == claim.tenant, ChannelRow.id == claim.channel.id, ChannelRow.quiet_until < until)
        .values(quiet_until=until)
    )
