"""What follows when an instance fires and is resolved: once, in order, and told or held as the rule says."""

from sqlalchemy import select, update

from monitors.mesh.database import Session
from monitors.mesh.times import now_nanos
from monitors.rules.model.alert import EventKind, former_once_key, shard_of
from monitors.rules.store.tables import alert_events, alerts
from monitors.v1 import alert_pb2, mesh_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import ACKNOWLEDGED, FIRING, RESOLVED, SECOND, Client
from tests.tenants import of_all

RECORDED = mesh_pb2.TRANSITION_OUTCOME_RECORDED
REPEATED = mesh_pb2.TRANSITION_OUTCOME_REPEATED
ADOPTED = mesh_pb2.TRANSITION_OUTCOME_ADOPTED
IGNORED = mesh_pb2.TRANSITION_OUTCOME_IGNORED
MINUTE = 60 * SECOND


def outcomes(results: list[mesh_pb2.TransitionResult]) -> list[int]:
    return [result.outcome for result in results]


def test_an_episode_is_opened_told_resolved_and_told(client: Client) -> None:
    rule = client.create("avg(cpu_percent, 5m) > 90", severity="SEVERITY_HIGH", labels={"team": "a"}, notify=["night"])
    now = now_nanos()
    with client.notifications() as outbox:
        alert_id = client.fire(rule, now, episode=now - MINUTE, value=95.5)
        (told,) = outbox.take(1)
        assert (told.kind, told.alert.id, told.alert.value, list(told.channels)) == (FIRING, alert_id, 95.5, ["night"])
        assert told.stream_key.startswith(f"{rule.id}/")
        (result,) = client.record(
            client.transition(rule, RESOLVED, now + MINUTE, episode=now - MINUTE, reason="missing_series", value=1)
        )
        assert (result.outcome, result.alert_id) == (RECORDED, alert_id)
        (over,) = outbox.take(1)
    assert (over.kind, over.detail, over.alert.state) == (RESOLVED, "missing_series", alert_pb2.ALERT_STATE_RESOLVED)
    assert (over.stream_key, over.sequence > told.sequence) == (told.stream_key, True)
    found = client.alert(alert_id)
    alert = found.alert
    assert (alert.title, alert.condition_text, alert.severity) == ("CPU", rule.condition_text, rule.severity)
    assert (alert.active_time.ToNanoseconds(), alert.fire_time.ToNanoseconds()) == (now - MINUTE, now)
    assert (alert.resolve_time.ToNanoseconds(), alert.resolve_reason) == (now + MINUTE, "missing_series")
    assert (dict(alert.group), dict(alert.labels)) == ({"cpu": "0"}, {"team": "a"})
    assert [(event.kind, event.value) for event in found.timeline] == [(FIRING, 95.5), (RESOLVED, 1)]


def test_a_repeat_changes_nothing(client: Client) -> None:
    rule = client.create()
    now = now_nanos()
    batch = [
        client.transition(rule, FIRING, now),
        client.transition(rule, RESOLVED, now + 5, episode=now),
        client.transition(rule, FIRING, now + 10, group={"cpu": "1"}),
    ]
    first = client.record(*batch)
    assert outcomes(first) == [RECORDED] * 3
    again = client.record(*batch, *batch)
    assert outcomes(again) == [REPEATED] * 6
    assert [result.alert_id for result in again[:3]] == [result.alert_id for result in first]
    assert client.call(pb.ListAlertsRequest()).total_count == 2
    assert len(client.alert(first[0].alert_id).timeline) == 2


def test_what_an_earlier_version_recorded_is_repeated(client: Client) -> None:
    rule = client.create(cooldown={})
    now = now_nanos()
    begun, ended = client.transition(rule, FIRING, now), client.transition(rule, RESOLVED, now + 5, episode=now)
    first = [*client.record(begun), *client.record(ended)]
    client.loop.run(client.rules._database.write(lambda session: _record_as_formerly(session, client.tenant)))

    def is_repeated() -> bool:
        again = [*client.record(begun), *client.record(ended)]
        return outcomes(again) == [REPEATED] * 2 and [each.alert_id for each in again] == [
            each.alert_id for each in first
        ]

    assert is_repeated()
    client.fire(rule, now + 10)
    assert is_repeated()
    assert client.call(pb.ListAlertsRequest()).total_count == 2


