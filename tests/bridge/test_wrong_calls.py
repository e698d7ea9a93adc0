"""Wrong calls, as models make them, on the real RuleService: every answer names the field and the fix."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitors.v1 import rule_service_pb2 as pb
from tests.bridge.conftest import RealService, Tools

CALLS = [json.loads(line) for line in (Path(__file__).parent / "wrong_calls.jsonl").read_text().splitlines()]
LONGEST = 120 * 4
# Names of libraries, classes, files and addresses, and what RuleService calls things among programs.
INTERNAL = re.compile(
    r"(?i:grpc|pydantic|traceback|error executing|validation error|protobuf|resolver|sqlalchemy)|_pb2|\b\w+Error\b|"
    r"\w+\.py\b|/\w+/\w+/|\d+\.\d+\.\d+\.\d+|\brule\.\w|_text\b|for_duration|[A-Z]+_[A-Z]+|"
    r"\b(?:List|Get|Create|Update|Delete)[A-Z]"
)
READS = ("list_alert_rules", "list_alerts")
DEFINED = {"create_alert_rule", "update_alert_rule", "delete_alert_rule", "acknowledge_alert", *READS}


@pytest.fixture(scope="module")
def tools(real: Tools, real_service: RealService) -> Iterator[Tools]:
    """The tools, with one rule."""
    rule = real_service.client.create(title="CPU is high")
    yield real
    # Whatever was asked, nothing was changed.
    left = real_service.client.call(pb.ListRulesRequest()).rules
    assert [(one.id, one.etag) for one in left] == [(rule.id, rule.etag)]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: json.dumps(call)[:60])
def test_a_wrong_call_is_answered_with_what_is_wrong_and_the_fix(tools: Tools, call: dict[str, Any]) -> None:
    text = tools.error(call["tool"], **call["arguments"])
    print(f"{len(text.encode()) / 4:.0f} tokens: {text}")  # noqa: T201
    for part in call["says"]:
        assert part in text
    assert len(text.encode()) <= LONGEST, text
    assert not INTERNAL.search(text), text
    if call["tool"] in DEFINED.difference(READS):
        assert text.lower().count("nothing was changed") == 1


def test_there_are_enough_of_them() -> None:
    assert len(CALLS) >= 60
    assert {call["tool"] for call in CALLS} >= DEFINED
