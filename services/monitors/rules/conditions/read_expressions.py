"""Builds expressions while a condition's text is parsed: one method for each rule of the grammar."""

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from lark import Token, Transformer

from monitors.rules.conditions.amounts import Unreadable
from monitors.rules.conditions.sentence import Sentence
from monitors.rules.model.condition import (
    LOOK_BACK,
    Age,
    Aggregation,
    Anomaly,
    Arithmetic,
    ArithmeticOperator,
    Change,
    Expression,
    Forecast,
    GroupAggregate,
    Input,
    Number,
    Season,
    TagFilter,
    TagOperator,
    Target,
)
from monitors.rules.model.quantities import parse_duration

_AGGREGATIONS = {
    **{aggregation.value: aggregation for aggregation in Aggregation if aggregation is not Aggregation.QUANTILE},
    **dict.fromkeys(("average", "mean"), Aggregation.AVERAGE),
    **dict.fromkeys(("minimum", "lowest", "smallest"), Aggregation.MINIMUM),
    **dict.fromkeys(("maximum", "highest", "peak", "largest"), Aggregation.MAXIMUM),
    "total": Aggregation.SUM,
    "number": Aggregation.COUNT,
    **dict.fromkeys(("newest", "last", "current"), Aggregation.LATEST),
    "oldest": Aggregation.FIRST,
    "standard deviation": Aggregation.STANDARD_DEVIATION,
    **dict.fromkeys(("derivative", "slope"), Aggregation.DERIVATIVE),
}
_PERCENTILE = re.compile(r"p?(\d+(?:\.\d+)?)(?:st|nd|rd|th)?(?:\s+percentile)?", re.IGNORECASE)
_OPERATIONS = {
    "PLUS": ArithmeticOperator.ADD,
    "MINUS": ArithmeticOperator.SUBTRACT,
    "TIMES": ArithmeticOperator.MULTIPLY,
    "DIVIDE": ArithmeticOperator.DIVIDE,
}
_TAG_OPERATORS = {**{operator.value: operator for operator in TagOperator}, "==": TagOperator.EQUAL}
_ESCAPES = {"n": "\n", "r": "\r"}


class Quoted(str):
    """A field's name that was written in quotes, so that it may be meant as a text."""

    __slots__ = ()


@dataclass(frozen=True)
class Grouping:
    """By which tags series are put together."""

    by: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Join:
    """The tags to join on."""

    on: tuple[str, ...]


@dataclass(frozen=True)
class _Call:
    """An aggregation before it's known whether it is taken over time or over series; `window` if one was said."""

    aggregation: Aggregation
    quantile: float
    argument: Expression
    window: int | None

    def over_time(self) -> Input:
        """A field over a window."""
        argument = self.argument
        if not isinstance(argument, Input) or not argument.is_bare:
            raise Unreadable(
                "a window is put on one field at a time; say it at each field, as `avg(a, 5m) + avg(b, 5m)`"
            )
        window = LOOK_BACK if self.window is None else self.window
        return Input(_plain(argument.target), self.aggregation, window, quantile=self.quantile)

    def over_series(self, grouping: Grouping) -> GroupAggregate:
        """The series of each group, after the window if there is one."""
        inner = self.argument if self.window is None else self.over_time()
        return GroupAggregate(self.aggregation, inner, grouping.by, grouping.without, self.quantile)


