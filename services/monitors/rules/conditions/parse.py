"""Reads a condition from text: what people and Claude write, or the first product's JSON object."""

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken

from monitors.mesh.errors import InvalidCondition
from monitors.mesh.times import SECOND
from monitors.rules.conditions.canonical import value_text
from monitors.rules.conditions.explain import explain
from monitors.rules.conditions.first_product import read_json
from monitors.rules.conditions.stated import Stated
from monitors.rules.model.condition import (
    LOOK_BACK,
    Absence,
    Age,
    Aggregation,
    Change,
    Comparison,
    Expression,
    Forecast,
    Input,
    Occurrence,
    Operator,
    Range,
    TagFilter,
    TagOperator,
    Target,
    Test,
    Threshold,
)
from monitors.rules.model.quantities import UNIT_PATTERN, WORD_PATTERN, parse_duration, shown

LONGEST_CONDITION_TEXT = 4096
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
_DOWNWARDS = re.compile(r"fall|drop|decrease|decline|shrink|lose|go(?:es)?\s+down", re.IGNORECASE)
_EITHER_WAY = re.compile(r"change|move", re.IGNORECASE)
_TAG_OPERATORS = {**{operator.value: operator for operator in TagOperator}, "==": TagOperator.EQUAL}
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


def parse_level(text: str, left: Expression, path: str) -> Comparison:
    """A level of a rule that looks at `left`: its bounds alone, as `> 95 recover < 90`, or a whole condition.

    Raises InvalidCondition on `path`.
    """
    if len(text) > LONGEST_CONDITION_TEXT:
        raise InvalidCondition(path, f"has {len(text):,} characters; at most {LONGEST_CONDITION_TEXT:,}")
    try:
        stated = parse_condition(f"{value_text(left)} {text}", path)
    except InvalidCondition as error:
        try:
            stated = parse_condition(text, path)
        except InvalidCondition:
            raise error from None
    if stated.for_duration is not None:
        raise InvalidCondition(path, "has a `for` clause, which is the whole rule's; leave it out")
    if not isinstance(stated.condition, Comparison):
        raise InvalidCondition(path, "must compare the rule's value; say for example `> 95 recover < 90`")
    return stated.condition


@cache
def _parser() -> Lark:
    grammar = (files("monitors.rules.conditions") / "condition.lark").read_text(encoding="utf-8")
    return Lark(
        grammar.replace("UNIT", UNIT_PATTERN).replace("WORD", WORD_PATTERN),
        parser="lalr",
        transformer=_ToModel(),
        g_regex_flags=re.IGNORECASE,
    )


class _Unreadable(Exception):
    """A text of the right form that means nothing that can be evaluated."""


