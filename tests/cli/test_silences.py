"""`monitors silences`, against the real notifier."""

import pytest

from tests.cli.conftest import Command


def test_a_silence_is_made_listed_changed_and_ended(told: Command) -> None:
    command = ("silences", "create", "monitor_id=checkout", "severity =~ low|medium", "--for", "2h", "-c", "deploying")
    made = told(*command, "--json").document["silence"]
    assert made["matchers"] == [
        {"name": "monitor_id", "operator": "equal", "value": "checkout"},
        {"name": "severity", "operator": "match", "value": "low|medium"},
    ]
    shown = told("silences", "list").stdout
    assert f"{made['id']}  monitor_id=checkout, severity=~low|medium" in shown
    assert "deploying" in shown
    changed = told("silences", "change", made["id"], "--for", "3h", "--json").document["silence"]
    assert changed["end_time"] > made["end_time"]
    assert changed["comment"] == "deploying"
    assert told("silences", "end", made["id"]).stdout == f"{made['id']} is over; what still fires is told.\n"
    assert "Nothing is silenced." in told("silences", "list").stderr
    assert [one["id"] for one in told("silences", "list", "--all", "--json").document["silences"]] == [made["id"]]


def test_a_silence_that_begins_later_says_so(told: Command) -> None:
    begins, ends = "2199-03-01T08:00:00Z", "2199-03-01T09:00:00Z"
    command = ("silences", "create", "team!=web", "host=a", "--from", begins, "--until", ends, "-c", "moving")
    said = told(*command).stdout
    assert "nobody is told of team!=web and host=a from in " in said
    (found,) = told("silences", "list", "--json").document["silences"]
    assert (found["start_time"], found["end_time"]) == (begins, ends)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("create", "checkout", "--for", "2h", "-c", "x"), "'checkout' is no matcher; write NAME=VALUE"),
        (("create", "a=b", "-c", "x"), "say until when"),
        (("create", "a=b", "-c", "x", "--for", "1h", "--until", "2199-03-01T08:00:00Z"), "say until when"),
        (("change", "sil_1"), "say what to change"),
        (("create", "a=~(", "-c", "x", "--for", "1h"), "silence.matchers[0].value: '(' is no regular expression"),
        (("end", "sil_1"), "there is no silence 'sil_1'"),
    ],
)
def test_what_cannot_be_meant_is_told_with_the_fix(told: Command, arguments: tuple[str, ...], expected: str) -> None:
    outcome = told("silences", *arguments, ok=False)
    assert outcome.code != 0
    assert expected in " ".join(outcome.stderr.replace("│", " ").split())
