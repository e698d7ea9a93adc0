"""What is wrong with a condition, whatever the monitor."""

from collections.abc import Iterator
from itertools import islice

from monitors.mesh.errors import InvalidCondition
from monitors.mesh.quantities import format_duration, format_number
from monitors.rules.model.condition import (
    LONGEST_NAME,
    LONGEST_WINDOW,
    SHORTEST_ABSENCE,
    Absence,
    Aggregation,
    Comparison,
    Condition,
    Expression,
    Input,
    Junction,
    JunctionOperator,
    Negation,
    Number,
    Occurrence,
    Operator,
    Range,
    Tags,
    Test,
    TextTest,
    Threshold,
)
from monitors.rules.model.condition_parts import has_inputs, leaves_of
from monitors.rules.model.expression_checks import (
    MOST_TAGS,
    check_expression,
    check_number,
    check_tag_names,
    check_target,
)

MOST_INPUTS = 50
MOST_POINTS = 10_000
MOST_TEXTS = 100
LONGEST_TEXT = 1024
MOST_EXPECTED = 1_000


def check_condition(condition: Condition, path: str) -> list[InvalidCondition]:
    """What is wrong with a condition; `path` names the request's field."""
    count = sum(1 for _ in islice(leaves_of(condition), MOST_INPUTS + 1))
    if count > MOST_INPUTS:
        return [InvalidCondition(path, f"looks at more than {MOST_INPUTS} fields; make several rules of it")]
    return [InvalidCondition(path, text) for text in _violations(condition)]


def _violations(condition: Condition) -> Iterator[str]:
    match condition:
        case Absence():
            yield from _check_absence(condition)
        case Comparison():
            yield from _check_comparison(condition)
        case Negation(condition=inner):
            yield from _check_inner(inner)
        case Junction(operator=operator, conditions=conditions, on=on):
            yield from check_tag_names("on", on, "and on (host)")
            if operator is JunctionOperator.UNLESS and len(conditions) != 2:
                yield f"`unless` joins {len(conditions)} conditions; it takes two, as `a > 5 unless b > 3`"
            elif len(conditions) < 2:
                yield f"`{operator}` joins {len(conditions)} conditions; give at least two, or leave it out"
            for each in conditions:
                yield from _check_inner(each)


def _check_inner(condition: Condition) -> Iterator[str]:
    """What is wrong with a condition within another one."""
    yield from _violations(condition)
    if isinstance(condition, Comparison) and condition.recover is not None:
        yield "a part of a condition can't have a recover clause; say `recover` only with a single comparison"


def _check_absence(absence: Absence) -> Iterator[str]:
    duration, expected = absence.duration, absence.expected
    if not SHORTEST_ABSENCE <= duration <= LONGEST_WINDOW:
        yield f"`no data for {format_duration(duration)}` is out of bounds; say 1s to 31d, as `no data for 15m`"
    if absence.target is not None:
        yield from check_target(absence.target)
    if len(expected) > MOST_EXPECTED:
        yield f"{len(expected):,} tag sets are expected; at most {MOST_EXPECTED:,}"
        return
    if len(set(expected)) < len(expected):
        yield "a tag set is expected twice; say each once"
    for tags in expected:
        yield from _check_tag_set(tags)


def _check_tag_set(tags: Tags) -> Iterator[str]:
    yield from check_tag_names("expecting", [name for name, _ in tags], 'expecting {host="a"}')
    for name, value in tags[:MOST_TAGS]:
        if len(value) > LONGEST_NAME:
            yield f"the value of the expected tag {name[:64]!r} has {len(value):,} characters; at most {LONGEST_NAME:,}"


def _check_comparison(comparison: Comparison) -> Iterator[str]:
    left, test, recover, occurrence = comparison.left, comparison.test, comparison.recover, comparison.occurrence
    yield from check_expression(left)
    yield from _check_test(left, test)
    if not has_inputs(left) and not (isinstance(test, Threshold) and has_inputs(test.right)):
        yield "a number is compared with a number, which never changes; name a field, as in `cpu_percent > 90`"
    if occurrence is not None:
        yield from _check_occurrence(left, test, occurrence)
    if recover is not None:
        yield from _check_test(left, recover)
        if not has_inputs(left):
            yield "the recover clause tests the left side, which is a number; put the field there, as in `cpu > 90`"
        elif isinstance(recover, TextTest) is not isinstance(test, TextTest):
            yield "the recover clause compares text with a number; compare the same as the condition does"
        elif recovers_at_once(test, recover):
            yield (
                "the recover clause holds while the condition does, so that an alert would end at once; say where it "
                "is over, as in `cpu > 90 recover < 75`"
            )