class _ToModel(Transformer[Token, Stated]):
    """Builds the model's values while parsing: one method for each rule of the grammar."""

    def start(self, parts: list[Any]) -> Stated:
        condition, *clauses = [part for part in parts if not isinstance(part, Token)]
        durations = [clause for clause in clauses if isinstance(clause, int)]
        recoveries = [clause for clause in clauses if isinstance(clause, _Test)]
        for what, said in (("for how long", durations), ("when it recovers", recoveries)):
            if len(said) > 1:
                raise _Unreadable(f"says {len(said)} times {what}; say it once")
        if recoveries:
            if not isinstance(condition, Comparison):
                raise _Unreadable("silence can't have a recover clause: it ends with the next point; leave it out")
            left, test = _measured(condition.left, recoveries[0])
            if left != condition.left:
                raise _Unreadable("the recover clause is in another unit than the condition; say both in the same one")
            condition = replace(condition, recover=test)
        return Stated(condition, durations[0] if durations else None)

    def comparison(self, parts: list[Any]) -> Comparison:
        left, stated, *rest = parts
        found = Comparison(*_measured(left, stated))
        return replace(found, **self._occurrence(found.left, rest[0])) if rest else found

    def _occurrence(self, left: Expression, counted: "_Counted") -> dict[str, Any]:
        """What counting points changes of a comparison."""
        if counted.window is None:
            return {"occurrence": counted.occurrence}
        if not isinstance(left, Input) or left.aggregation is not Aggregation.LATEST or left.window != LOOK_BACK:
            raise _Unreadable("points that are counted can't be aggregated as well; say `cpu > 90 in all points of 5m`")
        return {"occurrence": counted.occurrence, "left": replace(left, window=counted.window)}

    def of_points(self, parts: list[Token]) -> "_Counted":
        return _Counted(Occurrence(*_counts(parts[0])))

    def all_of(self, parts: list[Token]) -> "_Counted":
        return _Counted(Occurrence(0, *_counts(parts[0])))

    def some_points(self, parts: list[Any]) -> "_Counted":
        return _Counted(Occurrence(*_counts(parts[0])), parts[-1])

    def all_points(self, parts: list[Any]) -> "_Counted":
        return _Counted(Occurrence(), parts[-1])

    def changes_by(self, parts: list[Any]) -> Comparison:
        target, how, amount, since = [part for part in parts if not (isinstance(part, Token) and part.type == "IN")]
        inclusive = "at least" in " ".join(how.lower().split())
        value, change = amount.value, Change(Input(target), since, percent=amount.unit == "%")
        if amount.unit == "s":
            raise amount.unexpected()
        if _EITHER_WAY.match(how):
            if inclusive:
                raise _Unreadable("a change either way is compared strictly; say `changes by more than`, or which way")
            return Comparison(change, Range(-value, value, outside=True))
        if _DOWNWARDS.match(how):
            return Comparison(change, Threshold(Operator.LESS_OR_EQUAL if inclusive else Operator.LESS, 0.0 - value))
        return Comparison(change, Threshold(Operator.GREATER_OR_EQUAL if inclusive else Operator.GREATER, value))

    def older(self, parts: list[Any]) -> Comparison:
        return Comparison(Age(Input(parts[0])), Threshold(Operator.GREATER, parts[-1] / SECOND))

    def threshold(self, parts: list[Any]) -> "_Test":
        operator, amount, *rest = [part for part in parts if not isinstance(part, Token)]
        return _Test(Threshold(operator, amount.value, *rest), (amount,))

    def or_beyond(self, parts: list[Any]) -> "_Test":
        said, amount, which = parts
        if said is not Operator.EQUAL:
            raise _Unreadable(f"`{said} … {which}` says two comparisons; say one, as `cpu >= 90`")
        operator = Operator.GREATER_OR_EQUAL if which.type == "OR_MORE" else Operator.LESS_OR_EQUAL
        return _Test(Threshold(operator, amount.value), (amount,))

    def text_threshold(self, parts: list[Any]) -> "_Test":
        raise _Unreadable(
            f"text can't be compared yet (you wrote {parts[-1]}); compare a field that holds numbers, as `is_up == 0`, "
            "or say `no data for 15m`"
        )

    def inside(self, parts: list[Any]) -> "_Test":
        low, high = parts[-1]
        return _Test(Range(low.value, high.value, outside=False), (low, high))

    def outside(self, parts: list[Any]) -> "_Test":
        low, high = parts[-1]
        return _Test(Range(low.value, high.value, outside=True), (low, high))

    def bounds(self, parts: list[Any]) -> tuple["_Amount", "_Amount"]:
        return parts[0], parts[-1]

    def plain(self, parts: list[float]) -> "_Amount":
        return _Amount(parts[0])

    def percent(self, parts: list[Token]) -> "_Amount":
        (token,) = parts
        number = re.sub(r"\s*(?:%|percent)$", "", token, flags=re.IGNORECASE)
        return _Amount(_float(number), "%", token)

    def seconds(self, parts: list[Token]) -> "_Amount":
        return _Amount(self.duration(parts) / SECOND, "s", parts[0])

    def recover_clause(self, parts: list[Any]) -> "_Test":
        return cast("_Test", parts[-1])

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
        word = next(part for part in parts if isinstance(part, Token) and part.type == "AGGREGATION")
        target, window = _target_and_window(parts)
        if percentile := _PERCENTILE.fullmatch(word):
            return Input(target, Aggregation.QUANTILE, window, quantile=float(Decimal(percentile[1]) / 100))
        return Input(target, _AGGREGATIONS[" ".join(word.lower().split())], window)

    def windowed(self, parts: list[Any]) -> Input:
        (window,) = [part for part in parts if isinstance(part, Token) and part.type == "WINDOW"]
        nanos = self.duration([Token("DURATION", window.replace("-", " "))])
        return replace(self.aggregated([part for part in parts if part is not window]), window=nanos)

    def quantile(self, parts: list[Any]) -> Input:
        share = next(part for part in parts if isinstance(part, Token) and part.type == "NUMBER")
        target, window = _target_and_window(parts)
        return Input(target, Aggregation.QUANTILE, window, quantile=_float(share))

    def shifted(self, parts: list[Any]) -> Input:
        given: Input = parts[0]
        return replace(given, offset=parts[-1])

    def change(self, parts: list[Any]) -> Change:
        given, since = [part for part in parts if not isinstance(part, Token)]
        return Change(given, since)

    def age(self, parts: list[Any]) -> Age:
        return Age(parts[-1])

    def forecast(self, parts: list[Any]) -> Forecast:
        return Forecast(*[part for part in parts if not isinstance(part, Token)])

    def target(self, parts: list[Any]) -> Target:
        name, *filters = parts
        return Target(name, "", tuple(filters))

    def name(self, parts: list[Token]) -> str:
        return _text(parts[0])

    tag_name = tag_value = name

    def tag_filter(self, parts: list[Any]) -> TagFilter:
        tag, operator, value = parts
        return TagFilter(tag, _TAG_OPERATORS.get(operator, TagOperator.NOT_EQUAL), value)

    def number(self, parts: list[Token]) -> float:
        token = parts[0]
        return float(token.type == "TRUE") if token.type in ("TRUE", "FALSE") else _float(token)

    unsigned = number

    def duration(self, parts: list[Token]) -> int:
        nanos = parse_duration(parts[0])
        if nanos is None:
            raise _Unreadable(f"{parts[0][:60]!r} isn't a duration; say it as `5m`, `90s` or `1h30m`")
        return nanos

    def for_clause(self, parts: list[Any]) -> int:
        return int(parts[-1])


