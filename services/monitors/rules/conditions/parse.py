"""Reads a condition from text: what people and Claude write, or the first product's JSON object."""

import re
from functools import cache
from importlib.resources import files
from typing import Any, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken

from monitors.mesh.errors import InvalidCondition
from monitors.rules.conditions.explain import explain
from monitors.rules.conditions.first_product import read_json
from monitors.rules.conditions.stated import Stated
from monitors.rules.model.condition import (
    LOOK_BACK,
    Absence,
    Aggregation,
    Input,
    Operator,
    Range,
    TagFilter,
    TagOperator,
    Target,
    Threshold,
)
from monitors.rules.model.quantities import UNIT_PATTERN, parse_duration

LONGEST_CONDITION_TEXT = 4096
_AGGREGATIONS = {
    **dict.fromkeys(("average", "avg", "mean"), Aggregation.AVERAGE),
    **dict.fromkeys(("minimum", "min", "lowest", "smallest"), Aggregation.MINIMUM),
    **dict.fromkeys(("maximum", "max", "highest", "peak", "largest"), Aggregation.MAXIMUM),
    **dict.fromkeys(("sum", "total"), Aggregation.SUM),
    **dict.fromkeys(("count", "number"), Aggregation.COUNT),
    **dict.fromkeys(("latest", "newest", "last", "current"), Aggregation.LATEST),
}
_ESCAPES = {"n": "\n", "r": "\r"}


def parse_condition(text: str, path: str) -> Stated:
    """The condition that a text states. Raises InvalidCondition on `path` with the place, what was expected, and a
    corrected example."""
    if len(text) > LONGEST_CONDITION_TEXT:
        raise InvalidCondition(path, f"has {len(text):,} characters; at most {LONGEST_CONDITION_TEXT:,}")
    if not text.strip():
        raise InvalidCondition(path, "is empty; say when to fire, such as `avg(cpu_percent, 5m) > 90 for 30s`")
    if text.lstrip().startswith("{"):
        return read_json(text, path)
    try:
        return cast("Stated", _parser().parse(text))
    except (UnexpectedCharacters, UnexpectedToken) as error:
        description, position = explain(text, error)
        raise InvalidCondition(path, description, position=str(position)) from None
    except _Unreadable as error:
        raise InvalidCondition(path, str(error)) from None


@cache
def _parser() -> Lark:
    grammar = (files("monitors.rules.conditions") / "condition.lark").read_text(encoding="utf-8")
    return Lark(
        grammar.replace("UNIT", UNIT_PATTERN),
        parser="lalr",
        transformer=_ToModel(),
        g_regex_flags=re.IGNORECASE,
    )


class _Unreadable(Exception):
    """A text of the right form that means nothing that can be evaluated."""


class _ToModel(Transformer[Token, Stated]):
    """Builds the model's values while parsing: one method for each rule of the grammar."""

    def start(self, parts: list[Any]) -> Stated:
        condition, *rest = [part for part in parts if not isinstance(part, Token)]
        return Stated(condition, rest[0] if rest else None)

    def threshold(self, parts: list[Any]) -> Threshold:
        given, operator, value, *tolerance = [part for part in parts if not isinstance(part, Token)]
        return Threshold(given, operator, value, *tolerance)

    def text_threshold(self, parts: list[Any]) -> Threshold:
        raise _Unreadable(
            f"text can't be compared yet (you wrote {parts[-1]}); compare a field that holds numbers, as `is_up == 0`, "
            "or say `no data for 15m`"
        )

    def inside(self, parts: list[Any]) -> Range:
        low, high = parts[-1]
        return Range(parts[0], low, high, outside=False)

    def outside(self, parts: list[Any]) -> Range:
        low, high = parts[-1]
        return Range(parts[0], low, high, outside=True)

    def bounds(self, parts: list[Any]) -> tuple[float, float]:
        return parts[0], parts[-1]

    def absence(self, parts: list[Any]) -> Absence:
        target = next((part for part in parts if isinstance(part, Target)), None)
        return Absence(parts[-1], target)

    def field_absence(self, parts: list[Any]) -> Absence:
        return Absence(parts[-1], parts[0])

    def comparator(self, parts: list[Token]) -> Operator:
        return Operator[parts[0].type]

    def latest(self, parts: list[Target]) -> Input:
        return Input(parts[0])

    def aggregated(self, parts: list[Any]) -> Input:
        aggregation = next(part for part in parts if isinstance(part, Token) and part.type == "AGGREGATION")
        target = next(part for part in parts if isinstance(part, Target))
        window = next((part for part in parts if isinstance(part, int)), LOOK_BACK)
        return Input(target, _AGGREGATIONS[aggregation.lower()], window)

    def target(self, parts: list[Any]) -> Target:
        name, *filters = parts
        return Target(name, "", tuple(filters))

    def name(self, parts: list[Token]) -> str:
        return _text(parts[0])

    tag_name = tag_value = name

    def tag_filter(self, parts: list[Any]) -> TagFilter:
        tag, operator, value = parts
        return TagFilter(tag, TagOperator.EQUAL if operator in ("=", "==") else TagOperator.NOT_EQUAL, value)

    def number(self, parts: list[Token]) -> float:
        token = parts[0]
        if token.type in ("TRUE", "FALSE"):
            return float(token.type == "TRUE")
        # Adding zero makes −0 an ordinary 0, which is what its canonical text reads back as.
        return float(token.replace("−", "-")) + 0.0

    unsigned = number

    def duration(self, parts: list[Token]) -> int:
        nanos = parse_duration(parts[0])
        if nanos is None:
            raise _Unreadable(f"{parts[0][:60]!r} isn't a duration; say it as `5m`, `90s` or `1h30m`")
        return nanos

    def for_clause(self, parts: list[Any]) -> int:
        return int(parts[-1])


def _text(token: Token) -> str:
    if token.type != "STRING":
        return str(token)
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), token[1:-1], flags=re.DOTALL)
