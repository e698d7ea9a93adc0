"""Rules as files on the real RuleService: what differs is shown and applied, all or nothing; then nothing differs."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest

from monitors.cli.client import Mesh, Target
from monitors.cli.failures import ExitCode, Failure
from monitors.cli.rule_files.calls import MOST_BYTES, made, parts_of, rules_of, told
from monitors.cli.rule_files.fields import FIELDS
from monitors.cli.rule_files.plan import steps_of
from monitors.cli.rule_files.problems import Problems
from monitors.cli.rule_files.reading import parse_file
from tests.cli.conftest import Command, Outcome

COUNTER = iter(range(10_000))


class Folder:
    """Files with rules of one namespace, which no other test has."""

    def __init__(self, command: Command, path: Path) -> None:
        self.command, self.path = command, path
        self.namespace = f"team-{next(COUNTER)}"

    def write(self, *rules: str, name: str = "web.yaml", namespace: str = "", more: str = "") -> str:
        """A file with rules, each a text of lines less their indentation."""
        text = f"namespace: {namespace or self.namespace}\nrules:{'' if rules else ' []'}\n"
        for rule in rules:
            first, *others = rule.strip().splitlines()
            text += f"  - {first.strip()}\n" + "".join(f"    {line.strip()}\n" for line in others)
        (self.path / name).write_text(text + more)
        return str(self.path / name)

    def apply(self, *words: str, ok: bool = True, path: str = "") -> Outcome:
        return self.command("rules", "apply", path or str(self.path), "--yes", *words, ok=ok)

    def actions(self, *words: str) -> dict[str, str]:
        """What an apply does, by the keys less the namespace."""
        changes = self.apply("--json", *words).document["changes"]
        return {change["key"].removeprefix(f"{self.namespace}/"): change["action"] for change in changes}

    def rules(self) -> dict[str, dict[str, object]]:
        """The rules that there are, by the same keys."""
        found = self.command("rules", "list", "--key", f"{self.namespace}/*", "--json").document["rules"]
        return {rule["key"].removeprefix(f"{self.namespace}/"): rule for rule in found}


@pytest.fixture
def folder(local: Command, tmp_path: Path) -> Folder:
    return Folder(local, tmp_path)


HOT = """key: hot
monitor: mon_host
title: CPU is hot
condition: cpu_percent is above 90 for 2 minutes"""
COLD = """key: cold
monitor: mon_host
title: CPU is cold
condition: avg(cpu_percent, 1m) < 1
severity: low"""


def test_what_a_file_says_is_made_and_a_second_time_there_is_nothing_to_do(folder: Folder) -> None:
    folder.write(HOT, COLD)
    first = folder.apply()
    assert f"+ {folder.namespace}/hot  CPU is hot\n    mon_host: cpu_percent > 90 for 2m\n" in first.stdout
    assert "2 to make, 0 unchanged\nDone.\n" in first.stdout
    rules = folder.rules()
    assert (rules["hot"]["condition"], rules["cold"]["severity"]) == ("cpu_percent > 90 for 2m", "low")
    assert folder.apply().stdout == "Nothing to change: 2 unchanged.\n"
    assert folder.rules() == rules


def test_a_change_is_shown_field_by_field_and_what_is_left_out_goes_back(folder: Folder) -> None:
    folder.write(HOT + "\nseverity: high\nlabels: {team: web, tier: 1}\ncooldown: 10 min", COLD)
    folder.apply()
    folder.write(HOT + "\nseverity: critical\nlabels: {team: shop}\nenabled: no", COLD)
    shown = folder.apply("--dry-run").stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert lines == [
        f"~ {folder.namespace}/hot CPU is hot",
        "severity high → critical",
        "cooldown 10m → 5m",
        "labels.team web → shop",
        "enabled true → false",
        "labels.tier 1 → –",
        "1 to change, 1 unchanged",
    ]
    assert folder.rules()["hot"]["severity"] == "high"
    assert folder.actions() == {"hot": "change"}
    changed = folder.rules()["hot"]
    assert (changed["severity"], changed["cooldown"], changed["labels"]) == ("critical", "5m", {"team": "shop"})
    assert folder.actions() == {}


def test_a_new_title_changes_the_rule_of_the_same_key(folder: Folder) -> None:
    folder.write(HOT)
    folder.apply()
    before = folder.rules()["hot"]
    folder.write(HOT.replace("CPU is hot", "Hot!"))
    folder.apply()
    after = folder.rules()["hot"]
    assert (after["id"], after["title"]) == (before["id"], "Hot!")


def test_how_long_is_the_same_in_the_condition_or_beside_it(folder: Folder) -> None:
    folder.write(HOT)
    folder.apply()
    folder.write(HOT.replace(" for 2 minutes", "") + "\nfor: 120")
    assert folder.actions() == {}
    folder.write(HOT.replace("is above 90 for 2 minutes", "> 90 for 2m"))
    assert folder.actions() == {}
    folder.write(HOT.replace(" for 2 minutes", ""))
    assert folder.actions() == {"hot": "change"}
    assert folder.rules()["hot"]["for"] == "0s"


def test_pruning_deletes_what_no_file_has_of_the_files_namespaces_alone(
    folder: Folder, local: Command, tmp_path: Path
) -> None:
    others = Folder(local, tmp_path)
    path = others.write(HOT, name="others.yaml")
    others.apply(path=path)
    Path(path).unlink()
    folder.write(HOT, COLD)
    folder.apply()
    folder.write(COLD)
    assert folder.actions() == {}
    assert set(folder.rules()) == {"hot", "cold"}
    shown = folder.apply("--prune").stdout
    assert f"- {folder.namespace}/hot  CPU is hot\n" in shown
    assert set(folder.rules()) == {"cold"}
    assert set(others.rules()) == {"hot"}
    folder.write()
    folder.apply("--prune")
    assert folder.rules() == {}


def test_one_wrong_rule_of_many_files_changes_nothing_and_all_that_is_wrong_is_told(folder: Folder) -> None:
    folder.write(HOT)
    folder.apply()
    one = folder.write(HOT.replace("CPU", "The CPU"), COLD.replace("cpu_percent", "cpu_procent"))
    two = folder.write(
        "key: a\nmonitor: mon_hots\ntitle: A\nnotify: [opps]\nrepeat: 5s\ncondition: cpu_percent > 1",
        "key: b\nmonitor: mon_host\ntitle: B\nfor: 8d\ncondition: cpu_percent >",
        "key: c\nmonitor: mon_host\ntitle: C\ngroup_by: [cpu, cpu]\ncondition: cpu_percent > 1",
        name="two.yaml",
    )
    outcome = folder.apply(ok=False)
    assert outcome.code == ExitCode.INVALID
    told = outcome.stderr.splitlines()
    begins = [
        line.partition(": ")[0].rpartition("/")[2] + line.partition(folder.namespace)[2][:16] for line in told[:-1]
    ]
    assert begins == [
        "two.yaml:4/a: monitor: the", "two.yaml:6/a: notify: ther", "two.yaml:7/a: repeat: 5s i",
        "two.yaml:12/b: for: 8d is o", "two.yaml:13/b: condition: c", "two.yaml:17/c: group_by: a ",
        "web.yaml:10/cold: condition",
    ]  # fmt: skip
    assert told[0].startswith(f"{two}:4: {folder.namespace}/a: monitor: there is no monitor 'mon_hots'")
    assert one in told[-2]
    assert told[-1] == "error: 7 problems; nothing was changed"
    assert folder.rules()["hot"]["title"] == "CPU is hot"


def test_files_are_read_strictly(folder: Folder) -> None:
    path = folder.write(
        HOT + "\nseverity: hihg\nseverty: high\nfor: soon\nfor: 1m", "key: Cold\ntitle:\nlabels: x", HOT, "monitor: m",
        more="rulez: []\n",
    )  # fmt: skip
    outcome = folder.apply(ok=False)
    assert outcome.code == ExitCode.INVALID
    told = [line.removeprefix(path + ":") for line in outcome.stderr.splitlines()]
    key = f"{folder.namespace}/hot"
    expected = [
        f"7: {key}: severity: 'hihg' isn't one of low, medium, high, critical",
        "8: 'severty' isn't known here, did you mean 'severity'?; there are key, monitor",
        "10: 'for' is said twice, first in line 9",
        "11: condition is missing; every rule has one",
        "11: key: 'Cold' isn't one; write at most 63 lower-case letters",
        "11: monitor is missing",
        "12: title: is empty; say what it is, or leave the line out",
        "13: labels: must be names and texts, such as {team: web}",
        f"14: the key '{key}' is taken by the rule in {path}:3; give it another",
        "18: condition is missing",
        "18: key is missing; write at most 63 lower-case letters, digits, `.`, `_` and `-`, such as `cpu-is-hot`",
        "18: title is missing",
        "19: 'rulez' isn't known here, did you mean 'rules'?; there are namespace, rules",
        "error: 13 problems; nothing was changed",
    ]
    assert [line[: len(begin)] for line, begin in zip(told, expected, strict=True)] == expected


def test_a_rule_made_by_hand_is_left_alone_unless_it_is_to_be_adopted(folder: Folder, local: Command) -> None:
    title = f"CPU is hot for {folder.namespace}"
    make = ("rules", "create", "--monitor", "mon_host", "--title", title, "--when", "cpu_percent > 80", "--json")
    made = local(*make).document["rule"]
    folder.write(HOT.replace("CPU is hot", title))
    assert folder.actions("--dry-run") == {"hot": "create"}
    shown = folder.apply("--adopt").stdout
    assert f"~ {folder.namespace}/hot  {title} ({made['id']}, made by hand)\n" in shown
    assert "cpu_percent > 80 → cpu_percent > 90" in shown
    assert folder.rules()["hot"]["id"] == made["id"]
    assert folder.actions("--adopt") == {}
    local(*make), local(*make)
    folder.write(HOT, COLD.replace("CPU is cold", title))
    refused = folder.apply("--adopt", ok=False)
    assert refused.code == ExitCode.INVALID
    assert "cold: 2 rules have this monitor and title (rule_" in refused.stderr


def test_without_a_terminal_nothing_is_changed_unless_that_is_said(folder: Folder, local: Command) -> None:
    path = folder.write(HOT)
    asked = local("rules", "apply", path, ok=False)
    assert (asked.code, "+ " in asked.stdout) == (ExitCode.USAGE, True)
    assert "repeat it with --yes" in asked.stderr
    assert folder.rules() == {}
    checked = local("rules", "apply", path, "--check", ok=False)
    assert (checked.code, folder.rules()) == (ExitCode.FAILED, {})
    folder.apply()
    assert local("rules", "apply", path, "--check").code == ExitCode.OK
    # Where there is nothing to do there is nothing to ask.
    assert local("rules", "apply", path).code == ExitCode.OK


def test_a_rule_that_changed_after_it_was_shown_is_a_conflict_and_nothing_is_done(
    folder: Folder, local: Command
) -> None:
    folder.write(HOT, COLD)
    folder.apply()
    ids = {key: str(rule["id"]) for key, rule in folder.rules().items()}
    home = Path(str(local.environment["MONITORS_HOME"]))
    target = Target(f"127.0.0.1:{local.environment['MONITORS_GRPC_PORT']}", (home / "key").read_text().strip())
    files = [parse_file("web.yaml", (folder.path / "web.yaml").read_text().replace("CPU", "The CPU"), Problems())]
    with grpc.insecure_channel(target.address) as channel:
        mesh = Mesh(channel, target)
        known = rules_of(mesh, folder.namespace)
        steps = steps_of([file for file in files if file], known, (), Problems(), prune=False)
        assert [result.rule.title for result in told(mesh, steps)] == ["The CPU is hot", "The CPU is cold"]
        local("rules", "update", ids["cold"], "--severity", "critical")
        with pytest.raises(Failure, match=f"{folder.namespace}/cold: etag: rule '{ids['cold']}' has changed") as raised:
            made(mesh, steps)
    assert raised.value.code == ExitCode.CONFLICT
    assert folder.rules()["hot"]["title"] == "CPU is hot"
    # Read anew, what somebody else did is shown as what it is: a difference from the file.
    assert "critical → low" in folder.apply("--dry-run").stdout


def test_many_changes_go_in_requests_that_fit(folder: Folder) -> None:
    text = "".join(f"  - {{key: k{number}, monitor: m, title: t, condition: {'x' * 3000}}}\n" for number in range(900))
    file = parse_file("web.yaml", f"namespace: web\nrules:\n{text}", Problems())
    assert file is not None
    steps = steps_of([file], (), (), Problems(), prune=False)
    parts = list(parts_of(steps, 400))
    assert [step for part in parts for step in part] == steps
    assert max(len(part) for part in parts) < 400
    assert max(sum(step.change.ByteSize() for step in part) for part in parts) <= MOST_BYTES
    assert [len(part) for part in parts_of(steps[:5], 2)] == [2, 2, 1]


def test_what_a_file_leaves_out_is_what_the_mesh_fills_in(folder: Folder) -> None:
    folder.write(COLD.replace("severity: low", ""))
    folder.apply()
    (rule,) = folder.rules().values()
    names = {"missing_series": "missing"}
    for field in FIELDS:
        if field.default is not None:
            assert rule[names.get(field.name, field.name)] == field.default, field.name


def test_a_key_may_have_parts(folder: Folder) -> None:
    folder.write(HOT.replace("key: hot", "key: cpu/hot"))
    folder.apply()
    target = str(folder.path / "again.yaml")
    folder.command("rules", "export", target, "--namespace", folder.namespace)
    assert "  - key: cpu/hot\n" in Path(target).read_text()
    assert folder.apply(path=target).stdout == "Nothing to change: 1 unchanged.\n"


def test_a_document_tells_each_change_with_its_place(folder: Folder) -> None:
    path = folder.write(HOT, COLD)
    folder.apply()
    folder.write(HOT, COLD.replace("low", "high"))
    (change,) = folder.apply("--json", "--dry-run").document["changes"]
    assert (change["key"], change["action"], change["line"]) == (f"{folder.namespace}/cold", "change", 7)
    assert change["file"] == path
    assert change["differences"] == {"severity": {"before": "low", "after": "high"}}
    document = folder.apply("--json").document
    assert (document["applied"], document["unchanged_count"]) == (True, 1)
    assert folder.apply("--json").document == {"changes": [], "unchanged_count": 2, "applied": False}


def test_two_who_apply_at_once_make_no_twins(folder: Folder) -> None:
    folder.write(HOT, COLD)
    path = str(folder.path)
    barrier = threading.Barrier(4)
    outcomes: list[int] = []

    def apply() -> None:
        # In a process of its own: the runner swaps the streams of this one.
        barrier.wait()
        given = {name: value for name, value in folder.command.environment.items() if value is not None}
        words = [str(Path(sys.executable).parent / "monitors"), "rules", "apply", path, "--yes"]
        outcomes.append(subprocess.run(words, env={**os.environ, **given}, capture_output=True, check=False).returncode)

    threads = [threading.Thread(target=apply) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {ExitCode.OK, ExitCode.CONFLICT, ExitCode.INVALID}
    assert ExitCode.OK in outcomes
    titles = [str(rule["title"]) for rule in folder.rules().values()]
    assert sorted(titles) == ["CPU is cold", "CPU is hot"]
    assert folder.actions() == {}


def test_folders_are_read_whole_less_what_is_hidden_or_has_no_rules(folder: Folder, local: Command) -> None:
    (folder.path / "deep").mkdir()
    (folder.path / ".git").mkdir()
    folder.write(HOT, name="deep/one.yml")
    folder.write(COLD, name="two.yaml")
    folder.write("key: X", name=".git/x.yaml")
    (folder.path / "tests.yaml").write_text("rule_files: [two.yaml]\ntests: []\n")
    (folder.path / "README.md").write_text("# Rules")
    assert folder.actions() == {"hot": "create", "cold": "create"}
    (folder.path / "empty").mkdir()
    for path, expected in (
        ("empty", "there is no file in it"),
        ("none.yaml", "can't be read"),
        ("tests.yaml", "only tests"),
    ):
        refused = folder.apply(path=str(folder.path / path), ok=False)
        assert (refused.code, expected in refused.stderr) == (ExitCode.USAGE, True)


def test_an_export_is_what_apply_takes(folder: Folder, local: Command) -> None:
    source = folder.write(
        HOT + "\nlabels: {b: 1.10, a: no}\nannotations: {summary: \"two\\nlines: #1 é\", empty: ''}\nrepeat: 0", COLD
    )
    folder.apply()
    target = str(folder.path / "exported.yaml")
    local("rules", "export", target, "--namespace", folder.namespace)
    assert (
        Path(target).read_text()
        == f"""namespace: {folder.namespace}

