"""Rules by conversation: create, list, update, delete, in both protocol eras."""

from typing import Any

import pytest
from mcp_types import ElicitRequestURLParams, ElicitResult

from monitors.bridge.rule_settings import has_for_clause
from monitors.v1 import rule_pb2
from tests.bridge.backend import Backend
from tests.bridge.conftest import Tools, answer_of

RULE = {"monitor": "mon_host", "title": "CPU is high", "condition": "avg(cpu_percent, 5m) > 90 for 2m"}


def test_a_rule_is_saved_as_it_was_said_and_explained(tools_of_both_eras: Tools, backend: Backend) -> None:
    answer = tools_of_both_eras.success("create_alert_rule", **RULE, severity="high", cooldown="10 minutes")
    (rule,) = backend.rules.values()
    assert answer.data["saved"] is True
    assert (
        answer.data["rule"] | {"id": rule.id, "severity": "high", "cooldown": "10m", "for": "2m"} == answer.data["rule"]
    )
    assert answer.data["meaning"] == "Fires when avg(cpu_percent, 5m) > 90 for 2m."
    assert answer.data["warnings"] == ["the window is shorter than the interval"]
    for fact in (rule.id, "CPU is high", "avg(cpu_percent, 5m) > 90 for 2m", "Fires when", "cooldown 10m", "Warning:"):
        assert fact in answer.text


def test_the_first_products_names_and_condition_object_are_understood(tools: Tools, backend: Backend) -> None:
    condition = {"type": "threshold", "field": "price", "operator": ">", "value": 60000}
    tools(
        "create_alert_rule", monitor_id="mon_host", title="T", condition=condition, cooldown_minutes=7, is_active=False
    )
    preview = next(request for name, _, request in backend.calls if name == "PreviewRule")
    assert preview.rule.monitor_id == "mon_host"
    assert preview.rule.cooldown.seconds == 420
    assert preview.rule.enabled is False
    assert preview.rule.condition_text == '{"type": "threshold", "field": "price", "operator": ">", "value": 60000}'


@pytest.mark.parametrize("spelling", ["5m", "5 minutes", "300", 300, "5 min", "300s", "4m 60s", 300.0])
def test_a_duration_may_be_spelled_in_many_ways(tools: Tools, backend: Backend, spelling: Any) -> None:
    tools.success("create_alert_rule", **RULE, cooldown=spelling)
    (rule,) = backend.rules.values()
    assert rule.cooldown.seconds == 300


def test_levels_are_said_by_severity_shown_changed_and_taken_away(tools: Tools, backend: Backend) -> None:
    levels = {"sev1": "> 98 recover < 95", "high": "> 95"}
    answer = tools.success("create_alert_rule", **RULE, levels=levels)
    (rule,) = backend.rules.values()
    said = [(level.severity, level.condition_text) for level in rule.levels]
    assert said == [(rule_pb2.SEVERITY_CRITICAL, "> 98 recover < 95"), (rule_pb2.SEVERITY_HIGH, "> 95")]
    assert answer.data["rule"]["levels"] == {"critical": "> 98 recover < 95", "high": "> 95"}
    assert "[medium, critical if > 98 recover < 95, high if > 95, idle]" in answer.text
    changed = tools.success("update_alert_rule", rule_id=rule.id, levels={"high": "> 96"})
    assert changed.data["rule"]["levels"] == {"high": "> 96"}
    assert [change["parameter"] for change in changed.data["changes"]] == ["levels"]
    assert "levels" not in tools.success("update_alert_rule", rule_id=rule.id, levels={}).data["rule"]


@pytest.mark.parametrize(("spelling", "severity"), [("sev1", "critical"), ("P2", "high"), ("Warning", "medium")])
def test_a_severity_may_be_spelled_in_many_ways(tools: Tools, spelling: str, severity: str) -> None:
    assert tools.success("create_alert_rule", **RULE, severity=spelling).data["rule"]["severity"] == severity


def test_a_dry_run_saves_nothing_and_shows_what_the_rule_reads(tools: Tools, backend: Backend) -> None:
    answer = tools.success("create_alert_rule", **RULE, dry_run=True, backtest_window="7d")
    assert not backend.rules
    assert answer.data["saved"] is False
    assert answer.data["matches"] == [{"monitor": "mon_host", "field": "cpu.cpu_percent", "last_value": 42.5}]
    assert "nothing was saved" in answer.text
    by_default = tools.success("create_alert_rule", **RULE, dry_run=True)
    assert "In the last 1d it would have fired 12 times" in by_default.text


