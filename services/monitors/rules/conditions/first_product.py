"""The condition as the JSON object that the first product spoke: `{"type":"threshold","field":"price",…}`, and as it
would have said the conditions that it hadn't got."""

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
    Anomaly,
    Change,
    Comparison,
    Condition,
    Expression,
    Input,
    Junction,
    JunctionOperator,
    Negation,
    Number,
    Operator,
    Range,
    Season,
    TagFilter,
    TagOperator,
    Target,
    TextTest,
    Threshold,
)
from monitors.rules.model.condition_parts import DEEPEST, too_deep
from monitors.rules.model.quantities import listed, parse_duration, shown

# What the first product's `==` always meant.
TOLERANCE = 0.001
EXAMPLE = '{"type":"threshold","field":"price","operator":">","value":60000}'
EXAMPLE_OF_SEVERAL = f'{{"type":"and","conditions":[{EXAMPLE},{{"type":"absence","duration":"15m"}}]}}'
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
_TESTED = (*_COMMON, "operator", "value", "tolerance")
_KEYS = {
    "threshold": _TESTED,
    "range": (*_COMMON, "min", "max", "low", "high", "outside"),
    "absence": ("type", "field", "tags", "for", "duration"),
    "change": (*_TESTED, "offset", "percent"),
    "anomaly": (*_TESTED, "past", "season"),
    "and": ("type", "conditions", "on", "for"),
    "or": ("type", "conditions", "on", "for"),
    "unless": ("type", "conditions", "on", "for"),
    "not": ("type", "condition", "for"),
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
    reader = _Reader(value, path)
    return Stated(reader.read(), reader.for_duration())


class _Reader:
    """Reads one object; every error names the key, what was seen, and what is accepted."""

    def __init__(self, value: Mapping[str, Any], path: str, depth: int = 0) -> None:
        self._value = value
        self._path = path
        self._depth = depth

    def read(self) -> Condition:
        """The condition that the object states."""
        kind = self._value.get("type", "threshold")
        build: Mapping[str, Callable[[], Condition]] = {
            "threshold": lambda: self._tested(self._input()),
            "range": self._range,
            "absence": self._absence,
            "change": lambda: self._tested(self._change()),
            "anomaly": lambda: self._tested(self._anomaly()),
            **{each.value: lambda each=each: self._junction(each) for each in JunctionOperator},  # type: ignore[misc]
            "not": lambda: Negation(self._inner("condition", self._value.get("condition"))),
        }
        if not isinstance(kind, str) or kind not in build:
            self._refuse("type", kind, f"one of {', '.join(build)}")
        for key in self._value:
            if key not in _KEYS[kind]:
                close = get_close_matches(key, _KEYS[kind], n=1)
                hint = f", did you mean {close[0]!r}?" if close else ""
                raise InvalidCondition(
                    self._path, f"{shown(key)} isn't a key of {kind!r}{hint}; there are {listed(list(_KEYS[kind]))}"
                )
        if self._depth and "for" in self._value:
            raise InvalidCondition(self._path, "'for' holds for the whole condition; put it in the outermost object")
        return build[kind]()

    def for_duration(self) -> int | None:
        """For how long it must hold, in nanoseconds."""
        return self._duration("for") if "for" in self._value else None

    def _tested(self, left: Expression) -> Comparison:
        name, value = self._value.get("operator"), self._value.get("value")
        operator = _OPERATORS.get(name) if isinstance(name, str) else None
        if operator is None:
            self._refuse("operator", name, "one of >, >=, <, <=, ==, !=, in")
        if operator is Operator.IN:
            if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
                self._refuse("value", value, 'a list of texts, such as ["failed", "unknown"]')
            return Comparison(left, TextTest(operator, tuple(value)))
        equality = operator in (Operator.EQUAL, Operator.NOT_EQUAL)
        if equality and isinstance(value, str) and not _is_number(value):
            if "tolerance" in self._value:
                self._refuse("tolerance", self._value["tolerance"], "no tolerance with a text")
            return Comparison(left, TextTest(operator, (value,)))
        tolerance = self._number("tolerance") if "tolerance" in self._value else TOLERANCE if equality else 0.0
        return Comparison(left, Threshold(operator, Number(self._number("value")), tolerance))

    def _range(self) -> Comparison:
        low = self._number("low" if "low" in self._value else "min")
        high = self._number("high" if "high" in self._value else "max")
        return Comparison(self._input(), Range(low, high, self._flag("outside")))

    def _absence(self) -> Absence:
        if "duration" not in self._value:
            self._refuse("duration", None, 'how long nothing may come, such as "15m"')
        return Absence(self._duration("duration"), self._target() if "field" in self._value else None)

    def _change(self) -> Change:
        if "offset" not in self._value:
            self._refuse("offset", None, 'how long ago it is compared with, such as "1h"')
        return Change(self._input(), self._duration("offset"), self._flag("percent"))

    def _anomaly(self) -> Anomaly:
        if "past" not in self._value:
            self._refuse("past", None, 'how much past it is compared with, such as "1d"')
        season = self._value.get("season", "")
        if season not in ("", *Season):
            self._refuse("season", season, "daily or weekly, or leave it out")
        return Anomaly(self._input(), self._duration("past"), Season(season))

    def _junction(self, operator: JunctionOperator) -> Junction:
        conditions, on = self._value.get("conditions"), self._value.get("on", [])
        if not isinstance(conditions, list):
            self._refuse("conditions", conditions, f"a list of conditions, as in {EXAMPLE_OF_SEVERAL}")
        if not isinstance(on, list) or not all(isinstance(each, str) for each in on):
            self._refuse("on", on, 'the tags to join on, such as ["host"]')
        return Junction(operator, tuple(self._inner("conditions", each) for each in conditions), tuple(on))

    def _inner(self, key: str, value: object) -> Condition:
        if not isinstance(value, dict):
            self._refuse(key, value, f"a condition as an object, as in {EXAMPLE_OF_SEVERAL}")
        if self._depth >= DEEPEST:
            raise too_deep(self._path, f"more than {DEEPEST} levels")
        return _Reader(value, self._path, self._depth + 1).read()

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

    def _flag(self, key: str) -> bool:
        value = self._value.get(key, False)
        if not isinstance(value, bool):
            self._refuse(key, value, "true or false")
        return value

    def _number(self, key: str) -> float:
        value = self._value.get(key)
        if not isinstance(value, int | float | str) or not _is_number(value):
            self._refuse(key, value, "a number")
        return float(value) + 0.0

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
        example = "" if "as in" in accepted else f", as in {EXAMPLE}"
        raise InvalidCondition(self._path, f"{key!r} {found}; send {accepted}{example}")


def _is_number(value: float | str) -> bool:
    try:
        float(value)
    except (ValueError, OverflowError):
        return False
    return True