class ExpressionReader(Transformer[Token, Sentence]):
    """Expressions, names and numbers."""

    def arithmetic(self, parts: list[Any]) -> Arithmetic:
        left, sign, *join, right = parts
        return Arithmetic(left, _OPERATIONS[sign.type], right, join[0].on if join else ())

    def negative(self, parts: list[Any]) -> Expression:
        value = parts[-1]
        if isinstance(value, Number):
            return Number(0.0 - value.value)
        return _multiple(-1.0, value)

    def parenthesis(self, parts: list[Any]) -> Expression:
        value: Expression = parts[0]
        return replace(value, target=_plain(value.target)) if isinstance(value, Input) else value

    def constant(self, parts: list[float]) -> Number:
        return Number(parts[0])

    def share(self, parts: list[Any]) -> Arithmetic:
        return _multiple(percent_of(parts[0]) / 100, parts[-1])

    def half(self, parts: list[Any]) -> Arithmetic:
        return _multiple(0.5, parts[-1])

    def twice(self, parts: list[Any]) -> Arithmetic:
        return _multiple(2.0, parts[-1])

    def call(self, parts: list[Any]) -> _Call:
        word = next(part for part in parts if isinstance(part, Token) and part.type == "AGGREGATION")
        aggregation, quantile = _aggregation(word)
        return _Call(aggregation, quantile, _argument(parts), _duration(parts))

    spoken = call

    def windowed(self, parts: list[Any]) -> _Call:
        (window,) = [part for part in parts if isinstance(part, Token) and part.type == "WINDOW"]
        nanos = self.duration([Token("DURATION", window.replace("-", " "))])
        return replace(self.call([part for part in parts if part is not window]), window=nanos)

    def quantile(self, parts: list[Any]) -> _Call:
        share = next(part for part in parts if isinstance(part, Token) and part.type == "NUMBER")
        return _Call(Aggregation.QUANTILE, to_float(share), _argument(parts), _duration(parts))

    def aggregated(self, parts: list[_Call]) -> Expression:
        (call,) = parts
        is_field = isinstance(call.argument, Input) and call.argument.is_bare
        return call.over_time() if call.window or is_field else call.over_series(Grouping())

    def prefix_group(self, parts: list[Any]) -> GroupAggregate:
        *_, word, grouping, inner = parts
        return _Call(*_aggregation(word), inner, None).over_series(grouping)

    def postfix_group(self, parts: list[Any]) -> GroupAggregate:
        call, grouping, *over = parts
        if over and call.window:
            raise Unreadable("says two windows; say it once, as `avg by (host) (avg(cpu, 5m))`")
        return (replace(call, window=over[-1]) if over else call).over_series(grouping)  # type: ignore[no-any-return]

    def group_of_all(self, parts: list[Any]) -> GroupAggregate:
        return self.call(parts).over_series(Grouping())

    def by(self, parts: list[Any]) -> Grouping:
        names = parts[1:]
        return Grouping(by=names[0] if names and isinstance(names[0], tuple) else tuple(map(str, names)))

    def without(self, parts: list[Any]) -> Grouping:
        return Grouping(without=parts[-1])

    def over_all(self, parts: list[Any]) -> Grouping:
        return Grouping()

    def join(self, parts: list[Any]) -> Join:
        return Join(parts[-1])

    def names(self, parts: list[str]) -> tuple[str, ...]:
        return tuple(map(str, parts))

    def latest(self, parts: list[Target]) -> Input:
        return Input(parts[0])

    def shifted(self, parts: list[Any]) -> Input:
        value, *_, offset = parts
        if not isinstance(value, Input):
            raise Unreadable("an offset belongs to one field; say it at the field, as `sum by () (x offset 1d)`")
        return replace(value, offset=offset)

    def change(self, parts: list[Any]) -> Change:
        value, since, *percent = parts[1:]
        return Change(_field(value, "change(price, 1h)"), since, percent=bool(percent))

    def age(self, parts: list[Any]) -> Age:
        return Age(_field(parts[-1], "age(last_backup)"))

    def anomaly(self, parts: list[Any]) -> Anomaly:
        value, past, *season = parts[1:]
        given = _field(value, "anomaly(requests, 1d)")
        return Anomaly(given, past, Season(season[0].lower()) if season else Season.NONE)

    def forecast(self, parts: list[Any]) -> Forecast:
        value, window, ahead, *offset = [part for part in parts if not isinstance(part, Token)]
        given = _field(value, "forecast(disk_used, 6h, 4h)")
        if not replace(given, offset=0).is_bare or (given.offset and offset):
            raise Unreadable("a forecast is drawn through a field's own points, as `forecast(disk_used, 6h, 4h)`")
        return Forecast(given.target, window, ahead, offset[0] if offset else given.offset)

    def target(self, parts: list[Any]) -> Target:
        name, *filters = parts
        return Target(name, "", tuple(filters))

    def name(self, parts: list[Token]) -> str:
        return Quoted(unquoted(parts[0])) if parts[0].type == "STRING" else str(parts[0])

    def tag_name(self, parts: list[Token]) -> str:
        return unquoted(parts[0])

    tag_value = tag_name

    def tag_filter(self, parts: list[Any]) -> TagFilter:
        tag, operator, value = parts
        return TagFilter(tag, _TAG_OPERATORS.get(operator, TagOperator.NOT_EQUAL), value)

    def number(self, parts: list[Token]) -> float:
        token = parts[0]
        return float(token.type == "TRUE") if token.type in ("TRUE", "FALSE") else to_float(token)

    unsigned = number

    def duration(self, parts: list[Token]) -> int:
        nanos = parse_duration(parts[0])
        if nanos is None:
            raise Unreadable(f"{parts[0][:60]!r} isn't a duration; say it as `5m`, `90s` or `1h30m`")
        return nanos


def _multiple(factor: float, value: Expression) -> Arithmetic:
    return Arithmetic(Number(factor), ArithmeticOperator.MULTIPLY, value)


def _aggregation(word: str) -> tuple[Aggregation, float]:
    """An aggregation and its quantile, 0 if it has none."""
    if percentile := _PERCENTILE.fullmatch(word):
        return Aggregation.QUANTILE, float(Decimal(percentile[1]) / 100)
    return _AGGREGATIONS[" ".join(word.lower().split())], 0.0


def _plain(target: Target) -> Target:
    """A field within parentheses: what is in quotes there is its name, and no text."""
    return replace(target, field=str(target.field))


def _argument(parts: list[Any]) -> Expression:
    """What an aggregation is taken of."""
    found = next(part for part in parts if not isinstance(part, Token | int))
    return Input(found) if isinstance(found, Target) else found


def _duration(parts: list[Any]) -> int | None:
    return next((part for part in parts if isinstance(part, int)), None)


def _field(value: Expression, example: str) -> Input:
    if not isinstance(value, Input):
        raise Unreadable(f"`{example.partition('(')[0]}` looks at one field, or its aggregate, as `{example}`")
    return value


def percent_of(text: str) -> float:
    """The number of a percentage."""
    return to_float(re.sub(r"\s*(?:%|percent)$", "", text, flags=re.IGNORECASE))


def to_float(text: str) -> float:
    """A number as it's written."""
    # Adding zero makes −0 an ordinary 0, which is what its canonical text reads back as.
    return float(text.replace("−", "-")) + 0.0


def unquoted(token: Token) -> str:
    """A name or a text without its quotes."""
    if token.type != "STRING":
        return str(token)
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), token[1:-1], flags=re.DOTALL)
