"""From the conditions of the contract to what the model evaluates."""

from collections.abc import Callable, Mapping
from sys import intern
from typing import Any

from monitors.evaluator.conditions.comparisons import check_texts, end_of, occurrence_of, threshold
from monitors.evaluator.conditions.formulas import FormulaBuilder
from monitors.evaluator.conditions.levels import levels_of
from monitors.evaluator.conditions.readings import NotEvaluable, finite, is_reading, read
from monitors.evaluator.model.formula import readings_of
from monitors.evaluator.model.spec import ConditionKind
from monitors.v1 import condition_pb2

__all__ = ["NotEvaluable", "fields_of", "levels_of"]


def fields_of(condition: condition_pb2.Condition, since: float) -> dict[str, Any]:
    """What a condition says, as fields of RuleSpec. `since` is when it was first said, in seconds since 1970.

    Raises NotEvaluable.

    What compares one field with fixed bounds has a form of its own, the fastest; everything else is a formula.
    """
    kind = condition.WhichOneof("kind")
    if kind is None:
        raise NotEvaluable("the rule has no condition; give it one, such as `cpu_percent > 90`")
    found = _BY_KIND.get(kind, _formula)(condition, since)
    if condition.HasField("recover"):
        if found["kind"] > ConditionKind.RANGE:
            raise NotEvaluable("only a single comparison can have a recover clause; leave it out, or say `not` of it")
        found |= end_of(condition, found)
    if "formula" in found and not any(readings_of(found["formula"])):
        raise NotEvaluable("the condition looks at no field; name one, as in `cpu_percent > 90`")
    return found


def _comparison(condition: condition_pb2.Condition, since: float) -> dict[str, Any]:
    comparison = condition.comparison
    right = comparison.WhichOneof("right")
    if right == "expression" and comparison.expression.WhichOneof("kind") != "number":
        return _formula(condition, since)
    found = {"kind": ConditionKind.THRESHOLD, **threshold(comparison)}
    if not is_reading(comparison.left):
        return {**found, **_computed(comparison.left, since)} if right == "expression" else _formula(condition, since)
    if len(found.get("texts", ())) > 1:
        return _formula(condition, since)
    reading = read(comparison.left)
    if "of_text" in found:
        check_texts(reading)
    if comparison.HasField("occurrence"):
        found["occurrence"] = occurrence_of(comparison, reading)
    return {**found, **reading}


def _range(condition: condition_pb2.Condition, since: float) -> dict[str, Any]:
    within = condition.range
    left = within.expression
    return {
        "kind": ConditionKind.RANGE,
        "low": finite(within.low),
        "high": finite(within.high),
        "outside": within.outside,
        **(read(left) if is_reading(left) else _computed(left, since)),
    }


def _absence(condition: condition_pb2.Condition, since: float) -> dict[str, Any]:
    if condition.absence.expected:
        return _formula(condition, since)
    found = FormulaBuilder(since).quiet(condition.absence)
    return {
        "kind": ConditionKind.ABSENCE,
        "measurement": intern(found.reading.measurement),
        "field": intern(found.reading.field),
        "filters": found.reading.filters,
        "absent_for": found.absent_for,
    }


def _computed(expression: condition_pb2.Expression, since: float) -> dict[str, Any]:
    builder = FormulaBuilder(since)
    return {"formula": builder.expression(expression), "numbers": tuple(builder.numbers)}


def _formula(condition: condition_pb2.Condition, since: float) -> dict[str, Any]:
    builder, bare = FormulaBuilder(since), condition_pb2.Condition()
    bare.CopyFrom(condition)
    bare.ClearField("recover")
    formula = builder.condition(bare)
    return {"kind": ConditionKind.FORMULA, "formula": formula, "numbers": tuple(builder.numbers)}


_BY_KIND: Mapping[str, Callable[[condition_pb2.Condition, float], dict[str, Any]]] = {
    "comparison": _comparison,
    "range": _range,
    "absence": _absence,
}
