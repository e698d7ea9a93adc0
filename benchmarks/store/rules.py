"""Rules made one by one and in batches, and transitions recorded in batches and one by one."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.store.clients import FIRING, RESOLVED, Client, Taken, batches, recording_of, serving, timed
from benchmarks.store.rows import ADD_TENANT, TENANT, Batches
from benchmarks.store.targets import Bare, Target
from monitors.mesh.ids import id_series
from monitors.mesh.times import now_nanos
from monitors.rules.store.outbox import LARGEST_BATCH
from monitors.rules.store.tables import rule_attributes
from monitors.rules.store.tables import rules as rule_table

WORKERS = 8
RULES_A_CALL = 1_000
TRANSITIONS_A_CALL = 2_000
EVALUATORS = 2
NOTIFIED_AT_ONCE = LARGEST_BATCH


@dataclass(frozen=True)
class Speeds:
    """What was taken, by RuleService and by the plain driver."""

    alone: Taken
    together: Taken
    batched: Taken
    bare_rule: list[float]
    recorded: Taken
    recorded_alone: Taken
    bare_rate: float
    """Transitions a second."""
    taken_over: Taken
    bare_taken_over: float
    """Notifications a second."""


def measure(target: Target, singles: int, rules: int, rounds: int) -> Speeds:
    """Makes rules, `singles` of them one by one, and lets each fire and end `rounds` times."""
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder:
        url = target.database("rules")
        with serving(Path(folder) / "home", url) as client:
            monitors = [f"mon{number}" for number in range(rules)]
            client.report(monitors)
            alone = timed(client, singles, monitors[:singles], client.make_rule)
            together = timed(client, singles, monitors[:singles], client.make_rule, WORKERS)
            made: list[tuple[str, str]] = []

            def make(part: Any) -> None:
                made.extend(zip(client.make_rules(part), part, strict=True))

            batched = timed(client, rules, list(batches(monitors, RULES_A_CALL)), make)
            recorded, recorded_alone = _record(client, made, rounds, singles)
            taken_over = _take_over(client, recorded.count)
    bare_rule, bare_rate, bare_taken_over = _bare(target, singles, rounds)
    return Speeds(alone, together, batched, bare_rule, recorded, recorded_alone, bare_rate, taken_over, bare_taken_over)


def _record(client: Client, rules: list[tuple[str, str]], rounds: int, singles: int) -> tuple[Taken, Taken]:
    """Each evaluator has rules of its own, whose transitions it records in order, a batch after the other: in every
    round all that begins, and then its end."""
    begun = now_nanos()
    evaluators = [
        [
            recording_of(part, kind, begun + 2 * number)
            for number in range(rounds)
            for kind in (FIRING, RESOLVED)
            for part in batches(rules[first::EVALUATORS], TRANSITIONS_A_CALL)
        ]
        for first in range(EVALUATORS)
    ]

    def record(requests: list[Any]) -> None:
        for request in requests:
            client.record(request)

    recorded = timed(client, 2 * rounds * len(rules), evaluators, record, EVALUATORS)
    begun = now_nanos()
    ready = [recording_of([one], kind, begun) for kind in (FIRING, RESOLVED) for one in rules[: singles // 2]]
    return recorded, timed(client, len(ready), ready, client.record)


def _take_over(client: Client, count: int) -> Taken:
    def take(wanted: int) -> None:
        if client.take_over(wanted) < wanted:
            raise RuntimeError("a notification is missing")

    return timed(client, count, [count], take)


def _bare(target: Target, singles: int, rounds: int) -> tuple[list[float], float, float]:
    url = target.database("rules")
    with target.bare(url) as bare:
        with bare.transaction():
            bare.execute(ADD_TENANT, (TENANT, now_nanos()))
            for name in ("revision", "sequence"):
                bare.execute("INSERT INTO counters (name, value) VALUES (?, 0)", (name,))
        rule_seconds = _bare_rules(bare, singles)
        batched, wall = Batches(TRANSITIONS_A_CALL), 0.0
        for number in range(rounds):
            for ends in (False, True):
                begun = time.perf_counter()
                batched.write(bare, number, ends=ends)
                wall += time.perf_counter() - begun
        rate = batched.sequence / wall
        return rule_seconds, rate, _bare_take_over(bare)


def _bare_rules(bare: Bare, count: int) -> list[float]:
    taken, ids = [], id_series("rule")
    for number in range(count):
        now, rule_id = now_nanos(), next(ids)
        begun = time.perf_counter()
        with bare.transaction():
            bare.execute("UPDATE counters SET value = value + 1 WHERE name = 'revision'")
            row = (TENANT, rule_id, number, f"mon{number}", False, "it is high", 2, True, now, None, bytes(250))
            bare.insert(rule_table, [row])
            bare.insert(rule_attributes, [(TENANT, rule_id, "label.team", "checkout")])
        taken.append(time.perf_counter() - begun)
    return taken


def _bare_take_over(bare: Bare) -> float:
    """Notifications a second that are leased and marked as taken, 100 at a time, as the store does it."""
    count, begun = 0, time.perf_counter()
    while True:
        now = now_nanos()
        with bare.transaction():
            rows = bare.execute(
                "SELECT tenant_id, id, sequence, body FROM outbox WHERE state = 0 AND due_time <= ? AND "
                f"lease_until <= ? ORDER BY sequence LIMIT {NOTIFIED_AT_ONCE}",
                (now, now),
            )
            marks = ", ".join("?" * len(rows))
            leased = [row[2] for row in rows]
            if rows:
                bare.execute(
                    f"UPDATE outbox SET lease_token = 'token', lease_until = ? WHERE sequence IN ({marks})",
                    (now + 30 * 10**9, *leased),
                )
        if not rows:
            return count / (time.perf_counter() - begun)
        with bare.transaction():
            bare.execute(f"UPDATE outbox SET state = 1 WHERE sequence IN ({marks})", leased)
        count += len(rows)
