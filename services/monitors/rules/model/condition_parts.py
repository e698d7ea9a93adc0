"""The parts of a condition: which fields it looks at, how deep it is nested, and the same on other fields."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from monitors.mesh.errors import InvalidCondition
from monitors.rules.model.condition import (
    Absence,
    Age,
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
    Negation,
    Number,
    Range,
    Target,
    Test,
    Threshold,
)

DEEPEST = 20
"""How many junctions, negations, operations and groups may be within each other. Each is two messages deep, of the
hundred that protobuf reads."""
Part = Condition | Expression
_Retarget = Callable[[Target], Target]


def check_depth(condition: Condition, path: str) -> None:
    """Raises InvalidCondition if a condition is nested too deeply for everything else that looks at it, all of which
    calls itself."""
    deepest = 0
    waiting: list[tuple[Part, int]] = [(condition, 0)]
    while waiting:
        part, depth = waiting.pop()
        deepest = max(deepest, depth)
        below = depth + isinstance(part, Junction | Negation | Arithmetic | GroupAggregate)
        waiting += [(each, below) for each in parts_of(part)]
    if deepest > DEEPEST:
        raise too_deep(path, f"{deepest} levels")


def too_deep(path: str, seen: str) -> InvalidCondition:
    """That a condition is nested too deeply."""
    return InvalidCondition(
        path,
        f"is nested {seen} deep, where each operator in a row counts; at most {DEEPEST}: say it shorter, as "
        "`sum by () (x)` for the sum of many series, or make several rules",
    )


def parts_of(part: Part) -> tuple[Part, ...]:
    """What a condition or an expression directly consists of, from left to right."""
    match part:
        case Comparison():
            return expressions_of(part)
        case Junction(conditions=conditions):
            return conditions
        case Negation(condition=condition):
            return (condition,)
        case Arithmetic(left=left, right=right):
            return left, right
        case GroupAggregate(expression=expression):
            return (expression,)
        case Change(input=given) | Age(input=given) | Anomaly(input=given):
            return (given,)
        case _:
            return ()


def expressions_of(comparison: Comparison) -> tuple[Expression, ...]:
    """The left side and what it's compared with, also on recovery."""
    tests = (comparison.test, comparison.recover)
    return (comparison.left, *(test.right for test in tests if isinstance(test, Threshold)))


def leaves_of(part: Part) -> Iterator[Input | Forecast | Absence]:
    """What a condition or an expression reads, from left to right."""
    if isinstance(part, Input | Forecast | Absence):
        yield part
    for each in parts_of(part):
        yield from leaves_of(each)


def inputs_of(part: Part) -> Iterator[Input]:
    """The fields that are aggregated over a window."""
    return (leaf for leaf in leaves_of(part) if isinstance(leaf, Input))


def has_inputs(expression: Expression) -> bool:
    """Whether any series is read: a number alone reads none."""
    return next(leaves_of(expression), None) is not None


def targets_of(part: Part) -> Iterator[Target]:
    """The fields that a condition looks at; nothing for an absence of any field."""
    return (leaf.target for leaf in leaves_of(part) if leaf.target is not None)


def is_of_numbers(test: Test) -> bool:
    """Whether a test compares with numbers that stand in it, and with nothing that is read or a text."""
    return isinstance(test, Range) or (isinstance(test, Threshold) and isinstance(test.right, Number))


def agree(one: Condition, other: Condition) -> bool:
    """Whether two conditions say the same; which measurement a field is of may be known in one of them only."""
    return _filled_in(one, other) == _filled_in(other, one)


def _filled_in(condition: Condition, known: Condition) -> Condition:
    """The condition with the measurements of another one where it has none itself, field by field."""
    others = iter(list(targets_of(known)))

    def fill(target: Target) -> Target:
        other = next(others, target)
        same = not target.measurement and target.field in (other.field, f"{other.measurement}.{other.field}")
        return replace(target, field=other.field, measurement=other.measurement) if same else target

    return with_targets(condition, fill)


def with_targets(condition: Condition, change: _Retarget) -> Condition:
    """The condition with each of its targets changed, from left to right."""
    match condition:
        case Comparison(left=left, test=test, recover=recover):
            left = _expression(left, change)
            test = _test(test, change)
            return replace(condition, left=left, test=test, recover=_test(recover, change) if recover else None)
        case Absence(target=target):
            return replace(condition, target=change(target)) if target else condition
        case Junction(conditions=conditions):
            return replace(condition, conditions=tuple(with_targets(each, change) for each in conditions))
        case Negation(condition=inner):
            return replace(condition, condition=with_targets(inner, change))


def _test(test: Test, change: _Retarget) -> Test:
    return replace(test, right=_expression(test.right, change)) if isinstance(test, Threshold) else test


def _expression(expression: Expression, change: _Retarget) -> Expression:
    match expression:
        case Number():
            return expression
        case Input(target=target) | Forecast(target=target):
            return replace(expression, target=change(target))
        case Change(input=given) | Age(input=given) | Anomaly(input=given):
            return replace(expression, input=replace(given, target=change(given.target)))
        case Arithmetic(left=left, right=right):
            left = _expression(left, change)
            return replace(expression, left=left, right=_expression(right, change))
        case GroupAggregate(expression=inner):
            return replace(expression, expression=_expression(inner, change))