def test_a_dry_run_with_a_window_tells_what_the_rule_would_have_done(tools: Tools) -> None:
    answer = tools.success("create_alert_rule", **RULE, dry_run=True, backtest_window="7d")
    backtest = answer.data["backtest"]
    assert (backtest["window"], backtest["alerts"], backtest["alerts_per_day"]) == ("7d", 12, 1.71)
    assert (backtest["firing_total"], backtest["firing_longest"], backtest["value_now"]) == ("1h", "15m", 42.5)
    assert len(backtest["intervals"]) == 10
    assert backtest["intervals"][0]["value"] == 92.0
    assert "ended" not in backtest["intervals"][-1]
    assert backtest["suggestions"] == [{"threshold": 97.0, "alerts_per_day": 1.04}]
    assert (
        "In the last 7d it would have fired 12 times (1.71 a day), for 1h in all and 15m at the longest." in answer.text
    )
    assert "The value now: 42.5" in answer.text
    assert "These are the latest 10." in answer.text
    assert "A threshold of 97 would have alerted 1.04 times a day." in answer.text
    assert "Warning: the history is short" in answer.text


def test_a_day_that_takes_too_long_to_try_is_left_out_unless_it_was_asked_for(tools: Tools, backend: Backend) -> None:
    backend.is_slow = True
    answer = tools.success("create_alert_rule", **RULE, dry_run=True)
    assert "backtest" not in answer.data
    assert "Warning: what it would have done in the last 1d takes too long to find out" in answer.text
    text = tools.error("create_alert_rule", **RULE, dry_run=True, backtest_window="1d")
    assert text == "backtest_window: takes too long; ask for a shorter time. Nothing was changed."


def test_a_dry_run_that_reads_many_series_says_how_many(tools: Tools, backend: Backend) -> None:
    backend.match_count = 31
    answer = tools.success("create_alert_rule", **RULE, dry_run=True)
    assert (len(answer.data["matches"]), answer.data["matches_total"]) == (20, 31)
    assert "Reads 20 of 31 series now:" in answer.text


def test_the_same_rule_isnt_made_twice_but_a_different_one_of_that_title_is(tools: Tools, backend: Backend) -> None:
    first = tools.success("create_alert_rule", **RULE)
    again = tools.success("create_alert_rule", **RULE)
    assert again.data["saved"] is False
    assert again.data["rule"]["id"] == first.data["rule"]["id"]
    assert len(backend.rules) == 1
    other = tools.success("create_alert_rule", **{**RULE, "condition": "cpu_percent > 50"})
    assert other.data["saved"] is True
    assert "same title" in other.text


@pytest.mark.parametrize("arguments", [{}, {"monitor": ""}, {**RULE, "monitor": None}, {**RULE, "monitor": "mon_hots"}])
def test_without_a_known_monitor_the_answer_says_what_can_be_watched(tools: Tools, arguments: dict[str, Any]) -> None:
    text = tools.error("create_alert_rule", **arguments)
    assert text.startswith("monitor:")
    assert "mon_host: cpu_percent = 12.5, load = 0.5" in text
    assert "Nothing was changed." in text


def test_a_pattern_names_several_monitors(tools: Tools, backend: Backend) -> None:
    backend.add_monitor("mon_check*", up=1.0)
    text = tools.error("create_alert_rule", **{**RULE, "monitor": "mon_ch*", "condition": "?"})
    assert text.startswith("monitor: no monitor 'mon_ch*' has ever reported")


def test_rules_are_listed_in_pages_with_what_is_left(tools_of_both_eras: Tools) -> None:
    for number in range(5):
        tools_of_both_eras.success(
            "create_alert_rule", **{**RULE, "title": f"Rule {number}"}, labels={"n": str(number)}
        )
    first = tools_of_both_eras.success("list_alert_rules", limit=3)
    assert (len(first.data["rules"]), first.data["total"]) == (3, 5)
    assert "3 of 5 rules" in first.text
    assert "narrow" in first.text
    last = tools_of_both_eras.success("list_alert_rules", limit=3, cursor=first.data["next_cursor"])
    assert (len(last.data["rules"]), "next_cursor" in last.data) == (2, False)
    (found,) = tools_of_both_eras.success("list_alert_rules", label="n=4").data["rules"]
    assert found["title"] == "Rule 4"


def test_one_rule_is_shown_in_full_and_monitors_on_request(tools: Tools) -> None:
    created = tools.success("create_alert_rule", **RULE, runbook_url="https://runbooks.example/cpu").data["rule"]
    answer = tools.success("list_alert_rules", rule_id=created["id"], include="monitors")
    assert answer.data["rules"] == [created]
    assert answer.data["monitors"][0]["fields"][0] == {"name": "cpu_percent", "type": "float", "last_value": 12.5}
    assert "mon_host: cpu_percent = 12.5" in answer.text
    assert "runbook https://runbooks.example/cpu" in answer.text


