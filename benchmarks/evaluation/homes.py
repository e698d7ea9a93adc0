"""Homes of a mesh with many tenants, monitors and rules, made without a running mesh."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from benchmarks.evaluation.load import FIELD, INTERVAL, MEASUREMENT
from monitors.evaluator.model.series import Floats
from monitors.mesh.config import load_settings
from monitors.mesh.database import Database, Session
from monitors.mesh.ids import new_id
from monitors.mesh.tenancy import of_tenant
from monitors.mesh.times import now_nanos
from monitors.rules.conditions.canonical import condition_text
from monitors.rules.main import open_rules
from monitors.rules.model.catalogue import Field, FieldType
from monitors.rules.model.condition import Comparison, Input, Number, Operator, Target, Threshold
from monitors.rules.model.rule import Rule
from monitors.rules.store import counters
from monitors.rules.store.monitors import Seen, remember
from monitors.rules.store.rules import insert_rules
from monitors.rules.translate.rules import rule_to_proto

PAGE = 10_000
_FIELD = Field(MEASUREMENT, FIELD, FieldType.FLOAT)


def make_tenants(home: Path, tenants: Sequence[str]) -> list[str]:
    """Makes tenants that have no channel, in a home whose mesh doesn't run. Returns a key of each."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = load_settings({"MONITORS_HOME": str(home)})

    async def work() -> list[str]:
        async with open_rules(settings.rules, asyncio.Event(), None) as rules:
            return [await rules.add_tenant(tenant) for tenant in tenants]

    return asyncio.run(work())


def make_rules(home: Path, tenant: str, names: Sequence[str], thresholds: Floats) -> None:
    """Makes a monitor and its one rule, `value > threshold`, for each name, as BatchCreateRules would, only faster."""
    settings = load_settings({"MONITORS_HOME": str(home)})
    database = Database(settings.rules.database_url, name="rules", migrations="monitors.rules.migrations")

    async def work() -> None:
        for start in range(0, len(names), PAGE):
            part = list(zip(names[start : start + PAGE], thresholds[start : start + PAGE].tolist(), strict=True))
            await database.write(lambda session, part=part: _insert(session, tenant, part))  # type: ignore[misc]

    try:
        asyncio.run(work())
    finally:
        database.close()


def _insert(session: Session, tenant: str, wanted: Sequence[tuple[str, float]]) -> None:
    with of_tenant(session, tenant):
        _insert_of_tenant(session, tenant, wanted)


def _insert_of_tenant(session: Session, tenant: str, wanted: Sequence[tuple[str, float]]) -> None:
    now = now_nanos()
    remember(session, tenant, [], [Seen(name, _FIELD) for name, _ in wanted], now)
    revision = counters.take(session, counters.REVISION, len(wanted))
    made = [_rule(name, threshold, now, revision + number) for number, (name, threshold) in enumerate(wanted)]
    insert_rules(session, tenant, [(rule, rule_to_proto(rule).SerializeToString()) for rule in made])


def _rule(name: str, threshold: float, now: int, revision: int) -> Rule:
    condition = Comparison(Input(Target(FIELD, MEASUREMENT)), Threshold(Operator.GREATER, Number(threshold)))
    return Rule(
        id=new_id("rule"),
        monitor_id=name,
        title=f"Rule of {name}",
        condition=condition,
        stated=condition_text(condition),
        interval=INTERVAL,
        create_time=now,
        update_time=now,
        creator="bench",
        revision=revision,
    )
