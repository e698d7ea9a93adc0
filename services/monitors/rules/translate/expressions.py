"""Expression messages and the model's expressions."""

from monitors.mesh.errors import InvalidCondition
from monitors.mesh.times import from_duration, to_duration
from monitors.rules.model.condition import (
    LOOK_BACK,
    Age,
    Aggregation,
    Anomaly,
    Arithmetic,
    ArithmeticOperator,
    Change,
    Expression,
    Forecast,
    GroupAggregate,
    Input,
    Number,
    Season,
    TagFilter,
    TagOperator,
    Target,
)
from monitors.rules.model.condition_parts import DEEPEST, too_deep
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
_TAG_OPERATORS = {
    pb.TAG_OPERATOR_EQUAL: TagOperator.EQUAL,
    pb.TAG_OPERATOR_NOT_EQUAL: TagOperator.NOT_EQUAL,
    pb.TAG_OPERATOR_MATCH: TagOperator.MATCH,
    pb.TAG_OPERATOR_NOT_MATCH: TagOperator.NOT_MATCH,
}
_OPERATORS = {
    pb.ARITHMETIC_OPERATOR_ADD: ArithmeticOperator.ADD,
    pb.ARITHMETIC_OPERATOR_SUBTRACT: ArithmeticOperator.SUBTRACT,
    pb.ARITHMETIC_OPERATOR_MULTIPLY: ArithmeticOperator.MULTIPLY,
    pb.ARITHMETIC_OPERATOR_DIVIDE: ArithmeticOperator.DIVIDE,
}
_SEASONS = {
    pb.SEASON_UNSPECIFIED: Season.NONE,
    pb.SEASON_DAILY: Season.DAILY,
    pb.SEASON_WEEKLY: Season.WEEKLY,
}
_AGGREGATION_NUMBERS = {aggregation: number for number, aggregation in _AGGREGATIONS.items()}
_TAG_OPERATOR_NUMBERS = {operator: number for number, operator in _TAG_OPERATORS.items()}
_OPERATOR_NUMBERS = {operator: number for number, operator in _OPERATORS.items()}
_SEASON_NUMBERS = {season: number for number, season in _SEASONS.items()}


def expression_from_proto(message: pb.Expression, path: str, depth: int = 0) -> Expression:
    """The model's expression. Raises InvalidCondition where the message says nothing."""
    if depth > DEEPEST:
        raise too_deep(PATH, f"more than {DEEPEST} levels")
    match message.WhichOneof("kind"):
        case "number":
            # Adding zero makes −0 an ordinary 0, which is what its text reads back as.
            return Number(message.number + 0.0)
        case "input":
            return _input(message.input, f"{path}.input")
        case "age":
            return Age(_input(message.age, f"{path}.age"))
        case "change":
            change = message.change
            given = _input(change.input, f"{path}.change.input")
            return Change(given, from_duration(change.offset), change.percent)
        case "forecast":
            forecast = message.forecast
            target, offset = target_from_proto(forecast.input, f"{path}.forecast.input"), forecast.input.offset
            return Forecast(
                target, from_duration(forecast.window), from_duration(forecast.ahead), from_duration(offset)
            )
        case "anomaly":
            return _anomaly(message.anomaly, f"{path}.anomaly")
        case "arithmetic":
            return _arithmetic(message.arithmetic, f"{path}.arithmetic", depth)
        case "group_aggregate":
            return _group(message.group_aggregate, f"{path}.group_aggregate", depth)
    raise InvalidCondition(f"{PATH}.{path}", "isn't set; send an input, a number, or what is computed of them")


def _arithmetic(message: pb.Arithmetic, path: str, depth: int) -> Arithmetic:
    operator = _OPERATORS.get(message.operator)
    if operator is None:
        raise InvalidCondition(f"{PATH}.{path}.operator", "isn't set; send one of ADD, SUBTRACT, MULTIPLY, DIVIDE")
    left = expression_from_proto(message.left, f"{path}.left", depth + 1)
    return Arithmetic(left, operator, expression_from_proto(message.right, f"{path}.right", depth + 1), (*message.on,))


def _group(message: pb.GroupAggregate, path: str, depth: int) -> GroupAggregate:
    return GroupAggregate(
        _aggregation(message, path),
        expression_from_proto(message.expression, f"{path}.expression", depth + 1),
        (*message.by,),
        (*message.without,),
        message.quantile,
    )


