"""What is wrong with an expression, whatever the monitor."""

import math
from collections.abc import Iterator, Sequence

from monitors.mesh.patterns import InvalidPattern, check_pattern
from monitors.mesh.quantities import format_duration
from monitors.mesh.times import DAY, SECOND
from monitors.rules.model.condition import (
    GROUPINGS,
    LONGEST_NAME,
    LONGEST_WINDOW,
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
    Target,
)
from monitors.rules.model.condition_parts import has_inputs
from monitors.rules.model.quantities import shown

MOST_TAGS = 100
_LEAST_PAST = {Season.NONE: SECOND, Season.DAILY: 2 * DAY, Season.WEEKLY: 14 * DAY}
_FORECAST = "forecast(disk_used, 6h, 4h)"


def check_expression(expression: Expression) -> Iterator[str]:
    """What is wrong with an expression, in sentences."""
    match expression:
        case Number(value=value):
            yield from check_number("a number", value)
        case Input():
            yield from _check_input(expression)
        case Change(input=given, since=since):
            yield from _check_input(given)
            yield from _check_reach("the time since when it changed", since, "change(price, 1h)")
        case Age(input=given):
            yield from _check_input(given)
            if given.aggregation is not Aggregation.LATEST:
                yield f"an age is that of the newest value; say `age({given.target.field[:64]})`"
        case Forecast(target=target, window=window, ahead=ahead, offset=offset):
            yield from check_target(target)
            yield from _check_reach("the window of the forecast", window, _FORECAST)
            yield from _check_reach("how far the forecast looks ahead", ahead, _FORECAST)
            yield from _check_offset(offset)
        case Anomaly():
            yield from _check_anomaly(expression)
        case Arithmetic():
            yield from _check_arithmetic(expression)
        case GroupAggregate():
            yield from _check_group(expression)


def _check_arithmetic(arithmetic: Arithmetic) -> Iterator[str]:
    left, operator, right, on = arithmetic.left, arithmetic.operator, arithmetic.right, arithmetic.on
    yield from check_expression(left)
    yield from check_expression(right)
    if operator is ArithmeticOperator.DIVIDE and constant_of(right) == 0:
        yield "a division by 0 has no result; divide by something else, or leave it out"
    elif not has_inputs(arithmetic) and not math.isfinite(constant_of(arithmetic)):
        yield "what is computed of numbers alone is too large for one; write a number instead, such as 500"
    yield from check_tag_names("on", on, "errors / on (host) requests")
    if on and not (has_inputs(left) and has_inputs(right)):
        yield f"`on ({on[0][:64]})` joins series on their tags, and a number has none; leave it out"


def constant_of(expression: Expression) -> float:
    """What numbers alone come to; not a number for anything else, and for what has no result."""
    match expression:
        case Number(value=value):
            return value
        case Arithmetic(left=left, operator=operator, right=right):
            one, other = constant_of(left), constant_of(right)
            match operator:
                case ArithmeticOperator.ADD:
                    return one + other
                case ArithmeticOperator.SUBTRACT:
                    return one - other
                case ArithmeticOperator.MULTIPLY:
                    return one * other
                case ArithmeticOperator.DIVIDE:
                    return one / other if other else math.nan
    return math.nan


def _check_group(group: GroupAggregate) -> Iterator[str]:
    if group.aggregation not in GROUPINGS:
        names = ", ".join(each.value for each in GROUPINGS if each is not Aggregation.QUANTILE)
        yield (
            f"{group.aggregation} can't make one number of many series; say one of {names} or p95, "
            f"as in `sum by (host) ({group.aggregation}(x, 5m))`"
        )
    if group.aggregation is Aggregation.QUANTILE and not 0 < group.quantile < 1:
        yield f"{group.quantile} isn't a quantile; say one between 0 and 1, as `p95 by (host) (x)` for 0.95"
    if group.by and group.without:
        yield "a group is made by some tags or without some; say one of `by` and `without`"
    yield from check_tag_names("by", group.by, "sum by (host) (x)")
    yield from check_tag_names("without", group.without, "sum without (core) (x)")
    if not has_inputs(group.expression):
        yield f"{group.aggregation} is taken of a number, which is no series; name a field, as in `sum by (host) (x)`"
    yield from check_expression(group.expression)


