"""`monitors routes`, against the real notifier."""

import pytest

from tests.cli.conftest import Command


def test_a_route_is_made_tried_moved_and_deleted(told: Command) -> None:
    for channel in ("main", "pager"):
        told("channels", "create", channel, "--console", *(("--default",) if channel == "main" else ()))
    made = told("routes", "create", "critical", "--to", "pager", "--of", "severity=critical", "--json").document[
        "route"
    ]
    assert (made["position"], made["channels"], made["continues"]) == (1, ["pager"], False)
    said = told("routes", "create", "shop", "--to", "main", "--of", "team=shop", "--position", "1", "--continue").stdout
    assert said.endswith(": 1. shop: team=shop told to main, and the routes behind it are looked at\n")
    shown = told("routes", "list").stdout.splitlines()
    assert [line.split()[0] for line in shown[1:]] == ["1", "2"]
    tried = told("routes", "test", "--severity", "critical", "--label", "team=shop", "--json").document
    assert [one["name"] for one in tried["routes"]] == ["shop", "critical"]
    assert tried["channels"] == ["main", "pager"]
    assert "no route: the default channels" in told("routes", "test").stdout
    told("silences", "create", "severity=critical", "--for", "1h", "--comment", "deploying")
    assert "nobody, as it's silenced by sil_" in told("routes", "test", "--severity", "critical").stdout
    told("routes", "update", "shop", "--position", "2", "--stop", "--of-all")
    changed = told("routes", "list", "--json").document["routes"]
    assert [(one["name"], one["continues"], one["matchers"]) for one in changed][1] == ("shop", False, [])
    refused = told("channels", "delete", "main", "--yes", ok=False)
    assert "the route 'shop' names the channel 'main'" in refused.stderr
    assert "shop is gone" in told("routes", "delete", "shop").stdout
    assert [one["name"] for one in told("routes", "list", "--json").document["routes"]] == ["critical"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("create", "a"), "route.channels: there are 0"),
        (("create", "a", "--to", "nobody"), "there is no channel 'nobody'"),
        (("update", "a"), "say what to change"),
        (("delete", "route_1"), "there is no route 'route_1'"),
        (("test", "--label", "team"), "'team' isn't NAME=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_told_with_the_fix(told: Command, arguments: tuple[str, ...], expected: str) -> None:
    outcome = told("routes", *arguments, ok=False)
    assert outcome.code != 0
    assert expected in " ".join(outcome.stderr.replace("│", " ").split())