def test_an_update_changes_only_what_is_given_and_shows_before_and_after(
    tools_of_both_eras: Tools, backend: Backend
) -> None:
    tools = tools_of_both_eras
    created = tools.success("create_alert_rule", **RULE, labels={"team": "web"}).data["rule"]
    answer = tools.success("update_alert_rule", title="cpu is HIGH", severity="critical", notify=["ops"])
    assert answer.data["changes"] == [
        {"parameter": "severity", "before": "medium", "after": "critical"},
        {"parameter": "notify", "before": [], "after": ["ops"]},
    ]
    assert answer.data["rule"] == created | {"severity": "critical", "notify": ["ops"], "version": "v2"}
    assert "'medium' → 'critical'" in answer.text


def test_a_dry_update_shows_the_change_and_makes_none(tools: Tools, backend: Backend) -> None:
    created = tools.success("create_alert_rule", **RULE).data["rule"]
    answer = tools.success("update_alert_rule", rule_id=created["id"], **{"for": "3m"}, dry_run=True)
    changes = {change["parameter"]: change["after"] for change in answer.data["changes"]}
    assert changes == {"for": "3m", "condition": "avg(cpu_percent, 5m) > 90 for 3m"}
    shorter = tools.success("update_alert_rule", rule_id=created["id"], condition="load > 4 for 1m", dry_run=True)
    assert {change["parameter"]: change["after"] for change in shorter.data["changes"]} == {
        "for": "1m",
        "condition": "load > 4 for 1m",
    }
    assert backend.rules[created["id"]].etag == "v1"


def test_a_runbook_is_changed_and_removed_without_touching_other_annotations(tools: Tools, backend: Backend) -> None:
    rule_id = tools.success("create_alert_rule", **RULE).data["rule"]["id"]
    backend.rules[rule_id].annotations["summary"] = "Busy"
    tools.success("update_alert_rule", rule_id=rule_id, runbook_url="https://a.example")
    assert dict(backend.rules[rule_id].annotations) == {"summary": "Busy", "runbook_url": "https://a.example"}
    tools.success("update_alert_rule", rule_id=rule_id, runbook_url="")
    assert dict(backend.rules[rule_id].annotations) == {"summary": "Busy"}


def test_a_rule_is_snoozed_and_woken(tools: Tools, backend: Backend) -> None:
    rule_id = tools.success("create_alert_rule", **RULE).data["rule"]["id"]
    snoozed = tools.success("update_alert_rule", rule_id=rule_id, snooze_until="2h")
    assert snoozed.data["rule"]["state"] == "snoozed"
    assert "(in 2 h)" in snoozed.text
    woken = tools.success("update_alert_rule", rule_id=rule_id, snooze_until="off")
    assert woken.data["rule"]["state"] == "idle"
    assert not backend.rules[rule_id].HasField("snooze_until_time")
    assert "isn't in the future" in tools.error("update_alert_rule", rule_id=rule_id, snooze_until="2020-01-01")


def test_an_old_version_is_refused_for_real_and_in_a_dry_run(tools: Tools) -> None:
    rule_id = tools.success("create_alert_rule", **RULE).data["rule"]["id"]
    for dry_run in (False, True):
        text = tools.error("update_alert_rule", rule_id=rule_id, severity="low", expected_version="v0", dry_run=dry_run)
        assert text.startswith("expected_version:")
        assert "othing was changed" in text


def test_which_rule_must_be_clear(tools: Tools) -> None:
    first = tools.success("create_alert_rule", **RULE).data["rule"]["id"]
    second = tools.success("create_alert_rule", **{**RULE, "condition": "load > 4"}).data["rule"]["id"]
    text = tools.error("update_alert_rule", title="CPU is high", severity="low")
    assert first in text
    assert second in text
    assert "Similar ones" in tools.error("update_alert_rule", title="CPU", severity="low")
    assert f"{second} 'CPU is high'" in tools.error("update_alert_rule", title="cpu is hihg", severity="low")
    quoted = tools.success("create_alert_rule", **{**RULE, "title": r'say "x" \ y'}).data["rule"]["id"]
    answer = tools.success("update_alert_rule", title=r'Say "X" \ Y', severity="low")
    assert answer.data["rule"]["id"] == quoted
    assert "no rule is called" in tools.error("delete_alert_rule", title='say "z"', confirm_title="z")
    assert "rule_id or title" in tools.error("update_alert_rule", severity="low")
    assert "Nothing to change" in tools.error("update_alert_rule", rule_id=first)