@of_all
def _record_as_formerly(session: Session, tenant: str) -> None:
    is_its = (alerts.c.tenant_id == alert_events.c.tenant_id) & (alerts.c.id == alert_events.c.alert_id)
    query = select(alert_events, alerts.c.instance_key, alerts.c.episode).join(alerts, is_its)
    for row in session.execute(query.where(alert_events.c.tenant_id == tenant)).all():
        formerly = former_once_key(row.instance_key, row.episode, EventKind(row.kind))
        is_row = (alert_events.c.tenant_id == tenant, alert_events.c.sequence == row.sequence)
        session.execute(update(alert_events).where(*is_row).values(once_key=formerly))


def test_an_open_alert_is_adopted_by_another_episode(client: Client) -> None:
    rule = client.create()
    now = now_nanos()
    alert_id = client.fire(rule, now)
    adopted, over = client.record(
        client.transition(rule, FIRING, now + 10), client.transition(rule, RESOLVED, now + 20, episode=now + 10)
    )
    assert (adopted.outcome, adopted.alert_id, adopted.episode) == (ADOPTED, alert_id, now)
    assert (over.outcome, over.alert_id) == (RECORDED, alert_id)
    assert client.call(pb.ListAlertsRequest()).total_count == 1


def test_a_resolve_from_before_the_alert_fired_is_ignored(client: Client) -> None:
    rule = client.create()
    now = now_nanos()
    client.fire(rule, now)
    assert outcomes(client.record(client.transition(rule, RESOLVED, now - 1, episode=now - 5))) == [IGNORED]
    assert client.get(rule.id).open_alert_count == 1


def test_what_belongs_to_no_rule_is_ignored(client: Client) -> None:
    gone, off = client.create(), client.create()
    client.call(pb.DeleteRuleRequest(rule_id=gone.id))
    client.call(pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=off.id, enabled=False)))
    now = now_nanos()
    other = Client.of_new_tenant(client.stub, client.rules, client.loop)
    foreign = other.create()
    batch = [client.transition(rule, FIRING, now) for rule in (gone, off, foreign)]
    batch.append(client.transition(off, RESOLVED, now))
    assert outcomes(client.record(*batch)) == [IGNORED] * 4
    assert client.call(pb.ListAlertsRequest()).total_count == 0
    assert other.call(pb.ListAlertsRequest()).total_count == 0


def test_an_alert_within_the_cooldown_is_opened_but_not_told(client: Client) -> None:
    rule = client.create(cooldown={"seconds": 600})
    now = now_nanos()
    with client.notifications() as outbox:
        first = client.fire(rule, now - 60 * SECOND)
        client.record(client.transition(rule, RESOLVED, now - 50 * SECOND, episode=now - 60 * SECOND))
        second = client.fire(rule, now - 40 * SECOND)
        assert client.alert(second).alert.suppress_reason == "cooldown"
        client.record(client.transition(rule, RESOLVED, now - 30 * SECOND, episode=now - 40 * SECOND))
        other = client.fire(rule, now, group={"cpu": "1"})
        assert sorted(outbox.told(3)) == sorted([(FIRING, first), (RESOLVED, first), (FIRING, other)])
    # It was never told, and the timeline shows both ends.
    assert client.alert(second).alert.suppress_reason == "cooldown"
    assert [event.kind for event in client.alert(second).timeline] == [FIRING, RESOLVED]


