"""Escalations that are due become deliveries."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from monitors.mesh.rows import Row, find_rows
from monitors.mesh.tenancy import crosses_tenants
from monitors.mesh.times import SECOND
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import SAYS_IT_FIRES, Arrival, Planned, State
from monitors.notifier.model.escalation import IS_OVER, Course, EscalationPolicy, Step, plan_steps
from monitors.notifier.model.message import Escalation, Kind
from monitors.notifier.model.muting import Muting, mute_of
from monitors.notifier.store import arriving, escalations, inhibiting
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.claims import Finished, Part
from monitors.notifier.store.policy import PolicyStore
from monitors.notifier.store.standing import end_waiting
from monitors.notifier.store.tables import DeliveryRow, deliveries

MOST = 100
"""How many alerts are escalated by one transaction, so that nothing else waits for long in a storm."""
Compose = Callable[[bytes, int, int, Escalation], Arrival]
"""Makes an escalation of what was told: from its payload, the escalation's number, how bad it is by now, and how far it
has come."""
_ARRIVED = (int(State.DELIVERED), int(State.ACCEPTED))
_IS_OF_ALERTS = (
    deliveries.c.tenant_id == bindparam("tenant"),
    deliveries.c.alert_id.in_(bindparam("ids", expanding=True)),
)
_SAID = (
    select(deliveries.c.id, deliveries.c.alert_id, deliveries.c.channel_name, deliveries.c.kind, deliveries.c.state)
    # Left to choose, MariaDB may read all rows of a tenant.
    .with_hint(deliveries, "FORCE INDEX (ix_deliveries_alert)", "mysql")
    .where(*_IS_OF_ALERTS, deliveries.c.kind.in_(list(map(int, SAYS_IT_FIRES))))
    .order_by(deliveries.c.sequence, deliveries.c.created_at, deliveries.c.channel_name)
)
_PAYLOADS = select(deliveries.c.id, deliveries.c.payload).where(
    deliveries.c.tenant_id == bindparam("tenant"), deliveries.c.id.in_(bindparam("ids", expanding=True))
)


@dataclass(frozen=True)
class _Said:
    """What was said of an alert so far: the payload of what said last that it fires, and who was told, in order."""

    payload: bytes
    told: tuple[str, ...]


@dataclass(frozen=True)
class _Due:
    """An alert of which steps are late, the last of them in words, and what would be told of that."""

    course: Course
    steps: Sequence[Step]
    late: Sequence[Step]
    last: str
    arrival: Arrival


@crosses_tenants("how escalations stand is counted over all tenants, and names none")
def count_waiting(session: Session) -> tuple[int, int | None]:
    """How many escalations have a step that follows, and when the first of these is due, which may have been."""
    return escalations.count_waiting(session), escalations.first_due(session)


class Escalations:
    """Lets others be told of what nobody has acknowledged."""

    def __init__(self, channels: ChannelStore) -> None:
        self._channels = channels
        self._policies = PolicyStore()

    @crosses_tenants("messages of all tenants are sent by one loop")
    def next_due(self, session: Session) -> int | None:
        """When the next step is due, which may have been; None if none is."""
        return escalations.first_due(session)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def take_due(self, session: Session, now: int, compose: Compose) -> int:
        """Makes the deliveries of steps that are due, of at most `MOST` alerts. Returns how many were due; if that is
        `MOST` there may be more."""
        rows = escalations.due(session, now, MOST)
        of_tenants: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            of_tenants[row.tenant_id].append(row)
        made: list[tuple[Arrival, list[Planned]]] = []
        for tenant, of_tenant in sorted(of_tenants.items()):
            made += self._escalate(session, tenant, of_tenant, now, compose)
        arriving.insert(session, made, now)
        return len(rows)

    def _escalate(
        self, session: Session, tenant: str, rows: Sequence[Row], now: int, compose: Compose
    ) -> list[tuple[Arrival, list[Planned]]]:
        policy = self._policies.of(session, tenant, now)
        known = {one.id: one for one in policy.escalations}
        channels = {channel.name: channel for channel in self._channels.list_all(session, tenant)}
        said = _said(session, tenant, [row.alert_id for row in rows])
        left: dict[tuple[str, str], Course] = {}
        due: list[_Due] = []
        gone: list[str] = []
        for row in rows:
            course, alert, one = escalations.course_of(row), said.get(row.alert_id), known.get(row.policy_id)
            if alert is None or (one is None and not course.made):
                gone.append(row.alert_id)
            elif one is None:
                left[tenant, row.alert_id] = course.ended()
            elif late := course.late(one.steps, now):
                due.append(_due(course, one, late, alert, now, compose))
            else:
                left[tenant, row.alert_id] = course.taken(one.steps, now)
        inhibits = inhibiting.find_checked(session, tenant, policy.inhibitions, [one.arrival for one in due])
        planned = [(one, *_plan(one, channels, (*policy.mutings, inhibits), now)) for one in due]
        inhibiting.hold(session, [(one.arrival, plans) for one, _, plans in planned])
        escalations.save(session, left | {(tenant, one.arrival.alert_id): after for one, after, _ in planned})
        escalations.forget(session, tenant, gone)
        # What waits is shown once.
        return [(one.arrival, plans) for one, after, plans in planned if after.made > one.course.made]

    @crosses_tenants("messages of all tenants are sent by one loop")
    def drop(self, session: Session, finished: Sequence[Finished], now: int) -> None:
        """Of escalations whose attempts have failed, those aren't tried again whose alerts were acknowledged meanwhile,
        or are over; and who was never told of them isn't told of that either."""
        again: dict[str, list[Part]] = defaultdict(list)
        for one in finished:
            if one.decision.state is State.PENDING:
                again[one.claim.tenant] += [part for part in one.claim.parts if part.kind is Kind.ESCALATED]
        for tenant, parts in sorted(again.items()):
            known = escalations.courses(session, tenant, sorted({part.alert_id for part in parts}))
            dropped = [one for one in parts if one.alert_id not in known or known[one.alert_id].is_acknowledged]
            for part in dropped:
                waits = (
                    DeliveryRow.tenant_id == tenant,
                    DeliveryRow.id == part.delivery_id,
                    DeliveryRow.state == int(State.PENDING),
                )
                end_waiting(session, waits, State.SUPERSEDED, IS_OVER, now)
            arriving.supersede_ends(session, [(tenant, part.stream_key, part.alert_id) for part in dropped], now)


