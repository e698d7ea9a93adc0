"""Every statement about an alert's life has a test that bears its name, or stands here with the reason why not."""

import re
from pathlib import Path

import pytest

import tests

NOT_HERE = {
    "s14": "a condition over the alert states of other rules can't be said",
    "s15": "annotations are plain texts: nothing is filled into them",
}
STATEMENTS = [
    f"{section}{number}"
    for section, count in {"s": 15, "t": 9, "m": 8, "e": 6, "r": 4, "c": 2}.items()
    for number in range(1, count + 1)
]
NAME = re.compile(r"^def test_([a-z]\d+)_", re.MULTILINE)


def named() -> set[str]:
    """The statements that a test is named after."""
    (folder,) = tests.__path__
    return {found for path in Path(folder).rglob("test_*.py") for found in NAME.findall(path.read_text())}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_is_tested_or_says_why_not(statement: str) -> None:
    assert (statement in named()) is not (statement in NOT_HERE)


def test_the_reasons_are_of_statements() -> None:
    assert set(STATEMENTS) >= NOT_HERE.keys()