ANSWERS = [
    (ElicitResult(action="accept", content={"delete": True}), True),
    (ElicitResult(action="accept", content={"delete": False}), False),
    (ElicitResult(action="decline"), False),
    (ElicitResult(action="cancel"), False),
]


@pytest.mark.parametrize(("reply", "deleted"), ANSWERS)
def test_a_rule_is_deleted_only_if_its_user_agrees(
    tools_of_both_eras: Tools, backend: Backend, reply: ElicitResult, deleted: bool
) -> None:
    rule_id = tools_of_both_eras.success("create_alert_rule", **RULE).data["rule"]["id"]
    questions = []

    async def reply_to(context: Any, parameters: Any) -> ElicitResult:
        assert not isinstance(parameters, ElicitRequestURLParams)
        questions.append(parameters.message)
        return reply

    async def delete(client: Any) -> Any:
        # A model may repeat the title by itself, so where the user can be asked that isn't their consent.
        return await client.call_tool("delete_alert_rule", {"rule_id": rule_id, "confirm_title": "CPU is high"})

    answer = answer_of(tools_of_both_eras.with_client(delete, elicitation_callback=reply_to))
    assert questions == [
        f"Delete the alert rule 'CPU is high' ({rule_id}, version v1, avg(cpu_percent, 5m) > 90 for 2m) on mon_host?"
    ]
    assert (answer.is_error, answer.data["deleted"], rule_id in backend.rules) == (False, deleted, not deleted)


@pytest.mark.parametrize("content", [None, {"delete": "perhaps"}, {}])
def test_a_malformed_consent_deletes_nothing(tools_of_both_eras: Tools, backend: Backend, content: Any) -> None:
    rule_id = tools_of_both_eras.success("create_alert_rule", **RULE).data["rule"]["id"]

    async def reply_to(context: Any, parameters: Any) -> ElicitResult:
        return ElicitResult(action="accept", content=content)

    async def delete(client: Any) -> Any:
        return await client.call_tool("delete_alert_rule", {"rule_id": rule_id})

    answer = answer_of(tools_of_both_eras.with_client(delete, elicitation_callback=reply_to))
    assert answer.is_error
    assert "can't be read" in answer.text
    assert "Resolver" not in answer.text
    assert rule_id in backend.rules


def test_a_client_that_cant_ask_must_repeat_the_title(tools_of_both_eras: Tools, backend: Backend) -> None:
    tools = tools_of_both_eras
    rule_id = tools.success("create_alert_rule", **RULE).data["rule"]["id"]
    assert "confirm_title='CPU is high'" in tools.error("delete_alert_rule", rule_id=rule_id)
    assert "isn't the title" in tools.error("delete_alert_rule", rule_id=rule_id, confirm_title="Disk is full")
    assert rule_id in backend.rules
    assert tools.success("delete_alert_rule", rule_id=rule_id, confirm_title="CPU is high").data["deleted"] is True
    assert rule_id not in backend.rules


def test_a_deleted_rule_is_restored_from_the_answer(tools: Tools) -> None:
    full = {
        **RULE,
        "labels": {"team": "web"},
        "notify": ["ops"],
        "no_data": "alert",
        "runbook_url": "https://r.example",
        "levels": {"critical": "> 95 recover < 90"},
    }
    created = tools.success("create_alert_rule", **full, severity="low", interval="1m").data["rule"]
    deleted = tools.success("delete_alert_rule", rule_id=created["id"], confirm_title="CPU is high")
    assert "repeat_interval" not in deleted.text
    restored = tools.success("create_alert_rule", **deleted.data["restore"]).data["rule"]
    assert restored == created | {"id": restored["id"]}


def test_what_cant_be_restored_is_said(tools: Tools, backend: Backend) -> None:
    rule_id = tools.success("create_alert_rule", **RULE).data["rule"]["id"]
    backend.rules[rule_id].group_by.append("cpu")
    deleted = tools.success("delete_alert_rule", rule_id=rule_id, confirm_title="CPU is high")
    assert "can't set again: group_by" in deleted.text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cpu > 90 for 5m", True),
        ("cpu > 90", False),
        ("no data for 15m", False),
        ("no data for 15m for 5m", True),
        ('no data on up{host="a b", zone="c"} for 15m', False),
        ('no data on "up for" for 15m', False),
        ('state in ("out for lunch", "ok")', False),
        ("cpu > 90 and no data on load1 for 5m for 2m", True),
    ],
)
def test_a_for_clause_is_told_from_what_else_says_for(text: str, says: bool) -> None:
    assert has_for_clause(text) is says