def recovers_at_once(test: Test, recover: Test) -> bool:
    """Whether a recover clause against a number holds where a test against one does."""
    if not (isinstance(test, Threshold) and isinstance(recover, Threshold)):
        return False
    bound, end = test.right, recover.right
    if not (isinstance(bound, Number) and isinstance(end, Number)):
        return False
    rises, falls = (Operator.GREATER, Operator.GREATER_OR_EQUAL), (Operator.LESS, Operator.LESS_OR_EQUAL)
    for up, down, is_past in ((rises, falls, end.value > bound.value), (falls, rises, end.value < bound.value)):
        if test.operator in up:
            return recover.operator in up or (recover.operator in down and is_past)
    return False


def _check_test(left: Expression, test: Test) -> Iterator[str]:
    match test:
        case Threshold(right=right, tolerance=tolerance, operator=operator):
            if isinstance(right, Number):
                yield from check_number("the threshold", right.value)
            else:
                yield from check_expression(right)
            yield from check_number("the tolerance", tolerance)
            if operator is Operator.IN:
                yield 'IN takes texts; say for example `state in ("failed", "unknown")`'
            elif tolerance < 0:
                yield f"the tolerance is {format_number(tolerance)}; it can't be negative, say `within 0.001`"
            elif tolerance and operator not in (Operator.EQUAL, Operator.NOT_EQUAL):
                yield f"a tolerance belongs to == and != only, not to {operator}; leave it out"
        case Range(low=low, high=high):
            yield from check_number("the lower bound", low)
            yield from check_number("the upper bound", high)
            if low > high:
                yield (
                    f"the lower bound {format_number(low)} is above the upper bound {format_number(high)}; "
                    f"say `{format_number(high)}..{format_number(low)}`"
                )
        case TextTest():
            yield from _check_text_test(left, test)


def _check_text_test(left: Expression, test: TextTest) -> Iterator[str]:
    texts = test.texts
    if test.operator not in (Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN):
        yield f'text is compared with ==, != or in, not with {test.operator}; say for example `status == "down"`'
    if not isinstance(left, Input) or left.aggregation not in (Aggregation.LATEST, Aggregation.FIRST):
        yield 'text is compared with a field as it is; say for example `status == "down"`'
    if test.operator is not Operator.IN and len(texts) != 1:
        yield f"{test.operator} takes one text, not {len(texts)}; say `in` for several"
    if not 1 <= len(texts) <= MOST_TEXTS:
        yield f'`in` is given {len(texts):,} texts; give 1 to {MOST_TEXTS}, as `state in ("failed", "unknown")`'
    longest = max(map(len, texts), default=0)
    if longest > LONGEST_TEXT:
        yield f"a text to compare with has {longest:,} characters; at most {LONGEST_TEXT:,}"


def _check_occurrence(left: Expression, test: Test, occurrence: Occurrence) -> Iterator[str]:
    example = "cpu > 90 in 3 of the last 5 points"
    if isinstance(test, Range):
        yield f"points are counted by a comparison, not by a range; say for example `{example}`"
    elif isinstance(test, Threshold) and not isinstance(test.right, Number):
        yield f"points that are counted are compared with a number or a text; say for example `{example}`"
    if not isinstance(left, Input) or left.aggregation is not Aggregation.LATEST:
        yield f"points are counted one by one, so that they can't be aggregated as well; say for example `{example}`"
    if occurrence.of_last and occurrence.at_least > occurrence.of_last:
        yield f"{occurrence.at_least} of {occurrence.of_last} points can never be; say for example `{example}`"
    if max(occurrence.at_least, occurrence.of_last) > MOST_POINTS:
        yield f"at most {MOST_POINTS:,} points are counted; say for example `{example}`"
