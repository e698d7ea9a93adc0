"""Condition messages and the model's conditions."""

from dataclasses import replace

from monitors.mesh.errors import InvalidCondition
from monitors.mesh.times import from_duration, to_duration
from monitors.rules.model.condition import (
    LOOK_BACK,
    Absence,
    Age,
    Aggregation,
    Change,
    Comparison,
    Condition,
    Expression,
    Forecast,
    Input,
    Occurrence,
    Operator,
    Range,
    TagFilter,
    TagOperator,
    Target,
    Test,
    Threshold,
)
from monitors.v1 import condition_pb2 as pb

PATH = "rule.condition"
_AGGREGATIONS = {
    pb.AGGREGATION_UNSPECIFIED: Aggregation.LATEST,
    pb.AGGREGATION_LATEST: Aggregation.LATEST,
    pb.AGGREGATION_FIRST: Aggregation.FIRST,
    pb.AGGREGATION_AVERAGE: Aggregation.AVERAGE,
    pb.AGGREGATION_MINIMUM: Aggregation.MINIMUM,
    pb.AGGREGATION_MAXIMUM: Aggregation.MAXIMUM,
    pb.AGGREGATION_SUM: Aggregation.SUM,
    pb.AGGREGATION_COUNT: Aggregation.COUNT,
    pb.AGGREGATION_MEDIAN: Aggregation.MEDIAN,
    pb.AGGREGATION_QUANTILE: Aggregation.QUANTILE,
    pb.AGGREGATION_STANDARD_DEVIATION: Aggregation.STANDARD_DEVIATION,
    pb.AGGREGATION_SPREAD: Aggregation.SPREAD,
    pb.AGGREGATION_RATE: Aggregation.RATE,
    pb.AGGREGATION_INCREASE: Aggregation.INCREASE,
    pb.AGGREGATION_DELTA: Aggregation.DELTA,
    pb.AGGREGATION_DERIVATIVE: Aggregation.DERIVATIVE,
    pb.AGGREGATION_CHANGES: Aggregation.CHANGES,
    pb.AGGREGATION_RESETS: Aggregation.RESETS,
}
_OPERATORS = {
    pb.COMPARISON_OPERATOR_GREATER: Operator.GREATER,
    pb.COMPARISON_OPERATOR_GREATER_OR_EQUAL: Operator.GREATER_OR_EQUAL,
    pb.COMPARISON_OPERATOR_LESS: Operator.LESS,
    pb.COMPARISON_OPERATOR_LESS_OR_EQUAL: Operator.LESS_OR_EQUAL,
    pb.COMPARISON_OPERATOR_EQUAL: Operator.EQUAL,
    pb.COMPARISON_OPERATOR_NOT_EQUAL: Operator.NOT_EQUAL,
}
_TAG_OPERATORS = {
    pb.TAG_OPERATOR_EQUAL: TagOperator.EQUAL,
    pb.TAG_OPERATOR_NOT_EQUAL: TagOperator.NOT_EQUAL,
    pb.TAG_OPERATOR_MATCH: TagOperator.MATCH,
    pb.TAG_OPERATOR_NOT_MATCH: TagOperator.NOT_MATCH,
}
_AGGREGATION_NUMBERS = {aggregation: number for number, aggregation in _AGGREGATIONS.items()}
_OPERATOR_NUMBERS = {operator: number for number, operator in _OPERATORS.items()}
_TAG_OPERATOR_NUMBERS = {operator: number for number, operator in _TAG_OPERATORS.items()}
WORKS_NOW = (
    "a threshold (`avg(cpu, 5m) > 90`), a range (`avg(cpu, 5m) outside 20..80`) "
    "and absence (`no data for 15m`) work now"
)


def condition_from_proto(message: pb.Condition) -> Condition:
    """The model's condition. Raises InvalidCondition where the message says nothing or what can't be evaluated yet."""
    condition = _condition(message)
    return _with_recover(condition, message.recover) if message.HasField("recover") else condition


