"""What must hold afterwards, whatever was done. Each check names its invariant and gives what it has counted."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from standardwebhooks import Webhook

from monitors.notifier.model.places import MOST
from monitors.notifier.store.standing import CUT_OFF
from monitors.v1 import alert_pb2
from monitors.v1.notification_pb2 import DELIVERY_OUTCOME_AMBIGUOUS, Delivery
from tests.canaries import Canaries
from tests.crash.ledger import REFUSED, Entry
from tests.crash.load import Transition
from tests.crash.operators import Change

LONGEST_WAY = 60.0
"""Seconds from a message's signature to its arrival, most of which a receiver may have stood still."""
UNFINISHED = (alert_pb2.DELIVERY_STATE_PENDING, alert_pb2.DELIVERY_STATE_IN_FLIGHT)
ENDED_UNTOLD = (
    alert_pb2.DELIVERY_STATE_DEAD, alert_pb2.DELIVERY_STATE_SUPPRESSED, alert_pb2.DELIVERY_STATE_SUPERSEDED,
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What had to come, what RuleService and the notifier say, and what came."""

    expected: Sequence[Transition]
    alerts: Mapping[str, Sequence[alert_pb2.Alert]]
    """By tenant."""
    deliveries: Mapping[str, Sequence[Delivery]]
    ledger: Sequence[Entry]
    """A tenant's endpoint has its name as path."""
    secrets: Mapping[str, str]
    """Each tenant's signing secret."""

    @property
    def taken(self) -> list[Entry]:
        """What has come and was taken."""
        return [entry for entry in self.ledger if entry.answer != REFUSED]


@dataclass(frozen=True)
class Outcome(Told):
    """All that there is to judge."""

    changed: Counter[Change]
    """What people were told that they have changed."""
    audited: Counter[Change]
    calm_until: float
    """When the first fault came; `time.time()`."""
    canaries: Canaries


def check(outcome: Outcome, interruptions: int) -> dict[str, int]:
    """Raises AssertionError for the first invariant that doesn't hold. Gives what was counted.

    `interruptions` is how often the notifier was killed or stood still.
    """
    duplicates = check_told(outcome)
    check_leases(outcome, interruptions)
    check_audit(outcome)
    check_secrets(outcome)
    return {
        "transitions": len(outcome.expected), "changes": outcome.changed.total(),
        "messages": len(outcome.taken) - duplicates, "duplicates": duplicates,
    }  # fmt: skip


def check_told(told: Told) -> int:
    """Everything that is about alerts and their messages. Gives how many copies came too many, each with its reason."""
    check_alerts(told)
    check_nothing_is_lost(told)
    check_no_ghosts(told)
    duplicates = check_duplicates(told)
    check_order(told.taken)
    check_bodies(told)
    check_nothing_is_unfinished(told)
    return duplicates


def check_alerts(outcome: Told) -> None:
    """RuleService has one alert for each episode, with exactly its times: none lost, none doubled, none made up."""
    had = Counter(outcome.expected)
    found: Counter[Transition] = Counter()
    for tenant, alerts in outcome.alerts.items():
        for alert in alerts:
            found[tenant, alert.monitor_id, "firing", alert.fire_time.ToNanoseconds()] += 1
            if alert.HasField("resolve_time"):
                found[tenant, alert.monitor_id, "resolved", alert.resolve_time.ToNanoseconds()] += 1
    missing, surplus = had - found, found - had
    assert not missing, f"I1: {len(missing)} acknowledged transitions are no alerts: {_some(missing)}"
    assert not surplus, f"I2: {len(surplus)} transitions come from nowhere or twice: {_some(surplus)}"


def check_nothing_is_lost(outcome: Told) -> None:
    """I1: each transition is in the ledger, or in a state that ends it visibly."""
    told = {(entry.path, entry.event["data"]["alert_id"], entry.event["type"]) for entry in outcome.taken}
    untold = {
        (tenant, delivery.alert_id, _kind(delivery.kind))
        for tenant, deliveries in outcome.deliveries.items()
        for delivery in deliveries
        if delivery.state in ENDED_UNTOLD
    }
    wanted = {
        (tenant, alert.id, kind)
        for tenant, alerts in outcome.alerts.items()
        for alert in alerts
        for kind in ("alert.firing", *(("alert.resolved",) if alert.HasField("resolve_time") else ()))
    }
    lost = wanted - told - untold
    assert not lost, f"I1: {len(lost)} of {len(wanted)} were never told: {_some(lost)}"


def check_no_ghosts(outcome: Told) -> None:
    """I2: what came is a message of the tenant to whose endpoint it came."""
    known = {
        (tenant, delivery.notification_id)
        for tenant, deliveries in outcome.deliveries.items()
        for delivery in deliveries
    }
    ghosts = {
        (entry.path, notification)
        for entry in outcome.ledger
        if (entry.path, notification := entry.event["data"]["notification_id"]) not in known
    }
    assert not ghosts, f"I2: {len(ghosts)} messages come from nowhere: {_some(ghosts)}"


def check_duplicates(outcome: Told) -> int:
    """I3: for each copy too many there is an attempt of which nobody knows how it ended. Gives how many there are."""
    unknown = {
        delivery.notification_id: sum(attempt.outcome == DELIVERY_OUTCOME_AMBIGUOUS for attempt in delivery.attempts)
        for deliveries in outcome.deliveries.values()
        for delivery in deliveries
    }
    copies = Counter(entry.event["data"]["notification_id"] for entry in outcome.taken)
    unexplained = {one: (count, unknown[one]) for one, count in copies.items() if count > 1 + unknown[one]}
    assert not unexplained, f"I3: (copies, attempts whose end is unknown) of {_some(unexplained.items())}"
    return sum(copies.values()) - len(copies)


def check_leases(outcome: Outcome, interruptions: int) -> None:
    """I3: an attempt loses its lease only because its process was interrupted, with at most all that it was sending."""
    lost = [
        delivery.id
        for deliveries in outcome.deliveries.values()
        for delivery in deliveries
        for attempt in delivery.attempts
        if attempt.detail == CUT_OFF
    ]
    most = interruptions * MOST
    assert len(lost) <= most, f"I3: {len(lost)} attempts lost their lease, {most} may have: {_some(lost)}"


def check_order(taken: Sequence[Entry]) -> None:
    """I4: of each instance, what came first came in the order of its sequence."""
    newest: dict[tuple[str, str, str], int] = defaultdict(int)
    seen: set[str] = set()
    for entry in taken:
        data = entry.event["data"]
        if entry.id in seen:
            continue
        seen.add(entry.id)
        stream = (entry.path, data["rule_id"], data["monitor_id"])
        assert data["sequence"] > newest[stream], f"I4: {entry.id} of {stream} came after a newer one"
        newest[stream] = data["sequence"]


def check_bodies(outcome: Told) -> None:
    """I5: each copy is the same to the last byte, signed with the tenant's secret, and was signed when it was sent."""
    bodies: dict[str, str] = {}
    for entry in outcome.ledger:
        assert bodies.setdefault(entry.id, entry.body) == entry.body, f"I5: {entry.id} has two bodies"
        signed = datetime.fromtimestamp(int(entry.headers["webhook-timestamp"]), tz=UTC)
        signature = Webhook(outcome.secrets[entry.path]).sign(entry.id, signed, entry.body)
        assert entry.headers["webhook-signature"] == signature, f"I5: {entry.id} is signed with another secret"
        assert abs(entry.arrived - signed.timestamp()) < LONGEST_WAY, f"I5: {entry.id} was signed at another time"


def check_nothing_is_unfinished(outcome: Told) -> None:
    """I6: once the faults have stopped, nothing stays on its way."""
    left = [one.id for deliveries in outcome.deliveries.values() for one in deliveries if one.state in UNFINISHED]
    assert not left, f"I6: {len(left)} deliveries are still on their way: {_some(left)}"


def check_audit(outcome: Outcome) -> None:
    """I9: the audit has each change once, however often it was asked for, and nothing else."""
    missing, surplus = outcome.changed - outcome.audited, outcome.audited - outcome.changed
    assert not missing, f"I9: {len(missing)} changes aren't in the audit: {_some(missing)}"
    assert not surplus, f"I9: {len(surplus)} in the audit were never made, or once only: {_some(surplus)}"


def check_secrets(outcome: Outcome) -> None:
    """I10: no secret is in a log, an answer, the ledger or the database."""
    found = outcome.canaries.found()
    assert not found, f"I10: {len(found)} secrets are where they don't belong: {_some(found)}"


def check_calm(outcome: Outcome) -> float:
    """I3: before the first fault nothing came twice. For I7 it gives the 99th percentile of the seconds from a point to
    the first attempt to tell of it, which says as much of the machine as of the mesh."""
    early = [entry for entry in outcome.ledger if entry.arrived <= outcome.calm_until]
    assert len({entry.id for entry in early}) == len(early), "I3: without a fault something came twice"
    waits = sorted(wait for _, wait in told_after(outcome, early))
    return waits[int(len(waits) * 0.99)]


def told_after(outcome: Outcome, entries: Iterable[Entry]) -> Iterator[tuple[str, float]]:
    """Of each transition that the entries tell of its tenant, and the seconds from its point to the first attempt."""
    first: dict[tuple[str, str, str], float] = {}
    for entry in entries:
        first.setdefault((entry.path, entry.event["data"]["alert_id"], entry.event["type"]), entry.arrived)
    for tenant, alerts in outcome.alerts.items():
        for alert in alerts:
            for kind, time in (("alert.firing", alert.fire_time), ("alert.resolved", alert.resolve_time)):
                if (tenant, alert.id, kind) in first:
                    yield tenant, first[tenant, alert.id, kind] - time.ToNanoseconds() / 1e9


def _kind(kind: int) -> str:
    return "alert.resolved" if kind == alert_pb2.ALERT_EVENT_KIND_RESOLVED else "alert.firing"


def _some(found: Iterable[object]) -> str:
    return ", ".join(map(str, list(found)[:5]))
