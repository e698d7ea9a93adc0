"""docs://conditions: every example means something to the real RuleService, and what it says of meaning is so."""

import json
import re
from pathlib import Path

import pytest

from monitors.bridge import resources
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.model.condition import Aggregation, JunctionOperator, Operator, Season, TagOperator
from monitors.rules.model.condition_parts import targets_of
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import FLOAT, STRING
from tests.rules.client import Client as Tenant

TEXT = resources.conditions()
ROWS = re.findall(r"^\| `([^`]+)` \| (.+?) \|$", TEXT, re.MULTILINE)
OBJECTS = re.findall(r"```json\n(.+?)\n```", TEXT, re.DOTALL)
SPOKEN = TEXT.index("## As people say it")
TEXT_FIELDS = ("status", "state")
SHORTER = (
    "quantile(0.9, latency, 5m) > 300",
    'state not in ("ok", "starting")',
    "disk_used > 90% of disk_size",
    "rate(errors, 5m) / rate(requests, 5m) > 5%",
    "sum by (host) (errors) / sum by (host) (requests) > 5%",
)


def preview(tenant: Tenant, condition: str, **fields: object) -> pb.PreviewRuleResponse:
    """Tries a condition on a monitor that has just its fields."""
    for target in targets_of(parse_condition(condition, "condition").condition):
        measurement, _, field = target.field.rpartition(".")
        is_text = field in TEXT_FIELDS and "changes(" not in condition
        tenant.report("mon_docs", [(measurement or "m", field, STRING if is_text else FLOAT)])
    tenant.report("mon_docs", [("m", "other", FLOAT)])
    rule = rule_pb2.Rule(monitor_id="mon_docs", title="x", condition_text=condition, **fields)  # type: ignore[arg-type]
    answer: pb.PreviewRuleResponse = tenant.call(pb.PreviewRuleRequest(rule=rule))
    return answer


@pytest.mark.parametrize(("condition", "meaning"), ROWS)
def test_an_example_of_a_table_is_accepted(tenant: Tenant, condition: str, meaning: str) -> None:
    rule = preview(tenant, condition).rule
    if TEXT.index(f"`{condition}`") > SPOKEN:
        assert rule.condition_text == meaning
    elif condition not in SHORTER:
        assert rule.condition_text == condition


@pytest.mark.parametrize("text", OBJECTS)
def test_an_example_as_json_is_accepted(tenant: Tenant, text: str) -> None:
    example = json.loads(text)
    if "levels" not in example:
        preview(tenant, text)
        return
    levels = [
        rule_pb2.Level(severity=rule_pb2.Severity.Value(f"SEVERITY_{name.upper()}"), condition_text=bounds)
        for name, bounds in example["levels"].items()
    ]
    rule = preview(tenant, example["condition"], levels=levels).rule
    assert [level.condition_text for level in rule.levels] == list(example["levels"].values())


def test_the_examples_that_are_extracted_are_all_that_there_are() -> None:
    assert len(ROWS) == len(re.findall(r"^\| `", TEXT, re.MULTILINE)) > 60
    assert len(OBJECTS) == TEXT.count("```") / 2 == 8


def test_everything_of_the_language_is_shown() -> None:
    words = [*Aggregation, *Operator, *JunctionOperator, *TagOperator, *filter(None, Season)]
    words += ["recover", "expecting", "offset", "within", "inside", "outside", "forecast", "age", "change", "not ("]
    assert not [word for word in words if str(word) not in TEXT]


def test_the_reference_ships_with_the_package_and_is_short() -> None:
    assert Path(resources.__file__).with_name("conditions.md").read_text(encoding="utf-8") == TEXT
    assert len(TEXT.encode()) / 4 <= 3_000
