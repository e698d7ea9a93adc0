"""What values are compared with, from the contract's messages."""

from typing import Any

from monitors.evaluator.conditions.readings import NotEvaluable, finite
from monitors.evaluator.model.bounds import Bounds, Operator, bounds
from monitors.evaluator.model.reading import Aggregation, Occurrence
from monitors.evaluator.model.texts import code_of
from monitors.v1 import condition_pb2

_OPERATORS = {int(one): one for one in Operator}
_EQUALITIES = {int(one): one for one in (Operator.EQUAL, Operator.NOT_EQUAL)}
_MEMBERSHIP = {int(condition_pb2.COMPARISON_OPERATOR_IN): Operator.EQUAL}
_PICKING = (Aggregation.LATEST, Aggregation.FIRST)
"""What takes one of the window's points as it is, which can be a text."""


def operator_of(comparison: condition_pb2.Comparison) -> Operator:
    """How numbers are compared. Raises NotEvaluable."""
    operator = _OPERATORS.get(comparison.operator)
    if operator is None:
        raise NotEvaluable("numbers are compared with one of > >= < <= == !=; `in` goes with a list of texts")
    return operator


def threshold(comparison: condition_pb2.Comparison) -> dict[str, Any]:
    """What a value must be, as fields of RuleSpec: compared with a number, or a text's code. Raises NotEvaluable."""
    if comparison.WhichOneof("right") in ("text", "texts"):
        return _equality(comparison)
    if comparison.expression.WhichOneof("kind") != "number":
        raise NotEvaluable("a comparison needs a number or a text; put one on the right, as in `cpu_percent > 75`")
    number, tolerance = finite(comparison.expression.number), finite(comparison.tolerance)
    return {"operator": operator_of(comparison), "low": number, "tolerance": tolerance}


def _equality(comparison: condition_pb2.Comparison) -> dict[str, Any]:
    """What a text must be, or mustn't, as a comparison of its code; of several texts, of the first one's."""
    if comparison.HasField("texts"):
        texts, operators = tuple(dict.fromkeys(comparison.texts.values)), _MEMBERSHIP
    else:
        texts, operators = (comparison.text,), _EQUALITIES
    operator = operators.get(comparison.operator)
    if operator is None:
        raise NotEvaluable("a text is equal or it isn't; compare it with ==, != or `in` and a list of texts")
    if not texts:
        raise NotEvaluable("no text is in an empty list; name one at least")
    return {"operator": operator, "low": code_of(texts[0]), "of_text": True, "texts": texts}


def check_texts(reading: dict[str, Any]) -> None:
    """Texts are compared as they are. Raises NotEvaluable."""
    if reading["aggregation"] not in _PICKING or "function" in reading:
        raise NotEvaluable('nothing can be computed of texts; compare the newest one, such as `status == "down"`')


def occurrence_of(comparison: condition_pb2.Comparison, reading: dict[str, Any]) -> Occurrence:
    """How many points must compare true. Raises NotEvaluable."""
    if reading["aggregation"] is not Aggregation.LATEST or "function" in reading:
        raise NotEvaluable("points that are counted can't be aggregated as well; compare the field itself")
    return Occurrence(comparison.occurrence.at_least, comparison.occurrence.of_last)


def end_of(condition: condition_pb2.Condition, found: dict[str, Any]) -> dict[str, Any]:
    """What ends an alert: another test of the same value. `found` is what the condition itself says."""
    ends, texts = bounds_of(condition.recover, condition, found, "a recover clause")
    return {"recover": ends, "texts": found.get("texts", ()) + texts}


def bounds_of(
    test: condition_pb2.Condition, condition: condition_pb2.Condition, found: dict[str, Any], what: str
) -> tuple[Bounds, tuple[str, ...]]:
    """Another test of the value that a condition looks at, and the texts that it compares with.

    `found` is what the condition itself says, `what` is the test's name for people. Raises NotEvaluable.
    """
    if test.HasField("recover") or test.comparison.HasField("occurrence"):
        raise NotEvaluable(f"{what} is one test and has no further clause; leave that out")
    if test.HasField("range"):
        looks_at, said = test.range.expression, dict[str, Any]()
        within = Bounds(finite(test.range.low), finite(test.range.high), test.range.outside)
    elif test.HasField("comparison"):
        looks_at, right = test.comparison.left, test.comparison.WhichOneof("right")
        if right not in ("text", "texts") and test.comparison.expression.WhichOneof("kind") != "number":
            raise NotEvaluable(f"{what} compares with a number; put one on the right, such as `< 75`")
        said = threshold(test.comparison)
        within = bounds(said["operator"], said["low"], said.get("tolerance", 0.0))
    else:
        raise NotEvaluable(f"{what} must compare a value with a number or a range; say for example `< 75`")
    if looks_at != _left(condition):
        raise NotEvaluable(f"{what} must look at the condition's own value; give both the same left side")
    if said.get("of_text") is not found.get("of_text"):
        raise NotEvaluable(f"{what} must compare with a text where the condition does, and only there")
    return within, said.get("texts", ())


def _left(condition: condition_pb2.Condition) -> condition_pb2.Expression | None:
    if condition.HasField("range"):
        return condition.range.expression
    return condition.comparison.left if condition.HasField("comparison") else None
