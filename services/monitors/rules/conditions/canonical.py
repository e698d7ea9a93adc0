"""A condition as text: the canonical form, which reads back as the same condition, and a sentence for people."""

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from monitors.mesh.quantities import format_duration, format_number
from monitors.mesh.times import DAY, SECOND
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
    Target,
    Test,
    Threshold,
)
from monitors.rules.model.quantities import duration_in_words
from monitors.rules.model.rule import Level

NumberFormat = Callable[[float], str]
LONGEST_DURATION = 100_000 * DAY // SECOND
# Words that begin or make up a clause: a field of such a name is written in quotes.
RESERVED = frozenset(
    """
    no for if when while alert notify tell warn me the of over in inside outside between within and or not unless is are
    was be has been above below under exceeds exceeding equals equal than at least most true false recover avg average
    mean min minimum lowest smallest max maximum highest peak largest sum total count number latest last newest current
    on from absent missing silent since during past with stay stays remain remains go goes get gets rise rises climb
    climbs fall falls drop drops keep keeps become becomes greater more higher bigger larger less lower smaller fewer
    different differs does isn aren doesn to out by without first oldest median stddev spread rate increase delta deriv
    derivative slope changes resets offset until recovers resolve resolves clear clears percent
    """.split()  # noqa: SIM905 (sixty strings in a list are harder to read)
)
_BARE = re.compile(r"[^\W\d]\w*(?:\.\w+)*")