def check_tag_names(word: str, names: Sequence[str], example: str) -> Iterator[str]:
    """What is wrong with the tags that a word is followed by."""
    if len(names) > MOST_TAGS:
        yield f"`{word}` names {len(names):,} tags; at most {MOST_TAGS}"
        return
    if len(set(names)) < len(names):
        yield f"`{word}` names a tag twice; name each once"
    if any(not name for name in names):
        yield f"`{word}` has an empty name of a tag; say for example `{example}`"
    if any(len(name) > LONGEST_NAME for name in names):
        yield f"`{word}` has a tag's name that is too long; at most {LONGEST_NAME:,} characters"


def check_target(target: Target) -> Iterator[str]:
    """What is wrong with a field's name and its tag filters."""
    if not target.field:
        yield "no field is named; say which, as in `cpu_percent > 90`"
    for what, name in (("field", target.field), ("measurement", target.measurement)):
        if len(name) > LONGEST_NAME:
            yield f"the {what}'s name has {len(name):,} characters; at most {LONGEST_NAME:,}"
    if len(target.filters) > MOST_TAGS:
        yield f"{len(target.filters):,} tags are filtered by; at most {MOST_TAGS}"
    for tag_filter in target.filters[:MOST_TAGS]:
        if not tag_filter.tag:
            yield 'a tag filter names no tag; say which, as in `{cpu="0"}`'
        if max(len(tag_filter.tag), len(tag_filter.value)) > LONGEST_NAME:
            yield f"the tag filter on {shown(tag_filter.tag)} is too long; at most {LONGEST_NAME:,} characters"
        elif tag_filter.is_pattern:
            yield from _check_pattern(tag_filter)


def _check_pattern(tag_filter: TagFilter) -> Iterator[str]:
    try:
        check_pattern(tag_filter.value)
    except InvalidPattern as error:
        yield (
            f"{shown(tag_filter.value)} isn't a regular expression ({str(error)[:100]}); say for example "
            f'`{{{tag_filter.tag[:64]}=~"web-[0-9]+"}}`, in RE2\'s syntax'
        )


def _check_input(given: Input) -> Iterator[str]:
    yield from check_target(given.target)
    field = given.target.field[:64] or "field"
    if not 1 <= given.window <= LONGEST_WINDOW:
        yield (
            f"the window {format_duration(given.window)} is out of bounds; say 1ns to 31d, "
            f"as in `{given.aggregation}({field}, 5m)`"
        )
    yield from _check_offset(given.offset)
    if given.aggregation is Aggregation.QUANTILE and not 0 < given.quantile < 1:
        yield f"{given.quantile} isn't a quantile; say one between 0 and 1, as `p95({field}, 5m)` for 0.95"


def _check_anomaly(anomaly: Anomaly) -> Iterator[str]:
    given, past, season = anomaly.input, anomaly.past, anomaly.season
    yield from _check_input(given)
    field, least = given.target.field[:64] or "field", _LEAST_PAST[season]
    known = f"a {season} one needs at least {format_duration(least)} to compare with" if season else "say 1s to 31d"
    if not least <= past <= LONGEST_WINDOW:
        example = f"anomaly({field}, {format_duration(max(2 * least, DAY))}{f', {season}' if season else ''})"
        yield f"the past of an anomaly is {format_duration(past)}; {known}, as in `{example}`"
    elif past <= given.window:
        yield (
            f"the past of an anomaly, {format_duration(past)}, must be longer than the window of "
            f"the value, {format_duration(given.window)}, as in `anomaly(avg({field}, 5m), 1d)`"
        )


def _check_reach(what: str, nanos: int, example: str) -> Iterator[str]:
    if not 1 <= nanos <= LONGEST_WINDOW:
        yield f"{what} is {format_duration(nanos)}; say 1ns to 31d, as in `{example}`"


def _check_offset(offset: int) -> Iterator[str]:
    if not 0 <= offset <= LONGEST_WINDOW:
        yield f"the offset {format_duration(offset)} is out of bounds; say at most 31d, as in `offset 1d`"


def check_number(what: str, value: float) -> Iterator[str]:
    """What is wrong with a number."""
    if not math.isfinite(value):
        yield f"{what} is {value}; it must be a finite number, such as 500"
