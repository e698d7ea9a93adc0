"""RuleService's metrics."""

from collections import Counter as Counts
from collections.abc import Sequence

from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric

from monitors.mesh.metrics.exposition import Metrics
from monitors.mesh.times import SECOND
from monitors.rules.model.alert import Event
from monitors.rules.service import Core
from monitors.rules.store import outbox

KEPT_SECONDS = 5.0


def export(metrics: Metrics, core: Core) -> None:
    """Counts what is recorded, and reads how the outbox stands."""
    recorded = Counter(
        "monitors_transitions_recorded",
        "Transitions of alerts that evaluators decided and that were recorded, by kind; repeats don't count.",
        ["kind"],
        registry=metrics.registry,
    )

    def count(events: Sequence[Event]) -> None:
        for kind, number in Counts(event.kind for event in events).items():
            recorded.labels(kind.name.lower()).inc(number)

    deleted = Counter(
        "monitors_alerts_deleted",
        "Alerts that were deleted, with their timelines, as they had been over for longer than alerts are kept.",
        registry=metrics.registry,
    )
    core.on_recorded.append(count)
    core.on_forgotten.append(deleted.inc)
    metrics.follow("rules", lambda: _read(core), KEPT_SECONDS)


async def _read(core: Core) -> Sequence[Metric]:
    now = core.database.now()
    standing = await core.database.read(lambda session: outbox.standing(session, now))
    return [
        GaugeMetricFamily(
            "monitors_outbox_waiting",
            "Notifications that no notifier has taken over yet, also those that a cooldown holds back.",
            standing.waiting,
        ),
        GaugeMetricFamily(
            "monitors_outbox_oldest_due_age_seconds",
            "For how long the notification has been due that no notifier has taken over for longest; 0 if none is.",
            (now - standing.oldest_due) / SECOND if standing.oldest_due is not None else 0.0,
        ),
    ]