@dataclass(frozen=True)
class _Amount:
    """What a value is compared with: `unit` is empty, `%`, or `s` where a duration was written."""

    value: float
    unit: str = ""
    token: Token | None = None

    def unexpected(self) -> _Unreadable:
        """That a plain number should have been written."""
        token = self.token or Token("NUMBER", "")
        unit = re.sub(r"^[^a-zµμ%]*", "", token, flags=re.IGNORECASE)
        place = (token.start_pos or 0) + token.find(unit) + 1
        named = f"`{unit}`" if self.unit == "%" else shown(unit)
        belongs = "percent goes with a change, as `change(price, 1h) < -5%`"
        if self.unit == "s":
            belongs = "a duration goes with an age, as `age(last_backup) > 1d`"
        return _Unreadable(
            f"can't be read at {shown(unit)} (character {place}): a threshold is a plain number in the field's own "
            f"unit: leave {named} out; {belongs}"
        )


@dataclass(frozen=True)
class _Counted:
    """How points are counted, and in which window if that was said along with it."""

    occurrence: Occurrence
    window: int | None = None


@dataclass(frozen=True)
class _Test:
    """A test, and its numbers as they were written."""

    test: Test
    amounts: tuple[_Amount, ...]


def _measured(left: Expression, stated: _Test) -> tuple[Expression, Test]:
    """Both sides of a comparison, where the numbers on the right tell whether a change is meant in percent."""
    for amount in stated.amounts:
        fits = {"%": isinstance(left, Change), "s": isinstance(left, Age)}.get(amount.unit, True)
        if not fits:
            raise amount.unexpected()
    in_percent = [amount.unit == "%" for amount in stated.amounts]
    if any(in_percent) and not all(in_percent):
        raise _Unreadable("one bound is in percent and the other isn't; say both in percent, as `-5%..5%`")
    return replace(left, percent=True) if isinstance(left, Change) and any(in_percent) else left, stated.test


def _counts(text: str) -> list[int]:
    counts = [int(digits) for digits in re.findall(r"\d+", text)]
    if 0 in counts:
        raise _Unreadable("0 points can't be counted; say for example `cpu > 90 in 3 of the last 5 points`")
    return counts


def _target_and_window(parts: list[Any]) -> tuple[Target, int]:
    target = next(part for part in parts if isinstance(part, Target))
    return target, next((part for part in parts if isinstance(part, int)), LOOK_BACK)


def _float(text: str) -> float:
    # Adding zero makes −0 an ordinary 0, which is what its canonical text reads back as.
    return float(text.replace("−", "-")) + 0.0


def _text(token: Token) -> str:
    if token.type != "STRING":
        return str(token)
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), token[1:-1], flags=re.DOTALL)
