"""What is wrong with a condition, whatever the monitor."""

import math
from collections.abc import Iterator

from monitors.mesh.errors import InvalidCondition
from monitors.mesh.patterns import InvalidPattern, check_pattern
from monitors.mesh.quantities import format_duration, format_number
from monitors.rules.model.condition import (
    LONGEST_NAME,
    LONGEST_WINDOW,
    SHORTEST_ABSENCE,
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
    Target,
    Test,
    Threshold,
    targets_of,
)
from monitors.rules.model.quantities import shown

MOST_POINTS = 10_000


def check_condition(condition: Condition, path: str) -> list[InvalidCondition]:
    """What is wrong with a condition; `path` names the request's field."""
    return [InvalidCondition(path, text) for text in _violations(condition)]


def _violations(condition: Condition) -> Iterator[str]:
    for target in targets_of(condition):
        yield from _check_target(target)
    match condition:
        case Absence(duration=duration):
            if not SHORTEST_ABSENCE <= duration <= LONGEST_WINDOW:
                yield f"`no data for {format_duration(duration)}` is out of bounds; say 1s to 31d, as `no data for 15m`"
        case Comparison(left=left, test=test, recover=recover, occurrence=occurrence):
            yield from _check_expression(left)
            yield from _check_test(test)
            if occurrence is not None:
                yield from _check_occurrence(left, test, occurrence)
            if recover is not None:
                yield from _check_test(recover)


def _check_expression(expression: Expression) -> Iterator[str]:
    match expression:
        case Input():
            yield from _check_input(expression)
        case Change(input=given, since=since):
            yield from _check_input(given)
            yield from _check_reach("the time since when it changed", since, "change(price, 1h)")
        case Age(input=given):
            yield from _check_input(given)
            if given.aggregation is not Aggregation.LATEST:
                yield f"an age is that of the newest value; say `age({given.target.field[:64]})`"
        case Forecast(window=window, ahead=ahead):
            yield from _check_reach("the window of the forecast", window, "forecast(disk_used, 6h, 4h)")
            yield from _check_reach("how far the forecast looks ahead", ahead, "forecast(disk_used, 6h, 4h)")


def _check_reach(what: str, nanos: int, example: str) -> Iterator[str]:
    if not 1 <= nanos <= LONGEST_WINDOW:
        yield f"{what} is {format_duration(nanos)}; say 1ns to 31d, as in `{example}`"


def _check_test(test: Test) -> Iterator[str]:
    match test:
        case Threshold(value=value, tolerance=tolerance, operator=operator):
            yield from _check_number("the threshold", value)
            yield from _check_number("the tolerance", tolerance)
            if tolerance < 0:
                yield f"the tolerance is {format_number(tolerance)}; it can't be negative, say `within 0.001`"
            elif tolerance and operator not in (Operator.EQUAL, Operator.NOT_EQUAL):
                yield f"a tolerance belongs to == and != only, not to {operator}; leave it out"
        case Range(low=low, high=high):
            yield from _check_number("the lower bound", low)
            yield from _check_number("the upper bound", high)
            if low > high:
                yield (
                    f"the lower bound {format_number(low)} is above the upper bound {format_number(high)}; "
                    f"say `{format_number(high)}..{format_number(low)}`"
                )


def _check_occurrence(left: Expression, test: Test, occurrence: Occurrence) -> Iterator[str]:
    example = "cpu > 90 in 3 of the last 5 points"
    if isinstance(test, Range):
        yield f"points are counted by a comparison, not by a range; say for example `{example}`"
    if not isinstance(left, Input) or left.aggregation is not Aggregation.LATEST:
        yield f"points are counted one by one, so that they can't be aggregated as well; say for example `{example}`"
    if occurrence.of_last and occurrence.at_least > occurrence.of_last:
        yield f"{occurrence.at_least} of {occurrence.of_last} points can never be; say for example `{example}`"
    if max(occurrence.at_least, occurrence.of_last) > MOST_POINTS:
        yield f"at most {MOST_POINTS:,} points are counted; say for example `{example}`"


def _check_target(target: Target) -> Iterator[str]:
    if not target.field:
        yield "no field is named; say which, as in `cpu_percent > 90`"
    for what, name in (("field", target.field), ("measurement", target.measurement)):
        if len(name) > LONGEST_NAME:
            yield f"the {what}'s name has {len(name):,} characters; at most {LONGEST_NAME:,}"
    for tag_filter in target.filters:
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
    field = given.target.field[:64] or "field"
    if not 1 <= given.window <= LONGEST_WINDOW:
        yield (
            f"the window {format_duration(given.window)} is out of bounds; say 1ns to 31d, "
            f"as in `{given.aggregation}({field}, 5m)`"
        )
    if not 0 <= given.offset <= LONGEST_WINDOW:
        yield f"the offset {format_duration(given.offset)} is out of bounds; say at most 31d, as in `offset 1d`"
    if given.aggregation is Aggregation.QUANTILE and not 0 < given.quantile < 1:
        yield f"{given.quantile} isn't a quantile; say one between 0 and 1, as `p95({field}, 5m)` for 0.95"


def _check_number(what: str, value: float) -> Iterator[str]:
    if not math.isfinite(value):
        yield f"{what} is {value}; it must be a finite number, such as 500"