def test_an_alert_that_outlasts_the_cooldown_is_told_when_it_ends(client: Client) -> None:
    rule = client.create(cooldown={"seconds": 11})
    now = now_nanos()
    first = client.fire(rule, now - 9 * SECOND)
    client.record(client.transition(rule, RESOLVED, now - 8 * SECOND, episode=now - 9 * SECOND))
    with client.notifications() as outbox:
        assert outbox.told(2) == [(FIRING, first), (RESOLVED, first)]
        second = client.fire(rule, now - 7 * SECOND)
        assert client.alert(second).alert.suppress_reason == "cooldown"
        (told,) = outbox.take(1)
        assert (told.kind, told.alert.id, told.alert.suppress_reason) == (FIRING, second, "")
        assert now_nanos() >= now + 2 * SECOND
        assert client.alert(second).alert.suppress_reason == ""
        client.record(client.transition(rule, RESOLVED, now_nanos(), episode=now - 7 * SECOND))
        assert outbox.told(1) == [(RESOLVED, second)]


def test_the_cooldown_counts_from_the_alert_that_was_told_last(client: Client) -> None:
    rule = client.create(cooldown={"seconds": 60})
    now = now_nanos() - 300 * SECOND
    seen = []
    for seconds in (0, 30, 50, 70, 120, 131):
        start = now + seconds * SECOND
        alert_id = client.fire(rule, start)
        client.record(client.transition(rule, RESOLVED, start + SECOND, episode=start))
        seen.append(client.alert(alert_id).alert.suppress_reason)
    assert seen == ["", "cooldown", "cooldown", "", "cooldown", ""]


def test_without_a_cooldown_every_alert_is_told(client: Client) -> None:
    rule = client.create(cooldown={})
    now = now_nanos()
    ids = []
    for step in range(3):
        ids.append(client.fire(rule, now + 10 * step))
        client.record(client.transition(rule, RESOLVED, now + 10 * step + 5, episode=now + 10 * step))
    with client.notifications() as outbox:
        assert outbox.told(6) == [(kind, each) for each in ids for kind in (FIRING, RESOLVED)]


def test_a_late_decision_says_how_late_it_was(client: Client) -> None:
    rule = client.create()
    alert_id = client.fire(rule, delay_nanos=12 * MINUTE + 5 * SECOND)
    assert client.alert(alert_id).timeline[0].detail == "delayed by 12m"


def test_not_a_number_is_no_value(client: Client) -> None:
    rule = client.create()
    assert not client.alert(client.fire(rule, value=float("nan"))).alert.HasField("value")


def test_an_acknowledgement_is_kept_and_told_once(client: Client) -> None:
    rule = client.create()
    alert_id, other = client.fire(rule), client.fire(rule, group={"cpu": "1"})
    request = pb.AcknowledgeAlertsRequest(alert_ids=[alert_id, alert_id], note="on it", request_id="a")
    response = client.call(request)
    assert [alert.id for alert in response.alerts] == [alert_id]
    assert response.alerts[0].acknowledgement.note == "on it"
    assert response.alerts[0].acknowledgement.user.startswith("key_")
    assert client.call(request) == response
    again = client.call(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id, other], note="later"))
    assert list(again.already_acknowledged_ids) == [alert_id]
    assert [alert.acknowledgement.note for alert in again.alerts] == ["on it", "later"]
    assert [event.kind for event in client.alert(alert_id).timeline] == [FIRING, ACKNOWLEDGED]
    with client.notifications() as outbox:
        told = outbox.take(4)
    assert [(each.kind, each.alert.id, each.detail) for each in told if each.kind == ACKNOWLEDGED] == [
        (ACKNOWLEDGED, alert_id, "on it"),
        (ACKNOWLEDGED, other, "later"),
    ]


def test_one_unknown_alert_and_none_is_acknowledged(client: Client) -> None:
    alert_id = client.fire(client.create())
    error = client.refused(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id, "alert_none"]))
    assert (error.code, "alert_none" in error.message) == ("NOT_FOUND", True)
    assert not client.alert(alert_id).alert.HasField("acknowledgement")
    assert "send 1 to 100" in client.refused(pb.AcknowledgeAlertsRequest()).message
    note = pb.AcknowledgeAlertsRequest(alert_ids=[alert_id], note="x" * 2001)
    assert client.refused(note).metadata["field"] == "note"


