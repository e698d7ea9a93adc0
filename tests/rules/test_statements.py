"""The statements about an alert's life that RuleService decides, each by name."""

from google.protobuf.duration_pb2 import Duration

from monitors.mesh.times import now_nanos
from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import FIRING, RESOLVED, SECOND, Client
from tests.rules.test_rules import change, creation


def test_s12_a_rules_labels_stand_beside_the_tags_of_the_series_and_hide_none(client: Client) -> None:
    rule = client.create(labels={"cpu": "all", "team": "a"})
    alert = client.alert(client.fire(rule)).alert
    assert (dict(alert.group), dict(alert.labels)) == ({"cpu": "0"}, {"cpu": "all", "team": "a"})


def test_s13_a_rule_shows_how_many_of_its_instances_fire(client: Client) -> None:
    rule = client.create()
    assert client.get(rule.id).open_alert_count == 0
    began = now_nanos()
    for number in range(3):
        client.fire(rule, began, group={"cpu": str(number)})
    client.record(client.transition(rule, RESOLVED, began + SECOND, episode=began))
    assert client.get(rule.id).open_alert_count == 2


def test_t9_windows_and_for_that_are_shorter_than_the_interval_are_warned_about(client: Client) -> None:
    minute = Duration(seconds=60)
    windowed = client.call(creation(condition_text="avg(cpu_percent, 10s) > 9", interval=minute))
    assert any("the window (10s) is shorter than the interval (1m)" in warning for warning in windowed.warnings)
    by_interval = rule_pb2.EVALUATION_MODE_INTERVAL
    pending = creation(condition_text="cpu_percent > 9 for 10s", interval=minute, evaluation_mode=by_interval)
    assert any("for (10s) is shorter than the interval (1m)" in one for one in client.call(pending).warnings)


def test_m7_a_rule_that_would_match_nothing_is_told_what_there_is_at_once(client: Client) -> None:
    nowhere = client.refused(creation(monitor_id="mon_hots"))
    assert nowhere.reason == "UNKNOWN_MONITOR"
    assert "mon_host" in nowhere.message
    nothing = client.refused(creation(condition_text="cpu_percnt > 9"))
    assert nothing.reason == "UNKNOWN_FIELD"
    assert "cpu_percent" in nothing.message


def test_e1_an_edit_of_texts_channels_severity_or_times_keeps_the_alert(client: Client) -> None:
    rule = client.create(interval=Duration(seconds=30))
    alert_id = client.fire(rule)
    client.call(
        change(
            rule.id, "annotations", "labels", "notify", "severity", "interval", annotations={"summary": "new"},
            labels={"team": "b"}, notify=["night"], severity=rule_pb2.SEVERITY_LOW, interval=Duration(seconds=60),
        )
    )  # fmt: skip
    alert = client.alert(alert_id)
    assert alert.alert.state == alert_pb2.ALERT_STATE_FIRING
    assert [event.kind for event in alert.timeline] == [FIRING]


def test_e5_a_rule_that_is_renamed_is_the_same_rule(client: Client) -> None:
    rule = client.create()
    alert_id = client.fire(rule)
    renamed = client.call(change(rule.id, "title", title="Renamed")).rule
    assert (renamed.id, renamed.open_alert_count) == (rule.id, 1)
    assert [event.kind for event in client.alert(alert_id).timeline] == [FIRING]


def test_r4_an_end_stays_in_the_outbox_until_it_is_taken_over(client: Client) -> None:
    rule, began = client.create(), now_nanos()
    alert_id = client.fire(rule, began)
    with client.notifications() as outbox:
        assert outbox.told(1) == [(FIRING, alert_id)]
        client.record(client.transition(rule, RESOLVED, began + SECOND, episode=began))
        # Given out, but not acknowledged: its taker ends.
        assert next(outbox.batches()).notifications
    with client.notifications() as outbox:
        assert outbox.told(1) == [(RESOLVED, alert_id)]
    assert client.call(pb.GetAlertRequest(alert_id=alert_id)).alert.state == alert_pb2.ALERT_STATE_RESOLVED
