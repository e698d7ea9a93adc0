"""The evaluator's metrics."""

from collections.abc import Sequence

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from monitors.evaluator.backing import Parts
from monitors.evaluator.core import Phase
from monitors.evaluator.engine import Engine
from monitors.mesh.metrics.exposition import Metrics
from monitors.mesh.times import SECOND, now_nanos

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def export(metrics: Metrics, parts: Parts, engine: Engine) -> None:
    """Measures the phases of the evaluation, and reads how it fares."""
    seconds = Histogram(
        "monitors_evaluation_phase_duration_seconds",
        "How long a batch waits for those before it (wait), a step of the evaluation takes (evaluate), and RuleService "
        "takes to record what was decided (record).",
        ["phase"],
        registry=metrics.registry,
        buckets=SECONDS,
    )
    phases = {phase: seconds.labels(phase.value) for phase in Phase}
    engine.tell_phases(lambda phase, taken: phases[phase].observe(taken))

    async def read() -> Sequence[Metric]:
        return _read(parts, engine)

    metrics.follow("evaluator", read)


def _read(parts: Parts, engine: Engine) -> Sequence[Metric]:
    status = engine.status()
    lag = max(0.0, (now_nanos() - status.evaluated_to) / SECOND) if status.evaluated_to else 0.0
    gauges = (
        (
            "monitors_evaluation_lag_seconds",
            "How far back the time lies up to which all is evaluated; polled points are given half a minute to come.",
            lag,
        ),
        ("monitors_evaluation_rules", "Rules that are evaluated.", status.rule_count),
        (
            "monitors_evaluation_instances",
            "Instances of rules: a rule with one of its groups.",
            status.instance_count,
        ),
        ("monitors_evaluation_series", "Series that are known.", len(parts.catalogue)),
        ("monitors_evaluation_shards_held", "Shards that are evaluated here.", status.shard_count),
        (
            "monitors_evaluation_unrecorded_transitions",
            "Transitions that were decided and that RuleService hasn't recorded yet.",
            status.unrecorded_transitions,
        ),
    )
    counters = (
        ("monitors_points_accepted", "Points that were taken.", parts.intake.accepted_count),
        ("monitors_points_refused", "Points that were refused.", parts.intake.refused_count),
        (
            "monitors_evaluation_slots_skipped",
            "Instants of rules' intervals that were skipped, since the evaluation was behind.",
            status.missed_slots,
        ),
        ("monitors_evaluation_shards_gained", "Shards that were taken over here.", status.shards_gained),
        (
            "monitors_evaluation_shards_lost",
            "Shards that another evaluator has now or that weren't renewed in time.",
            status.shards_lost,
        ),
    )
    return [
        *[GaugeMetricFamily(name, text, value) for name, text, value in gauges],
        *[CounterMetricFamily(name, text, value) for name, text, value in counters],
    ]
