"""How an alert is told again: what RuleService lets the notifier know of it."""

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from monitors.mesh.times import now_nanos, to_timestamp
from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import ACKNOWLEDGED, FIRING, RESOLVED, SECOND, SNOOZED, Client, Outbox

CHANGED = alert_pb2.ALERT_EVENT_KIND_SEVERITY_CHANGED


def change(client: Client, rule: rule_pb2.Rule, *paths: str, **fields: Any) -> None:
    request = pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, **fields), update_mask=FieldMask(paths=paths))
    client.call(request)


def later(outbox: Outbox, client: Client) -> list[Any]:
    """How alerts are told again, as of all that has come until now: another alert is the last thing that comes."""
    marker = client.create(title="Marker")
    client.fire(marker)
    outbox.take(1)
    return outbox.repeats


def test_what_is_told_says_when_it_is_told_again(client: Client) -> None:
    now = now_nanos() - 10 * SECOND
    levels = [rule_pb2.Level(severity=rule_pb2.SEVERITY_CRITICAL, condition_text="> 95")]
    rule = client.create(repeat_interval=Duration(seconds=900), levels=levels)
    never = client.create(title="Never", repeat_interval=Duration())
    with client.notifications() as outbox:
        client.fire(rule, now)
        client.record(
            client.transition(rule, CHANGED, now + 1, episode=now, severity=rule_pb2.SEVERITY_CRITICAL),
            client.transition(rule, RESOLVED, now + 2, episode=now),
        )
        client.fire(never)
        told = outbox.take(4)
    of_rule = [(each.kind, each.repeat_interval.seconds) for each in told if each.alert.rule_id == rule.id]
    assert of_rule == [(FIRING, 900), (CHANGED, 900), (RESOLVED, 0)]
    assert [each.HasField("repeat_interval") for each in told if each.alert.rule_id == never.id] == [False]


def test_another_interval_and_a_snooze_reach_what_fires_and_no_timeline(client: Client) -> None:
    rule = client.create()
    end = now_nanos() + 3600 * SECOND
    with client.notifications() as outbox:
        alert_id = client.fire(rule)
        outbox.take(1)
        change(client, rule, "repeat_interval", repeat_interval=Duration(seconds=600))
        change(client, rule, "snooze_until_time", snooze_until_time=to_timestamp(end))
        assert outbox.told(1) == [(SNOOZED, alert_id)]
        change(client, rule, "snooze_until_time")
        repeats = later(outbox, client)
    assert [(each.alert.id, each.repeat_interval.seconds, each.HasField("repeat_after_time")) for each in repeats] == [
        (alert_id, 600, False), (alert_id, 600, True), (alert_id, 600, False),
    ]  # fmt: skip
    assert repeats[1].repeat_after_time == Timestamp(seconds=end // SECOND, nanos=end % SECOND)
    assert [each.sequence for each in repeats] == sorted({each.sequence for each in repeats})
    assert {each.kind for each in client.alert(alert_id).timeline} == {FIRING, SNOOZED}


def test_that_it_is_less_bad_now_reaches_what_is_told_again(client: Client) -> None:
    levels = [rule_pb2.Level(severity=rule_pb2.SEVERITY_CRITICAL, condition_text="> 95")]
    rule = client.create(levels=levels)
    now = now_nanos() - 10 * SECOND
    with client.notifications() as outbox:
        client.fire(rule, now, severity=rule_pb2.SEVERITY_CRITICAL)
        eased = client.transition(rule, CHANGED, now + 1, episode=now, severity=rule.severity)
        client.record(eased)
        client.record(eased)
        outbox.take(1)
        repeats = later(outbox, client)
    assert [(each.alert.severity, each.repeat_interval.seconds) for each in repeats] == [(rule.severity, 4 * 3600)]


def test_an_alert_that_is_acknowledged_or_not_told_yet_is_left_alone(client: Client) -> None:
    rule = client.create()
    with client.notifications() as outbox:
        alert_id = client.fire(rule)
        client.call(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id]))
        assert outbox.told(2) == [(FIRING, alert_id), (ACKNOWLEDGED, alert_id)]
        change(client, rule, "repeat_interval", repeat_interval=Duration(seconds=600))
        assert later(outbox, client) == []
