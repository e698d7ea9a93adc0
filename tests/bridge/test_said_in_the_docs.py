"""The calls that the page of conversations shows work as they stand there."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.conftest import Tools

PAGE = Path(__file__).parents[2] / "docs" / "conversations.md"
CALLS = re.findall(r"\| `(\w+\(.*\))` \|$", PAGE.read_text(), re.MULTILINE)


def read(call: str) -> tuple[str, dict[str, Any]]:
    """The tool and its arguments."""
    expression = ast.parse(call, mode="eval").body
    assert isinstance(expression, ast.Call)
    assert isinstance(expression.func, ast.Name)
    return expression.func.id, {str(one.arg): ast.literal_eval(one.value) for one in expression.keywords}


def test_there_are_calls() -> None:
    assert len(CALLS) >= 11


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_understood(real: Tools, call: str) -> None:
    tool, arguments = read(call)
    if tool == "update_alert_rule":
        real("create_alert_rule", monitor="mon_host", title=arguments["title"], condition="cpu_percent > 90")
    trying = {"dry_run": True} if "title" in arguments else {}
    real.success(tool, **arguments, **trying)