def _anomaly(message: pb.Anomaly, path: str) -> Anomaly:
    season = _SEASONS.get(message.season)
    if season is None:
        raise InvalidCondition(f"{PATH}.{path}.season", "is unknown; send DAILY or WEEKLY, or leave it out")
    return Anomaly(_input(message.input, f"{path}.input"), from_duration(message.past), season)


def _aggregation(message: pb.Input | pb.GroupAggregate, path: str) -> Aggregation:
    """How many numbers become one; only a QUANTILE has a quantile."""
    aggregation = _AGGREGATIONS.get(message.aggregation)
    if aggregation is None:
        raise InvalidCondition(f"{PATH}.{path}.aggregation", "is unknown; send one of LATEST, AVERAGE, QUANTILE, …")
    if message.quantile and aggregation is not Aggregation.QUANTILE:
        raise InvalidCondition(f"{PATH}.{path}.quantile", "belongs to QUANTILE only; leave it out, or send QUANTILE")
    return aggregation


def _input(given: pb.Input, path: str) -> Input:
    aggregation = _aggregation(given, path)
    if given.HasField("window"):
        window = from_duration(given.window)
    elif aggregation is Aggregation.LATEST:
        window = LOOK_BACK
    else:
        raise InvalidCondition(f"{PATH}.{path}.window", "isn't set; send how long the window is, such as 300s")
    return Input(target_from_proto(given, path), aggregation, window, from_duration(given.offset), given.quantile)


def target_from_proto(message: pb.Input, path: str) -> Target:
    """The field that an input looks at. Raises InvalidCondition where a tag filter says nothing."""
    filters = []
    for each in message.filters:
        operator = _TAG_OPERATORS.get(each.operator)
        if operator is None:
            raise InvalidCondition(f"{PATH}.{path}.filters", "an operator isn't set; send one of EQUAL, MATCH, …")
        filters.append(TagFilter(each.tag, operator, each.value))
    return Target(message.field, message.measurement, tuple(filters))


def expression_to_proto(expression: Expression) -> pb.Expression:
    """The message, with every default said."""
    match expression:
        case Number(value=value):
            return pb.Expression(number=value)
        case Input():
            return pb.Expression(input=_input_to_proto(expression))
        case Age(input=given):
            return pb.Expression(age=_input_to_proto(given))
        case Change(input=given, since=since, percent=percent):
            change = pb.Change(input=_input_to_proto(given), offset=to_duration(since), percent=percent)
            return pb.Expression(change=change)
        case Forecast(target=target, window=window, ahead=ahead, offset=offset):
            looked_at = target_to_proto(target)
            if offset:
                looked_at.offset.CopyFrom(to_duration(offset))
            forecast = pb.Forecast(input=looked_at, window=to_duration(window), ahead=to_duration(ahead))
            return pb.Expression(forecast=forecast)
        case Anomaly(input=given, past=past, season=season):
            anomaly = pb.Anomaly(input=_input_to_proto(given), past=to_duration(past), season=_SEASON_NUMBERS[season])
            return pb.Expression(anomaly=anomaly)
        case Arithmetic(left=left, operator=operator, right=right, on=on):
            arithmetic = pb.Arithmetic(
                left=expression_to_proto(left),
                operator=_OPERATOR_NUMBERS[operator],
                right=expression_to_proto(right),
                on=on,
            )
            return pb.Expression(arithmetic=arithmetic)
        case GroupAggregate(aggregation=aggregation, expression=inner, by=by, without=without, quantile=quantile):
            group = pb.GroupAggregate(
                aggregation=_AGGREGATION_NUMBERS[aggregation],
                quantile=quantile,
                expression=expression_to_proto(inner),
                by=by,
                without=without,
            )
            return pb.Expression(group_aggregate=group)


def _input_to_proto(given: Input) -> pb.Input:
    message = target_to_proto(given.target)
    message.aggregation = _AGGREGATION_NUMBERS[given.aggregation]
    message.window.CopyFrom(to_duration(given.window))
    if given.offset:
        message.offset.CopyFrom(to_duration(given.offset))
    message.quantile = given.quantile
    return message


def target_to_proto(target: Target) -> pb.Input:
    """An input that names a field and nothing else."""
    filters = [
        pb.TagFilter(tag=each.tag, operator=_TAG_OPERATOR_NUMBERS[each.operator], value=each.value)
        for each in target.filters
    ]
    return pb.Input(measurement=target.measurement, field=target.field, filters=filters)