_AGGREGATION_WORDS = {
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
_OPERATOR_WORDS = {
    Operator.GREATER: "greater than",
    Operator.GREATER_OR_EQUAL: "at least",
    Operator.LESS: "less than",
    Operator.LESS_OR_EQUAL: "at most",
    Operator.EQUAL: "equal to",
    Operator.NOT_EQUAL: "not equal to",
}


def condition_text(condition: Condition) -> str:
    """The canonical text, without a `for` clause: `avg(response_time, 5m) > 500`."""
    match condition:
        case Absence(duration=duration, target=target):
            on = f" on {_target(target)}" if target else ""
            return f"no data{on} for {format_duration(duration)}"
        case Comparison(left=left, test=test, recover=recover, occurrence=occurrence):
            number = _number_format(left)
            text = f"{_counted(left, occurrence)[0]} {_test(test, number)}{_counted(left, occurrence)[1]}"
            return f"{text} recover {_test(recover, number)}" if recover else text


def level_text(left: Expression, level: Level) -> str:
    """A level of a rule whose condition looks at `left`: `> 95 recover < 90`."""
    number = _number_format(left)
    recover = f" recover {_test(level.reset, number)}" if level.reset else ""
    return f"{_test(level.test, number)}{recover}"


def level_in_words(condition: Comparison, level: Level) -> str:
    """What a level of a rule says, as the rest of a sentence that ends with "is"."""
    number = _number_format(condition.left)
    words = _test_in_words(level.test, number)
    return f"{words}, until it is {_test_in_words(level.reset, number)}" if level.reset else words


def value_text(left: Expression) -> str:
    """What a condition looks at: `avg(cpu, 5m)`."""
    return _expression(left)


def _counted(left: Expression, occurrence: Occurrence | None) -> tuple[str, str]:
    """The left side, and how its points are counted."""
    if occurrence is None or not isinstance(left, Input):
        return _expression(left), ""
    at_least, of_last = occurrence.at_least, occurrence.of_last
    if of_last:
        return _input(left), f" in {at_least or 'all'} of the last {of_last} points"
    some = f"at least {at_least}" if at_least else "all"
    return _input(replace(left, window=LOOK_BACK)), f" in {some} points of {format_duration(left.window)}"


def _test(test: Test, number: NumberFormat) -> str:
    match test:
        case Range(low=low, high=high, outside=outside):
            return f"{'outside' if outside else 'inside'} {number(low)}..{number(high)}"
        case Threshold(operator=operator, value=value, tolerance=tolerance):
            within = f" within {format_number(tolerance)}" if tolerance else ""
            return f"{operator} {number(value)}{within}"


def _number_format(left: Expression) -> NumberFormat:
    match left:
        case Change(percent=True):
            return lambda value: f"{_plain_number(value)}%"
        case Age():
            return _seconds
        case _:
            return format_number


def _plain_number(value: float) -> str:
    """Without an exponent: a percentage reads as one."""
    return f"{Decimal(repr(value)).normalize():f}"


def _seconds(value: float) -> str:
    """Seconds as a duration, if they are exactly that."""
    nanos = round(value * SECOND) if 0 < value < LONGEST_DURATION else 0
    return format_duration(nanos) if nanos and nanos / SECOND == value else format_number(value)


def condition_in_words(condition: Condition) -> str:
    """What a condition says, as the rest of a sentence that begins with "when"."""
    match condition:
        case Absence(duration=duration, target=target):
            what = f"no point of {_target(target)}" if target else "no point of any field"
            return f"{what} has come for more than {duration_in_words(duration)}"
        case Comparison(left=left, test=test, recover=recover, occurrence=occurrence):
            number = _number_format(left)
            words = f"{_expression_in_words(left)} is {_test_in_words(test, number)}"
            words += _counted(left, occurrence)[1]
            return f"{words}, until it is {_test_in_words(recover, number)}" if recover else words


def _test_in_words(test: Test, number: NumberFormat) -> str:
    match test:
        case Range(low=low, high=high, outside=outside):
            return f"{'outside' if outside else 'inside'} of {number(low)} to {number(high)}"
        case Threshold(operator=operator, value=value, tolerance=tolerance):
            within = f" (give or take {format_number(tolerance)})" if tolerance else ""
            return f"{_OPERATOR_WORDS[operator]} {number(value)}{within}"


def quote(text: str) -> str:
    """A text in double quotes, as the grammar reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _expression(expression: Expression) -> str:
    match expression:
        case Change(input=given, since=since):
            return f"change({_input(given)}, {format_duration(since)})"
        case Age(input=given):
            return f"age({_input(given)})"
        case Forecast(target=target, window=window, ahead=ahead):
            return f"forecast({_target(target)}, {format_duration(window)}, {format_duration(ahead)})"
        case Input():
            return _input(expression)


def _input(given: Input) -> str:
    offset = f" offset {format_duration(given.offset)}" if given.offset else ""
    target = _target(given.target)
    if given.aggregation is Aggregation.LATEST and given.window == LOOK_BACK:
        return f"{target}{offset}"
    name = f"p{_percentile(given)}" if given.aggregation is Aggregation.QUANTILE else given.aggregation
    return f"{name}({target}, {format_duration(given.window)}){offset}"


def _percentile(given: Input) -> str:
    return f"{(Decimal(repr(given.quantile)) * 100).normalize():f}"


def _expression_in_words(expression: Expression) -> str:
    match expression:
        case Change(input=given, since=since, percent=percent):
            how = "in percent against" if percent else "against"
            return f"the change of {_input_in_words(given)} {how} {duration_in_words(since)} before"
        case Age(input=given):
            return f"the time since {_input_in_words(given)}"
        case Forecast(target=target, window=window, ahead=ahead):
            trend = f"by the trend of the last {duration_in_words(window)}"
            return f"what {_target(target)} will be in {duration_in_words(ahead)}, {trend},"
        case Input():
            return _input_in_words(expression)


def _input_in_words(given: Input) -> str:
    if given.aggregation is Aggregation.QUANTILE:
        words = f"the {_percentile(given)}th percentile of {_target(given.target)}"
    else:
        words = f"{_AGGREGATION_WORDS[given.aggregation]} {_target(given.target)}"
    before = f" {duration_in_words(given.offset)} before" if given.offset else ""
    if given.aggregation is Aggregation.LATEST and given.window == LOOK_BACK:
        return f"{words}{before}"
    return f"{words} over the last {duration_in_words(given.window)}{before}"


def _target(target: Target) -> str:
    name = f"{target.measurement}.{target.field}" if target.measurement else target.field
    filters = ", ".join(f"{_name(each.tag)}{each.operator}{quote(each.value)}" for each in target.filters)
    return f"{_name(name)}{{{filters}}}" if filters else _name(name)


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) and name.lower() not in RESERVED else quote(name)
