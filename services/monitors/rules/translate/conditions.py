"""Condition messages and the model's conditions."""

from dataclasses import replace

from monitors.mesh.errors import InvalidCondition
from monitors.mesh.times import from_duration, to_duration
from monitors.rules.model.condition import (
    Absence,
    Comparison,
    Condition,
    Expression,
    Junction,
    JunctionOperator,
    Negation,
    Occurrence,
    Operator,
    Range,
    Test,
    TextTest,
    Threshold,
)
from monitors.rules.model.condition_parts import DEEPEST, too_deep
from monitors.rules.translate.expressions import (
    PATH,
    expression_from_proto,
    expression_to_proto,
    target_from_proto,
    target_to_proto,
)
from monitors.v1 import condition_pb2 as pb

_OPERATORS = {
    pb.COMPARISON_OPERATOR_GREATER: Operator.GREATER,
    pb.COMPARISON_OPERATOR_GREATER_OR_EQUAL: Operator.GREATER_OR_EQUAL,
    pb.COMPARISON_OPERATOR_LESS: Operator.LESS,
    pb.COMPARISON_OPERATOR_LESS_OR_EQUAL: Operator.LESS_OR_EQUAL,
    pb.COMPARISON_OPERATOR_EQUAL: Operator.EQUAL,
    pb.COMPARISON_OPERATOR_NOT_EQUAL: Operator.NOT_EQUAL,
    pb.COMPARISON_OPERATOR_IN: Operator.IN,
}
_JUNCTIONS = {
    pb.JUNCTION_OPERATOR_AND: JunctionOperator.AND,
    pb.JUNCTION_OPERATOR_OR: JunctionOperator.OR,
    pb.JUNCTION_OPERATOR_UNLESS: JunctionOperator.UNLESS,
}
_OPERATOR_NUMBERS = {operator: number for number, operator in _OPERATORS.items()}
_JUNCTION_NUMBERS = {operator: number for number, operator in _JUNCTIONS.items()}


def condition_from_proto(message: pb.Condition) -> Condition:
    """The model's condition. Raises InvalidCondition where the message says nothing."""
    return _condition(message, "", 0)


def _condition(message: pb.Condition, path: str, depth: int) -> Condition:
    if depth > DEEPEST:
        raise too_deep(PATH, f"more than {DEEPEST} levels")
    condition = _kind(message, path, depth)
    return _with_recover(condition, message.recover, path) if message.HasField("recover") else condition


def _kind(message: pb.Condition, path: str, depth: int) -> Condition:
    match message.WhichOneof("kind"):
        case "comparison":
            return _comparison(message.comparison, f"{path}comparison", depth)
        case "range":
            within = message.range
            bounds = Range(within.low + 0.0, within.high + 0.0, within.outside)
            return Comparison(expression_from_proto(within.expression, f"{path}range.expression", depth), bounds)
        case "absence":
            return _absence(message.absence, f"{path}absence")
        case "junction":
            return _junction(message.junction, f"{path}junction", depth)
        case "negation":
            return Negation(_condition(message.negation.condition, f"{path}negation.condition.", depth + 1))
    place = f"{PATH}.{path}".rstrip(".")
    raise InvalidCondition(place, "sets none of comparison, range, absence, junction or negation; set one")


def _comparison(message: pb.Comparison, path: str, depth: int) -> Comparison:
    counted = Occurrence(message.occurrence.at_least, message.occurrence.of_last)
    return Comparison(
        expression_from_proto(message.left, f"{path}.left", depth),
        _test(message, path, depth),
        occurrence=counted if message.HasField("occurrence") else None,
    )


def _test(message: pb.Comparison, path: str, depth: int) -> Test:
    operator = _OPERATORS.get(message.operator)
    if operator is None:
        raise InvalidCondition(f"{PATH}.{path}.operator", "isn't set; send one of GREATER, LESS, EQUAL, …")
    kind = message.WhichOneof("right")
    if kind is None:
        raise InvalidCondition(f"{PATH}.{path}.right", "isn't set; send the number, expression or text to compare with")
    if kind == "expression":
        right = expression_from_proto(message.expression, f"{path}.expression", depth)
        return Threshold(operator, right, message.tolerance + 0.0)
    if message.tolerance:
        raise InvalidCondition(f"{PATH}.{path}.tolerance", "is set, but text has no tolerance; leave it out")
    if (kind == "texts") is not (operator is Operator.IN):
        raise InvalidCondition(f"{PATH}.{path}.operator", "must be IN for texts, and EQUAL or NOT_EQUAL for a text")
    return TextTest(operator, (*message.texts.values,) if kind == "texts" else (message.text,))


