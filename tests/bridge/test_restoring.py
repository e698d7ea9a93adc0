"""What a deleted rule's answer restores, and that it names what it can't."""

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from monitors.bridge.convert import lost_on_restore, restore_arguments
from monitors.v1 import rule_pb2
from tests.bridge.conftest import RealService, Tools

OURS = frozenset(("id", "createTime", "updateTime", "etag", "creator"))
"""What a rule gets when it's saved."""
FULL: list[dict[str, Any]] = [
    {"condition": "avg(cpu_percent, 5m) > 90 for 2m recover < 75"},
    {"condition": 'load{host=~"a.*"} > 5 and no data on price for 15m', "for": "90s", "severity": "critical"},
    {"condition": "cpu_percent > 50", "levels": {"critical": "> 95 recover < 90", "high": "> 80"}, "cooldown": "1h"},
    {"condition": "price == 5 within 0.001", "no_data": "alert", "notify": ["night", "ops"], "interval": "1m"},
    {"condition": "load > 1", "labels": {"team": "a \"b\" 'c'", "Ü": ""}, "runbook_url": "https://r.example/ü?a=b"},
    {"condition": "load > 1", "enabled": False, "title": 'A "quoted" \\ title\u200b', "monitor": "mon_*"},
]


@pytest.mark.parametrize("settings", FULL)
def test_a_deleted_rule_is_made_again_as_it_was(
    real: Tools, real_service: RealService, settings: dict[str, Any]
) -> None:
    made = real.success("create_alert_rule", **{"monitor": "mon_host", "title": "Full", **settings}).data["rule"]
    before = real_service.client.get(made["id"])
    gone = real.success("delete_alert_rule", rule_id=made["id"], confirm_title=before.title)
    assert "note" not in gone.data
    assert repr(gone.data["restore"]) in gone.text
    again = real.success("create_alert_rule", **gone.data["restore"]).data["rule"]
    after = real_service.client.get(again["id"])
    assert settled(after) == settled(before)
    real.success("delete_alert_rule", rule_id=again["id"], confirm_title=after.title)


def settled(rule: rule_pb2.Rule) -> dict[str, Any]:
    return {name: value for name, value in MessageToDict(rule).items() if name not in OURS}


def test_every_setting_is_restored_or_named() -> None:
    """A field that is added to the contract must be added to one of them."""
    told = {
        "monitor_id": "monitor", "condition_text": "condition", "condition": "condition", "for_duration": "for",
        "no_data_policy": "no_data", "snooze_until_time": "snooze_until", "annotations": "runbook_url",
    }  # fmt: skip
    ours = {"id", "create_time", "update_time", "creator", "updater", "etag", "open_alert_count"}
    rule = rule_pb2.Rule(
        monitor_id="m", title="t", condition_text="x > 1 for 1m", severity=rule_pb2.SEVERITY_HIGH,
        no_data_policy=rule_pb2.MISSING_POLICY_ALERT, missing_series_policy=rule_pb2.MISSING_POLICY_ALERT,
        group_by=["host"], notify=["ops"], labels={"a": "b"}, annotations={"runbook_url": "u", "summary": "s"},
        enabled=False, evaluation_mode=rule_pb2.EVALUATION_MODE_INTERVAL, key="k",
        levels=[rule_pb2.Level(severity=rule_pb2.SEVERITY_CRITICAL, condition_text="> 5")],
    )  # fmt: skip
    for name in ("for_duration", "keep_firing_for", "cooldown", "repeat_interval", "interval", "snooze_until_time"):
        getattr(rule, name).seconds = 60
    said = {*restore_arguments(rule), *lost_on_restore(rule)}
    fields = {field.name for field in rule_pb2.Rule.DESCRIPTOR.fields} - ours
    assert {told.get(name, name) for name in fields} <= said
    assert "annotations" in said


def test_what_cant_be_set_again_is_named(real: Tools, real_service: RealService) -> None:
    rule = real_service.client.create("load > 1", title="Kept", group_by=["host"], annotations={"summary": "s"})
    gone = real.success("delete_alert_rule", rule_id=rule.id, confirm_title="Kept")
    assert gone.data["note"] == "What create_alert_rule can't set again: group_by, annotations."
    assert gone.data["note"] in gone.text
