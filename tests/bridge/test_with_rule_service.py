"""The bridge on the real RuleService: what the tools say of rules and monitors is what the service means."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.bridge.conftest import RealService, Tools

RULE = {"monitor": "mon_host", "title": "CPU is high", "condition": "avg(cpu_percent, 5m) > 90 for 2m"}


@pytest.fixture
def rule_id(real: Tools) -> Iterator[str]:
    created = real.success("create_alert_rule", **RULE).data["rule"]
    yield created["id"]
    real("delete_alert_rule", rule_id=created["id"], confirm_title="CPU is high")


def test_a_rule_lives_from_dry_run_to_restore(real: Tools) -> None:
    dry = real.success("create_alert_rule", **{**RULE, "title": "Life"}, dry_run=True, backtest_window="1d")
    assert dry.data["rule"]["condition"] == "avg(cpu_percent, 5m) > 90 for 2m"
    assert dry.data["meaning"]
    created = real.success("create_alert_rule", **{**RULE, "title": "Life"}, severity="sev2", labels={"team": "web"})
    rule = created.data["rule"]
    assert created.data["saved"] is True
    assert (
        real.success("create_alert_rule", **{**RULE, "title": "Life"}, severity="high", labels={"team": "web"}).data[
            "rule"
        ]["id"]
        == rule["id"]
    )
    updated = real.success("update_alert_rule", title="life", **{"for": "5m"}, expected_version=rule["version"])
    assert updated.data["rule"]["condition"] == "avg(cpu_percent, 5m) > 90 for 5m"
    assert [change["parameter"] for change in updated.data["changes"]] == ["condition", "for"]
    assert "expected_version" in real.error(
        "update_alert_rule", title="life", severity="low", expected_version=rule["version"]
    )
    deleted = real.success("delete_alert_rule", rule_id=rule["id"], confirm_title="Life")
    restored = real.success("create_alert_rule", **deleted.data["restore"]).data["rule"]
    ignored = ("id", "version", "created", "updated")
    assert {k: v for k, v in restored.items() if k not in ignored} == {
        k: v for k, v in updated.data["rule"].items() if k not in ignored
    }
    real.success("delete_alert_rule", rule_id=restored["id"], confirm_title="Life")


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({"condition": "load > 4"}, {"condition": "load > 4 for 2m", "for": "2m"}),
        ({"condition": "load > 4 for 1m"}, {"condition": "load > 4 for 1m", "for": "1m"}),
        ({"for": 0}, {"condition": "avg(cpu_percent, 5m) > 90", "for": "0s"}),
        ({"condition": "no data for 15m", "for": "0s"}, {"condition": "no data for 15m", "for": "0s"}),
        ({"enabled": False, "new_title": "CPU is high"}, {"state": "disabled", "enabled": False}),
        ({"snooze_until": "3h", "no_data": "alert"}, {"state": "snoozed", "no_data": "alert"}),
        ({"labels": {"a": "b"}, "runbook_url": "https://r.example"}, {"labels": {"a": "b"}}),
    ],
)
def test_what_a_dry_update_shows_is_what_the_update_does(
    real: Tools, rule_id: str, change: dict[str, Any], after: dict[str, Any]
) -> None:
    dry = real.success("update_alert_rule", rule_id=rule_id, **change, dry_run=True)
    done = real.success("update_alert_rule", rule_id=rule_id, **change)
    assert done.data["rule"] | after == done.data["rule"]
    moving = ("snoozed_until",)
    expected = [item for item in done.data["changes"] if item["parameter"] not in moving]
    assert [item for item in dry.data["changes"] if item["parameter"] not in moving] == expected


def test_one_rule_for_several_monitors(real: Tools) -> None:
    made = real.success("create_alert_rule", **{**RULE, "monitor": "mon_*", "title": "All"}).data["rule"]
    assert made["monitor"] == "mon_*"
    real.success("delete_alert_rule", title="All", confirm_title="All")


def test_the_first_products_condition_is_saved_in_our_words(real: Tools) -> None:
    condition = {"type": "threshold", "field": "price", "operator": ">", "value": 60000, "aggregation": "latest"}
    made = real.success(
        "create_alert_rule", monitor_id="mon_web", title="Price", condition=condition, cooldown_minutes=10
    )
    assert (made.data["rule"]["condition"], made.data["rule"]["cooldown"]) == ("price > 60000", "10m")
    real.success("delete_alert_rule", title="Price", confirm_title="Price")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ({"monitor": "mon_hots"}, ["monitor:", "mon_host: cpu_percent", "mon_web"]),
        ({"condition": "avg(cpu_precent, 5m) > 90"}, ["condition", "cpu_precent", "cpu_percent"]),
        ({"condition": "cpu is far too much"}, ["condition"]),
        ({"condition": "cpu_percent > nan"}, ["condition"]),
        ({"notify": ["nosuch"]}, ["notify", "nosuch"]),
        ({"cooldown": "30d"}, ["cooldown", "7d"]),
        ({"for": "1m"}, ["for", "2m"]),
        ({"title": "x" * 300}, ["title", "200"]),
        ({"severity": "high", "interval": "10ms"}, ["interval", "1s"]),
    ],
)
def test_the_services_errors_teach_in_the_tools_words(real: Tools, arguments: dict[str, Any], parts: list[str]) -> None:
    text = real.error("create_alert_rule", **{**RULE, **arguments})
    for part in parts:
        assert part in text
    for foreign in ("rule.", "_text", "for_duration", "RESOLVE", "ListRules", "ListMonitors"):
        assert foreign not in text
    assert text.lower().count("nothing was changed") == 1


def test_lists_filter_as_they_say(real: Tools, rule_id: str) -> None:
    for arguments in ({"query": "cpu IS"}, {"monitor": "mon_host"}, {"severity": "medium"}, {"state": "idle"}):
        found = [rule["id"] for rule in real.success("list_alert_rules", **arguments).data["rules"]]
        assert found == [rule_id], arguments
    for arguments in ({"query": 'a "b'}, {"monitor": "mon_web"}, {"state": "disabled"}, {"label": "team=x"}):
        assert not real.success("list_alert_rules", **arguments).data["rules"]
    assert (
        real.success("list_alerts", rule_id=rule_id, since="2h", state="unacknowledged", explain=True).data["total"]
        == 0
    )
    monitors = real.success("list_alert_rules", include="monitors").data["monitors"]
    assert [monitor["id"] for monitor in monitors] == ["mon_host", "mon_web"]
    assert "cursor" in real.error("list_alert_rules", cursor="damaged")


def test_acknowledging_is_all_or_nothing_and_says_which(real: Tools, real_service: RealService) -> None:
    rule = real_service.client.create("load > 1", title="Load")
    first, second = (real_service.client.fire(rule, group={"core": core}) for core in "01")
    text = real.error("acknowledge_alert", alert_id=[first, "alert_nosuch", second], note="on it")
    assert text.startswith("alert_id: there is no alert 'alert_nosuch'")
    assert text.endswith("Nothing was changed.")
    assert real.success("list_alerts", rule_id=rule.id, state="acknowledged").data["total"] == 0
    assert real.success("acknowledge_alert", alert_id=first, note="on it").data["acknowledged"] == [first]
    again = real.success("acknowledge_alert", alert_id=f"{first}, {second}", note="me too")
    assert (again.data["acknowledged"], again.data["already_acknowledged"]) == ([second], [first])
    assert [alert["acknowledge_note"] for alert in again.data["alerts"]] == ["on it", "me too"]
    who, moment = again.data["alerts"][0]["acknowledged_by"], again.data["alerts"][0]["acknowledged"]
    assert f"Acknowledged before, and left as they were: {first}." in again.text
    assert f"acknowledged by {who!r}; {moment}" in again.text
    explained = real.success("list_alerts", alert_id=first, explain=True)
    kinds = [event["kind"] for event in explained.data["explanations"][0]["timeline"]]
    assert kinds == ["firing", "acknowledged"]
    real.success("delete_alert_rule", rule_id=rule.id, confirm_title="Load")


def test_the_default_channels_are_told_unless_others_are_named(real: Tools) -> None:
    rule = {"monitor": "mon_host", "title": "T", "condition": "load > 1", "dry_run": True}
    assert "tells the default channels" in real.success("create_alert_rule", **rule).text
    named = real.success("create_alert_rule", **rule, notify="night,ops")
    assert named.data["rule"]["notify"] == ["night", "ops"]
    assert "tells night, ops" in named.text
    assert real.error("create_alert_rule", **rule, notify="nosuch").startswith(
        "notify: there is no channel 'nosuch'; there are night, ops."
    )


def test_a_title_beside_an_id_must_be_the_rules_own(real: Tools, rule_id: str) -> None:
    told = real.error("update_alert_rule", rule_id=rule_id, title="Renamed", severity="low")
    for part in ("'Renamed'", "new_title", "othing was changed"):
        assert part in told
    own = real.success("list_alert_rules", rule_id=rule_id).data["rules"][0]["title"]
    assert real.success("update_alert_rule", rule_id=rule_id, title=own, severity="low").data["saved"]


def test_nobody_takes_what_doesnt_exist_for_quiet(real: Tools) -> None:
    assert "list_alert_rules" in real.error("list_alerts", rule_id="rule_nope")
    for tool, more in (("list_alerts", {}), ("list_alert_rules", {}), ("list_alert_rules", {"include": "monitors"})):
        answer = real.success(tool, monitor="mon_nope", **more)
        assert "Nothing called 'mon_nope' has ever reported." in answer.data["note"]
        assert "Nothing called 'mon_nope'" in answer.text
    assert "note" not in real.success("list_alerts", monitor="mon_web", since="1s").data
