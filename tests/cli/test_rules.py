"""`monitors rules`: the same verbs as the tools, and only what was said is sent."""

from pathlib import Path

import pytest

from monitors.cli.failures import ExitCode
from monitors.mesh.times import HOUR, SECOND, from_duration, from_timestamp, now_nanos
from monitors.v1.rule_pb2 import MissingPolicy, Severity
from tests.cli.conftest import Command
from tests.cli.memory_mesh import MemoryMesh

CREATE = ("rules", "create", "--monitor", "mon_host", "--title", "CPU is hot", "--when", "avg(cpu_percent, 1m) > 90")
RULE = "rule_000000000001"


def test_only_what_is_given_is_sent_so_that_the_mesh_fills_in_its_defaults(mesh: MemoryMesh, monitors: Command) -> None:
    monitors(*CREATE)
    sent = mesh.rules.requests[-1]
    assert {field.name for field, _ in sent.rule.ListFields()} == {"monitor_id", "title", "condition_text"}
    assert sent.request_id


def test_every_option_of_create_reaches_its_field(mesh: MemoryMesh, monitors: Command) -> None:
    monitors(
        *CREATE, "--severity", "HIGH", "--for", "30s", "--keep-firing-for", "1m", "--cooldown", "10 min",
        "--repeat", "0", "--interval", "1", "--no-data", "alert", "--missing", "resolve", "--notify", "ops",
        "--notify", "console", "--label", "team=web", "--annotation", "summary=a=b", "--runbook", "https://run/1",
        "--disabled",
    )  # fmt: skip
    rule = mesh.rules.requests[-1].rule
    assert rule.severity == Severity.SEVERITY_HIGH
    durations = (rule.for_duration, rule.keep_firing_for, rule.cooldown, rule.repeat_interval, rule.interval)
    assert [from_duration(duration) // SECOND for duration in durations] == [30, 60, 600, 0, 1]
    assert rule.HasField("repeat_interval")
    assert rule.no_data_policy == MissingPolicy.MISSING_POLICY_ALERT
    assert rule.missing_series_policy == MissingPolicy.MISSING_POLICY_RESOLVE
    assert list(rule.notify) == ["ops", "console"]
    assert dict(rule.labels) == {"team": "web"}
    assert dict(rule.annotations) == {"summary": "a=b", "runbook_url": "https://run/1"}
    assert rule.HasField("enabled")
    assert not rule.enabled


def test_levels_are_sent_as_they_were_said_and_shown_with_the_rule(mesh: MemoryMesh, monitors: Command) -> None:
    said = ("--severity", "low", "--level", "critical: > 95 recover < 90", "--level", "High > 80")
    rule = monitors(*CREATE, *said, "--json").document["rule"]
    levels = [(level.severity, level.condition_text) for level in mesh.rules.requests[-1].rule.levels]
    assert levels == [(Severity.SEVERITY_CRITICAL, "> 95 recover < 90"), (Severity.SEVERITY_HIGH, "> 80")]
    assert rule["levels"] == {"critical": "> 95 recover < 90", "high": "> 80"}
    assert "critical: > 95 recover < 90; high: > 80" in monitors("rules", "show", RULE).stdout
    assert "low, high, critical" in monitors("rules", "list").stdout


def test_levels_are_replaced_as_a_whole_or_taken_away(mesh: MemoryMesh, monitors: Command) -> None:
    monitors(*CREATE, "--level", "critical: > 95")
    monitors("rules", "update", RULE, "--level", "high: > 80")
    assert list(mesh.rules.requests[-1].update_mask.paths) == ["levels"]
    monitors("rules", "update", RULE, "--no-levels")
    assert list(mesh.rules.requests[-1].update_mask.paths) == ["levels"]
    assert not mesh.rules.requests[-1].rule.levels
    assert monitors("rules", "update", RULE, "--no-levels", "--level", "high: > 80", ok=False).code == ExitCode.USAGE


@pytest.mark.parametrize("text", ["fatal: > 95", "critical", "> 95", ""])
def test_what_is_no_level_is_refused_before_anything_is_sent(mesh: MemoryMesh, monitors: Command, text: str) -> None:
    outcome = monitors(*CREATE, "--level", text, ok=False)
    assert outcome.code == ExitCode.USAGE
    assert "critical: > 95" in outcome.stderr
    assert not mesh.rules.requests


def test_a_rule_as_json_has_canonical_durations_and_short_names(monitors: Command) -> None:
    document = monitors(*CREATE, "--for", "90s", "--json").document
    rule = document["rule"]
    assert rule["id"] == RULE
    assert rule["monitor"] == "mon_host"
    assert (rule["for"], rule["cooldown"], rule["interval"]) == ("1m30s", "5m", "30s")
    assert (rule["severity"], rule["state"], rule["enabled"]) == ("medium", "idle", True)
    assert rule["snooze_until"] is None


def test_warnings_go_to_stderr_and_leave_the_document_alone(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.rules.warnings = ["the window is shorter than the interval"]
    outcome = monitors(*CREATE, "--json")
    assert outcome.document["warnings"] == mesh.rules.warnings
    assert outcome.stderr == "warning: the window is shorter than the interval\n"


def test_update_names_in_its_mask_what_was_given_and_nothing_else(mesh: MemoryMesh, monitors: Command) -> None:
    monitors(*CREATE, "--severity", "low")
    outcome = monitors("rules", "update", RULE, "--severity", "critical", "--cooldown", "0", "--json")
    assert sorted(mesh.rules.requests[-1].update_mask.paths) == ["cooldown", "severity"]
    rule, previous = outcome.document["rule"], outcome.document["previous"]
    assert (previous["severity"], rule["severity"]) == ("low", "critical")
    assert (rule["cooldown"], rule["title"]) == ("0s", "CPU is hot")


def test_update_shows_a_person_what_it_was_before(monitors: Command) -> None:
    monitors(*CREATE)
    text = monitors("rules", "update", RULE, "--title", "CPU burns").stdout
    assert "CPU burns   (was CPU is hot)" in text


def test_a_label_is_added_to_the_others_and_an_empty_value_removes_one(mesh: MemoryMesh, monitors: Command) -> None:
    monitors(*CREATE, "--label", "team=web", "--label", "tier=1")
    labels = monitors("rules", "update", RULE, "--label", "site=a", "--label", "tier=", "--json").document["rule"][
        "labels"
    ]
    assert labels == {"team": "web", "site": "a"}
    assert mesh.rules.requests[-1].rule.etag == "1"


def test_snooze_counts_from_now_and_unsnooze_takes_it_back(mesh: MemoryMesh, monitors: Command) -> None:
    monitors(*CREATE)
    before = now_nanos()
    monitors("rules", "update", RULE, "--snooze", "1h")
    until = from_timestamp(mesh.rules.rules[RULE].snooze_until_time)
    assert before + HOUR <= until <= now_nanos() + HOUR
    assert "snoozed" in monitors("rules", "list").stdout
    monitors("rules", "update", RULE, "--unsnooze")
    assert not mesh.rules.rules[RULE].HasField("snooze_until_time")


def test_channels_are_replaced_or_given_back_to_the_default(mesh: MemoryMesh, monitors: Command) -> None:
    monitors(*CREATE, "--notify", "ops")
    monitors("rules", "update", RULE, "--notify", "web")
    assert list(mesh.rules.rules[RULE].notify) == ["web"]
    monitors("rules", "update", RULE, "--default-channels")
    assert list(mesh.rules.rules[RULE].notify) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--snooze", "1h", "--unsnooze"),
        ("--notify", "a", "--default-channels"),
        ("--label", "novalue"),
        ("--for", "soon"),
        ("--severity", "awful"),
    ],
)
def test_a_wrong_use_of_update_sends_nothing(mesh: MemoryMesh, monitors: Command, arguments: tuple[str, ...]) -> None:
    outcome = monitors("rules", "update", RULE, *arguments, ok=False)
    assert outcome.code == ExitCode.USAGE
    assert mesh.rules.requests == []
    assert outcome.stdout == ""