def _due(
    course: Course, policy: EscalationPolicy, late: Sequence[Step], said: _Said, now: int, compose: Compose
) -> _Due:
    number, count = course.done + len(late), len(policy.steps)
    waited = (now - course.began_at) // SECOND * SECOND
    escalation = Escalation(policy.name, number, count, waited, said.told)
    arrival = compose(said.payload, course.made + 1, course.severity, escalation)
    return _Due(course, policy.steps, late, f"step {number} of {count}", arrival)


def _plan(
    due: _Due, channels: Mapping[str, Channel], mutings: Sequence[Muting], now: int
) -> tuple[Course, list[Planned]]:
    """What is left of a course, and who is told."""
    mutes = filter(None, (due.course.snooze(now), mute_of(due.arrival.facts, mutings, now)))
    mute = max(mutes, key=lambda one: one.until, default=None)
    after = due.course.waiting(mute) if mute else due.course.taken(due.steps, now)
    return after, plan_steps(due.late, channels, due.last, mute)


def _said(session: Session, tenant: str, alert_ids: Sequence[str]) -> dict[str, _Said]:
    """What was said of alerts, by alert."""
    last: dict[str, str] = {}
    told: dict[str, dict[str, None]] = defaultdict(dict)
    for row in find_rows(session, _SAID, {"tenant": tenant}, "ids", alert_ids):
        if row.kind != Kind.ESCALATED:
            last[row.alert_id] = row.id
        if row.state in _ARRIVED:
            told[row.alert_id][row.channel_name] = None
    payloads = {
        row.id: row.payload for row in find_rows(session, _PAYLOADS, {"tenant": tenant}, "ids", list(last.values()))
    }
    return {alert: _Said(payloads[name], tuple(told[alert])) for alert, name in last.items()}
