"""A condition as text in its canonical form, which reads back as the same condition."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from monitors.mesh.quantities import format_duration, format_number
from monitors.mesh.times import DAY, SECOND
from monitors.rules.model.condition import (
    LOOK_BACK,
    Absence,
    Age,
    Aggregation,
    Anomaly,
    Arithmetic,
    ArithmeticOperator,
    Change,
    Comparison,
    Condition,
    Expression,
    Forecast,
    GroupAggregate,
    Input,
    Junction,
    Negation,
    Number,
    Occurrence,
    Operator,
    Range,
    TagFilter,
    TagOperator,
    Tags,
    Target,
    Test,
    TextTest,
    Threshold,
)
from monitors.rules.model.condition_parts import is_of_numbers
from monitors.rules.model.rule import Level

NumberFormat = Callable[[float], str]
LONGEST_DURATION = 100_000 * DAY // SECOND
# Words that begin or make up a clause: a field of such a name is written in quotes.
RESERVED = frozenset(
    """
    no for if when while alert notify tell warn me the of over in inside outside between within and or not unless is are
    was be has been have had above below under exceeds exceeding equals equal than at least most true false recover avg
    average mean min minimum lowest smallest max maximum highest peak largest sum total count number latest last newest
    current on from absent missing silent since during past with stay stays remain remains go goes get gets rise rises
    climb climbs fall falls drop drops keep keeps become becomes greater more higher bigger larger less lower smaller
    fewer different differs does isn aren doesn to out by without first oldest median stddev spread rate increase delta
    deriv derivative slope changes resets offset until recovers resolve resolves clear clears percent all any across per
    grouped one also as well but except expecting expected expect times divided multiplied daily weekly dips crosses
    reaches hits turns leaves none half twice double each every
    """.split()  # noqa: SIM905 (a hundred strings in a list are harder to read)
)
_BARE = re.compile(r"[^\W\d]\w*(?:\.\w+)*")
_PRECEDENCE = {
    ArithmeticOperator.ADD: 1,
    ArithmeticOperator.SUBTRACT: 1,
    ArithmeticOperator.MULTIPLY: 2,
    ArithmeticOperator.DIVIDE: 2,
}


def condition_text(condition: Condition) -> str:
    """The canonical text, without a `for` clause: `avg(response_time, 5m) > 500`."""
    match condition:
        case Absence(duration=duration, target=target, expected=expected):
            on = f" on {target_text(target)}" if target else ""
            expecting = f" expecting {', '.join(map(_tag_set, expected))}" if expected else ""
            return f"no data{on} for {format_duration(duration)}{expecting}"
        case Comparison(left=left, test=test, recover=recover, occurrence=occurrence):
            measured, counted = counted_text(left, test, occurrence)
            text = f"{measured} {_test(left, test)}{counted}"
            return f"{text} recover {_test(left, recover)}" if recover else text
        case Junction(operator=operator, conditions=conditions, on=on):
            return f" {operator}{_join(on)} ".join(map(_within, conditions))
        case Negation(condition=inner):
            return f"not ({condition_text(inner)})"


def _within(condition: Condition) -> str:
    """A part of a junction: a junction is in parentheses, so that nobody has to know what binds first."""
    text = condition_text(condition)
    return f"({text})" if isinstance(condition, Junction) else text


def level_text(left: Expression, level: Level) -> str:
    """A level of a rule whose condition looks at `left`: `> 95 recover < 90`."""
    text = _test(left, level.test)
    return f"{text} recover {_test(left, level.reset)}" if level.reset else text


def counted_text(left: Expression, test: Test, occurrence: Occurrence | None) -> tuple[str, str]:
    """The left side, and how its points are counted."""
    if occurrence is None or not isinstance(left, Input):
        # A percentage is written where the change is, unless a number with % says it.
        return (_input_or_change(left) if _says_percent(left, test) else expression_text(left)), ""
    at_least, of_last = occurrence.at_least, occurrence.of_last
    if of_last:
        return _input(left), f" in {at_least or 'all'} of the last {of_last} points"
    some = f"at least {at_least}" if at_least else "all"
    return _input(replace(left, window=LOOK_BACK)), f" in {some} points of {format_duration(left.window)}"


def _says_percent(left: Expression, test: Test) -> bool:
    return isinstance(left, Change) and left.percent and is_of_numbers(test)


def _input_or_change(left: Expression) -> str:
    return expression_text(replace(left, percent=False) if isinstance(left, Change) else left)


def _test(left: Expression, test: Test) -> str:
    number = number_format(left)
    match test:
        case Range(low=low, high=high, outside=outside):
            return f"{'outside' if outside else 'inside'} {number(low)}..{number(high)}"
        case TextTest(operator=Operator.IN, texts=texts):
            return f"in ({', '.join(map(quote, texts))})"
        case TextTest(operator=operator, texts=texts):
            return f"{operator} {quote(texts[0])}"
        case Threshold(operator=operator, right=right, tolerance=tolerance):
            within = f" within {format_number(tolerance)}" if tolerance else ""
            return f"{operator} {number(right.value) if isinstance(right, Number) else _right(operator, right)}{within}"


def _right(operator: Operator, right: Expression) -> str:
    """An expression on the right. A name in quotes would be read as a text there."""
    text = expression_text(right)
    is_quoted_name = isinstance(right, Input) and right.is_bare and not right.target.filters and text.startswith('"')
    if is_quoted_name and operator in (Operator.EQUAL, Operator.NOT_EQUAL):
        return f"latest({text}, {format_duration(LOOK_BACK)})"
    return text


def number_format(left: Expression) -> NumberFormat:
    """How the number that an expression is compared with is written."""
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


def quote(text: str) -> str:
    """A text in double quotes, as the grammar reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def expression_text(expression: Expression) -> str:
    """The canonical text of an expression: `errors / on (host) requests`."""
    match expression:
        case Number(value=value):
            return format_number(value)
        case Input():
            return _input(expression)
        case Change(input=given, since=since, percent=percent):
            return f"change({_input(given)}, {format_duration(since)}{', percent' if percent else ''})"
        case Age(input=given):
            return f"age({_input(given)})"
        case Forecast(target=target, window=window, ahead=ahead, offset=offset):
            times = f"{format_duration(window)}, {format_duration(ahead)}"
            return f"forecast({target_text(target)}, {times}){_offset(offset)}"
        case Anomaly(input=given, past=past, season=season):
            return f"anomaly({_input(given)}, {format_duration(past)}{f', {season}' if season else ''})"
        case Arithmetic(left=left, operator=operator, right=right, on=on):
            return f"{_operand(left, operator, 0)} {operator}{_join(on)} {_operand(right, operator, 1)}"
        case GroupAggregate(aggregation=aggregation, expression=inner, quantile=quantile):
            name = aggregation_text(aggregation, quantile)
            return f"{name} {grouping_text(expression)} ({expression_text(inner)})"


