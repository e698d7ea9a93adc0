"""`monitors escalations`, against the real notifier."""

import pytest
from google.protobuf.duration_pb2 import Duration

from monitors.cli.deliveries import escalation_text
from monitors.cli.documents import delivery_document
from monitors.v1 import notification_pb2
from tests.cli.conftest import Command


def test_a_policy_is_made_listed_changed_and_deleted(told: Command) -> None:
    for name in ("pager", "boss"):
        told("channels", "create", name, "--console")
    command = ("escalations", "create", "on call", "severity=critical", "team!=web", "--step", "15m:pager")
    made = told(*command, "--step", "1h30m:boss, pager", "--json").document["escalation_policy"]
    assert made["steps"] == [
        {"after": "15m", "channels": ["pager"]},
        {"after": "1h30m", "channels": ["boss", "pager"]},
    ]
    assert made["matchers"][1] == {"name": "team", "operator": "not_equal", "value": "web"}
    said = told("escalations", "create", "all", "--step", "10m:pager").stdout
    assert said.endswith(": of all alerts pager after 10m\n")
    shown = told("escalations", "list").stdout
    assert shown.index("on call") < shown.index("all alerts")
    assert "pager after 15m; boss, pager" in shown
    changed = told("escalations", "update", "on call", "--step", "20m:boss", "--position", "2", "--json").document
    assert changed["escalation_policy"]["steps"] == [{"after": "20m", "channels": ["boss"]}]
    assert (changed["escalation_policy"]["position"], changed["escalation_policy"]["name"]) == (2, "on call")
    assert f"{made['id']} is gone" in told("escalations", "delete", made["id"]).stdout
    (left,) = told("escalations", "list", "--json").document["escalation_policies"]
    assert left["name"] == "all"
    told("escalations", "delete", left["id"])
    assert "There is no escalation policy." in told("escalations", "list").stderr
    for name in ("pager", "boss"):
        told("channels", "delete", name, "--yes")


def test_a_delivery_shows_how_far_its_escalation_had_come() -> None:
    escalation = notification_pb2.Escalation(
        policy="on call", step=2, step_count=3, unacknowledged_duration=Duration(seconds=905), told_before=["ops"]
    )
    said = "not acknowledged for 15m, step 2 of 3 of 'on call', told before: ops"
    assert escalation_text(escalation) == said
    shown = delivery_document(notification_pb2.Delivery(escalation=escalation))["escalation"]
    assert shown == {
        "policy": "on call", "step": 2, "step_count": 3, "unacknowledged": "15m5s", "told_before": ["ops"],
    }  # fmt: skip
    assert delivery_document(notification_pb2.Delivery())["escalation"] is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("create", "a", "--step", "pager"), "'pager' is no step; write DURATION:CHANNEL"),
        (("create", "a", "--step", "soon:pager"), "soon"),
        (("create", "a", "--step", "15m:nowhere"), "there is no channel 'nowhere'; make it first"),
        (("create", "a", "checkout", "--step", "15m:console"), "'checkout' is no matcher"),
        (("update", "esc_1"), "say what to change"),
        (("update", "esc_1", "--name", "b"), "there is no escalation policy 'esc_1'"),
        (("delete", "esc_1"), "there is no escalation policy 'esc_1'"),
    ],
)
def test_what_cannot_be_meant_is_told_with_the_fix(told: Command, arguments: tuple[str, ...], expected: str) -> None:
    outcome = told("escalations", *arguments, ok=False)
    assert outcome.code != 0
    assert expected in " ".join(outcome.stderr.replace("│", " ").split())
