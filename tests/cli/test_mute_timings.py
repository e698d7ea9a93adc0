"""`monitors mute-timings`, against the real notifier."""

import pytest

from tests.cli.conftest import Command


def test_a_mute_timing_is_made_listed_and_deleted(told: Command) -> None:
    hours = (
        "--times",
        "00:00-07:00",
        "--times",
        "22:00-24:00",
        "--weekdays",
        "monday:friday",
        "--zone",
        "Europe/Berlin",
    )
    made = told("mute-timings", "create", "nights", *hours, "--of", "severity!=critical", "--json").document
    timing = made["mute_timing"]
    assert timing["windows"] == [
        {
            "times": ["00:00-07:00", "22:00-24:00"],
            "weekdays": ["monday:friday"],
            "days_of_month": [],
            "months": [],
            "years": [],
            "time_zone": "Europe/Berlin",
        }
    ]
    assert timing["matchers"] == [{"name": "severity", "operator": "not_equal", "value": "critical"}]
    said = told("mute-timings", "create", "office", "--active", "--days", "1:5").stdout
    assert said.endswith(": all alerts told only 1:5 UTC\n")
    shown = told("mute-timings", "list").stdout
    assert "nights" in shown
    assert "severity!=critical" in shown
    assert "00:00-07:00,22:00-24:00 monday:friday" in shown
    assert f"{timing['id']} is gone" in told("mute-timings", "delete", timing["id"]).stdout
    names = [one["name"] for one in told("mute-timings", "list", "--json").document["mute_timings"]]
    assert names == ["office"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("create", "a"), "mute_timing.windows[0]: nothing is set"),
        (("create", "a", "--times", "22:00-06:00"), "write what goes on past midnight as two"),
        (("create", "a", "--years", "2026", "--of", "x"), "'x' is no matcher"),
        (("delete", "mute_1"), "there is no mute timing 'mute_1'"),
    ],
)
def test_what_cannot_be_meant_is_told_with_the_fix(
    told: Command,
    arguments: tuple[str, ...],
    expected: str,
) -> None:
    outcome = told("mute-timings", *arguments, ok=False)
    assert outcome.code != 0
    assert expected in " ".join(outcome.stderr.replace("│", " ").split())
