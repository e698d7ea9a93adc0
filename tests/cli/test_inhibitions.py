"""`monitors inhibitions`, against the real notifier."""

import pytest

from tests.cli.conftest import Command


def test_an_inhibition_is_made_listed_changed_and_deleted(told: Command) -> None:
    arguments = ("--while", "part=core", "--mute", "part=leaf", "--mute", "severity!=critical", "--equal", "site")
    said = told("inhibitions", "create", "core", *arguments).stdout
    assert said.endswith(
        ": while part=core fires, nobody is told of part=leaf and severity!=critical with the same site\n"
    )
    shown = told("inhibitions", "list").stdout
    assert "inh_critical" in shown
    assert "monitor_id" in shown
    off = told("inhibitions", "update", "critical", "--off").stdout
    assert off.endswith("with the same monitor_id (turned off)\n")
    listed = told("inhibitions", "list", "--json").document["inhibitions"]
    assert [(one["name"], one["enabled"], one["equal"]) for one in listed] == [
        ("core", True, ["site"]),
        ("critical", False, ["monitor_id"]),
    ]
    assert "core is gone" in told("inhibitions", "delete", "core").stdout
    assert [one["name"] for one in told("inhibitions", "list", "--json").document["inhibitions"]] == ["critical"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("create", "a", "--while", "x=1"), "inhibition.target_matchers: there is none"),
        (("create", "critical", "--while", "x=1", "--mute", "y=1"), "already"),
        (("update", "critical"), "say what to change"),
        (("update", "critical", "--name", "a"), "only enabled can be changed"),
        (("delete", "critical"), "turn it off"),
        (("delete", "inh_1"), "there is no inhibition 'inh_1'"),
    ],
)
def test_what_cannot_be_meant_is_told_with_the_fix(told: Command, arguments: tuple[str, ...], expected: str) -> None:
    outcome = told("inhibitions", *arguments, ok=False)
    assert outcome.code != 0
    assert expected in " ".join(outcome.stderr.replace("│", " ").split())
