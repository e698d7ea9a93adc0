"""The notifier's metrics."""

from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric

from monitors.mesh.database import Database, Session
from monitors.mesh.metrics.exposition import Metrics
from monitors.mesh.times import SECOND
from monitors.notifier.clock import Clock
from monitors.notifier.delivery import Dispatcher
from monitors.notifier.keeping import DeliveryKeeper
from monitors.notifier.model.delivery import UNFINISHED
from monitors.notifier.store import breakers, escalating, totals
from monitors.notifier.store.claims import Finished

KEPT_SECONDS = 5.0
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
KIND = "channel_kind"


def export(metrics: Metrics, dispatcher: Dispatcher, keeper: DeliveryKeeper, database: Database, clock: Clock) -> None:
    """Counts attempts and what came of them, and reads how the queue stands."""
    dispatcher.on_finished.append(_Attempts(metrics).note)
    Gauge(
        "monitors_tenants_over_quota",
        "Tenants for whom something waits that goes beyond what their tier allows to be told.",
        registry=metrics.registry,
    ).set_function(lambda: dispatcher.tenants_beyond_quota)
    deleted = Counter(
        "monitors_deliveries_deleted",
        "Deliveries that were deleted, with their attempts, as they had ended longer ago than deliveries are kept.",
        registry=metrics.registry,
    )
    keeper.on_forgotten.append(deleted.inc)
    metrics.follow("notifier", lambda: _read(database, clock), KEPT_SECONDS)


class _Attempts:
    """Counts what this process has sent."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self._attempts = Counter(
            "monitors_delivery_attempts",
            "Attempts to deliver a message, by how they ended.",
            [KIND, "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "monitors_delivery_attempt_duration_seconds",
            "How long attempts to deliver a message took, their rendering included.",
            [KIND],
            registry=registry,
            buckets=SECONDS,
        )
        self._ended = Counter(
            "monitors_deliveries_ended",
            "Deliveries that attempts have brought to their end, by state; one message may tell several.",
            [KIND, "state"],
            registry=registry,
        )

    def note(self, finished: Sequence[Finished]) -> None:
        """Attempts have ended."""
        attempts: Tally[tuple[str, str]] = Tally()
        ended: Tally[tuple[str, str]] = Tally()
        for one in finished:
            kind = one.claim.channel.kind
            attempts[kind, one.outcome.kind.name] += 1
            self._seconds.labels(kind).observe((one.ended_at - one.started_at) / SECOND)
            if one.decision.state not in UNFINISHED:
                ended[kind, one.decision.state.name] += len(one.claim.parts)
        for (kind, outcome), count in attempts.items():
            self._attempts.labels(kind, outcome.lower()).inc(count)
        for (kind, state), count in ended.items():
            self._ended.labels(kind, state.lower()).inc(count)


async def _read(database: Database, clock: Clock) -> Sequence[Metric]:
    now = clock.now()

    def look(session: Session) -> tuple[totals.Totals, int, tuple[int, int | None]]:
        return totals.count(session, now), breakers.count_open(session), escalating.count_waiting(session)

    total, failing, (escalations, first_due) = await database.read(look)
    return [
        GaugeMetricFamily(
            "monitors_deliveries_pending", "Deliveries that wait, for their turn or for another attempt.", total.pending
        ),
        GaugeMetricFamily("monitors_deliveries_in_flight", "Deliveries that are being sent.", total.in_flight),
        GaugeMetricFamily(
            "monitors_deliveries_oldest_due_age_seconds",
            "For how long the delivery has been due that has waited for longest; 0 if none is due.",
            (now - total.oldest_due) / SECOND if total.oldest_due is not None else 0.0,
        ),
        GaugeMetricFamily(
            "monitors_deliveries_dead", "Deliveries that were given up and can be tried again by hand.", total.dead
        ),
        GaugeMetricFamily(
            "monitors_deliveries_suppressed",
            "Deliveries that weren't sent for a reason that each of them tells.",
            total.suppressed,
        ),
        GaugeMetricFamily(
            "monitors_breakers_open", "Channels whose endpoint keeps failing and is tried now and then only.", failing
        ),
        GaugeMetricFamily(
            "monitors_escalations_waiting", "Alerts that escalate further if nobody acknowledges them.", escalations
        ),
        GaugeMetricFamily(
            "monitors_escalations_oldest_due_age_seconds",
            "For how long the step of an escalation has been due that has waited for longest; 0 if none is due.",
            max(0, now - first_due) / SECOND if first_due is not None else 0.0,
        ),
    ]
