"""`monitors escalations`, against the real notifier."""

import pytest

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