def test_a_stale_etag_is_a_conflict(monitors: Command) -> None:
    monitors(*CREATE)
    outcome = monitors("rules", "update", RULE, "--title", "x", "--etag", "0", ok=False)
    assert outcome.code == ExitCode.CONFLICT
    assert "has changed since it was read" in outcome.stderr


def test_delete_without_a_terminal_wants_yes(mesh: MemoryMesh, monitors: Command) -> None:
    monitors(*CREATE)
    outcome = monitors("rules", "delete", RULE, ok=False)
    assert (outcome.code, "--yes" in outcome.stderr) == (ExitCode.USAGE, True)
    assert RULE in mesh.rules.rules
    assert monitors("rules", "delete", RULE, "--yes", "--json").document["resolved_alert_count"] == 2
    assert RULE not in mesh.rules.rules


def test_list_sends_the_filter_and_says_that_there_is_more(mesh: MemoryMesh, monitors: Command) -> None:
    monitors(*CREATE)
    monitors(*CREATE)
    outcome = monitors(
        "rules", "list", "--monitor", "mon_host", "--title", "is hot", "--severity", "high", "--enabled",
        "--filter", "label.team=web", "--limit", "1",
    )  # fmt: skip
    sent = mesh.rules.requests[-1]
    expected = 'monitor_id=mon_host AND severity=high AND title="is hot" AND enabled=true AND label.team=web'
    assert (sent.filter, sent.page_size) == (expected, 1)
    assert "1 of 2" in outcome.stderr
    document = monitors("rules", "list", "--limit", "1", "--json").document
    assert (len(document["rules"]), document["total_count"], document["next_page_token"]) == (1, 2, "1")
    assert monitors("rules", "list", "--page-token", "1", "--json").document["rules"][0]["id"] == "rule_000000000002"


