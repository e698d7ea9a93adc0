"""What is read of one field, from the contract's messages."""

import math
from functools import lru_cache
from sys import intern
from typing import Any

from monitors.evaluator.model.reading import LOOK_BACK, Aggregation, Function, Season, TagFilter
from monitors.mesh.patterns import InvalidPattern, check_pattern
from monitors.mesh.times import from_duration
from monitors.v1 import condition_pb2

_AGGREGATIONS = {
    condition_pb2.AGGREGATION_UNSPECIFIED: Aggregation.LATEST,
    **{int(one): one for one in Aggregation if one is not Aggregation.FORECAST},
}
_SEASONS = {int(one): one for one in Season}
_TAG_OPERATORS = {
    condition_pb2.TAG_OPERATOR_EQUAL: (False, False),
    condition_pb2.TAG_OPERATOR_NOT_EQUAL: (True, False),
    condition_pb2.TAG_OPERATOR_MATCH: (False, True),
    condition_pb2.TAG_OPERATOR_NOT_MATCH: (True, True),
}
"""Whether each is negated, and whether its value is a regular expression."""


class NotEvaluable(Exception):
    """A rule asks for what this evaluator can't do. The message says what, and what can be said instead."""


def is_reading(expression: condition_pb2.Expression) -> bool:
    """Whether an expression is about one field."""
    return expression.WhichOneof("kind") in ("input", "age", "change", "forecast", "anomaly")


def read(expression: condition_pb2.Expression) -> dict[str, Any]:
    """What an expression about one field says, as fields of Reading. Raises NotEvaluable."""
    return _read(expression.SerializeToString())


@lru_cache(maxsize=4096)
def _read(serialised: bytes) -> dict[str, Any]:
    """What an Expression says. A million rules ask for few different ones: each is read once, and its parts are
    shared."""
    expression = condition_pb2.Expression.FromString(serialised)
    match expression.WhichOneof("kind"):
        case "input":
            return _input(expression.input)
        case "age":
            return {"function": Function.AGE, **_input(expression.age)}
        case "change":
            change = expression.change
            function = Function.PERCENT_CHANGE if change.percent else Function.CHANGE
            since = from_duration(change.offset)
            if since <= 0:
                raise NotEvaluable("a change needs to know since when; say for example `change(x, 1h)`")
            return {"function": function, "since": since, **_input(change.input)}
        case "forecast":
            forecast = expression.forecast
            window, ahead = from_duration(forecast.window), from_duration(forecast.ahead)
            if window <= 0 or ahead < 0:
                raise NotEvaluable(
                    "a forecast needs a window and how far to look; say for example `forecast(x, 6h, 4h)`"
                )
            return {**target(forecast.input), "aggregation": Aggregation.FORECAST, "window": window, "ahead": ahead}
        case "anomaly":
            anomaly = expression.anomaly
            past, season = from_duration(anomaly.past), _SEASONS.get(anomaly.season)
            if past <= 0 or season is None:
                raise NotEvaluable("an anomaly needs a past to compare with; say for example `anomaly(x, 1d)`")
            return {"function": Function.ANOMALY, "since": past, "season": season, **_input(anomaly.input)}
    raise NotEvaluable("an expression says nothing; name a field, or its aggregate, such as `avg(x, 5m)`")


def target(taken: condition_pb2.Input) -> dict[str, Any]:
    """Which field of which series is meant. Raises NotEvaluable."""
    offset = from_duration(taken.offset)
    if offset < 0:
        raise NotEvaluable("an offset reaches into the past; say how long ago, such as `offset 1d`")
    return {
        "measurement": intern(taken.measurement),
        "field": intern(taken.field),
        "filters": filters_of(taken),
        "offset": offset,
    }


def _input(taken: condition_pb2.Input) -> dict[str, Any]:
    aggregation = _AGGREGATIONS.get(taken.aggregation)
    if aggregation is None:
        raise NotEvaluable("this aggregation is unknown; use for example latest, avg, min, max, sum, count or rate")
    window = from_duration(taken.window)
    if not window and aggregation != Aggregation.LATEST:
        raise NotEvaluable("an aggregate needs a window; give it one, such as the 5m of `avg(x, 5m)`")
    if aggregation == Aggregation.QUANTILE and not 0 < taken.quantile < 1:
        raise NotEvaluable("a quantile lies between 0 and 1; give it, such as the 0.95 of `quantile(0.95, x, 5m)`")
    return {
        **target(taken),
        "aggregation": aggregation,
        "window": window or LOOK_BACK,
        "quantile": taken.quantile if aggregation == Aggregation.QUANTILE else 0.0,
    }


def filters_of(taken: condition_pb2.Input) -> tuple[TagFilter, ...]:
    """What the tags of series must be. Raises NotEvaluable."""
    found = []
    for one in taken.filters:
        kind = _TAG_OPERATORS.get(one.operator)
        if kind is None:
            raise NotEvaluable("a tag filter says nothing; compare the tag with =, !=, =~ or !~")
        negated, pattern = kind
        if pattern:
            try:
                check_pattern(one.value)
            except InvalidPattern as error:
                raise NotEvaluable(
                    f"{one.value[:60]!r} isn't a regular expression ({error}); write RE2's syntax"
                ) from None
        found.append(TagFilter(one.tag, one.value, negated, pattern))
    return tuple(found)


def finite(number: float) -> float:
    """A number that can be compared with. Raises NotEvaluable."""
    if not math.isfinite(number):
        raise NotEvaluable(f"{number} can't be compared with; use a finite number")
    return number
