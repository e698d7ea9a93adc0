"""The text of rule files: whatever a rule says reads back as the same, and nothing that's read can take long."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.cli.rule_files.fields import BY_NAME, FIELDS, entry_of, put_entry
from monitors.cli.rule_files.problems import Problems
from monitors.cli.rule_files.reading import FileRule, parse_file
from monitors.cli.rule_files.writing import file_text, unused_name
from monitors.mesh.times import DAY, to_duration
from monitors.v1.rule_pb2 import Level, Rule

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "rule-files.md"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40) | st.sampled_from(
    [
        "no",
        "1.10",
        "~",
        "null",
        "",
        " x",
        "x ",
        "a: b",
        "- a",
        "#1",
        "é\n\n ü",
        "\t",
        "'",
        '"',
        "|",
        "\ufeff",
        "\x85",
        "\r\n",
    ]
)
PAIRS = st.dictionaries(TEXTS, TEXTS, max_size=3)
DURATIONS = st.integers(0, 7 * DAY).map(to_duration)
NAMES = st.lists(TEXTS, max_size=3)
LEVELS = st.dictionaries(st.integers(1, 4), TEXTS, max_size=3)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """A rule as the mesh gives it, everything filled in, though not with values that it would take."""
    rule = Rule(
        monitor_id=draw(TEXTS), title=draw(TEXTS), severity=draw(st.integers(1, 4)),  # type: ignore[arg-type]
        for_duration=draw(DURATIONS), keep_firing_for=draw(DURATIONS), cooldown=draw(DURATIONS),
        repeat_interval=draw(DURATIONS), interval=draw(DURATIONS), evaluation_mode=draw(st.integers(1, 2)),  # type: ignore[arg-type]
        no_data_policy=draw(st.integers(1, 3)), missing_series_policy=draw(st.integers(1, 4)),  # type: ignore[arg-type]
        group_by=draw(NAMES), notify=draw(NAMES), labels=draw(PAIRS), annotations=draw(PAIRS),
        enabled=draw(st.booleans()),
    )  # fmt: skip
    for severity, bounds in sorted(draw(LEVELS).items()):
        rule.levels.append(Level(severity=severity, condition_text=bounds))  # type: ignore[arg-type]
    condition = draw(TEXTS)
    nanos = entry_of(rule)["for"]
    rule.condition_text = condition if nanos == "0s" else f"{condition} for {nanos}"
    return rule


def read(text: str) -> list[FileRule]:
    problems = Problems()
    file = parse_file("f.yaml", text, problems)
    assert problems.told == []
    assert file is not None
    return list(file.rules)


@given(st.lists(rules(), max_size=4))
def test_what_is_written_reads_back_as_the_same_rules(made: list[Rule]) -> None:
    entries = [(f"r{number}", entry_of(rule)) for number, rule in enumerate(made)]
    text = file_text("web", entries)
    found = read(text)
    assert [rule.key for rule in found] == [f"web/{name}" for name, _ in entries]
    defaults: dict[str, Any] = {field.name: field.default for field in FIELDS}
    assert [{**defaults, **rule.values} for rule in found] == [entry for _, entry in entries]
    # What is as it is by default isn't said, and the same rules in another order are the same text.
    assert all(value != BY_NAME[name].default for rule in found for name, value in rule.values.items())
    assert file_text("web", reversed(entries)) == text


@given(rules())
def test_what_is_put_into_a_message_is_got_from_it(rule: Rule) -> None:
    entry = entry_of(rule)
    made = Rule()
    put_entry(entry, made)
    made.condition_text = rule.condition_text
    assert entry_of(made) == entry


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("", 1, "holds no rules; begin with `namespace: web` and `rules:`"),
        ("- a", 1, "holds no rules"),
        ("namespace: a\nrules: [a: [}", 2, "isn't YAML"),
        ("a: b: c", 1, "isn't YAML: mapping values are not allowed in this context"),
        ("namespace: a\n\x01", 2, "isn't YAML"),
        ("rules: []\n---\nrules: []", 2, "a second document begins"),
        ("namespace: !!python/name:os.system x", 1, "the tag 'tag:yaml.org,2002:python/name:os.system' isn't taken"),
        ("namespace: a\nrules: *x", 2, "nothing before has the anchor &x"),
        ("rules: &x\n  - *x", 2, "nothing before has the anchor &x"),
        ("namespace: a\n? [b]\n: c", 2, "a name must be a text"),
        ("x: " + "[" * 100_000, 1, "is nested more than 20 deep"),
        ("x: " + "{a: " * 100_000, 1, "is nested more than 20 deep"),
        ("#" * 9_000_000, 1, "has 9,000,000 characters; at most 8,388,608"),
        (
            "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
            6,
            "holds more than 500,000 values",
        ),
    ],
)
def test_what_is_no_rule_file_is_refused_with_its_line(text: str, line: int, told: str) -> None:
    problems = Problems()
    parse_file("f.yaml", text, problems)
    place, said = problems.told[0]
    assert (place.line, told in said) == (line, True), said


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    problems = Problems()
    assert parse_file("f.yaml", text, problems) is None or problems.told or "tests" in text or "rules" in text


def test_an_anchor_serves_several_rules() -> None:
    text = "namespace: web\nrules:\n" + "".join(
        f"  - {{key: {key}, monitor: m, title: t, condition: c, labels: {labels}}}\n"
        for key, labels in (("a", "&team {team: web}"), ("b", "*team"))
    )
    assert [rule.values["labels"] for rule in read(text)] == [{"team": "web"}] * 2


def test_the_documentation_names_every_field_with_its_default() -> None:
    section = DOCUMENTATION.read_text().partition("## A rule\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| `")]
    told = {name.strip(" `"): default.strip(" `") for name, _, default in rows}
    values = {field.name: field.default for field in FIELDS}
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
    assert told == {"key": "required", **{name: "required" if text == "None" else text for name, text in texts.items()}}


def test_names_are_made_of_titles() -> None:
    assert unused_name("CPU is hot!", set()) == "cpu-is-hot"
    assert unused_name("CPU is hot!", {"cpu-is-hot", "cpu-is-hot-2"}) == "cpu-is-hot-3"
    assert unused_name("…", set()) == "rule"
    assert len(unused_name("x" * 200, {"x" * 57})) <= 63
