"""What the parts of a formula come to for one instance, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan

import numpy as np

from monitors.evaluator.model.arrays import UNSET, Places
from monitors.evaluator.model.bounds import Bounds
from monitors.evaluator.model.condition import scenery
from monitors.evaluator.model.evaluation import Evaluation
from monitors.evaluator.model.formula import (
    Arithmetic,
    ArithmeticOperator,
    Bounded,
    Condition,
    Constant,
    Expression,
    Group,
    Junction,
    Negation,
    Quiet,
    Versus,
)
from monitors.evaluator.model.programs import Program, Scenery
from monitors.evaluator.model.reading import LOOK_BACK, Aggregation, Function, Reading
from monitors.evaluator.model.window import Window
from monitors.evaluator.model.wording import at, in_bounds
from monitors.mesh.quantities import format_duration, format_number

_NAMES = {
    Aggregation.LATEST: "latest",
    Aggregation.FIRST: "first",
    Aggregation.AVERAGE: "avg",
    Aggregation.MINIMUM: "min",
    Aggregation.MAXIMUM: "max",
    Aggregation.STANDARD_DEVIATION: "stddev",
    Aggregation.DERIVATIVE: "deriv",
}
_SIGNS = {
    ArithmeticOperator.ADD: "+",
    ArithmeticOperator.SUBTRACT: "-",
    ArithmeticOperator.MULTIPLY: "*",
    ArithmeticOperator.DIVIDE: "/",
}
_COMPARISONS = {1: ">", 2: ">=", 3: "<", 4: "<=", 5: "==", 6: "!="}


def tell(evaluation: Evaluation, place: int, *, is_polled: bool = False) -> str:
    """What each part of an instance's formula comes to, up to where everything has been evaluated."""
    columns = evaluation.plan.instances
    program = evaluation.plan.profiles.program(int(columns.profile[place]))
    view = scenery(evaluation.plan, evaluation.window, evaluation.state)
    unheard = f"no point has {'been polled' if is_polled else 'come'} yet"
    teller = _Teller(program, view, evaluation.evaluated_to(place), unheard)
    node, row = program.nodes[-1], int(columns.row[place])
    if isinstance(node, Bounded | Versus | Quiet | Junction | Negation):
        return teller.condition(node, row)
    return ", ".join(teller.inputs(node, row))


def last_heard(window: Window, rows: Places, now: int) -> str:
    """From when the newest point of any of these series is; empty if there is none."""
    newest, values = window.newest_points(rows, np.full(len(rows), now, dtype=np.int64))
    if newest.max(initial=UNSET) == UNSET:
        return ""
    last = int(newest.argmax())
    # What is older than was read is known to have been there, and not when.
    before = " or before" if isnan(values[last]) else ""
    return f"the newest point is from {at(int(newest[last]))}{before}"


@dataclass(frozen=True)
class _Teller:
    program: Program
    scenery: Scenery
    now: int
    unheard: str

    def condition(self, node: Condition, row: int) -> str:
        """What a condition says of a row."""
        parts = self.program.rows_of(node, row)
        match node:
            case Bounded(expression=expression):
                return self._bounded(node, expression, row, parts[0][0])
            case Versus(operator=operator, left=left, right=right):
                sides = self._value(left, parts[0][0]), self._value(right, parts[1][0])
                named = [*self.inputs(left, parts[0][0]), *self.inputs(right, parts[1][0])]
                return (
                    f"{sides[0]} {_COMPARISONS[operator]} {sides[1]} is {self._truth(node, row)} ({', '.join(named)})"
                )
            case Quiet():
                return self._quiet(node, parts[0])
            case Negation(condition=condition):
                return f"not ({self.condition(condition, parts[0][0])})"
            case Junction():
                return self._junction(node, *parts)

    def _bounded(self, node: Bounded, expression: Expression, row: int, part: int) -> str:
        truth = self._truth(node, row)
        if isinstance(expression, Reading) and expression.of_text:
            return f"the text of {label(expression)} makes it {truth}"
        bounds = self.program.bounds_at(node, row)
        named = "" if isinstance(expression, Reading | Group) else f" ({', '.join(self.inputs(expression, part))})"
        return f"{label(expression)} is {self._value(expression, part)}{named}, {_verdict(truth, bounds)}"

    def _junction(self, node: Junction, lefts: list[int], rights: list[int]) -> str:
        told = [self.condition(node.left, row) for row in lefts]
        # Of several that go with it, one that holds is enough.
        holding = [row for row in rights if self.program.truth_at(node.right, self.scenery, row, self.now)]
        told += [self.condition(node.right, row) for row in (holding or rights)[:1]]
        return f" {node.operator.name.lower()} ".join(told)

    def _quiet(self, node: Quiet, series: list[int]) -> str:
        last = last_heard(self.scenery.window, np.array(series, dtype=np.intp), self.now) or self.unheard
        return f"{last} on {node.reading.field or 'any field'}"

    def inputs(self, node: Expression, row: int) -> Iterator[str]:
        """What is read for an expression, and what that comes to."""
        match node:
            case Reading() | Group():
                yield f"{label(node)} is {self._value(node, row)}"
            case Arithmetic(left=left, right=right):
                (left_row,), (right_row,) = self.program.rows_of(node, row)
                yield from self.inputs(left, left_row)
                yield from self.inputs(right, right_row)

    def _value(self, node: Expression, row: int) -> str:
        value = self.program.value_at(node, self.scenery, row, self.now)
        return "unknown" if isnan(value) else format_number(value)

    def _truth(self, node: Condition, row: int) -> str:
        truth = self.program.truth_at(node, self.scenery, row, self.now)
        return "unknown" if truth is None else "true" if truth else "false"


def _verdict(truth: str, bounds: Bounds) -> str:
    test = in_bounds(bounds)
    return {"true": f"which is {test}", "false": f"which isn't {test}"}.get(truth, f"so that {test} is unknown")


def label(node: Expression) -> str:
    """An expression as it is written, without its filters."""
    match node:
        case Constant():
            return "a number"
        case Arithmetic(operator=operator, left=left, right=right):
            return f"{label(left)} {_SIGNS[operator]} {label(right)}"
        case Group(aggregation=aggregation, expression=expression, by=by, without=without):
            tags = f"without ({', '.join(without)})" if without else f"by ({', '.join(by)})"
            return f"{_name(aggregation)} {tags} ({label(expression)})"
        case Reading():
            return _of_reading(node)


def _of_reading(node: Reading) -> str:
    field = f"{node.measurement}.{node.field}" if node.measurement else node.field
    name = _name(node.aggregation)
    if node.aggregation is Aggregation.FORECAST:
        return f"forecast({field}, {format_duration(node.window)}, {format_duration(node.ahead)})"
    plain = node.aggregation is Aggregation.LATEST and node.window == LOOK_BACK
    said = field if plain else f"{name}({field}, {format_duration(node.window)})"
    match node.function:
        case Function.VALUE:
            return said
        case Function.AGE:
            return f"age({said})"
        case Function.ANOMALY:
            return f"anomaly({said}, {format_duration(node.since)})"
        case _:
            return f"change({said}, {format_duration(node.since)})"


def _name(aggregation: Aggregation) -> str:
    return _NAMES.get(aggregation, aggregation.name.lower())
