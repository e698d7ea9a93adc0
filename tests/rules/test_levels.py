"""Levels of severity: said, checked and echoed with the rule, and followed by its alerts."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from monitors.mesh.database import Session
from monitors.mesh.times import now_nanos
from monitors.rules.model.alert import Episode, shard_of
from monitors.rules.store.alerts import open_episodes
from monitors.rules.translate.alerts import episode_to_proto
from monitors.v1 import alert_pb2, mesh_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import FIRING, RESOLVED, SECOND, Client

CHANGED = alert_pb2.ALERT_EVENT_KIND_SEVERITY_CHANGED
LOW, HIGH, CRITICAL = rule_pb2.SEVERITY_LOW, rule_pb2.SEVERITY_HIGH, rule_pb2.SEVERITY_CRITICAL


def level(severity: rule_pb2.Severity.ValueType, text: str) -> rule_pb2.Level:
    return rule_pb2.Level(severity=severity, condition_text=text)


def leveled(client: Client, *levels: rule_pb2.Level, text: str = "avg(cpu_percent, 5m) > 60") -> rule_pb2.Rule:
    return client.create(text, severity=LOW, levels=levels)


def test_levels_are_echoed_in_both_spellings_by_severity(client: Client) -> None:
    said = [level(CRITICAL, "above 95 until below 90"), level(HIGH, "avg(cpu_percent, 5m) >= 80")]
    rule = leveled(client, *said)
    assert [(each.severity, each.condition_text) for each in rule.levels] == [
        (HIGH, ">= 80"), (CRITICAL, "> 95 recover < 90"),
    ]  # fmt: skip
    assert rule.levels[1].condition.comparison.left == rule.condition.comparison.left
    assert rule.levels[1].reset.comparison.expression.number == 90
    assert not rule.levels[0].HasField("reset")
    assert client.get(rule.id).levels == rule.levels


@pytest.mark.parametrize(
    "text", ["cpu_percent > 60", "cpu_percent - mem.used_percent > 60", "avg by (host) (cpu_percent) > 60"]
)
def test_what_was_echoed_may_be_sent_back_and_changes_nothing(client: Client, text: str) -> None:
    rule = leveled(client, level(CRITICAL, "> 95 recover < 90"), text=text)
    again = client.call(pb.UpdateRuleRequest(rule=rule)).rule
    assert (again.levels, again.etag) == (rule.levels, rule.etag)
    copied = client.create(title="copy", condition=rule.condition, condition_text="", severity=LOW, levels=rule.levels)
    assert copied.levels == rule.levels


def test_levels_take_the_unit_of_the_value(client: Client) -> None:
    rule = leveled(client, level(HIGH, "< -50%"), text="change(cpu_percent, 1h) < -5%")
    assert rule.levels[0].condition_text == "< -50%"
    rule = leveled(client, level(HIGH, "> 90% recover < 80%"), text="cpu_percent / mem.used_percent > 50%")
    assert rule.levels[0].condition_text == "> 0.9 recover < 0.8"


def test_a_level_may_be_said_with_the_whole_value_that_is_computed(client: Client) -> None:
    said = level(HIGH, "cpu_percent - mem.used_percent > 80")
    rule = leveled(client, said, text="cpu_percent - mem.used_percent > 60")
    assert rule.levels[0].condition_text == "> 80"
    assert rule.levels[0].condition.comparison.left == rule.condition.comparison.left
    # The rule knows its measurements by now, which the text needn't say.
    request = pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, levels=[said]))
    assert client.call(request).rule.etag == rule.etag


def test_levels_are_changed_as_a_whole_and_taken_away(client: Client) -> None:
    rule = leveled(client, level(CRITICAL, "> 95"))

    def update(**fields: object) -> rule_pb2.Rule:
        request = pb.UpdateRuleRequest(
            rule=rule_pb2.Rule(id=rule.id, **fields),  # type: ignore[arg-type]
            update_mask=FieldMask(paths=["levels"]),
        )
        changed: rule_pb2.Rule = client.call(request).rule
        return changed

    assert [each.condition_text for each in update(levels=[level(HIGH, "outside 5..80")]).levels] == ["outside 5..80"]
    assert not update().levels


def test_another_condition_keeps_the_levels_as_bounds_of_its_value(client: Client) -> None:
    rule = leveled(client, level(CRITICAL, "> 95"))
    text = "max(cpu_percent, 1m) > 70"
    changed = client.call(pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, condition_text=text))).rule
    assert changed.levels[0].condition.comparison.left == changed.condition.comparison.left


@pytest.mark.parametrize(
    ("text", "levels", "field", "words"),
    [
        ("cpu_percent > 60", [level(LOW, "> 95")], "rule.levels", "low is said twice"),
        ("cpu_percent > 60", [level(HIGH, "> 95"), level(HIGH, "> 97")], "rule.levels", "high is said twice"),
        ("cpu_percent > 60", [rule_pb2.Level(condition_text="> 95")], "rule.levels[0].severity", "send LOW"),
        ("cpu_percent > 60", [rule_pb2.Level(severity=HIGH)], "rule.levels[0].condition_text", "is missing"),
        ("cpu_percent > 60", [level(HIGH, "mem.used_percent > 95")], "rule.levels[0].condition_text", "something else"),
        ("cpu_percent > 60", [level(HIGH, "> 95 for 5m")], "rule.levels[0].condition_text", "the whole rule's"),
        ("cpu_percent > 60", [level(HIGH, "bananas")], "rule.levels[0].condition_text", "expected"),
        ("cpu_percent > 60", [level(HIGH, "inside 9..5")], "rule.levels[0].condition", "say `5..9`"),
        ("cpu_percent > 60", [level(HIGH, "> mem.used_percent")], "rule.levels[0].condition_text", "with a number"),
        ("cpu_percent > 60", [level(HIGH, "> 9 recover < mem.free")], "rule.levels[0].condition_text", "a number"),
        ("cpu_percent > 60", [level(HIGH, '== "down"')], "rule.levels[0].condition_text", "with a number"),
        ("cpu_percent > 60", [level(HIGH, "> 9 and 1 > 3")], "rule.levels[0].condition_text", "the rule's value"),
        ("cpu_percent > 6 and cpu_percent < 9", [level(HIGH, "> 95")], "rule.levels[0]", "one rule for each severity"),
        ("cpu_percent > mem.used_percent", [level(HIGH, "> 95")], "rule.levels", "one rule for each severity"),
        ("no data for 5m", [level(HIGH, "> 95")], "rule.levels[0]", "one rule for each severity"),
        ("cpu_percent > 9 in 3 of the last 5 points", [level(HIGH, "> 95")], "rule.levels", "one rule for each"),
    ],
)  # fmt: skip
def test_what_is_no_level_is_refused_with_the_fix(
    client: Client, text: str, levels: list[rule_pb2.Level], field: str, words: str
) -> None:
    rule = rule_pb2.Rule(monitor_id="mon_host", title="CPU", condition_text=text, severity=LOW, levels=levels)
    error = client.refused(pb.CreateRuleRequest(rule=rule))
    assert (error.code, error.metadata["field"]) == ("INVALID_ARGUMENT", field)
    assert words in error.message


def test_two_spellings_of_a_level_must_agree(client: Client) -> None:
    rule = leveled(client, level(CRITICAL, "> 95"))
    rule.levels[0].condition_text = "> 96"
    error = client.refused(pb.UpdateRuleRequest(rule=rule))
    assert error.metadata["field"] == "rule.levels[0].condition_text"
    assert "send one of the two" in error.message


def test_an_alert_follows_the_levels_and_worse_is_told(client: Client) -> None:
    rule = leveled(client, level(HIGH, "> 80"), level(CRITICAL, "> 95"))
    now = now_nanos() - 100 * SECOND
    with client.notifications() as outbox:
        alert_id = client.fire(rule, now, severity=HIGH)
        steps = [(1, CRITICAL), (2, LOW), (3, HIGH)]
        batch = [
            client.transition(rule, CHANGED, now + at * SECOND, episode=now, severity=severity, value=90 + at)
            for at, severity in steps
        ]
        first = client.record(*batch)
        assert [each.outcome for each in first] == [mesh_pb2.TRANSITION_OUTCOME_RECORDED] * 3
        assert {each.outcome for each in client.record(*batch)} == {mesh_pb2.TRANSITION_OUTCOME_REPEATED}
        client.record(client.transition(rule, RESOLVED, now + 9 * SECOND, episode=now))
        told = outbox.take(4)
    assert [(each.kind, each.alert.severity, each.former_severity) for each in told] == [
        (FIRING, HIGH, 0), (CHANGED, CRITICAL, HIGH), (CHANGED, HIGH, LOW), (RESOLVED, HIGH, 0),
    ]  # fmt: skip
    found = client.alert(alert_id)
    assert found.alert.severity == HIGH
    turns = [(each.detail, each.value) for each in found.timeline if each.kind == CHANGED]
    assert turns == [("high → critical", 91), ("critical → low", 92), ("low → high", 93)]
    assert client.call(pb.ListAlertsRequest(filter="severity = high")).total_count == 1


def test_an_evaluator_that_starts_learns_the_present_level(client: Client) -> None:
    rule = leveled(client, level(CRITICAL, "> 95"))
    now = now_nanos()
    client.fire(rule, now)
    client.record(client.transition(rule, CHANGED, now + 5, episode=now, severity=CRITICAL))
    shards = [shard_of(client.tenant, "mon_host")]

    def read(session: Session) -> list[Episode]:
        return open_episodes(session, shards, (client.tenant, ""), 1)

    (episode,) = client.loop.run(client.rules._database.read(read))
    message = episode_to_proto(episode)
    assert (message.severity, message.severity_time_nanos) == (CRITICAL, now + 5)


def test_an_alert_whose_level_an_edit_takes_away_goes_on_at_the_rules_own(client: Client) -> None:
    rule = leveled(client, level(HIGH, "> 80"), level(CRITICAL, "> 95"))
    now = now_nanos()
    alert_id = client.fire(rule, now, severity=CRITICAL)
    levels = [level(HIGH, "> 80")]
    client.call(
        pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=rule.id, levels=levels), update_mask=FieldMask(paths=["levels"]))
    )
    found = client.alert(alert_id)
    assert (found.alert.severity, found.timeline[-1].detail) == (LOW, "critical → low")
    # What an evaluator decided before it knew of the edit is taken as the rule's own.
    client.record(client.transition(rule, CHANGED, now + 5, episode=now, severity=CRITICAL))
    assert client.alert(alert_id).alert.severity == LOW


def test_the_level_of_an_episode_that_is_adopted_is_the_evaluators(client: Client) -> None:
    rule = leveled(client, level(CRITICAL, "> 95"))
    now = now_nanos()
    alert_id = client.fire(rule, now)
    (result,) = client.record(client.transition(rule, FIRING, now + 7, severity=CRITICAL))
    assert (result.outcome, result.episode) == (mesh_pb2.TRANSITION_OUTCOME_ADOPTED, now)
    assert client.alert(alert_id).alert.severity == CRITICAL