def test_an_alert_that_was_closed_by_hand_opens_again_with_a_new_episode(client: Client) -> None:
    rule = client.create(cooldown={})
    now = now_nanos()
    alert_id = client.fire(rule, now)
    closed = client.call(pb.ResolveAlertRequest(alert_id=alert_id, note="known")).alert
    assert (closed.resolve_reason, closed.state) == ("manual", alert_pb2.ALERT_STATE_RESOLVED)
    assert client.alert(alert_id).timeline[-1].detail == "manual: known"
    error = client.refused(pb.ResolveAlertRequest(alert_id=alert_id))
    assert (error.code, error.metadata["state"]) == ("FAILED_PRECONDITION", "resolved")
    later = now_nanos()
    results = client.record(
        client.transition(rule, FIRING, now),
        client.transition(rule, RESOLVED, later, episode=now),
        client.transition(rule, FIRING, later + 1),
    )
    assert outcomes(results) == [REPEATED, IGNORED, RECORDED]
    assert results[2].alert_id != alert_id


def test_a_batch_under_a_lost_lease_is_refused_whole(client: Client) -> None:
    rule = client.create()
    client.loop.run(client.rules.void_leases())
    lease = client.mesh(pb.LeaseShardsRequest(evaluator_id="one", address="a:1")).leases
    epochs = {each.shard: each.epoch for each in lease}
    shard = shard_of(client.tenant, "mon_host")
    good = client.transition(rule, FIRING, now_nanos(), lease={"shard": shard, "epoch": epochs[shard]})
    stale = client.transition(
        rule, FIRING, now_nanos(), group={"cpu": "1"}, lease={"shard": shard, "epoch": epochs[shard] + 1}
    )
    error = client.refused(pb.RecordTransitionsRequest(transitions=[good, stale]), as_mesh=True)
    assert (error.code, error.reason, error.metadata["shard"]) == ("FAILED_PRECONDITION", "LEASE_LOST", str(shard))
    assert client.call(pb.ListAlertsRequest()).total_count == 0
    assert outcomes(client.record(good)) == [RECORDED]


def test_thousands_of_transitions_fit_into_one_call(client: Client) -> None:
    rule = client.create()
    now = now_nanos()
    batch = [client.transition(rule, FIRING, now, group={"n": str(n)}) for n in range(2500)]
    batch += [client.transition(rule, RESOLVED, now + 1, episode=now, group={"n": str(n)}) for n in range(2500)]
    assert outcomes(client.record(*batch)) == [RECORDED] * 5000
    assert client.get(rule.id).open_alert_count == 0
    with client.notifications() as outbox:
        told = outbox.take(5000)
    kinds: dict[str, list[int]] = {}
    for each in told:
        kinds.setdefault(each.alert.id, []).append(each.kind)
    assert len(kinds) == 2500
    assert set(map(tuple, kinds.values())) == {(FIRING, RESOLVED)}


def test_an_end_and_the_next_beginning_may_come_together(client: Client) -> None:
    rule = client.create(cooldown={})
    now = now_nanos()
    first = client.fire(rule, now)
    over, again = client.record(
        client.transition(rule, RESOLVED, now + 1, episode=now), client.transition(rule, FIRING, now + 2)
    )
    assert (over.outcome, over.alert_id) == (mesh_pb2.TRANSITION_OUTCOME_RECORDED, first)
    assert again.outcome == mesh_pb2.TRANSITION_OUTCOME_RECORDED
    assert client.alert(first).alert.state == alert_pb2.ALERT_STATE_RESOLVED
    assert client.alert(again.alert_id).alert.state == alert_pb2.ALERT_STATE_FIRING
