"""Unit tests of rules: what fires is what the live evaluator says, and what differs is told with its reason."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.cli.failures import ExitCode
from monitors.cli.rule_files.fields import Unfit
from monitors.cli.rule_files.problems import Problems
from monitors.cli.rule_files.reading import parse_file
from monitors.cli.rule_tests.cases import AlertName, Case, read_cases
from monitors.cli.rule_tests.course import Course, read_rule, spec_for
from monitors.cli.rule_tests.notation import (
    format_name,
    format_span,
    parse_name,
    parse_span,
    parse_values,
)
from monitors.evaluator.model.backtest import Backtest
from monitors.evaluator.model.outcome import intervals
from monitors.evaluator.model.points import Points
from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from tests.cli.conftest import Command, Outcome

RULES = """namespace: web
rules:
  - {key: hot, monitor: mon_host, title: CPU is hot, condition: cpu_percent > 90 for 2m, severity: high}
  - {key: silent, monitor: mon_host, title: Nothing comes, condition: no data on cpu_percent for 5m}
  - {key: full, monitor: mon_*, title: Disk is full, condition: disk.used > 95}
"""


class Bench:
    """The command without a mesh, on files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Nothing answers there, and there is no key.
        self.command = Command({"MONITORS_SERVER": "127.0.0.1:1", "MONITORS_HOME": str(folder), "MONITORS_KEY": None})

    def write(self, tests: str, rules: str = RULES, name: str = "web.yaml") -> str:
        lines = [line for line in tests.splitlines() if line.strip()]
        margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
        (self.folder / name).write_text(rules + "tests:\n" + "".join(f"  {line[margin:]}\n" for line in lines))
        return str(self.folder / name)

    def run(self, tests: str, *words: str, ok: bool = True, rules: str = RULES) -> Outcome:
        return self.command("rules", "test", self.write(tests, rules), *words, ok=ok)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


GOOD = """
- name: a core that is hot for two minutes
  interval: 30s
  series:
    cpu.cpu_percent{core="0"}: 50x4 95x10 50x6
    cpu.cpu_percent{core="1"}: 50x20
  firing:
    1m: []
    4m20s:
    4m30s:
      - alert: hot{core="0"}
        severity: high
    7m59s: hot{core="0"}
    8m: []
  intervals:
    hot{core="0"}: 4m30s..8m
- name: silence
  series:
    cpu_percent: 1x3 _x10 1
  intervals:
    silent: 8m..14m
- name: two monitors, of which one has no data for the first rule
  monitor: mon_a
  series:
    disk.used: {0s: 99, 1m: 5}
    disk.used{monitor_id="mon_host", path="/"}: {10: 99}
    cpu_percent{monitor_id="mon_host"}: "1"
  intervals:
    full: ["0s..1m"]
    full{monitor_id="mon_host", path="/"}: 10s..
"""


def test_rules_that_fire_as_they_should_pass_without_a_mesh(bench: Bench) -> None:
    outcome = bench.run(GOOD)
    assert outcome.stdout.splitlines() == [
        str(bench.folder / "web.yaml"),
        "  ok    a core that is hot for two minutes",
        "  ok    silence",
        "  ok    two monitors, of which one has no data for the first rule",
        "3 passed, 0 failed",
    ]
    assert bench.run(GOOD, "--only", "silence").stdout.endswith("1 passed, 0 failed\n")


def test_the_example_of_the_promtool_documentation_is_understood(bench: Bench) -> None:
    rules = """namespace: example
rules:
  - {key: instance-down, monitor: prometheus, title: Instance down, condition: up == 0 for 5m, severity: critical}
"""
    bench.run(
        """
        - interval: 1m
          series:
            up{job="prometheus", instance="localhost:9090"}: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
            up{job="node_exporter", instance="localhost:9100"}: 1+0x6 0 0 0 0 0 0 0 0
          firing:
            4m: []
            10m:
              - alert: instance-down{instance="localhost:9090", job="prometheus"}
                severity: critical
            12m:
              - instance-down{instance="localhost:9090", job="prometheus"}
              - instance-down{instance="localhost:9100", job="node_exporter"}
        """,
        rules=rules,
    )


