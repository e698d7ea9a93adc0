"""A condition as text: the canonical form, which reads back as the same condition, and a sentence for people."""

import re

from monitors.rules.model.condition import (
    LOOK_BACK,
    Absence,
    Aggregation,
    Condition,
    Input,
    Operator,
    Range,
    Target,
    Threshold,
)
from monitors.rules.model.quantities import duration_in_words, format_duration, format_number

# Words that begin or make up a clause: a field of such a name is written in quotes.
RESERVED = frozenset(
    """
    no for if when while alert notify tell warn me the of over in inside outside between within and or not unless is are
    was be has been above below under exceeds exceeding equals equal than at least most true false recover avg average
    mean min minimum lowest smallest max maximum highest peak largest sum total count number latest last newest current
    on from absent missing silent since during past with stay stays remain remains go goes get gets rise rises climb
    climbs fall falls drop drops keep keeps become becomes greater more higher bigger larger less lower smaller fewer
    different differs does isn aren doesn to out by without
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
        case Range(low=low, high=high, outside=outside):
            side = "outside" if outside else "inside"
            return f"{_input(condition.input)} {side} {format_number(low)}..{format_number(high)}"
        case Threshold(operator=operator, value=value, tolerance=tolerance):
            within = f" within {format_number(tolerance)}" if tolerance else ""
            return f"{_input(condition.input)} {operator} {format_number(value)}{within}"


def condition_in_words(condition: Condition) -> str:
    """What a condition says, as the rest of a sentence that begins with "when"."""
    match condition:
        case Absence(duration=duration, target=target):
            what = f"no point of {_target(target)}" if target else "no point of any field"
            return f"{what} has come for more than {duration_in_words(duration)}"
        case Range(low=low, high=high, outside=outside):
            side = "outside" if outside else "inside"
            return f"{_input_in_words(condition.input)} is {side} of {format_number(low)} to {format_number(high)}"
        case Threshold(operator=operator, value=value, tolerance=tolerance):
            within = f" (give or take {format_number(tolerance)})" if tolerance else ""
            words = _OPERATOR_WORDS[operator]
            return f"{_input_in_words(condition.input)} is {words} {format_number(value)}{within}"


def quote(text: str) -> str:
    """A text in double quotes, as the grammar reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _input(given: Input) -> str:
    target = _target(given.target)
    if given.aggregation is Aggregation.LATEST and given.window == LOOK_BACK:
        return target
    return f"{given.aggregation}({target}, {format_duration(given.window)})"


def _input_in_words(given: Input) -> str:
    words = f"{_AGGREGATION_WORDS[given.aggregation]} {_target(given.target)}"
    if given.aggregation is Aggregation.LATEST and given.window == LOOK_BACK:
        return words
    return f"{words} over the last {duration_in_words(given.window)}"


def _target(target: Target) -> str:
    name = f"{target.measurement}.{target.field}" if target.measurement else target.field
    filters = ", ".join(f"{_name(each.tag)}{each.operator}{quote(each.value)}" for each in target.filters)
    return f"{_name(name)}{{{filters}}}" if filters else _name(name)


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) and name.lower() not in RESERVED else quote(name)
