"""The queue: deliveries come in, are claimed under a lease, and end in a state that stays.

Each step does many at once, with as many statements as for one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from monitors.mesh.audit import BY_ITSELF, OURSELVES, Change, events_of
from monitors.mesh.audit_table import append
from monitors.mesh.rows import Row, insert_rows, read_rows, read_value, update_rows
from monitors.mesh.tenancy import crosses_tenants
from monitors.mesh.times import HOUR, SECOND
from monitors.notifier.model.breaker import GIVES_UP_AFTER
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import SAYS_IT_FIRES, Arrival, State
from monitors.notifier.model.message import Kind, Severity
from monitors.notifier.model.repeats import IS_OVER
from monitors.notifier.model.room import Room
from monitors.notifier.model.turns import Lane
from monitors.notifier.store import arriving, backlogs, breakers, groups, repeats
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.claims import Claim, Finished, claim_of
from monitors.notifier.store.lanes import Waiting, next_due, waiting_lanes
from monitors.notifier.store.policy import PolicyStore
from monitors.notifier.store.sendable import expired, of_lanes
from monitors.notifier.store.standing import (
    ATTEMPT,
    CUT_OFF,
    KEY,
    Sent,
    attempt,
    end,
    end_waiting,
    ended_by,
    in_flight,
    leases,
    note_cut_off,
    outcome_so_far,
    send_again,
)
from monitors.notifier.store.tables import STANDING, ChannelRow, DeliveryRow, attempts, audit, deliveries

LEASE = 30 * SECOND
FAILED_FOR_DAYS = f"nothing has arrived for {GIVES_UP_AFTER // HOUR} hours"
CHANNEL_DELETED = "the channel was deleted"


Kept = tuple[Finished, list[Sent]]
"""What has ended under its lease, with the deliveries that it told."""
_LEASED = ("state", "attempt_count", "lease_token", "leased_at", "lease_until", "message_id")


class Queue:
    """Deliveries on their way."""

    def __init__(self, channels: ChannelStore) -> None:
        self._channels = channels
        self._policies = PolicyStore()

    @crosses_tenants("messages of all tenants come in together")
    def take_in(self, session: Session, arrivals: Sequence[Arrival], now: int) -> list[Arrival]:
        """Makes the deliveries of notifications. One that has come before changes nothing.

        Returns the new ones that no console channel will print.
        """
        return arriving.take_in(session, self._channels, self._policies, arrivals, now)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def claim(self, session: Session, now: int, token: str, room: Room) -> list[Claim]:
        """Leases the messages that are due under a token, none before an earlier one of its stream: critical ones
        first, and as many of each tenant and each channel as its turn and its room allow. What another notifier is
        claiming is left to it. A message tells a delivery, together with all others of its group that are due.
        """
        claims: list[Claim] = []
        exhausted: list[Lane] = []
        for lanes, channels in self._lanes(session, now, room):
            is_critical = any(lane.severity >= Severity.CRITICAL for lane in lanes)
            while shares := room.turns.share(lanes):
                rows = of_lanes(session, shares, now)
                alone = backlogs.collapse(session, [row for row in rows if not row.group_key], now)
                heads = _heads([*(row for row in rows if row.group_key), *alone])
                claims += _lease(session, heads, channels, token, now, is_critical=is_critical)
                found, told = Counter(map(_channel_key, rows)), Counter(map(_channel_key, heads))
                for lane, count in shares:
                    room.turns.give_back(lane, count - told[lane.tenant, lane.channel_id])
                # The others have nothing more that can be sent now.
                exhausted += [lane for lane, count in shares if found[lane.tenant, lane.channel_id] < count]
                lanes = [lane for lane, count in shares if found[lane.tenant, lane.channel_id] == count]
        room.look_again(next_due(session, exhausted, now))
        return claims

    def _lanes(
        self, session: Session, now: int, room: Room
    ) -> Iterator[tuple[list[Lane], Mapping[tuple[str, str], Channel]]]:
        """What is due by severity, with the channels. What is due for one that is gone or off is given up."""
        found: list[Waiting] = []
        for one in waiting_lanes(session, self._channels.open):
            if one.since <= now:
                found.append(one)
            else:
                room.look_again(one.since)
        channels = {(due.tenant, due.channel_id): due.channel for due in found if due.channel}
        for _, same in groupby(found, lambda due: due.severity):
            lanes = []
            for due in same:
                channel = due.channel
                if channel is None or channel.unusable_reason:
                    reason = channel.suppression if channel else CHANNEL_DELETED
                    self.suppress_waiting(session, due.tenant, due.channel_id, reason, now)
                else:
                    lanes.append(room.lane(channel, due.severity, due.since, is_tried=due.is_tried))
            yield lanes, channels

    @crosses_tenants("messages of all tenants are sent by one loop")
    def put_back(self, session: Session, claims: Sequence[Claim]) -> None:
        """Undoes claims of which no attempt was made, as if they had never been."""
        rows = in_flight(session, [key for claim in claims for key in claim.keys])
        ours = [
            row
            for claim in claims
            for key in claim.keys
            if (row := rows.get(key)) is not None and row.lease_token == claim.lease_token
        ]
        back = [(row.tenant_id, row.id, int(State.PENDING), row.attempt_count - 1, "") for row in ours]
        update_rows(session, deliveries, KEY, ("state", "attempt_count", "lease_token"), back)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def finish(self, session: Session, finished: Sequence[Finished]) -> list[Finished]:
        """Records attempts and their consequences. Returns those whose lease has passed to another: of them nothing is
        recorded."""
        if not finished:
            return []
        kept, lost = _kept(session, finished)
        insert_rows(
            session, attempts, ATTEMPT,
            [attempt(row, one.started_at, one.ended_at, one.outcome) for one, leased in kept for row in leased],
        )  # fmt: skip
        ends = [
            ended_by(row, one.outcome, one.decision, len(one.claim.parts), is_digest=one.claim.is_digest,
                     is_minimal=one.claim.is_minimal)
            for one, leased in kept
            for row in leased
        ]  # fmt: skip
        # What is recorded together has ended when the last of it did: so all rows get the same values.
        ended_at = max(one.ended_at for one in finished)
        end(session, ends, ended_at)
        _count_repeats(session, kept, ended_at)
        for one, leased in kept:
            if one.decision.state is State.DEAD:
                said = [row for row in leased if row.kind in SAYS_IT_FIRES]
                told = [(row.tenant_id, row.stream_key, row.alert_id) for row in said]
                arriving.supersede_ends(session, told, one.ended_at)
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
        end_waiting(session, is_waiting, State.SUPPRESSED, reason, now)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def repeat(self, session: Session, now: int, most: int, compose: repeats.Compose) -> int:
        """Lets at most `most` alerts that are due be told again. Returns how many were due; if that is `most` there may
        be more."""
        made, due = repeats.take_due(session, self._channels.find, self._policies, compose, now, most)
        arriving.insert(session, made, now)
        return due

    @crosses_tenants("messages of all tenants are sent by one loop")
    def release_all(self, session: Session, now: int) -> None:
        """Makes everything due that a former run was sending; only if nobody else can be sending."""
        rows = read_rows(session, _ALL_IN_FLIGHT, {})
        send_again(session, rows, now)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def give_up(self, session: Session, claims: Sequence[Claim], now: int) -> None:
        """Makes due what was being sent and won't be to the end."""
        tokens = {claim.lease_token for claim in claims}
        rows = in_flight(session, [key for claim in claims for key in claim.keys]).values()
        send_again(session, [row for row in rows if row.lease_token in tokens], now)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def take_back(self, session: Session, token: str) -> None:
        """Undoes a claim of which nobody has learnt, as if it had never been."""
        is_claimed = deliveries.c.state == int(State.IN_FLIGHT), deliveries.c.lease_token == token
        before = {"state": int(State.PENDING), "attempt_count": deliveries.c.attempt_count - 1, "lease_token": ""}
        session.execute(update(deliveries).where(*is_claimed).values(before))

    @crosses_tenants("messages of all tenants are sent by one loop")
    def reclaim(self, session: Session, now: int) -> int | None:
        """Makes due what was claimed and never finished. Returns when the next lease runs out; None if none does."""
        send_again(session, expired(session, now), now)
        end: int | None = read_value(session, _NEXT_LEASE_END, {})
        return end

    @crosses_tenants("messages of all tenants are sent by one loop")
    def next_repeat(self, session: Session) -> int | None:
        """When the next alert is told again, which may have been; None if none is."""
        return repeats.first_due(session)


