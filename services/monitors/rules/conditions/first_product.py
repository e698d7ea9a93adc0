"""The condition as the JSON object that the first product spoke: `{"type":"threshold","field":"price",…}`."""

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NoReturn

from monitors.mesh.errors import InvalidCondition
from monitors.mesh.times import SECOND
from monitors.rules.conditions.stated import Stated
from monitors.rules.model.condition import (
    LOOK_BACK,
    Absence,
    Aggregation,
    Comparison,
    Condition,
    Input,
    Operator,
    Range,
    TagFilter,
    TagOperator,
    Target,
    Threshold,
)
from monitors.rules.model.quantities import listed, parse_duration, shown

# What the first product's `==` always meant.
TOLERANCE = 0.001
EXAMPLE = '{"type":"threshold","field":"price","operator":">","value":60000}'
_NAMES = [aggregation.value for aggregation in Aggregation if aggregation is not Aggregation.QUANTILE]
_AGGREGATIONS = {
    **{name: Aggregation(name) for name in _NAMES},
    "average": Aggregation.AVERAGE,
    "mean": Aggregation.AVERAGE,
    "minimum": Aggregation.MINIMUM,
    "maximum": Aggregation.MAXIMUM,
    "last": Aggregation.LATEST,
}
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?)")
_OPERATORS = {**{operator.value: operator for operator in Operator}, "=": Operator.EQUAL, "<>": Operator.NOT_EQUAL}
_COMMON = ("type", "field", "aggregation", "window", "tags", "for")
_KEYS = {
    "threshold": (*_COMMON, "operator", "value", "tolerance"),
    "range": (*_COMMON, "min", "max", "low", "high", "outside"),
    "absence": ("type", "field", "tags", "for", "duration"),
}


def read_json(text: str, path: str) -> Stated:
    """The condition that a JSON object states. Raises InvalidCondition on `path`."""
    try:
        value = json.loads(text)
        # JSON can spell half of a surrogate pair, which is no text.
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InvalidCondition(
            path,
            f"isn't valid JSON at character {error.pos + 1}; write for example {EXAMPLE}",
            position=str(error.pos + 1),
        ) from None
    except (RecursionError, ValueError):
        raise InvalidCondition(path, f"isn't JSON of the expected form; write for example {EXAMPLE}") from None
    return _Reader(value, path).read()


class _Reader:
    """Reads one object; every error names the key, what was seen, and what is accepted."""

    def __init__(self, value: Mapping[str, Any], path: str) -> None:
        self._value = value
        self._path = path

    def read(self) -> Stated:
        kind = self._value.get("type", "threshold")
        build: Mapping[str, Callable[[], Condition]] = {
            "threshold": self._threshold,
            "range": self._range,
            "absence": self._absence,
        }
        if not isinstance(kind, str) or kind not in build:
            self._refuse("type", kind, "one of threshold, range, absence")
        for key in self._value:
            if key not in _KEYS[kind]:
                close = get_close_matches(key, _KEYS[kind], n=1)
                hint = f", did you mean {close[0]!r}?" if close else ""
                raise InvalidCondition(
                    self._path, f"{shown(key)} isn't a key of a {kind}{hint}; there are {listed(list(_KEYS[kind]))}"
                )
        condition = build[kind]()
        return Stated(condition, self._duration("for") if "for" in self._value else None)

    def _threshold(self) -> Comparison:
        name = self._value.get("operator")
        operator = _OPERATORS.get(name) if isinstance(name, str) else None
        if operator is None:
            self._refuse("operator", name, "one of >, >=, <, <=, ==, !=")
        equality = operator in (Operator.EQUAL, Operator.NOT_EQUAL)
        tolerance = self._number("tolerance") if "tolerance" in self._value else TOLERANCE if equality else 0.0
        return Comparison(self._input(), Threshold(operator, self._number("value"), tolerance))

    def _range(self) -> Comparison:
        low = self._number("low" if "low" in self._value else "min")
        high = self._number("high" if "high" in self._value else "max")
        outside = self._value.get("outside", False)
        if not isinstance(outside, bool):
            self._refuse("outside", outside, "true or false")
        return Comparison(self._input(), Range(low, high, outside))

    def _absence(self) -> Absence:
        if "duration" not in self._value:
            self._refuse("duration", None, 'how long nothing may come, such as "15m"')
        return Absence(self._duration("duration"), self._target() if "field" in self._value else None)

    def _input(self) -> Input:
        name = self._value.get("aggregation", "latest")
        target, window = self._target(), self._duration("window") if "window" in self._value else LOOK_BACK
        if isinstance(name, str) and (percentile := _PERCENTILE.fullmatch(name)):
            return Input(target, Aggregation.QUANTILE, window, quantile=float(Decimal(percentile[1]) / 100))
        aggregation = _AGGREGATIONS.get(name) if isinstance(name, str) else None
        if aggregation is None:
            self._refuse("aggregation", name, f"one of {', '.join(_NAMES)} or p95")
        return Input(target, aggregation, window)

    def _target(self) -> Target:
        field, tags = self._value.get("field"), self._value.get("tags", {})
        if not isinstance(field, str) or not field:
            self._refuse("field", field, "the field's name")
        if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
            self._refuse("tags", tags, 'an object of texts, such as {"cpu": "0"}')
        return Target(field, "", tuple(TagFilter(tag, TagOperator.EQUAL, value) for tag, value in tags.items()))

    def _number(self, key: str) -> float:
        value = self._value.get(key)
        if not isinstance(value, int | float | str):
            self._refuse(key, value, "a number")
        try:
            return float(value) + 0.0
        except (ValueError, OverflowError):
            self._refuse(key, value, "a number")

    def _duration(self, key: str) -> int:
        value = self._value[key]
        if isinstance(value, str):
            nanos = parse_duration(value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
            nanos = int(value * SECOND)
        else:
            nanos = None
        if nanos is None:
            self._refuse(key, value, 'a duration such as "5m", or seconds')
        return nanos

    def _refuse(self, key: str, seen: object, accepted: str) -> NoReturn:
        found = "is missing" if seen is None else f"is {shown(json.dumps(seen, ensure_ascii=False))}"
        raise InvalidCondition(self._path, f"{key!r} {found}; send {accepted}, as in {EXAMPLE}")
