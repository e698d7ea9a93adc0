"""How long answers get: with thousands of alerts, with texts as long as they may be, and with everything asked for."""

import json
from typing import Any

import pytest

from monitors.mesh.times import now_nanos
from monitors.v1 import monitor_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.bridge.conftest import Answer, RealService, Tools
from tests.rules.client import FIRING, Client

TOKEN = 4
ALERTS, LONG_ALERTS, LONG_RULES = 10_000, 150, 60
WIDE = "\U0001f4a5"


def tokens(answer: Answer) -> float:
    """Of the text or of the structured data, whichever are more."""
    compact = json.dumps(answer.data, ensure_ascii=False, separators=(",", ":"))
    return max(len(answer.text.encode()), len(compact.encode())) / TOKEN


def long_rule(number: int) -> rule_pb2.Rule:
    """A rule whose texts are as long as they may be."""
    several = " and ".join(f'cpu_percent{{tag_{n}="{"v" * 90}"}} > {n}' for n in range(19))
    return rule_pb2.Rule(
        monitor_id="mon_host",
        title=(f"Long {number} " + '"' * 200)[:200],
        condition_text=several,
        labels={f"{WIDE * 30}{n}": WIDE * 256 for n in range(32)},
        annotations={"runbook_url": "https://r.example/" + "ü" * 2_000, "summary": WIDE * 4_096},
    )


@pytest.fixture(scope="module")
def full(real_service: RealService) -> dict[str, str]:
    """A store with 10,000 alerts, the newest with long texts, and 60 such rules; the ids of two rules."""
    client = real_service.client
    for number in range(100):
        fields = [("system", f"{WIDE * 50}{n}", monitor_pb2.FIELD_TYPE_STRING) for n in range(40)]
        client.report(f"mon_{number:03} {WIDE * 200}", fields)
    short = client.create(title="CPU is high")
    rules = [client.call(pb.CreateRuleRequest(rule=long_rule(number))).rule for number in range(LONG_RULES)]
    start = now_nanos() - ALERTS * 10**9
    plain = [fired(client, short, start + n * 10**9, n) for n in range(ALERTS - LONG_ALERTS)]
    for at in range(0, len(plain), 1_000):
        client.record(*plain[at : at + 1_000])
    for n in range(LONG_ALERTS):
        client.record(fired(client, rules[0], start + (ALERTS - LONG_ALERTS + n) * 10**9, n, tags=20))
    return {"short": short.id, "long": rules[0].id}


def fired(client: Client, rule: rule_pb2.Rule, time: int, number: int, tags: int = 0) -> Any:
    group = {"core": str(number), **{f"{WIDE * 20}{n}": '"' * 200 for n in range(tags)}}
    return client.transition(rule, FIRING, time, group=group, value=1 / 3)


QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("list_alerts", {}),
    ("list_alerts", {"limit": 100}),
    ("list_alerts", {"limit": 100, "detail": "detailed"}),
    ("list_alerts", {"limit": 100, "detail": "detailed", "explain": True}),
    ("list_alerts", {"explain": True}),
    ("list_alert_rules", {}),
    ("list_alert_rules", {"limit": 100}),
    ("list_alert_rules", {"limit": 100, "detail": "detailed"}),
    ("list_alert_rules", {"limit": 100, "include": "monitors"}),
    ("list_alert_rules", {"include": "monitors"}),
]


@pytest.mark.parametrize(("tool", "arguments"), QUESTIONS)
def test_no_answer_has_more_than_10000_tokens(
    real: Tools, full: dict[str, str], tool: str, arguments: dict[str, Any]
) -> None:
    answer = real.success(tool, **arguments)
    by_default = not arguments
    print(f"{tool} {arguments}: {tokens(answer):.0f} tokens")  # noqa: T201
    assert tokens(answer) <= (2_000 if by_default else 10_000)
    rows = answer.data["alerts" if tool == "list_alerts" else "rules"]
    assert rows
    capped = tool == "list_alerts"
    expected = (1_000, True) if capped else (LONG_RULES + 1, None)
    assert (answer.data["total"], answer.data.get("total_is_capped")) == expected
    assert answer.data["next_cursor"] in answer.text
    assert f"{len(rows)} of {'more than 1000' if capped else LONG_RULES + 1} " in answer.text
    assert "narrow" in answer.data["note"]


