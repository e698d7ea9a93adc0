"""Random formulas."""

from hypothesis import strategies as st

from monitors.evaluator.model.bounds import Operator, bounds
from monitors.evaluator.model.formula import (
    Arithmetic,
    ArithmeticOperator,
    Bounded,
    Condition,
    Constant,
    Expression,
    Group,
    Junction,
    JunctionOperator,
    Negation,
    Quiet,
    Versus,
)
from monitors.evaluator.model.reading import Aggregation, Function, Occurrence, Reading, TagFilter
from tests.evaluator.engine.scene import SECOND

OF_WINDOWS = [
    Aggregation.LATEST,
    Aggregation.LATEST,
    Aggregation.AVERAGE,
    Aggregation.MAXIMUM,
    Aggregation.COUNT,
    Aggregation.RATE,
    Aggregation.QUANTILE,
]
OF_GROUPS = [
    Aggregation.AVERAGE,
    Aggregation.MINIMUM,
    Aggregation.MAXIMUM,
    Aggregation.SUM,
    Aggregation.SUM,
    Aggregation.COUNT,
    Aggregation.MEDIAN,
    Aggregation.QUANTILE,
    Aggregation.STANDARD_DEVIATION,
]
JOINS = st.sampled_from([(), (), (), ("core",), ("disk",)])
NUMBERS = st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0])


class Drawing:
    """Draws the nodes of one formula, and puts its numbers into slots."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.numbers: list[float] = []

    def slot(self, *numbers: float) -> int:
        self.numbers += numbers
        return len(self.numbers) - len(numbers)

    def reading(self, occurrence: Occurrence | None = None) -> Reading:
        draw = self.draw
        counted = occurrence is not None
        return Reading(
            field=draw(st.sampled_from(["cpu", "cpu", "load", "host.load"])),
            filters=draw(st.sampled_from([(), (), (), (TagFilter("core", "1", negated=True),)])),
            function=Function.VALUE if counted else draw(st.sampled_from([Function.VALUE] * 4 + [Function.CHANGE])),
            aggregation=Aggregation.LATEST if counted else draw(st.sampled_from(OF_WINDOWS)),
            window=draw(st.sampled_from([3, 10, 40])) * SECOND,
            offset=draw(st.sampled_from([0, 0, 0, 4])) * SECOND,
            quantile=0.5,
            since=draw(st.sampled_from([1, 5, 30])) * SECOND,
            occurrence=occurrence,
        )

    def expression(self, depth: int) -> Expression:
        draw = self.draw
        kind = draw(st.sampled_from(["reading", "reading", "arithmetic", "group"])) if depth else "reading"
        if kind == "reading":
            return self.reading()
        if kind == "group":
            by = draw(st.sampled_from([(), ("core",), ("core",), ("disk",)]))
            without = draw(st.sampled_from([(), ("core",), ("disk",)])) if not by else ()
            return Group(draw(st.sampled_from(OF_GROUPS)), self.expression(depth - 1), by, without, 0.25)
        left, right = self.expression(depth - 1), self.expression(depth - 1)
        constant = draw(st.sampled_from(["none", "none", "left", "right"]))
        sides: tuple[Expression, Expression] = (left, right)
        if constant == "left":
            sides = (Constant(self.slot(draw(NUMBERS))), right)
        elif constant == "right":
            sides = (left, Constant(self.slot(draw(NUMBERS))))
        return Arithmetic(draw(st.sampled_from(ArithmeticOperator)), *sides, draw(JOINS))

    def condition(self, depth: int) -> Condition:
        draw = self.draw
        kinds = ["bounded", "bounded", "bounded", "versus", "quiet", "text"]
        kind = draw(st.sampled_from([*kinds, "junction", "junction", "junction", "negation"] if depth else kinds))
        match kind:
            case "bounded":
                return self.bounded(depth)
            case "versus":
                operator = draw(st.sampled_from(Operator))
                sides = self.expression(depth), self.expression(depth)
                return Versus(operator, *sides, draw(st.sampled_from([0.0, 0.5])))
            case "quiet":
                field = draw(st.sampled_from(["", "cpu", "load"]))
                return Quiet(
                    Reading(field=field, aggregation=Aggregation.COUNT), draw(st.sampled_from([1, 7, 30])) * SECOND
                )
            case "negation":
                return Negation(self.condition(depth - 1))
            case _:
                operator_of = draw(st.sampled_from(JunctionOperator))
                return Junction(operator_of, self.condition(depth - 1), self.condition(depth - 1), draw(JOINS))

    def bounded(self, depth: int) -> Bounded:
        draw = self.draw
        found = bounds(draw(st.sampled_from(Operator)), draw(NUMBERS), draw(st.sampled_from([0.0, 0.5])))
        counted = draw(st.sampled_from([None, None, None, Occurrence(), Occurrence(2, 3)]))
        expression = self.expression(depth) if counted is None else self.reading(counted)
        return Bounded(expression, self.slot(found.low, found.high), found.outside)


@st.composite
def expressions(draw: st.DrawFn) -> tuple[Expression, tuple[float, ...]]:
    """An expression of several inputs, with its numbers."""
    drawing = Drawing(draw)
    return drawing.expression(2), tuple(drawing.numbers)


@st.composite
def conditions(draw: st.DrawFn) -> tuple[Condition, tuple[float, ...]]:
    """A condition of several inputs, with its numbers."""
    drawing = Drawing(draw)
    return drawing.condition(2), tuple(drawing.numbers)