def _condition(message: pb.Condition) -> Condition:
    match message.WhichOneof("kind"):
        case "comparison":
            given = message.comparison
            left, test = _expression(given.left, "comparison.left"), _threshold(given)
            counted = Occurrence(given.occurrence.at_least, given.occurrence.of_last)
            return Comparison(left, test, occurrence=counted if given.HasField("occurrence") else None)
        case "range":
            within = message.range
            bounds = Range(within.low, within.high, within.outside)
            return Comparison(_expression(within.expression, "range.expression"), bounds)
        case "absence":
            return _absence(message.absence)
        case "junction":
            raise _not_yet("junction", "make one rule for each condition")
        case "negation":
            raise _not_yet("negation", "turn the comparison round, as `<=` for `>`")
        case _:
            raise InvalidCondition(PATH, f"sets none of comparison, range or absence; {WORKS_NOW}")


def _with_recover(condition: Condition, message: pb.Condition) -> Condition:
    recover = _condition(message)
    if message.HasField("recover"):
        raise InvalidCondition(f"{PATH}.recover.recover", "is set; a recover clause has none of its own, leave it out")
    if not isinstance(condition, Comparison):
        raise InvalidCondition(f"{PATH}.recover", "is set for an absence, which ends with the next point; leave it out")
    if not isinstance(recover, Comparison) or recover.left != condition.left:
        raise InvalidCondition(
            f"{PATH}.recover", "looks at something else than the condition; send another test of the same left side"
        )
    return replace(condition, recover=recover.test)


def _not_yet(part: str, instead: str) -> InvalidCondition:
    return InvalidCondition(f"{PATH}.{part}", f"isn't evaluated yet; {instead}. {WORKS_NOW[0].upper()}{WORKS_NOW[1:]}")


def _threshold(message: pb.Comparison) -> Threshold:
    operator = _OPERATORS.get(message.operator)
    if operator is None:
        if message.operator == pb.COMPARISON_OPERATOR_IN:
            raise _not_yet("comparison.operator", "compare with a number")
        raise InvalidCondition(f"{PATH}.comparison.operator", "isn't set; send one of GREATER, LESS, EQUAL, …")
    match message.WhichOneof("right"):
        case "text" | "texts":
            raise _not_yet("comparison.text", "text can't be compared: compare a number")
        case None:
            raise InvalidCondition(f"{PATH}.comparison.right", "isn't set; send the number to compare with")
    if message.expression.WhichOneof("kind") != "number":
        raise _not_yet("comparison.expression", "compare with a number")
    # Adding zero makes −0 an ordinary 0, which is what its text reads back as.
    return Threshold(operator, message.expression.number + 0.0, message.tolerance + 0.0)


def _absence(message: pb.Absence) -> Absence:
    if message.expected:
        raise _not_yet("absence.expected", "leave it out: a series is missed once it has been seen")
    given = message.input
    if not given.field and (given.measurement or given.filters):
        raise InvalidCondition(
            f"{PATH}.absence.input.field", "is empty; name the field, or leave measurement and filters out as well"
        )
    return Absence(from_duration(message.duration), _target(given, "absence.input") if given.field else None)


def _expression(message: pb.Expression, path: str) -> Expression:
    match message.WhichOneof("kind"):
        case "input":
            return _input(message.input, f"{path}.input")
        case "change":
            change = message.change
            given = _input(change.input, f"{path}.change.input")
            return Change(given, from_duration(change.offset), change.percent)
        case "age":
            return Age(_input(message.age, f"{path}.age"))
        case "forecast":
            forecast, path = message.forecast, f"{path}.forecast.input"
            if forecast.input.HasField("offset"):
                raise _not_yet(f"{path}.offset", "let the window end now")
            target = _target(forecast.input, path)
            return Forecast(target, from_duration(forecast.window), from_duration(forecast.ahead))
        case None:
            raise InvalidCondition(f"{PATH}.{path}", "isn't set; name the field to look at")
    raise _not_yet(path, "name one field, aggregated over one window")


