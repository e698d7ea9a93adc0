"""A condition as a sentence for people."""

from collections.abc import Sequence
from dataclasses import replace

from monitors.mesh.quantities import format_number
from monitors.rules.conditions.canonical import (
    NumberFormat,
    counted_text,
    number_format,
    percentile,
    quote,
    target_text,
)
from monitors.rules.model.condition import (
    Absence,
    Age,
    Aggregation,
    Anomaly,
    Arithmetic,
    Change,
    Comparison,
    Condition,
    Expression,
    Forecast,
    GroupAggregate,
    Input,
    Junction,
    JunctionOperator,
    Negation,
    Number,
    Operator,
    Range,
    Season,
    Tags,
    Test,
    TextTest,
    Threshold,
)
from monitors.rules.model.quantities import duration_in_words, listed
from monitors.rules.model.rule import Level

_AGGREGATIONS = {
    Aggregation.LATEST: "the latest",
    Aggregation.AVERAGE: "the average of",
    Aggregation.MINIMUM: "the minimum of",
    Aggregation.MAXIMUM: "the maximum of",
    Aggregation.SUM: "the sum of",
    Aggregation.COUNT: "the number of points of",
    Aggregation.FIRST: "the oldest value of",
    Aggregation.MEDIAN: "the median of",
    Aggregation.STANDARD_DEVIATION: "the standard deviation of",
    Aggregation.SPREAD: "the difference between the greatest and the least value of",
    Aggregation.RATE: "the rate per second of",
    Aggregation.INCREASE: "the increase of",
    Aggregation.DELTA: "the newest less the oldest value of",
    Aggregation.DERIVATIVE: "the slope per second of",
    Aggregation.CHANGES: "the number of changes of",
    Aggregation.RESETS: "the number of resets of",
}
_GROUPS = {**_AGGREGATIONS, Aggregation.COUNT: "the number of series of"}
_OPERATORS = {
    Operator.GREATER: "greater than",
    Operator.GREATER_OR_EQUAL: "at least",
    Operator.LESS: "less than",
    Operator.LESS_OR_EQUAL: "at most",
    Operator.EQUAL: "equal to",
    Operator.NOT_EQUAL: "not equal to",
    Operator.IN: "one of",
}
_SEASONS = {Season.NONE: "", Season.DAILY: " at this hour", Season.WEEKLY: " at this hour of this weekday"}
_JOINS = {
    JunctionOperator.AND: ", and ",
    JunctionOperator.OR: ", or ",
    JunctionOperator.UNLESS: ", unless ",
}


def condition_in_words(condition: Condition) -> str:
    """What a condition says, as the rest of a sentence that begins with "when"."""
    match condition:
        case Absence(duration=duration, target=target, expected=expected):
            what = f"no point of {target_text(target)}" if target else "no point of any field"
            also = f" (also if there never was one of {_expected(expected)})" if expected else ""
            return f"{what} has come for more than {duration_in_words(duration)}{also}"
        case Comparison(left=left, test=test, recover=recover, occurrence=occurrence):
            number = number_format(left)
            words = f"{_expression(left)} is {_test(test, number)}{counted_text(left, test, occurrence)[1]}"
            return f"{words}, until it is {_test(recover, number)}" if recover else words
        case Junction(operator=operator, conditions=conditions, on=on):
            same = f" (of equal {listed(on)})" if on else ""
            return f"{_JOINS[operator].join(map(_within, conditions))}{same}"
        case Negation(condition=inner):
            return f"it's not so that {_within(inner)}"


def level_in_words(left: Expression, level: Level) -> str:
    """What a level of a rule that looks at `left` says, as the rest of a sentence that ends with "is"."""
    number = number_format(left)
    words = _test(level.test, number)
    return f"{words}, until it is {_test(level.reset, number)}" if level.reset else words


def _within(condition: Condition) -> str:
    words = condition_in_words(condition)
    return f"({words})" if isinstance(condition, Junction) else words


def _expected(expected: Sequence[Tags]) -> str:
    return listed([", ".join(f"{name} {value}" for name, value in tags) or "no tags" for tags in expected])


def _test(test: Test, number: NumberFormat) -> str:
    match test:
        case Range(low=low, high=high, outside=outside):
            return f"{'outside' if outside else 'inside'} of {number(low)} to {number(high)}"
        case TextTest(operator=operator, texts=texts):
            return f"{_OPERATORS[operator]} {listed([quote(each) for each in texts])}"
        case Threshold(operator=operator, right=right, tolerance=tolerance):
            within = f" (give or take {format_number(tolerance)})" if tolerance else ""
            what = number(right.value) if isinstance(right, Number) else _expression(right)
            return f"{_OPERATORS[operator]} {what}{within}"


def _expression(expression: Expression) -> str:
    match expression:
        case Number(value=value):
            return format_number(value)
        case Input():
            return _input(expression)
        case Change(input=given, since=since, percent=percent):
            how = "in percent against" if percent else "against"
            return f"the change of {_input(given)} {how} {duration_in_words(since)} before"
        case Age(input=given):
            return f"the time since {_input(given)}"
        case Forecast(target=target, window=window, ahead=ahead, offset=offset):
            trend = f"by the trend of the last {duration_in_words(window)}{_before(offset)}"
            return f"what {target_text(target)} will be in {duration_in_words(ahead)}, {trend},"
        case Anomaly(input=given, past=past, season=season):
            usual = f"the last {duration_in_words(past)}{_SEASONS[season]}"
            return f"how far {_input(given)} is from what is usual in {usual} (in robust standard deviations)"
        case Arithmetic(left=left, operator=operator, right=right, on=on):
            same = f" (of equal {listed(on)})" if on else ""
            return f"{_operand(left)} {operator} {_operand(right)}{same}"
        case GroupAggregate(aggregation=aggregation, expression=inner):
            name = _name(aggregation, expression.quantile, _GROUPS)
            return f"{name} {_operand(inner)} {_grouping(expression)}"


def _operand(expression: Expression) -> str:
    words = _expression(expression)
    return f"({words})" if isinstance(expression, Arithmetic | GroupAggregate) else words


def _grouping(group: GroupAggregate) -> str:
    if group.without:
        return f"over all series that differ in {listed(group.without)} only"
    return f"for each {listed(group.by)}" if group.by else "over all series"


def _name(aggregation: Aggregation, quantile: float, names: dict[Aggregation, str]) -> str:
    return f"the {percentile(quantile)}th percentile of" if aggregation is Aggregation.QUANTILE else names[aggregation]


def _input(given: Input) -> str:
    words = f"{_name(given.aggregation, given.quantile, _AGGREGATIONS)} {target_text(given.target)}"
    if replace(given, offset=0).is_bare:
        return f"{words}{_before(given.offset)}"
    return f"{words} over the last {duration_in_words(given.window)}{_before(given.offset)}"


def _before(offset: int) -> str:
    return f" {duration_in_words(offset)} before" if offset else ""
