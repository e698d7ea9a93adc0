"""The figures, part by part: what is measured, beside what, and what the goals are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import Figure, say
from benchmarks.store import lists, queue, rules
from benchmarks.store.targets import Target
from monitors.notifier.model.places import AT_ONCE

TRANSITIONS = {"SQLite": 20_000.0, "MariaDB": 5_000.0}
CLAIMS = 4_000.0
BARE_TIMES, ALLOWED_MILLISECONDS = 3, 10


@dataclass(frozen=True)
class Run:
    """The sizes of a run."""

    singles: int = 500
    """Rules made, and transitions recorded, one by one."""
    rules: int = 10_000
    rounds: int = 2
    alerts: int = 1_000_000
    pages: int = 300
    deliveries: int = 10_000


def made(run: Run, target: Target) -> list[Figure]:
    """Rules, transitions and the outbox."""
    say(f"{target.name}: rules and transitions")
    speeds = rules.measure(target, run.singles, run.rules, run.rounds)
    name, bare_rules = target.name, 1 / float(np.mean(speeds.bare_rule))
    return [
        Figure(
            f"{name}: CreateRule, one at a time", f"{speeds.alone}; {_latency(speeds.alone.calls)}",
            f"its rows and commit: {bare_rules:,.0f}/s; {_latency(speeds.bare_rule)}",
        ),
        Figure(f"{name}: CreateRule, {rules.WORKERS} at once", str(speeds.together)),
        Figure(f"{name}: BatchCreateRules, {rules.RULES_A_CALL:,} a call", str(speeds.batched)),
        Figure(
            f"{name}: RecordTransitions, {rules.TRANSITIONS_A_CALL:,} a call, {rules.EVALUATORS} at once",
            str(speeds.recorded),
            f"the same rows, {rules.TRANSITIONS_A_CALL:,} a commit: {speeds.bare_rate:,.0f}/s",
            speeds.recorded.rate, TRANSITIONS[name], unit="/s",
        ),
        Figure(
            f"{name}: RecordTransitions, one a call",
            f"{speeds.recorded_alone}; {_latency(speeds.recorded_alone.calls)}",
        ),
        Figure(
            f"{name}: notifications leased and taken over", str(speeds.taken_over),
            f"select, two updates and commits for {rules.NOTIFIED_AT_ONCE}: {speeds.bare_taken_over:,.0f}/s",
            speeds.taken_over.rate, CLAIMS, unit="/s",
        ),
    ]  # fmt: skip


def claimed(run: Run, target: Target) -> list[Figure]:
    """The notifier's queue."""
    say(f"{target.name}: the notifier's queue")
    speeds = queue.measure(target, run.deliveries)
    return [
        Figure(f"{target.name}: notifications taken into the notifier's queue", f"{speeds.taken_in:,.0f}/s"),
        Figure(
            f"{target.name}: deliveries claimed and finished, {AT_ONCE} a commit",
            f"{speeds.finished:,.0f}/s; {speeds.cpu * 1e6:.0f} µs of the notifier's CPU each",
            f"the same rows and commits: {speeds.bare:,.0f}/s",
            speeds.finished, CLAIMS, unit="/s",
        ),
    ]  # fmt: skip


def listed(run: Run, target: Target) -> list[Figure]:
    """Pages of alerts."""
    say(f"{target.name}: pages of {run.alerts:,} alerts")
    return [
        Figure(
            f"{target.name}: ListAlerts, {pages.name}, {lists.PAGE} of {run.alerts:,}",
            f"p50 {pages.ours[0]:.1f} ms, p99 {pages.ours[1]:.1f} ms",
            f"its query: p50 {pages.bare[0]:.1f} ms, p99 {pages.bare[1]:.1f} ms",
            pages.ours[1], BARE_TIMES * pages.bare[1] + ALLOWED_MILLISECONDS, unit="ms", more_is_better=False,
        )
        for pages in lists.measure(target, run.alerts, run.pages)
    ]  # fmt: skip


def _latency(seconds: Sequence[float]) -> str:
    p50, p99 = np.percentile(np.array(seconds) * 1e3, [50, 99])
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


PARTS: dict[str, Callable[[Run, Target], list[Figure]]] = {"rules": made, "queue": claimed, "lists": listed}
