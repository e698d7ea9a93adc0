"""What docs/security.md says is held by tests that exist, and leaves nothing out that it is a list of."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
OWASP = "OWASP API Security Top 10 (2023)"


def _rows(title: str) -> list[str]:
    """The rows of the table in a section."""
    (section,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    rows: list[str] = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    return rows[2:]


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_test_that_is_named_exists(file: str) -> None:
    made = set(re.findall(r"^def (test_\w+)", (ROOT / file).read_text(), re.MULTILINE))
    assert {name for named, name in NAMED if named == file} - made == set()


@pytest.mark.parametrize("title", ["The boundaries", OWASP, "MCP's security best practices", "Pods"])
def test_each_line_of_a_table_names_a_test(title: str) -> None:
    rows = _rows(title)
    assert rows
    assert [row for row in rows if "::test_" not in row] == []


def test_all_ten_risks_of_owasp_are_there() -> None:
    numbers = [int(number) for row in _rows(OWASP) for number in re.findall(r"^ API(\d+)", row)]
    assert numbers == list(range(1, 11))


def test_as_many_rules_are_counted_as_there_are() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "checks" / "security" / "rules.yaml").read_text())["rules"]
    assert len(rules) == 15
    assert "fifteen rules" in PAGE