def test_an_alert_is_as_bad_as_its_level_at_that_time(bench: Bench) -> None:
    rules = RULES.replace("severity: high}", "severity: low, levels: {critical: '> 98 recover < 96'}}")
    tests = """
      - name: it rises and falls
        series: {cpu_percent: 95 95 95 99 97 95 10}
        firing:
          2m: [{alert: hot, severity: low}]
          3m: [{alert: hot, severity: critical}]
          4m: [{alert: hot, severity: critical}]
          5m: [{alert: hot, severity: SEVERITY}]
        intervals: {hot: 2m..6m}
    """
    bench.run(tests.replace("SEVERITY", "low"), rules=rules)
    outcome = bench.run(tests.replace("SEVERITY", "high"), rules=rules, ok=False)
    assert "at 5m" in outcome.stdout
    assert "hot [low]" in outcome.stdout


BAD = """
- name: everything is wrong
  series:
    cpu_percent{core="0"}: {0s: 95, 1m: 95, 10m: 1}
    cpu_percent{core="1"}: 1x10
  firing:
    1m:
      - hot{core="0"}
    2m:
      - hot{core="2"}
      - alert: hot{core="0"}
        severity: low
  intervals:
    hot{core="0"}: 2m..3m
    hot{core="1"}: 1m..
"""


def test_what_differs_is_told_with_when_it_fired_and_why(bench: Bench) -> None:
    outcome = bench.run(BAD, ok=False)
    assert outcome.code == ExitCode.FAILED
    path = str(bench.folder / "web.yaml")
    assert (
        outcome.stdout
        == f"""{path}
  FAIL  everything is wrong
        at 1m ({path}:12):
          - hot{{core="0"}}
          + nobody
          hot{{core="0"}}: it's 95, and > 90 since 0s; it fires at 2m unless that changes before
        at 2m ({path}:14):
          - hot{{core="0"}} [low]
          - hot{{core="2"}}
          + hot{{core="0"}} [high]
          hot{{core="2"}}: there is no such instance; there is hot{{core="0"}}, hot{{core="1"}}
        hot{{core="0"}} fires ({path}:19):
          - 2m..3m
          + 2m..7m30s
        hot{{core="1"}} fires ({path}:20):
          - 1m..
          + never
        silent{{core="0"}} fires ({path}:7):
          - never
          + 6m..10m
        what fired:
          hot{{core="0"}}: 2m..7m30s (value 95)
          silent{{core="0"}}: 6m..10m
In no test: web/full
0 passed, 1 failed
"""
    )


def test_a_document_tells_each_test(bench: Bench) -> None:
    document = bench.run(GOOD + BAD, "--json", ok=False).document
    assert (document["passed_count"], document["failed_count"], document["untested_rules"]) == (3, 1, [])
    good, *_, bad = document["tests"]
    assert (good["passed"], good["differences"]) == (True, [])
    assert good["intervals"] == {'hot{core="0"}': ["4m30s..8m (value 95)"]}
    assert (bad["passed"], bad["line"]) == (False, good["line"] + 29)
    assert bad["differences"][0] == {
        "line": bad["line"] + 5,
        "subject": "at 1m",
        "expected": ['hot{core="0"}'],
        "got": [],
        "reasons": {'hot{core="0"}': "it's 95, and > 90 since 0s; it fires at 2m unless that changes before"},
    }


def test_tests_may_be_in_a_file_of_their_own_and_about_some_rules_only(bench: Bench) -> None:
    (bench.folder / "deep").mkdir()
    (bench.folder / "rules.yaml").write_text(RULES)
    bench.write(
        """
        - name: only one
          monitor: mon_host
          rules: [web/hot]
          series: {cpu_percent: 95x3 _x10}
          intervals: {hot: 2m..}
        """,
        rules="rule_files: ../rules.yaml\n",
        name="deep/tests.yaml",
    )
    assert "1 passed" in bench.command("rules", "test", str(bench.folder)).stdout