def _operand(expression: Expression, operator: ArithmeticOperator, more: int) -> str:
    """A side of an operation, in parentheses where it would be read as something else. Operators of one rank are
    taken from the left, so that the right side must bind `more`."""
    text = expression_text(expression)
    loose = isinstance(expression, Arithmetic) and _PRECEDENCE[expression.operator] < _PRECEDENCE[operator] + more
    return f"({text})" if loose else text


def grouping_text(group: GroupAggregate) -> str:
    """By which tags series are put together: `by (host)`."""
    return f"without ({_names(group.without)})" if group.without else f"by ({_names(group.by)})"


def _join(on: Sequence[str]) -> str:
    return f" on ({_names(on)})" if on else ""


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(_name, names))


def _input(given: Input) -> str:
    target = target_text(given.target)
    if replace(given, offset=0).is_bare:
        return f"{target}{_offset(given.offset)}"
    name = aggregation_text(given.aggregation, given.quantile)
    return f"{name}({target}, {format_duration(given.window)}){_offset(given.offset)}"


def _offset(offset: int) -> str:
    return f" offset {format_duration(offset)}" if offset else ""


def aggregation_text(aggregation: Aggregation, quantile: float) -> str:
    """An aggregation's name: `avg`, `p95`."""
    return f"p{percentile(quantile)}" if aggregation is Aggregation.QUANTILE else aggregation.value


def percentile(quantile: float) -> str:
    """A quantile of 0.95 as `95`."""
    return f"{(Decimal(repr(quantile)) * 100).normalize():f}"


def target_text(target: Target) -> str:
    """A field with its tag filters: `errors{code=~"5.."}`."""
    name, filters = f"{target.measurement}.{target.field}" if target.measurement else target.field, target.filters
    return f"{_name(name)}{{{', '.join(map(_filter, filters))}}}" if filters else _name(name)


def _filter(tag_filter: TagFilter) -> str:
    return f"{_name(tag_filter.tag)}{tag_filter.operator}{quote(tag_filter.value)}"


def _tag_set(tags: Tags) -> str:
    return f"{{{', '.join(_filter(TagFilter(name, TagOperator.EQUAL, value)) for name, value in tags)}}}"


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) and name.lower() not in RESERVED else quote(name)
