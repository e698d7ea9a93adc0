"""ImportAlerts: what another product remembers becomes history that nobody is told of."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.times import HOUR, MINUTE, now_nanos, to_timestamp
from monitors.rules.model.alert import EventKind
from monitors.rules.model.episodes import RuleFacts
from monitors.rules.model.past_alerts import Acknowledged, PastAlert, check_past, episode_of, id_of_past
from monitors.rules.model.rule import Severity
from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import ACKNOWLEDGED, FIRING, RESOLVED, Client, first

NOW = now_nanos()
HOUR_AGO, THEN, SOON = (to_timestamp(NOW + away) for away in (-HOUR, -HOUR + 5 * MINUTE, HOUR))


def past(rule: rule_pb2.Rule, **fields: Any) -> pb.PastAlert:
    given_: dict[str, Any] = {
        "key": "17", "rule_id": rule.id, "monitor_id": "mon_host", "fire_time": HOUR_AGO, "resolve_time": THEN,
    }  # fmt: skip
    return pb.PastAlert(**{name: value for name, value in (given_ | fields).items() if value is not None})


def take_in(client: Client, *alerts: pb.PastAlert, **fields: Any) -> list[pb.ImportedAlert]:
    return list(client.call(pb.ImportAlertsRequest(alerts=alerts, **fields)).results)


def alerts_of(client: Client, filter_: str = "") -> list[alert_pb2.Alert]:
    return list(client.call(pb.ListAlertsRequest(filter=filter_)).alerts)


def test_what_is_over_becomes_history_with_its_timeline(client: Client) -> None:
    rule = client.create()
    acknowledgement = alert_pb2.Acknowledgement(user="ann@example.org", time=THEN, note="on it")
    sent = past(
        rule, title="CPU was hot", severity=rule_pb2.SEVERITY_LOW, condition_text="cpu > 80", value=95.5,
        acknowledgement=acknowledgement, detail="CPU is 95.5",
    )  # fmt: skip
    (result,) = take_in(client, sent)
    assert not result.was_there
    found = client.alert(result.alert_id)
    alert = found.alert
    assert (alert.rule_id, alert.monitor_id, alert.title) == (rule.id, "mon_host", "CPU was hot")
    assert (alert.severity, alert.condition_text, alert.value) == (rule_pb2.SEVERITY_LOW, "cpu > 80", 95.5)
    assert (alert.state, alert.resolve_reason) == (alert_pb2.ALERT_STATE_RESOLVED, "imported")
    assert (alert.active_time, alert.fire_time, alert.resolve_time) == (HOUR_AGO, HOUR_AGO, THEN)
    assert (alert.acknowledgement, dict(alert.group)) == (acknowledgement, {})
    assert [(each.kind, each.time, each.user, each.detail) for each in found.timeline] == [
        (FIRING, HOUR_AGO, "", "CPU is 95.5"),
        (RESOLVED, THEN, "", "imported"),
        (ACKNOWLEDGED, THEN, "ann@example.org", "on it"),
    ]
    assert not found.deliveries
    assert alerts_of(client, "state=resolved") == [alert]
    assert alerts_of(client, "state=firing") == []


def test_what_is_not_said_of_it_is_as_the_rule_is_now(client: Client) -> None:
    rule = client.create(title="CPU", severity=rule_pb2.SEVERITY_HIGH, labels={"team": "web"})
    (result,) = take_in(client, past(rule))
    alert = client.alert(result.alert_id).alert
    assert (alert.title, alert.severity, alert.condition_text) == ("CPU", rule_pb2.SEVERITY_HIGH, "cpu_percent > 90")
    assert not alert.HasField("value")
    assert not alert.HasField("acknowledgement")
    assert not alert.labels


def test_a_repeat_changes_nothing_and_what_is_new_comes_to_it(client: Client) -> None:
    rule = client.create()
    (before,) = take_in(client, past(rule, title="As it was"))
    again, new = take_in(client, past(rule, title="Otherwise"), past(rule, key="18"))
    assert (again.alert_id, again.was_there, new.was_there) == (before.alert_id, True, False)
    assert {alert.title for alert in alerts_of(client)} == {"As it was", "CPU"}
    assert len(client.alert(before.alert_id).timeline) == 2


def test_what_several_take_in_at_once_is_taken_in_once(client: Client) -> None:
    rule = client.create()
    client.fire(rule, NOW)
    # So many that one hasn't ended before the next begins.
    sent = [past(rule, key=str(number)) for number in range(500)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: take_in(client, *sent), range(4)))
    assert sorted(each[0].was_there for each in told) == [False, True, True, True]
    assert len({tuple(result.alert_id for result in each) for each in told}) == 1
    assert client.call(pb.ListAlertsRequest(filter="state=resolved")).total_count == 500


def test_two_tenants_alerts_of_the_same_key_are_two(client: Client) -> None:
    other = Client.of_new_tenant(client.stub, client.rules, client.loop)
    results = [take_in(each, past(each.create()))[0] for each in (client, other)]
    assert [result.was_there for result in results] == [False, False]
    assert results[0].alert_id != results[1].alert_id
    assert [[alert.id for alert in alerts_of(each)] for each in (client, other)] == [[r.alert_id] for r in results]


def test_nobody_is_told_of_it(client: Client) -> None:
    rule = client.create(notify=["ops"])
    with client.notifications() as outbox:
        take_in(client, past(rule))
        fired = client.fire(rule, NOW)
        # In the order of what happened: had there been anything of the past, it would come first.
        assert outbox.told(1) == [(FIRING, fired)]


def test_whoever_watches_alerts_sees_nothing_of_it(client: Client) -> None:
    rule = client.create()
    stream = client.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=client.metadata, timeout=20)
    # Its first sign of life: from then on it sees whatever happens.
    assert not next(stream).HasField("event")
    # More than one page of events.
    take_in(client, *(past(rule, key=str(number)) for number in range(300)))
    fired = client.fire(rule, NOW)
    (seen,) = first(stream, 1, lambda message: message.HasField("event"))
    assert (seen.alert.id, seen.event.kind) == (fired, FIRING)


def test_its_instance_fires_as_if_it_had_never_been(client: Client) -> None:
    rule = client.create(cooldown={"seconds": 7200})
    take_in(client, past(rule))
    fired = client.alert(client.fire(rule, NOW, group={}))
    assert fired.alert.suppress_reason == ""
    assert client.get(rule.id).open_alert_count == 1


def test_a_dry_run_tells_the_same_and_changes_nothing(client: Client) -> None:
    rule = client.create()
    (there,) = take_in(client, past(rule))
    sent = [past(rule), past(rule, key="18"), past(rule, key="19", resolve_time=None), past(rule, rule_id="rule_none")]
    sent[-1].key = "20"
    told = take_in(client, *sent, validate_only=True)
    assert [(each.alert_id, each.was_there) for each in told] == [(there.alert_id, True), *[("", False)] * 3]
    assert [[one.field for one in each.problems] for each in told] == [[], [], ["resolve_time"], [""]]
    assert len(alerts_of(client)) == 1


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({"key": ""}, "INVALID_ARGUMENT", "alerts[1]: key: is empty"),
        ({"key": "0"}, "INVALID_ARGUMENT", "alerts[1]: key: is that of alerts[0] too"),
        ({"rule_id": ""}, "INVALID_ARGUMENT", "alerts[1]: rule_id: is empty"),
        ({"rule_id": "rule_none"}, "NOT_FOUND", "alerts[1]: there is no rule 'rule_none'"),
        ({"monitor_id": ""}, "INVALID_ARGUMENT", "alerts[1]: monitor_id: is empty"),
        ({"monitor_id": "mon_*"}, "INVALID_ARGUMENT", "stands for several monitors"),
        ({"title": "x" * 201}, "INVALID_ARGUMENT", "alerts[1]: title: has 201 characters"),
        ({"severity": 9}, "INVALID_ARGUMENT", "alerts[1]: severity: 9 isn't one"),
        ({"condition_text": "x" * 4097}, "INVALID_ARGUMENT", "alerts[1]: condition_text: has 4,097"),
        ({"detail": "x" * 2001}, "INVALID_ARGUMENT", "alerts[1]: detail: has 2,001"),
        ({"value": float("nan")}, "INVALID_ARGUMENT", "alerts[1]: value: nan isn't a finite number"),
        ({"fire_time": None}, "INVALID_ARGUMENT", "alerts[1]: fire_time: isn't set"),
        ({"fire_time": SOON}, "INVALID_ARGUMENT", "alerts[1]: fire_time: is out of bounds"),
        ({"fire_time": Timestamp(seconds=-1)}, "INVALID_ARGUMENT", "alerts[1]: fire_time: is out of bounds"),
        ({"fire_time": Timestamp(nanos=-1)}, "INVALID_ARGUMENT", "alerts[1]: fire_time: has -1 nanos"),
        ({"resolve_time": None}, "INVALID_ARGUMENT", "alerts[1]: resolve_time: isn't set: only what is over"),
        ({"resolve_time": SOON}, "INVALID_ARGUMENT", "alerts[1]: resolve_time: is out of bounds"),
        ({"fire_time": THEN, "resolve_time": HOUR_AGO}, "INVALID_ARGUMENT", "resolve_time: is before fire_time"),
        ({"acknowledgement": {"time": THEN}}, "INVALID_ARGUMENT", "alerts[1]: acknowledgement.user: is empty"),
        ({"acknowledgement": {"user": "ann"}}, "INVALID_ARGUMENT", "alerts[1]: acknowledgement.time: must be set"),
        ({"acknowledgement": {"user": "ann", "time": SOON}}, "INVALID_ARGUMENT", "and not in the future"),
        ({"acknowledgement": {"user": "a", "time": THEN, "note": "x" * 2001}}, "INVALID_ARGUMENT", "note: has 2,001"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_taken_in(
    client: Client, fields: dict[str, Any], code: str, told: str
) -> None:
    rule = client.create()
    refused = client.refused(pb.ImportAlertsRequest(alerts=[past(rule, key="0"), past(rule, **fields)]))
    assert refused.code == code
    assert told in refused.message
    assert alerts_of(client) == []


def test_a_batch_is_bounded(client: Client) -> None:
    rule = client.create()
    assert "there are 0" in client.refused(pb.ImportAlertsRequest()).message
    many = [past(rule, key=str(number)) for number in range(501)]
    assert "there are 501; send 1 to 500" in client.refused(pb.ImportAlertsRequest(alerts=many)).message
    assert len(take_in(client, *many[:500])) == 500


def test_it_takes_the_scope_admin(client: Client) -> None:
    rule = client.create()
    scopes = ["rules:read", "rules:write", "alerts:read", "alerts:write"]
    client.key = client.call(pb.CreateKeyRequest(title="all but admin", scopes=scopes)).key
    refused = client.refused(pb.ImportAlertsRequest(alerts=[past(rule)]))
    assert (refused.code, refused.reason, refused.metadata["scope"]) == ("PERMISSION_DENIED", "MISSING_SCOPE", "admin")


times = st.none() | st.integers(min_value=-2, max_value=2 * 10**18)
pasts = st.builds(
    PastAlert,
    key=st.text(max_size=5),
    rule_id=st.just("rule_1"),
    monitor_id=st.text(max_size=5),
    severity=st.none() | st.sampled_from(Severity),
    value=st.none() | st.floats(),
    fire_time=times,
    resolve_time=times,
    acknowledged=st.none() | st.builds(Acknowledged, user=st.text(max_size=3), time=times),
)
FACTS = RuleFacts("CPU", Severity.HIGH, "cpu > 1", {}, {}, ("ops",), 0, None)


@given(pasts, st.integers(min_value=0, max_value=10**18))
def test_whatever_is_taken_in_is_over_and_in_order(drawn: PastAlert, moment: int) -> None:
    fired = replace(drawn, key="k", monitor_id="m", value=1.0, fire_time=moment, resolve_time=max(moment, 10**17))
    for each in (drawn, fired):
        if check_past(each, 10**18):
            continue
        alert, events = episode_of("acme", each, FACTS, 10**18)
        assert not alert.is_open
        assert alert.told_time is None
        assert alert.id == id_of_past("acme", each.key)
        assert [event.time for event in events] == sorted(event.time for event in events)
        assert events[0].kind is EventKind.FIRING
        assert all(event.is_imported and len(event.once_key or "") <= 64 for event in events)
        assert len({event.once_key for event in events}) == len(events)
