"""Conditions of the contract's messages as formulas."""

from collections.abc import Sequence
from functools import reduce

from monitors.evaluator.conditions.comparisons import check_texts, occurrence_of, operator_of, threshold
from monitors.evaluator.conditions.readings import NotEvaluable, filters_of, finite, is_reading, read
from monitors.evaluator.model.bounds import Bounds, bounds
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
from monitors.evaluator.model.reading import Aggregation, Reading
from monitors.evaluator.model.texts import code_of
from monitors.mesh.times import SECOND, from_duration
from monitors.v1 import condition_pb2

MOST_NODES = 1_000
_ARITHMETIC = {int(one): one for one in ArithmeticOperator}
_JUNCTIONS = {int(one): one for one in JunctionOperator}
_OF_GROUPS = {
    int(one): one
    for one in (
        Aggregation.AVERAGE,
        Aggregation.MINIMUM,
        Aggregation.MAXIMUM,
        Aggregation.SUM,
        Aggregation.COUNT,
        Aggregation.MEDIAN,
        Aggregation.QUANTILE,
        Aggregation.STANDARD_DEVIATION,
    )
}


class FormulaBuilder:
    """Makes the nodes of one formula, and puts its numbers into slots. Its methods raise NotEvaluable."""

    def __init__(self, since: float) -> None:
        """`since` is when the rule was made, in seconds since 1970."""
        self._since = since
        self.numbers: list[float] = []
        self._nodes = 0

    def expression(self, message: condition_pb2.Expression) -> Expression:
        """A number that is computed."""
        self._count()
        kind = message.WhichOneof("kind")
        if is_reading(message):
            return Reading(**read(message))
        if kind == "number":
            return Constant(self._slot(finite(message.number)))
        if kind == "arithmetic":
            operator = _ARITHMETIC.get(message.arithmetic.operator)
            if operator is None:
                raise NotEvaluable("it isn't said what is computed; use one of + - * /")
            left, right = self.expression(message.arithmetic.left), self.expression(message.arithmetic.right)
            return Arithmetic(operator, left, right, _sorted(message.arithmetic.on))
        if kind == "group_aggregate":
            return self._group(message.group_aggregate)
        raise NotEvaluable("an expression says nothing; name a field, or its aggregate, such as `avg(x, 5m)`")

    def condition(self, message: condition_pb2.Condition) -> Condition:
        """What holds or doesn't."""
        self._count()
        if message.HasField("recover"):
            raise NotEvaluable("only a single comparison can have a recover clause; leave it out, or say `not` of it")
        match message.WhichOneof("kind"):
            case "comparison":
                return self._comparison(message.comparison)
            case "range":
                within = message.range
                within_bounds = Bounds(finite(within.low), finite(within.high), within.outside)
                return self._bounded(self.expression(within.expression), within_bounds)
            case "absence":
                return self.quiet(message.absence)
            case "junction":
                return self._junction(message.junction)
            case "negation":
                return Negation(self.condition(message.negation.condition))
        raise NotEvaluable("a condition says nothing; compare something, such as `cpu_percent > 90`")

    def _comparison(self, comparison: condition_pb2.Comparison) -> Condition:
        if comparison.WhichOneof("right") in ("text", "texts"):
            return self._texts(comparison)
        operator, right = operator_of(comparison), comparison.expression
        if right.WhichOneof("kind") == "number":
            expression = self._counted(comparison) or self.expression(comparison.left)
            return self._bounded(expression, bounds(operator, finite(right.number), finite(comparison.tolerance)))
        if comparison.HasField("occurrence"):
            raise NotEvaluable("points are counted against a number; put one on the right")
        left = self.expression(comparison.left)
        return Versus(operator, left, self.expression(right), finite(comparison.tolerance))

    def _counted(self, comparison: condition_pb2.Comparison) -> Reading | None:
        if not comparison.HasField("occurrence"):
            return None
        if not is_reading(comparison.left):
            raise NotEvaluable("points that are counted are those of one field; compare the field itself")
        reading = read(comparison.left)
        return Reading(**reading, occurrence=occurrence_of(comparison, reading))

    def _texts(self, comparison: condition_pb2.Comparison) -> Condition:
        if not is_reading(comparison.left):
            raise NotEvaluable('nothing can be computed of texts; compare the newest one, such as `status == "down"`')
        reading, test = read(comparison.left), threshold(comparison)
        check_texts(reading)
        counted = occurrence_of(comparison, reading) if comparison.HasField("occurrence") else None
        looked_at, operator = Reading(**reading, occurrence=counted, of_text=True), test["operator"]
        each: list[Condition] = [self._bounded(looked_at, bounds(operator, code_of(text))) for text in test["texts"]]
        return reduce(lambda one, other: Junction(JunctionOperator.OR, one, other), each)

    def _bounded(self, expression: Expression, within: Bounds) -> Bounded:
        return Bounded(expression, self._slot(within.low, within.high), within.outside)

    def _group(self, message: condition_pb2.GroupAggregate) -> Group:
        aggregation = _OF_GROUPS.get(message.aggregation)
        if aggregation is None:
            raise NotEvaluable("series are made one by avg, min, max, sum, count, median, a percentile or stddev")
        if aggregation is Aggregation.QUANTILE and not 0 < message.quantile < 1:
            raise NotEvaluable("a quantile lies between 0 and 1; give it, such as the 0.95 of `p95 by (host) (x)`")
        if message.by and message.without:
            raise NotEvaluable("series are grouped `by` some tags or `without` some, not both; leave one out")
        expression = self.expression(message.expression)
        return Group(aggregation, expression, _sorted(message.by), _sorted(message.without), message.quantile)

    def quiet(self, absence: condition_pb2.Absence) -> Quiet:
        """That no point comes."""
        duration = from_duration(absence.duration)
        if duration < SECOND:
            raise NotEvaluable("absence takes at least one second; say for example `no data for 15m`")
        taken = absence.input
        expected = tuple(sorted({tuple(sorted(one.tags.items())) for one in absence.expected}))
        reading = Reading(taken.measurement, taken.field, filters_of(taken), aggregation=Aggregation.COUNT)
        return Quiet(reading, duration, expected, self._slot(self._since) if expected else -1)

    def _junction(self, message: condition_pb2.Junction) -> Condition:
        operator = _JUNCTIONS.get(message.operator)
        if operator is None:
            raise NotEvaluable("it isn't said how conditions are joined; use `and`, `or` or `unless`")
        if len(message.conditions) < 2 or (operator is JunctionOperator.UNLESS and len(message.conditions) > 2):
            raise NotEvaluable("`and` and `or` join two conditions or more, `unless` two; send as many")
        on = _sorted(message.on)
        return reduce(
            lambda one, other: Junction(operator, one, other, on), [self.condition(one) for one in message.conditions]
        )

    def _slot(self, *numbers: float) -> int:
        self.numbers += numbers
        return len(self.numbers) - len(numbers)

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise NotEvaluable(f"a condition has more than {MOST_NODES:,} parts; make several rules of it")


def _sorted(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