@pytest.mark.parametrize(
    ("tests", "told"),
    [
        ("- {series: {cpu_percent: 1}}", "7: test 1: expects nothing"),
        ("- {firing: {1m: []}}", "7: test 1: series is missing"),
        ("- {series: {cpu_percent: 1 2y}, firing: {1m: []}}", "'2y' isn't a value; write `5`"),
        ("- {series: {cpu_percent: 1 stale}, firing: {1m: []}}", "there are no stale markers here"),
        ("- {series: {cpu_percent: 1}, firing: {soon: []}}", "firing: 'soon' isn't a duration"),
        (
            "- {series: {cpu_percent: 1}, firing: {1m: [hut]}}",
            "'hut' isn't known here, did you mean 'hot'",
        ),
        (
            "- {series: {cpu_percent: 1}, firing: {1m: [full]}}",
            "full can't be tried on these series",
        ),
        (
            "- {series: {cpu_procent: 1}, firing: {1m: [hot]}}",
            "'mon_host' has no field 'cpu_percent', did",
        ),
        ("- {monitor: m, series: {cpu_percent: 1}, firing: {1m: [hot]}}", "there is no monitor 'mon_host'"),
        (
            "- {series: {cpu_percent: 1}, intervals: {hot: 5m}}",
            "intervals: '5m' isn't a time to fire",
        ),
        ("- {series: {cpu_percent: 1}, intervals: {hot: 5m..2m}}", "ends before it begins"),
        ("- {series: {cpu_percent: 1}, intervals: {hot: [1m.., 2m..3m]}}", "must be in order"),
        (
            "- {series: {cpu_percent: 1}, until: 1m, intervals: {hot: 2m..}}",
            "until: something is said",
        ),
        (
            "- {series: {cpu_percent: 1}, interval: 0, firing: {1m: []}}",
            "interval: must be more than 0s",
        ),
        ("- {series: {cpu_percent: 1}, start: x, firing: {1m: []}}", "start: 'x' isn't a time"),
        (
            "- {serie: {cpu_percent: 1}, firing: {1m: []}}",
            "'serie' isn't known here, did you mean 'series'?",
        ),
        ("- x", "a test must be names and values"),
        ('- {monitor: mon_host, series: {"cpu{a=b}": 1}, firing: {1m: []}}', "the tags can't be read at 'a=b'"),
    ],
)
def test_a_test_that_cannot_be_judged_is_no_pass(bench: Bench, tests: str, told: str) -> None:
    outcome = bench.run(tests, ok=False)
    assert outcome.code == ExitCode.INVALID
    assert told in outcome.stderr
    assert "passed" not in outcome.stdout


def test_a_series_belongs_to_a_monitor(bench: Bench) -> None:
    rules = RULES.replace("key: silent, monitor: mon_host", "key: silent, monitor: mon_b")
    outcome = bench.run("- {series: {cpu_percent: 1}, firing: {1m: []}}", ok=False, rules=rules)
    assert "test 1: series: cpu_percent: whose is it? Say `monitor: …` for the test" in outcome.stderr


def test_a_wrong_rule_is_told_before_anything_is_tried(bench: Bench) -> None:
    wrong = RULES.replace("> 90 for 2m", ">> 90").replace("key: silent", "repeat: 5s, key: silent")
    outcome = bench.run(GOOD, ok=False, rules=wrong)
    assert outcome.code == ExitCode.INVALID
    first, second, last = outcome.stderr.splitlines()
    assert ":3: web/hot: condition: can't be read at '>'" in first
    assert ":4: web/silent: repeat: 5s is out of bounds" in second
    assert last == "error: 2 problems; nothing was tried"


def test_a_file_without_tests_is_no_pass(bench: Bench) -> None:
    (bench.folder / "web.yaml").write_text(RULES)
    outcome = bench.command("rules", "test", str(bench.folder), ok=False)
    assert (outcome.code, "there is no test in these files" in outcome.stderr) == (ExitCode.USAGE, True)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1", [1]),
        ("1 2", [1, 2]),
        ("1x0", [1]),
        ("1x4", [1, 1, 1, 1, 1]),
        ("-2+4x3", [-2, 2, 6, 10]),
        ("1-2x4", [1, -1, -3, -5, -7]),
        ("1 _x3 5 _ 6 _x2", [1, None, None, None, 5, None, 6, None, None]),
        ("1e3+.5x1", [1000, 1000.5]),
        ("1e+3x1", [1000, 1000]),
        ("true False", [1, 0]),
    ],
)
def test_values_are_read_as_prometheus_writes_them(text: str, values: list[float | None]) -> None:
    assert parse_values(text) == values


