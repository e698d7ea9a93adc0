"""Rules: made, read, listed, changed, deleted; each refusal names the field, the value, and the fix."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from monitors.mesh.times import DAY, now_nanos, to_duration, to_timestamp
from monitors.v1 import condition_pb2, mesh_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import FIRING, RESOLVED, SECOND, SNOOZED, STRING, Client


def creation(**fields: Any) -> pb.CreateRuleRequest:
    given = {"monitor_id": "mon_host", "title": "CPU", "condition_text": "cpu_percent > 90"} | fields
    return pb.CreateRuleRequest(rule=rule_pb2.Rule(**given))


def change(rule_id: str, *paths: str, **fields: Any) -> pb.UpdateRuleRequest:
    mask = FieldMask(paths=paths) if paths else None
    return pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule_id, **fields), update_mask=mask)


def test_a_new_rule_has_everything_filled_in(client: Client) -> None:
    rule = client.create("average cpu_percent over 1 minute is above 90 for 30s", severity="SEVERITY_HIGH")
    assert rule.id.startswith("rule_")
    assert rule.condition_text == "avg(cpu_percent, 1m) > 90 for 30s"
    left = rule.condition.comparison.left.input
    assert (left.measurement, left.field, left.window.seconds) == ("cpu", "cpu_percent", 60)
    assert (rule.for_duration.seconds, rule.cooldown.seconds, rule.interval.seconds) == (30, 300, 30)
    assert rule.repeat_interval.seconds == 4 * 3600
    assert (rule.no_data_policy, rule.missing_series_policy) == (
        rule_pb2.MISSING_POLICY_KEEP,
        rule_pb2.MISSING_POLICY_RESOLVE,
    )
    assert rule.enabled
    assert rule.creator.startswith("key_")
    assert client.get(rule.id) == rule


def test_a_field_is_found_by_its_qualified_name(client: Client) -> None:
    rule = client.create("mem.used_percent > 90")
    assert rule.condition_text == "mem.used_percent > 90"
    assert rule.condition.comparison.left.input.measurement == "mem"
    assert rule.condition.comparison.left.input.field == "used_percent"


def test_a_condition_may_come_as_a_message(client: Client) -> None:
    given = condition_pb2.Input(field="cpu_percent", aggregation=condition_pb2.AGGREGATION_MAXIMUM)
    given.window.FromSeconds(120)
    condition = condition_pb2.Condition(
        range=condition_pb2.Range(expression=condition_pb2.Expression(input=given), low=1, high=5, outside=True)
    )
    rule = client.create("", condition=condition)
    assert rule.condition_text == "max(cpu_percent, 2m) outside 1..5"


def test_a_pattern_names_several_monitors(client: Client) -> None:
    client.report("mon_check_a", [("http", "is_up", "FIELD_TYPE_BOOLEAN")])
    client.report("mon_check_b", [("http", "is_up", "FIELD_TYPE_BOOLEAN")])
    rule = client.create("is_up == 0", monitor_id="mon_check*")
    assert rule.monitor_id == "mon_check*"
    monitors = client.call(pb.ListMonitorsRequest()).monitors
    assert {monitor.id: monitor.rule_count for monitor in monitors} == {
        "mon_check_a": 1,
        "mon_check_b": 1,
        "mon_host": 0,
    }


@pytest.mark.parametrize(
    ("fields", "reason", "told"),
    [
        ({"monitor_id": "mon_hots"}, "UNKNOWN_MONITOR", "'mon_hots', did you mean 'mon_host'?; there are mon_host"),
        ({"monitor_id": "mon_x*"}, "UNKNOWN_MONITOR", "no monitor matches 'mon_x*'"),
        ({"monitor_id": ""}, "INVALID_FIELD", "rule.monitor_id: is empty"),
        (
            {"condition_text": "cpu_percnt > 9"},
            "UNKNOWN_FIELD",
            "did you mean 'cpu_percent'?; it has cpu_percent, path",
        ),
        ({"condition_text": "used_percent > 9"}, "UNKNOWN_FIELD", "disk.used_percent, mem.used_percent"),
        ({"condition_text": "path > 9"}, "INVALID_CONDITION", "holds text"),
        (
            {"condition_text": "cpu >< 9"},
            "INVALID_CONDITION",
            "rule.condition_text: can't be read at '<' (character 6)",
        ),
        ({"condition_text": ""}, "INVALID_CONDITION", "rule.condition_text: is missing; say when to fire"),
        ({"title": ""}, "INVALID_FIELD", "rule.title: is empty"),
        ({"title": "x" * 1_000_000}, "INVALID_FIELD", "rule.title: has 1,000,000 characters; at most 200"),
        ({"title": "a\nb"}, "INVALID_FIELD", "line break"),
        ({"cooldown": Duration(seconds=-5)}, "INVALID_FIELD", "rule.cooldown: -5s is out of bounds; send 0s to 7d"),
        ({"interval": Duration(nanos=1)}, "INVALID_FIELD", "rule.interval: 1ns is out of bounds; send 1s to 1d"),
        ({"for_duration": Duration(seconds=2**62)}, "INVALID_FIELD", "rule.for_duration"),
        ({"repeat_interval": Duration(seconds=5)}, "INVALID_FIELD", "send 0s (never) or 1m to 7d"),
        ({"keep_firing_for": Duration(seconds=1, nanos=-1)}, "INVALID_FIELD", "one sign"),
        ({"snooze_until_time": Timestamp(seconds=2**62)}, "INVALID_FIELD", "1970 to 2262"),
        ({"severity": 77}, "INVALID_FIELD", "rule.severity: 77"),
        ({"no_data_policy": rule_pb2.MISSING_POLICY_RESOLVE}, "INVALID_FIELD", "OK, ALERT or KEEP"),
        ({"notify": ["opps"]}, "UNKNOWN_CHANNEL", "'opps', did you mean 'ops'?; there are night, ops"),
        ({"notify": ["ops", "ops"]}, "INVALID_FIELD", "named twice"),
        ({"labels": {"": "x"}}, "INVALID_FIELD", "rule.labels"),
        ({"labels": {"a": "x" * 257}}, "INVALID_FIELD", "at most 256"),
        ({"annotations": {str(n): "x" for n in range(33)}}, "INVALID_FIELD", "33 entries; at most 32"),
        (
            {"for_duration": Duration(seconds=5), "condition_text": "cpu_percent > 9 for 2m"},
            "INVALID_FIELD",
            "say it once",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(client: Client, fields: dict[str, Any], reason: str, told: str) -> None:
    error = client.refused(creation(**fields))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", reason)
    assert told in error.message


def number(value: float) -> condition_pb2.Condition:
    left = condition_pb2.Expression(input=condition_pb2.Input(field="cpu_percent"))
    right = condition_pb2.Expression(number=value)
    return condition_pb2.Condition(
        comparison=condition_pb2.Comparison(
            left=left, operator=condition_pb2.COMPARISON_OPERATOR_GREATER, expression=right
        )
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_threshold_must_be_a_number(client: Client, value: float) -> None:
    error = client.refused(creation(condition_text="", condition=number(value)))
    assert error.reason == "INVALID_CONDITION"
    assert "must be a finite number" in error.message


def test_a_rule_is_grouped_by_tags_until_it_is_by_all_again(client: Client) -> None:
    made = client.create(group_by=["host", "core"])
    assert list(made.group_by) == ["core", "host"]
    assert list(client.get(made.id).group_by) == ["core", "host"]
    assert not client.call(change(made.id, "group_by")).rule.group_by


@pytest.mark.parametrize(
    ("tags", "told"), [(["a", "a"], "named twice"), ([""], "name a tag"), ([str(i) for i in range(33)], "at most 32")]
)
def test_the_tags_to_group_by_are_checked(client: Client, tags: list[str], told: str) -> None:
    error = client.refused(creation(group_by=tags))
    assert "rule.group_by: " in error.message
    assert told in error.message


def test_all_that_is_wrong_is_told_at_once(client: Client) -> None:
    error = client.refused(creation(title="", cooldown=Duration(seconds=-1), condition_text="cpu >", notify=["x"]))
    for field in ("rule.title", "rule.cooldown", "rule.condition_text", "rule.notify"):
        assert f"{field}: " in error.message
    assert error.reason == "INVALID_FIELD"


def test_the_two_spellings_of_a_condition_must_agree(client: Client) -> None:
    rule = client.create("cpu_percent > 90")
    again = rule_pb2.Rule()
    again.CopyFrom(rule)
    assert client.call(pb.CreateRuleRequest(rule=again)).rule.condition_text == rule.condition_text
    again.condition_text = "cpu_percent > 80"
    assert "send one of the two" in client.refused(pb.CreateRuleRequest(rule=again)).message


def test_what_looks_wrong_is_a_warning(client: Client) -> None:
    response = client.call(creation(condition_text="avg(cpu_percent, 10s) > 9"))
    assert any("shorter than the interval" in warning for warning in response.warnings)
    client.mirror(("ops", False))
    response = client.call(creation())
    assert any("nobody will be told" in warning for warning in response.warnings)
    assert not client.call(creation(notify=["ops"])).warnings


def test_a_channel_that_tells_nobody_is_a_warning(client: Client) -> None:
    client.mirror(("mail", False), ("ops", True), state=mesh_pb2.CHANNEL_STATE_UNVERIFIED)
    (warning,) = client.call(creation(notify=["mail"])).warnings
    assert "'mail' tells nobody now: no address of it is verified" in warning
    (warning,) = client.call(creation(title="Other")).warnings
    assert "'ops'" in warning
    client.mirror(("mail", False), ("ops", True), state=mesh_pb2.CHANNEL_STATE_OFF)
    *each, all_of_them = client.call(creation(title="Third", notify=["mail", "ops"])).warnings
    assert [("turned off" in warning) for warning in each] == [True, True]
    assert "nobody is told now" in all_of_them


def test_what_an_older_notifier_does_not_say_of_a_channel_stays_known(client: Client) -> None:
    client.mirror(("mail", False), ("ops", False), state=mesh_pb2.CHANNEL_STATE_UNVERIFIED)
    client.mirror(("mail", True), ("new", False), state=mesh_pb2.CHANNEL_STATE_UNSPECIFIED)
    names = client.call(pb.ListChannelNamesRequest()).channels
    assert [(one.name, one.is_default, mesh_pb2.ChannelState.Name(one.state)) for one in names] == [
        ("mail", True, "CHANNEL_STATE_UNVERIFIED"), ("new", False, "CHANNEL_STATE_WORKS"),
    ]  # fmt: skip
    client.mirror(("mail", True), state=mesh_pb2.CHANNEL_STATE_WORKS)
    assert not client.call(creation(notify=["mail"])).warnings


def test_every_window_that_may_hold_too_few_points_is_a_warning(client: Client) -> None:
    slots = {"interval": Duration(seconds=60), "evaluation_mode": rule_pb2.EVALUATION_MODE_INTERVAL}
    text = "rate(cpu_percent, 30s) > 1 and rate(cpu_percent, 90s) > 1 and rate(cpu_percent, 2m) > cpu_percent"
    told = " ".join(client.call(creation(condition_text=text, **slots)).warnings)
    assert "the window (30s) is shorter than the interval (1m)" in told
    assert "the window (1m30s) is shorter than two intervals (1m each)" in told
    assert "(2m)" not in told
    assert "two intervals" not in " ".join(client.call(creation(condition_text=text)).warnings)


def test_a_repeated_request_gets_the_first_answer(client: Client) -> None:
    request = creation()
    request.request_id = "r1"
    made = client.call(request)
    assert client.call(request) == made
    assert client.call(pb.ListRulesRequest()).total_count == 1
    request.rule.title = "Other"
    error = client.refused(request)
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    deletion = pb.DeleteRuleRequest(rule_id=made.rule.id, request_id="r1")
    assert client.call(deletion) == client.call(deletion)
    request.request_id = "x" * 65
    assert client.refused(request).metadata["field"] == "request_id"


def test_a_change_changes_what_the_mask_names(client: Client) -> None:
    rule = client.create("cpu_percent > 90", labels={"team": "a"}, notify=["ops"])
    response = client.call(change(rule.id, "title", "labels", "cooldown", title="New", severity="SEVERITY_LOW"))
    assert response.previous == rule
    assert (response.rule.title, dict(response.rule.labels), response.rule.severity) == ("New", {}, rule.severity)
    assert response.rule.cooldown.seconds == 300
    assert response.rule.etag != rule.etag
    assert list(response.rule.notify) == ["ops"]
    assert client.get(rule.id) == response.rule


def test_without_a_mask_everything_that_is_set_is_changed(client: Client) -> None:
    rule = client.create("cpu_percent > 90 for 30s")
    changed = client.call(change(rule.id, condition_text="mem.used_percent > 80")).rule
    assert changed.condition_text == "mem.used_percent > 80 for 30s"
    assert changed.title == "CPU"
    # What was read may be sent back with a change in one place.
    changed.for_duration.FromSeconds(60)
    again = client.call(pb.UpdateRuleRequest(rule=changed)).rule
    assert again.condition_text == "mem.used_percent > 80 for 1m"
    again.condition_text = "cpu_percent < 3 for 5s"
    assert client.call(pb.UpdateRuleRequest(rule=again)).rule.for_duration.seconds == 5


def test_a_change_that_changes_nothing_keeps_the_etag(client: Client) -> None:
    rule = client.create("cpu_percent > 90")
    same = client.call(change(rule.id, title="CPU", condition_text="cpu_percent is above 90.0")).rule
    assert same == rule


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("titel", "did you mean 'title'?"),
        ("labels.team", "did you mean 'labels'?"),
        ("etag", "can't be changed"),
        ("", "''"),
    ],
)
def test_an_unknown_path_is_refused(client: Client, path: str, told: str) -> None:
    rule = client.create()
    error = client.refused(change(rule.id, path, title="x"))
    assert (error.code, error.metadata["field"]) == ("INVALID_ARGUMENT", "update_mask")
    assert told in error.message


def test_a_stale_etag_is_refused_and_names_the_current_one(client: Client) -> None:
    rule = client.create()
    newer = client.call(change(rule.id, title="New")).rule
    error = client.refused(change(rule.id, title="Newer", etag=rule.etag))
    assert (error.code, error.reason, error.metadata["etag"]) == ("ABORTED", "ETAG_MISMATCH", newer.etag)
    assert client.refused(pb.DeleteRuleRequest(rule_id=rule.id, etag=rule.etag)).code == "ABORTED"
    client.call(pb.DeleteRuleRequest(rule_id=rule.id, etag=newer.etag))


def test_a_rule_whose_monitor_is_gone_can_still_be_turned_off(client: Client) -> None:
    rule = client.create(notify=["night"])
    client.mirror(("ops", True))
    changed = client.call(change(rule.id, "enabled", enabled=False)).rule
    assert not changed.enabled
    assert client.refused(change(rule.id, notify=["ops", "night"])).reason == "UNKNOWN_CHANNEL"


def test_a_deleted_rule_comes_back_whole_and_can_be_made_again(client: Client) -> None:
    rule = client.create("cpu_percent > 90 for 30s", annotations={"summary": "s"})
    gone = client.call(pb.DeleteRuleRequest(rule_id=rule.id)).rule
    assert gone == rule
    assert client.refused(pb.GetRuleRequest(rule_id=rule.id)).code == "NOT_FOUND"
    assert client.refused(pb.DeleteRuleRequest(rule_id=rule.id)).code == "NOT_FOUND"
    again = client.call(pb.CreateRuleRequest(rule=gone)).rule
    assert (again.condition, again.for_duration, again.annotations) == (
        rule.condition,
        rule.for_duration,
        rule.annotations,
    )


def test_many_rules_are_made_together_or_not_at_all(client: Client) -> None:
    rules = [rule_pb2.Rule(monitor_id="mon_host", title=f"r{n}", condition_text="cpu_percent > 1") for n in range(300)]
    rules[7].title = ""
    error = client.refused(pb.BatchCreateRulesRequest(rules=rules))
    assert error.message.startswith("rules[7].title: is empty")
    assert client.call(pb.ListRulesRequest()).total_count == 0
    rules[7].title = "r7"
    made = client.call(pb.BatchCreateRulesRequest(rules=rules)).rules
    assert [rule.title for rule in made] == [rule.title for rule in rules]
    assert len({rule.etag for rule in made}) == 300


def test_a_preview_explains_and_saves_nothing(client: Client) -> None:
    request = pb.PreviewRuleRequest(rule=creation(condition_text="avg(cpu_percent, 5m) > 90 for 2m").rule)
    preview = client.call(request)
    assert preview.explanation.startswith(
        "Fires with severity medium when, on the monitor 'mon_host', the average of cpu.cpu_percent over the "
        "last 5 minutes is greater than 90, and that has lasted for 2 minutes."
    )
    assert preview.rule.condition_text == "avg(cpu_percent, 5m) > 90 for 2m"
    assert client.call(pb.ListRulesRequest()).total_count == 0
    saved = client.create("cpu_percent > 5")
    preview = client.call(pb.PreviewRuleRequest(rule=rule_pb2.Rule(id=saved.id)))
    assert preview.rule.title == saved.title


def test_of_a_rule_that_waits_for_silence_it_is_not_said_what_no_data_means_besides(client: Client) -> None:
    for condition, says in (("no data for 10m", False), ("cpu_percent > 5", True)):
        told = client.call(pb.PreviewRuleRequest(rule=creation(condition_text=condition).rule)).explanation
        assert ("While no series has data, it stays as it is." in told) is says


def test_a_backtest_without_an_evaluator_is_a_warning_and_an_explanation_an_error(client: Client) -> None:
    request = pb.PreviewRuleRequest(rule=creation().rule, backtest_window=to_duration(7 * DAY))
    preview = client.call(request)
    assert not preview.HasField("backtest")
    assert "what it would have done couldn't be found out: the evaluator can't be reached" in preview.warnings
    assert not client.call(pb.PreviewRuleRequest(rule=creation().rule, include_chart=True)).chart
    request.backtest_window.seconds = 400 * 86_400
    assert client.refused(request).message == "backtest_window: 400d is out of bounds; send 1s to 366d, such as 7d"
    assert client.refused(pb.ExplainRuleRequest(rule_id="rule_000000000000")).code == "NOT_FOUND"
    assert client.refused(pb.ExplainRuleRequest(alert_id="alert_000000000000")).code == "NOT_FOUND"
    assert client.refused(pb.ExplainRuleRequest(rule_id=client.create().id)).code == "UNAVAILABLE"


def test_e4_turning_a_rule_off_closes_its_alerts(client: Client) -> None:
    rule = client.create()
    alert_id = client.fire(rule)
    assert client.get(rule.id).open_alert_count == 1
    assert client.call(change(rule.id, "enabled", enabled=False)).rule.open_alert_count == 0
    assert client.alert(alert_id).alert.resolve_reason == "paused"
    with client.notifications() as outbox:
        assert outbox.told(2) == [(FIRING, alert_id), (RESOLVED, alert_id)]


def test_e4_deleting_a_rule_resolves_its_alerts_exactly_once(client: Client) -> None:
    rule = client.create()
    ids = {client.fire(rule, group={"cpu": str(number)}) for number in range(3)}
    assert client.call(pb.DeleteRuleRequest(rule_id=rule.id)).resolved_alert_count == 3
    assert {client.alert(each).alert.resolve_reason for each in ids} == {"deleted"}
    with client.notifications() as outbox:
        told = outbox.told(6)
    assert sorted(told) == sorted([(FIRING, each) for each in ids] + [(RESOLVED, each) for each in ids])


def test_a_snoozed_rule_opens_alerts_and_tells_nobody(client: Client) -> None:
    rule = client.create(snooze_until_time=to_timestamp(now_nanos() + 3600 * SECOND))
    held = client.fire(rule)
    other = client.create(title="other")
    told = client.fire(other)
    assert client.alert(held).alert.suppress_reason == "snoozed"
    with client.notifications() as outbox:
        assert outbox.told(1) == [(FIRING, told)]
        client.call(change(rule.id, "snooze_until_time"))
        assert outbox.told(1) == [(FIRING, held)]
    assert client.alert(held).alert.suppress_reason == ""


def test_snoozing_is_written_into_the_timeline_of_open_alerts(client: Client) -> None:
    rule = client.create()
    alert_id = client.fire(rule)
    client.call(change(rule.id, snooze_until_time=to_timestamp(now_nanos() + 3600 * SECOND)))
    assert [event.kind for event in client.alert(alert_id).timeline] == [FIRING, SNOOZED]


def test_a_text_field_can_be_counted_and_missed(client: Client) -> None:
    client.report("mon_log", [("log", "message", STRING)])
    assert client.create("count(message, 5m) > 100", monitor_id="mon_log").id
    assert client.create("no data on message for 5m", monitor_id="mon_log").id