def _absence(message: pb.Absence, path: str) -> Absence:
    given = message.input
    if not given.field and (given.measurement or given.filters):
        raise InvalidCondition(
            f"{PATH}.{path}.input.field", "is empty; name the field, or leave measurement and filters out as well"
        )
    return Absence(
        from_duration(message.duration),
        target_from_proto(given, f"{path}.input") if given.field else None,
        tuple(tuple(sorted(each.tags.items())) for each in message.expected),
    )


def _junction(message: pb.Junction, path: str, depth: int) -> Junction:
    operator = _JUNCTIONS.get(message.operator)
    if operator is None:
        raise InvalidCondition(f"{PATH}.{path}.operator", "isn't set; send one of AND, OR, UNLESS")
    conditions = tuple(
        _condition(each, f"{path}.conditions[{number}].", depth + 1) for number, each in enumerate(message.conditions)
    )
    return Junction(operator, conditions, (*message.on,))


def _with_recover(condition: Condition, message: pb.Condition, path: str) -> Condition:
    path = f"{path}recover"
    if not isinstance(condition, Comparison):
        raise InvalidCondition(
            f"{PATH}.{path}",
            "is set for something else than a single comparison or range, whose value it would test; leave it out",
        )
    recover = _condition(message, f"{path}.", 0)
    if not isinstance(recover, Comparison) or recover.left != condition.left:
        raise InvalidCondition(
            f"{PATH}.{path}", "looks at something else than the condition; send another test of the same left side"
        )
    if recover.recover is not None:
        raise InvalidCondition(f"{PATH}.{path}.recover", "is set; a recover clause has none of its own, leave it out")
    if recover.occurrence is not None:
        raise InvalidCondition(
            f"{PATH}.{path}.comparison.occurrence", "is set; a recover clause tests the newest value, leave it out"
        )
    return replace(condition, recover=recover.test)


def condition_to_proto(condition: Condition) -> pb.Condition:
    """The message, with every default said."""
    match condition:
        case Comparison(left=left, test=test, recover=recover, occurrence=occurrence):
            message = _test_to_proto(left, test)
            if occurrence is not None:
                counted = pb.Occurrence(at_least=occurrence.at_least, of_last=occurrence.of_last)
                message.comparison.occurrence.CopyFrom(counted)
            if recover is not None:
                message.recover.CopyFrom(_test_to_proto(left, recover))
            return message
        case Absence(duration=duration, target=target, expected=expected):
            given = target_to_proto(target) if target else pb.Input()
            tag_sets = [pb.TagSet(tags=dict(tags)) for tags in expected]
            return pb.Condition(absence=pb.Absence(input=given, duration=to_duration(duration), expected=tag_sets))
        case Junction(operator=operator, conditions=conditions, on=on):
            joined = pb.Junction(
                operator=_JUNCTION_NUMBERS[operator], conditions=map(condition_to_proto, conditions), on=on
            )
            return pb.Condition(junction=joined)
        case Negation(condition=inner):
            return pb.Condition(negation=pb.Negation(condition=condition_to_proto(inner)))


def _test_to_proto(left: Expression, test: Test) -> pb.Condition:
    expression = expression_to_proto(left)
    match test:
        case Range(low=low, high=high, outside=outside):
            return pb.Condition(range=pb.Range(expression=expression, low=low, high=high, outside=outside))
        case Threshold(operator=operator, right=right, tolerance=tolerance):
            comparison = pb.Comparison(
                left=expression,
                operator=_OPERATOR_NUMBERS[operator],
                expression=expression_to_proto(right),
                tolerance=tolerance,
            )
        case TextTest(operator=operator, texts=texts):
            comparison = pb.Comparison(left=expression, operator=_OPERATOR_NUMBERS[operator])
            if operator is Operator.IN:
                comparison.texts.values.extend(texts)
            else:
                comparison.text = texts[0]
    return pb.Condition(comparison=comparison)
