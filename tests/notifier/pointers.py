"""What other files show: tests that are named, and have to be there."""

import ast
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def missing(tests: Iterable[str]) -> list[str]:
    """Which of these aren't there. Each is a file from the repository's root, `::` and a test's name."""
    return [test for test in tests if test.partition("::")[2] not in _tests_of(ROOT / test.partition("::")[0])]


def _tests_of(file: Path) -> set[str]:
    found = ast.parse(file.read_text()).body if file.exists() else []
    return {one.name for one in found if isinstance(one, ast.FunctionDef) and one.name.startswith("test_")}