_ALL_IN_FLIGHT = select(*STANDING).where(deliveries.c.state == int(State.IN_FLIGHT))
_NEXT_LEASE_END = select(func.min(deliveries.c.lease_until)).where(deliveries.c.state == int(State.IN_FLIGHT))


def _heads(rows: Sequence[Row]) -> list[Row]:
    """The first of each group, along with which the others are told, and what is told alone."""
    known: set[tuple[str, str]] = set()
    heads = []
    for row in rows:
        if _group(row) not in known:
            heads.append(row)
            known |= {_group(row)} if row.group_key else set()
    return heads


def _lease(
    session: Session,
    heads: Sequence[Row],
    channels: Mapping[tuple[str, str], Channel],
    token: str,
    now: int,
    *,
    is_critical: bool,
) -> list[Claim]:
    """Leases messages: what is next, and what is told along with each."""
    together = groups.companions(session, heads, now)
    told = (together.get(_group(row), []) if row.group_key else [row] for row in heads)
    messages = [message for message in told if message]
    note_cut_off(session, [row for message in messages for row in message], now)
    claims = [
        claim_of(message, channels[_channel_key(message[0])], token, now + LEASE, is_critical=is_critical)
        for message in messages
    ]
    waiting: list[tuple[Any, ...]] = []
    cut_off: list[tuple[Any, ...]] = []
    for claim, message in zip(claims, messages, strict=True):
        for row in message:
            values = (
                row.tenant_id, row.id, int(State.IN_FLIGHT), row.attempt_count + 1, token, now, claim.lease_until,
                claim.message_id,
            )  # fmt: skip
            if row.state == State.IN_FLIGHT:
                cut_off.append((*values, CUT_OFF, outcome_so_far(row)))
            else:
                waiting.append(values)
    update_rows(session, deliveries, KEY, _LEASED, waiting)
    if cut_off:
        update_rows(session, deliveries, KEY, (*_LEASED, "detail", "last_outcome"), cut_off)
    return claims


