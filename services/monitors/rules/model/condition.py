"""A condition as a tree of values, the same whichever spelling it came in."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from monitors.mesh.errors import InvalidCondition
from monitors.mesh.times import DAY, MINUTE, SECOND
from monitors.rules.model.quantities import format_duration, format_number, shown

LOOK_BACK = 5 * MINUTE
"""How old the newest point may be for `latest`, and the window of an aggregation that names none."""
LONGEST_WINDOW = 31 * DAY
SHORTEST_ABSENCE = SECOND
LONGEST_NAME = 1024


class Aggregation(StrEnum):
    """How the points of a window become one number; the value is its canonical spelling."""

    LATEST = "latest"
    AVERAGE = "avg"
    MINIMUM = "min"
    MAXIMUM = "max"
    SUM = "sum"
    COUNT = "count"


class Operator(StrEnum):
    """How two numbers are compared; the value is its canonical spelling."""

    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    EQUAL = "=="
    NOT_EQUAL = "!="


class TagOperator(StrEnum):
    """How a tag is matched; the value is its canonical spelling."""

    EQUAL = "="
    NOT_EQUAL = "!="


@dataclass(frozen=True, slots=True)
class TagFilter:
    """A tag's value against a text. A missing tag equals the empty text."""

    tag: str
    operator: TagOperator
    value: str


@dataclass(frozen=True, slots=True)
class Target:
    """A field of the rule's monitor. `measurement` is empty while it isn't known or needn't be."""

    field: str
    measurement: str = ""
    filters: tuple[TagFilter, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """A field aggregated over the closed window [t − window, t]; `window` in nanoseconds."""

    target: Target
    aggregation: Aggregation = Aggregation.LATEST
    window: int = LOOK_BACK


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value against a number. `tolerance` belongs to EQUAL and NOT_EQUAL."""

    input: Input
    operator: Operator
    value: float
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Range:
    """A value inside or outside of two bounds, both of which belong to the inside."""

    input: Input
    low: float
    high: float
    outside: bool


@dataclass(frozen=True, slots=True)
class Absence:
    """No point for longer than `duration` nanoseconds; without a target: no point of any field of the monitor."""

    duration: int
    target: Target | None = None


Condition = Threshold | Range | Absence


def target_of(condition: Condition) -> Target | None:
    """The field that a condition looks at, None if it's any field."""
    return condition.target if isinstance(condition, Absence) else condition.input.target


def check_condition(condition: Condition, path: str) -> list[InvalidCondition]:
    """What is wrong with a condition, whatever the monitor; `path` names the request's field."""
    return [InvalidCondition(path, text) for text in _violations(condition)]


def _violations(condition: Condition) -> Iterator[str]:
    target = target_of(condition)
    if target is not None:
        yield from _check_target(target)
    match condition:
        case Absence(duration=duration):
            if not SHORTEST_ABSENCE <= duration <= LONGEST_WINDOW:
                yield f"`no data for {format_duration(duration)}` is out of bounds; say 1s to 31d, as `no data for 15m`"
        case Threshold(value=value, tolerance=tolerance, operator=operator):
            yield from _check_window(condition.input)
            yield from _check_number("the threshold", value)
            yield from _check_number("the tolerance", tolerance)
            if tolerance < 0:
                yield f"the tolerance is {format_number(tolerance)}; it can't be negative, say `within 0.001`"
            elif tolerance and operator not in (Operator.EQUAL, Operator.NOT_EQUAL):
                yield f"a tolerance belongs to == and != only, not to {operator}; leave it out"
        case Range(low=low, high=high):
            yield from _check_window(condition.input)
            yield from _check_number("the lower bound", low)
            yield from _check_number("the upper bound", high)
            if low > high:
                yield (
                    f"the lower bound {format_number(low)} is above the upper bound {format_number(high)}; "
                    f"say `{format_number(high)}..{format_number(low)}`"
                )


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


def _check_window(given: Input) -> Iterator[str]:
    if not 1 <= given.window <= LONGEST_WINDOW:
        yield (
            f"the window {format_duration(given.window)} is out of bounds; say 1ns to 31d, "
            f"as in `{given.aggregation}({given.target.field[:64] or 'field'}, 5m)`"
        )


def _check_number(what: str, value: float) -> Iterator[str]:
    if not math.isfinite(value):
        yield f"{what} is {value}; it must be a finite number, such as 500"
