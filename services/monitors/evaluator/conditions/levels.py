"""Levels of severity, from the contract's messages."""

from typing import Any

from monitors.evaluator.conditions.comparisons import bounds_of
from monitors.evaluator.conditions.readings import NotEvaluable
from monitors.evaluator.model.spec import ConditionKind, Level, Severity
from monitors.v1 import rule_pb2

_SEVERITIES = {int(one): one for one in Severity}


def levels_of(rule: rule_pb2.Rule, found: dict[str, Any]) -> dict[str, Any]:
    """The levels of a rule, as fields of RuleSpec. `found` is what its condition says. Raises NotEvaluable.

    A level is nothing but other bounds of the condition's value, so that must be one number that isn't counted.
    """
    condition, own = rule.condition, _SEVERITIES.get(rule.severity, Severity.MEDIUM)
    has_value = found["kind"] in (ConditionKind.THRESHOLD, ConditionKind.RANGE) and "of_text" not in found
    if not has_value or "occurrence" in found:
        raise NotEvaluable(
            "levels need a condition that compares one value with a number or a range; make one rule for each severity"
        )
    levels: list[Level] = []
    for one in rule.levels:
        severity = _SEVERITIES.get(one.severity)
        if severity is None or severity in (own, *(level.severity for level in levels)):
            raise NotEvaluable(
                "each level needs a severity of its own, other than the rule's; use low, medium, high or critical once"
            )
        what = f"the level {severity.name.lower()}"
        enter, _ = bounds_of(one.condition, condition, found, what)
        level = Level(severity, enter)
        if one.HasField("reset"):
            reset, _ = bounds_of(one.reset, condition, found, f"the reset of {what}")
            level = level._replace(reset=reset)
        levels.append(level)
    # In one order, so that rules that say the same share their profile.
    return {"severity": own, "levels": tuple(sorted(levels, key=lambda level: level.severity))}