def _input(given: pb.Input, path: str) -> Input:
    aggregation = _AGGREGATIONS.get(given.aggregation)
    if aggregation is None:
        raise InvalidCondition(f"{PATH}.{path}.aggregation", "is unknown; send one of LATEST, AVERAGE, QUANTILE, …")
    if given.quantile and aggregation is not Aggregation.QUANTILE:
        raise InvalidCondition(f"{PATH}.{path}.quantile", "belongs to QUANTILE only; leave it out, or send QUANTILE")
    if given.HasField("window"):
        window = from_duration(given.window)
    elif aggregation is Aggregation.LATEST:
        window = LOOK_BACK
    else:
        raise InvalidCondition(f"{PATH}.{path}.window", "isn't set; send how long the window is, such as 300s")
    return Input(_target(given, path), aggregation, window, from_duration(given.offset), given.quantile)


def _target(message: pb.Input, path: str) -> Target:
    filters = []
    for each in message.filters:
        operator = _TAG_OPERATORS.get(each.operator)
        if operator is None:
            raise InvalidCondition(f"{PATH}.{path}.filters", "an operator isn't set; send one of EQUAL, MATCH, …")
        filters.append(TagFilter(each.tag, operator, each.value))
    return Target(message.field, message.measurement, tuple(filters))


def condition_to_proto(condition: Condition) -> pb.Condition:
    """The message, with every default said."""
    match condition:
        case Comparison(left=left, test=test, recover=recover, occurrence=occurrence):
            message = _comparison_to_proto(left, test)
            if occurrence is not None:
                counted = pb.Occurrence(at_least=occurrence.at_least, of_last=occurrence.of_last)
                message.comparison.occurrence.CopyFrom(counted)
            if recover is not None:
                message.recover.CopyFrom(_comparison_to_proto(left, recover))
            return message
        case Absence(duration=duration, target=target):
            given = _target_to_proto(target) if target else pb.Input()
            return pb.Condition(absence=pb.Absence(input=given, duration=to_duration(duration)))


def _comparison_to_proto(left: Expression, test: Test) -> pb.Condition:
    expression = _expression_to_proto(left)
    if isinstance(test, Range):
        return pb.Condition(range=pb.Range(expression=expression, low=test.low, high=test.high, outside=test.outside))
    comparison = pb.Comparison(
        left=expression,
        operator=_OPERATOR_NUMBERS[test.operator],
        expression=pb.Expression(number=test.value),
        tolerance=test.tolerance,
    )
    return pb.Condition(comparison=comparison)


def _expression_to_proto(expression: Expression) -> pb.Expression:
    match expression:
        case Input():
            return pb.Expression(input=_input_to_proto(expression))
        case Change(input=given, since=since, percent=percent):
            change = pb.Change(input=_input_to_proto(given), offset=to_duration(since), percent=percent)
            return pb.Expression(change=change)
        case Age(input=given):
            return pb.Expression(age=_input_to_proto(given))
        case Forecast(target=target, window=window, ahead=ahead):
            forecast = pb.Forecast(input=_target_to_proto(target), window=to_duration(window), ahead=to_duration(ahead))
            return pb.Expression(forecast=forecast)


def _input_to_proto(given: Input) -> pb.Input:
    message = _target_to_proto(given.target)
    message.aggregation = _AGGREGATION_NUMBERS[given.aggregation]
    message.window.CopyFrom(to_duration(given.window))
    if given.offset:
        message.offset.CopyFrom(to_duration(given.offset))
    message.quantile = given.quantile
    return message


def _target_to_proto(target: Target) -> pb.Input:
    filters = [
        pb.TagFilter(tag=each.tag, operator=_TAG_OPERATOR_NUMBERS[each.operator], value=each.value)
        for each in target.filters
    ]
    return pb.Input(measurement=target.measurement, field=target.field, filters=filters)