def test_a_table_keeps_ids_whole_at_100_columns(monitors: Command) -> None:
    monitors(*CREATE)
    lines = monitors("rules", "list").stdout.splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert RULE in lines[1]


def test_preview_explains_without_saving(mesh: MemoryMesh, monitors: Command) -> None:
    outcome = monitors("rules", "preview", "--monitor", "mon_host", "--when", "cpu_percent > 90", "--json")
    assert outcome.document["explanation"] == "Fires when it is hot."
    assert outcome.document["matches"][0]["last_value"] == 12.5
    assert "count" not in outcome.document
    assert mesh.rules.rules == {}
    text = monitors("rules", "preview", "--monitor", "mon_host", "--when", "cpu_percent > 90").stdout
    assert "cpu.cpu_percent" in text


def test_preview_takes_a_saved_rule_and_writes_the_chart(monitors: Command, tmp_path: Path) -> None:
    monitors(*CREATE)
    chart = tmp_path / "chart.png"
    document = monitors("rules", "preview", RULE, "--chart", str(chart), "--json").document
    assert document["rule"]["title"] == "CPU is hot"
    assert chart.read_bytes() == b"\x89PNG chart"


def test_preview_tries_a_rule_on_the_past(mesh: MemoryMesh, monitors: Command) -> None:
    words = ("rules", "preview", "--monitor", "mon_host", "--when", "cpu_percent > 90", "--since", "7d")
    document = monitors(*words, "--json").document
    assert mesh.rules.requests[-1].backtest_window.seconds == 7 * 86_400
    assert (document["count"], document["total"], document["current_value"]) == (1, "1m30s123ms456us789ns", 12.5)
    assert document["intervals"][0]["value"] == 97.25
    assert document["warnings"] == ["the history is short"]
    outcome = monitors(*words)
    assert "1 time " in outcome.stdout
    assert "1m30s" in outcome.stdout
    assert "123ms" not in outcome.stdout
    assert "95 for 0.97 alerts a day" in outcome.stdout
    assert "still firing" in outcome.stdout
    assert "the history is short" in outcome.stderr


def test_preview_wants_a_rule_or_a_condition(monitors: Command) -> None:
    assert monitors("rules", "preview", ok=False).code == ExitCode.USAGE
    assert monitors("rules", "preview", RULE, "--monitor", "m", "--when", "x > 1", ok=False).code == ExitCode.USAGE