rules:
  - key: cold
    monitor: mon_host
    title: CPU is cold
    condition: avg(cpu_percent, 1m) < 1
    severity: low

  - key: hot
    monitor: mon_host
    title: CPU is hot
    condition: cpu_percent > 90
    for: 2m
    repeat: 0s
    labels:
      a: 'no'
      b: '1.10'
    annotations:
      empty: ''
      summary: |-
        two
        lines: #1 é
"""
    )
    Path(source).unlink()
    assert folder.apply().stdout == "Nothing to change: 2 unchanged.\n"
    refused = local("rules", "export", target, "--namespace", folder.namespace, ok=False)
    assert (refused.code, "--force" in refused.stderr) == (ExitCode.USAGE, True)
    stdout = local("rules", "export", "-", "--namespace", folder.namespace).stdout
    assert stdout == Path(target).read_text()
    nothing = local("rules", "export", "-", "--namespace", "nobody", ok=False)
    assert nothing.code == ExitCode.NOT_FOUND


def test_levels_are_said_by_severity_shown_one_by_one_and_exported_as_apply_takes_them(
    folder: Folder, local: Command
) -> None:
    source = folder.write(HOT + "\nlevels: {critical: above 98 recover < 95, high: '> 95'}")
    folder.apply()
    assert folder.rules()["hot"]["levels"] == {"high": "> 95", "critical": "> 98 recover < 95"}
    target = str(folder.path / "exported.yaml")
    local("rules", "export", target, "--namespace", folder.namespace)
    assert "    levels:\n      high: '> 95'\n      critical: '> 98 recover < 95'\n" in Path(target).read_text()
    assert folder.apply(path=source).stdout == "Nothing to change: 1 unchanged.\n"
    assert folder.apply(path=target).stdout == "Nothing to change: 1 unchanged.\n"
    Path(target).unlink()
    folder.write(HOT + "\nlevels: {critical: '> 97'}")
    lines = {" ".join(line.split()) for line in folder.apply().stdout.splitlines()}
    assert {"levels.high > 95 → –", "levels.critical > 98 recover < 95 → > 97"} <= lines
    folder.write(HOT)
    assert folder.actions() == {"hot": "change"}
    assert folder.rules()["hot"]["levels"] == {}


def test_levels_that_are_wrong_are_told_with_their_line(folder: Folder) -> None:
    folder.write(HOT + "\nlevels: {fatal: '> 95'}", COLD + "\nlevels: [high]")
    outcome = folder.apply(ok=False)
    assert outcome.code == ExitCode.INVALID
    assert "levels: 'fatal' isn't one of low, medium, high, critical" in outcome.stderr
    assert 'levels: must be severities and bounds, such as {critical: "> 95 recover < 90"}' in outcome.stderr
    folder.write(HOT + "\nlevels: {high: '> 95 and load > 2'}")
    outcome = folder.apply(ok=False)
    assert "web.yaml:7: " in outcome.stderr
    assert "levels: must compare the rule's value" in outcome.stderr


def test_rules_made_by_hand_are_exported_to_be_adopted(folder: Folder, local: Command) -> None:
    def by_hand() -> set[str]:
        found = local("rules", "list", "--filter", 'key=""', "--limit", "1000", "--json").document["rules"]
        return {rule["id"] for rule in found}

    for left in by_hand():
        local("rules", "delete", left, "--yes")
    for title in ("Größe: 5 > 3!", "…", "grösse 5 3", "x" * 100):
        local("rules", "create", "--monitor", "mon_host", "--title", title, "--when", "cpu_percent > 80")
    made = by_hand()
    local("rules", "export", str(folder.path / "all.yaml"), "--namespace", folder.namespace, "--adopt")
    assert by_hand() == made
    assert folder.actions("--adopt") == dict.fromkeys(["grosse-5-3", "rule", "grosse-5-3-2", "x" * 57], "adopt")
    assert {rule["id"] for rule in folder.rules().values()} == made
    assert (folder.actions(), by_hand()) == ({}, set())