@pytest.mark.parametrize(
    "text", ["", "x", "1x", "1+x3", "x3", "NaN", "inf", "1x999999999", "1 " * 100_001, "_x999999", "0x1F"]
)
def test_what_are_no_values_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        parse_values(text)


@given(st.from_regex(r"[a-z.]+", fullmatch=True), st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.text()))
def test_a_name_with_tags_reads_back(name: str, tags: dict[str, str]) -> None:
    assert parse_name(format_name(name, tags)) == (name, tags)


@given(st.integers(0, 10**15), st.none() | st.integers(1, 10**15))
def test_a_span_reads_back(start: int, length: int | None) -> None:
    end = None if length is None else start + length
    assert parse_span(format_span(start, end)) == (start, end)


CONDITIONS = st.sampled_from(
    [
        "cpu > 5", "cpu > 5 for 1m", "cpu > 5 for 90s", "avg(cpu, 2m) > 5", "no data on cpu for 2m", "cpu outside 2..7",
        "cpu > 7 recover < 3", "rate(cpu, 3m) > 0.01", "cpu > 5 in 2 of the last 3 points", "max(cpu, 2m) > 8 for 10s",
    ]
)  # fmt: skip


@given(
    CONDITIONS,
    st.lists(st.none() | st.integers(0, 10), max_size=40),
    st.sampled_from(["10s", "30s", "45s", "1m"]),
    st.sampled_from(["keep", "ok", "alert"]),
    st.sampled_from(["every_point", "interval"]),
    st.sampled_from(["0s", "1m"]),
)
def test_what_fires_is_what_a_backtest_says(
    condition: str, values: list[int | None], step: str, no_data: str, mode: str, keep: str
) -> None:
    # A series that has no point yet isn't known, unlike in a backtest.
    row = " ".join("_" if value is None else str(value) for value in [1, *values])
    case, spec = prepared(
        f"{{condition: '{condition}', no_data: {no_data}, evaluate: {mode}, keep_firing_for: {keep}}}",
        f"{{monitor: m, interval: {step}, series: {{cpu: {row} _x30}}, intervals: {{}}}}",
    )
    course = Course(case, [spec], {"a/r": "r"})
    course.advance(case.until)

    (made,) = case.series
    count = len(made.points)
    points = Points(
        np.zeros(count, dtype=np.int32),
        np.array([case.start + time for time, _ in made.points], dtype=np.int64),
        np.array([value for _, value in made.points], dtype=np.float64),
    )
    series = Series(0, SeriesKey("test", "m", "", "cpu"), FieldType.FLOAT)
    backtest = Backtest(spec, [series], points, [False], case.start - 1, case.start + case.until + 999)
    expected = [
        (floor(one.start - case.start), None if one.end is None else floor(one.end - case.start), one.value)
        for one in intervals(backtest.transitions())
    ]
    assert course.spans().get(AlertName("r", "m", ()), []) == expected


def floor(nanos: int) -> int:
    return nanos - nanos % 1000


def prepared(rule: str, test: str) -> tuple[Case, Any]:
    problems = Problems()
    text = f"namespace: a\nrules:\n- {{key: r, monitor: m, title: t, {rule[1:]}\ntests:\n- {test}\n"
    file = parse_file("f.yaml", text, problems)
    assert file is not None
    assert file.tests is not None
    (case,) = read_cases(file.tests, "", {}, problems)
    read = read_rule(file.rules[0], problems)
    assert problems.told == []
    assert read is not None
    spec = spec_for(read, case)
    assert not isinstance(spec, str), spec
    return case, spec


def test_a_test_may_begin_at_a_time_of_its_own(bench: Bench) -> None:
    rules = "namespace: a\nrules:\n- {key: old, monitor: m, title: t, condition: age(backup) > 1h}\n"
    second = 1_767_225_600 + 2 * 3600
    bench.run(
        f"""
        - start: 2026-01-01T02:00:00Z
          series:
            backup: {second}x70
          intervals:
            old: 1h30s..
        """,
        rules=rules,
    )
