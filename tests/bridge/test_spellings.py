"""What people say, through the tools: each spelling means the same as the canonical one."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from monitors.bridge.values import SECOND, ago, parse_duration
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.model.condition_parts import targets_of
from monitors.v1 import monitor_pb2
from tests.bridge.conftest import RealService, Tools, answer_of

SPELLINGS = [
    (said, meant)
    for said, _, meant in (
        line.partition("\t")
        for line in (Path(__file__).parents[1] / "rules" / "spellings.tsv").read_text().splitlines()
        if line and not line.startswith("#")
    )
]
DURATIONS: dict[int, list[str | float]] = {
    300: [
        "5m",
        "5 m",
        "5min",
        "5 mins",
        "5 minutes",
        "300",
        300,
        300.0,
        "300s",
        "4m 60s",
        "five minutes",
        " 5M ",
        "5.0m",
    ],
    60: ["1m", "minute", "a minute", "one minute", "60 seconds", "0.5 min 30s"],
    1_800: ["30m", "half an hour", "0.5h", "30 minutes", "thirty minutes"],
    5_400: ["1h30m", "1h 30m", "1.5h", "90 min", "1 hour and 30 minutes", "1 hour, 30 minutes", "90m"],
    86_400: ["1d", "24h", "day", "a day", "1 day", "24 hours"],
    604_800: ["7d", "1w", "week", "one week", "7 days"],
}
SEVERITIES = {
    "low": ["low", "LOW", "info", "minor", "sev4", "P4"],
    "medium": ["medium", "warning", "Warn", "sev3", "p3"],
    "high": ["high", "error", "major", "SEV-2", "p2"],
    "critical": ["critical", "crit", "fatal", "sev1", "sev 1", "P1", "page"],
}
THRESHOLD = {"type": "threshold", "field": "price", "operator": ">", "value": 60000}
JSON_CONDITIONS: list[tuple[Any, str]] = [
    ({**THRESHOLD, "aggregation": "latest"}, "price > 60000"),
    ({"type": "threshold", "field": "price", "operator": "==", "value": 5}, "price == 5 within 0.001"),
    ({"field": "load", "operator": "<=", "value": "4"}, "load <= 4"),
    ({**THRESHOLD, "aggregation": "avg", "window": "10m"}, "avg(price, 10m) > 60000"),
    ({"type": "range", "field": "price", "min": 20, "max": 400, "outside": True}, "price outside 20..400"),
    ({"type": "absence", "field": "price", "duration": 900}, "no data on price for 15m"),
    ('{"type":"threshold","field":"price","operator":">","value":60000}', "price > 60000"),
]  # fmt: skip


@pytest.fixture(scope="module")
def said(real: Tools, real_service: RealService) -> Tools:
    """The tools, with a monitor that has every field that the spellings speak of."""
    named = {(target.measurement or "system", target.field)
             for _, meant in SPELLINGS
             for target in targets_of(parse_condition(meant, "x").condition)}  # fmt: skip
    texts = ("status", "state", "mode")
    kinds = {True: monitor_pb2.FIELD_TYPE_STRING, False: monitor_pb2.FIELD_TYPE_FLOAT}
    real_service.client.report("mon_said", [(at, name, kinds[name in texts]) for at, name in sorted(named)])
    return real


def tried(tools: Tools, condition: Any, **more: Any) -> Any:
    rule = {"monitor": "mon_said", "title": "T", "condition": condition, "dry_run": True}
    return tools.success("create_alert_rule", **rule, **more).data["rule"]


def test_spellings_of_conditions_mean_the_same(said: Tools) -> None:
    async def try_all(client: Client) -> dict[str, str]:
        found = {}
        for text, meant in SPELLINGS:
            rule = {"monitor": "mon_said", "title": "T", "condition": text, "dry_run": True}
            answer = answer_of(await client.call_tool("create_alert_rule", rule))
            if answer.is_error or answer.data["rule"]["condition"] != meant:
                found[text] = answer.text.splitlines()[0]
        return found

    missed = said.with_client(try_all)
    print(f"{len(SPELLINGS) - len(missed)} of {len(SPELLINGS)} spellings mean what they should")  # noqa: T201
    assert len(SPELLINGS) >= 120
    assert len(missed) <= len(SPELLINGS) // 20, missed


@pytest.mark.parametrize(("condition", "meant"), JSON_CONDITIONS)
def test_the_first_products_objects_mean_the_same(real: Tools, condition: Any, meant: str) -> None:
    rule = {"monitor_id": "mon_web", "title": "T", "condition": condition, "dry_run": True}
    answer = real.success("create_alert_rule", **rule, cooldown_minutes="10", is_active="false").data["rule"]
    assert (answer["condition"], answer["cooldown"], answer["enabled"]) == (meant, "10m", False)


def test_spellings_of_durations_mean_the_same() -> None:
    for seconds, spellings in DURATIONS.items():
        for spelling in spellings:
            assert parse_duration(spelling) == seconds * SECOND, spelling


@pytest.mark.parametrize("spelling", ["half an hour", "minute", 90, "1.5 m"])
def test_durations_are_spelled_in_every_parameter(said: Tools, spelling: Any) -> None:
    expected = parse_duration(spelling) // SECOND
    rule = tried(
        said, "load1 > 5", **dict.fromkeys(("for", "cooldown", "interval"), spelling), backtest_window=spelling
    )
    assert {parse_duration(rule[name]) // SECOND for name in ("for", "cooldown", "interval")} == {expected}


def test_spellings_of_severities_mean_the_same(real: Tools) -> None:
    for severity, spellings in SEVERITIES.items():
        for spelling in spellings:
            rule = {"monitor": "mon_web", "title": "T", "condition": "load > 5", "dry_run": True}
            assert real.success("create_alert_rule", **rule, severity=spelling).data["rule"]["severity"] == severity


def test_nothing_that_is_made_while_a_call_goes_on_is_said_to_be_in_the_future() -> None:
    made = "2026-12-01T01:15:13Z"
    at = 1_796_087_713 * SECOND
    assert [ago(made, at + seconds * SECOND) for seconds in (-6, -5, -1, 0, 1)] == [
        "in 6 s",
        "now",
        "now",
        "now",
        "1 s ago",
    ]