def test_a_page_that_was_cut_short_goes_on_where_it_ended(real: Tools, full: dict[str, str]) -> None:
    seen: list[str] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        question = {"rule_id": full["long"], "limit": 100, "detail": "detailed", "cursor": cursor}
        answer = real.success("list_alerts", **question)
        seen += [alert["id"] for alert in answer.data["alerts"]]
        if pages == 0:
            assert f"Only {len(seen)} rows, to keep the answer short." in answer.text
        cursor, pages = answer.data.get("next_cursor"), pages + 1
    assert len(seen) == len(set(seen)) == LONG_ALERTS
    assert pages > LONG_ALERTS / 100


def test_a_concise_alert_has_at_most_60_tokens(real: Tools, full: dict[str, str]) -> None:
    newest = real.success("list_alerts", rule_id=full["short"], limit=1).data["alerts"][0]["id"]
    real.success("acknowledge_alert", alert_id=newest)
    answer = real.success("list_alerts", rule_id=full["short"], limit=100)
    assert len(answer.data["alerts"]) == 100
    for alert, line in zip(answer.data["alerts"], answer.text.splitlines()[1:], strict=False):
        row = json.dumps(alert, ensure_ascii=False, separators=(",", ":"))
        # Who takes care comes on top.
        most = 60 if "acknowledged_by" not in alert else 70
        assert len(row.encode()) / TOKEN <= most
        assert len(line.encode()) / TOKEN <= most


def test_monitors_that_are_left_out_are_counted(real: Tools, full: dict[str, str]) -> None:
    answer = real.success("list_alert_rules", include="monitors", limit=100)
    shown = len(answer.data["monitors"])
    assert 1 <= shown < answer.data["monitors_total"] == 102
    assert f"{shown} of 102 monitors can be watched:" in answer.text
    assert "of monitors" in answer.data["note"]
    assert "Part of an id as monitor shows others." in answer.text


@pytest.mark.parametrize("monitor", ["", "mon_hots", "mon_42"])
def test_of_many_monitors_an_error_lists_those_that_are_called_most_alike(
    real: Tools, full: dict[str, str], monitor: str
) -> None:
    text = real.error("create_alert_rule", monitor=monitor, title="T", condition="load > 1")
    assert len(text.encode()) / TOKEN <= 120
    assert "more: list_alert_rules with include='monitors' shows them." in text
    if monitor == "mon_hots":
        assert text.splitlines()[1].startswith("- mon_host: cpu_percent, load, load1, price, response_time")


def test_acknowledging_many_says_of_each_what_became_of_it(real: Tools, full: dict[str, str]) -> None:
    ids = [alert["id"] for alert in real.success("list_alerts", rule_id=full["long"], limit=2).data["alerts"]]
    found = real.success("list_alerts", rule_id=full["short"], state="unacknowledged", limit=98)
    ids += [alert["id"] for alert in found.data["alerts"]]
    answer = real.success("acknowledge_alert", alert_id=ids, note=WIDE * 1_000)
    assert tokens(answer) <= 10_000
    assert answer.data["acknowledged"] == ids
    assert all(alert_id in answer.text for alert_id in ids)
    assert "of alerts" in answer.data["note"]


def test_the_longest_rule_is_deleted_with_what_restores_it_or_what_doesnt_is_named(
    real: Tools, full: dict[str, str]
) -> None:
    text = real.error("delete_alert_rule", rule_id=full["long"])
    rule = real.success("list_alert_rules", rule_id=full["long"])
    assert tokens(rule) <= 10_000
    title = rule.data["rules"][0]["title"]
    assert "confirm_title" in text
    answer = real.success("delete_alert_rule", rule_id=full["long"], confirm_title=title)
    assert tokens(answer) <= 10_000
    assert repr(answer.data["restore"]) in answer.text
    assert {"labels", "condition", "runbook_url", "title"} - set(answer.data["restore"]) == {"labels"}
    assert "What create_alert_rule can't set again: annotations." in answer.data["note"]
    assert "restore.labels" in answer.data["note"]