def _group(row: Row) -> tuple[str, str]:
    return row.tenant_id, row.group_key


def _channel_key(row: Row) -> tuple[str, str]:
    return row.tenant_id, row.channel_id


def _kept(session: Session, finished: Sequence[Finished]) -> tuple[list[Kept], list[Finished]]:
    """What is still under its lease, and what isn't."""
    standing = leases(session, [key for one in finished for key in one.claim.keys])
    kept: list[Kept] = []
    lost: list[Finished] = []
    for one in finished:
        claim, sent = one.claim, list[Sent]()
        for part in claim.parts:
            # What comes a second time isn't under its lease any more.
            row = standing.pop((claim.tenant, part.delivery_id), None)
            if row is not None and row.lease_token == claim.lease_token:
                sent.append(claim.sent(part, row))
        if sent:
            kept.append((one, sent))
        else:
            lost.append(one)
    return kept, lost


def _count_repeats(session: Session, kept: Sequence[Kept], ended_at: int) -> None:
    ended = (
        repeats.Ended(row.tenant_id, row.id, row.alert_id, one.claim.channel.id, Kind(row.kind), one.decision.state)
        for one, sent in kept
        for row in sent
    )
    unwanted = repeats.note(session, ended, ended_at)
    for each in unwanted:
        is_row = DeliveryRow.tenant_id == each.tenant, DeliveryRow.id == each.delivery_id
        end_waiting(session, is_row, State.SUPERSEDED, IS_OVER, ended_at)


def _keep_quiet(session: Session, claim: Claim, until: int) -> None:
    session.execute(
        update(ChannelRow)
        .where(ChannelRow.tenant_id == claim.tenant, ChannelRow.id == claim.channel.id, ChannelRow.quiet_until < until)
        .values(quiet_until=until)
    )
