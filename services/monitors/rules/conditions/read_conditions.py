"""Builds conditions while a condition's text is parsed: one method for each rule of the grammar."""

import re
from dataclasses import dataclass, replace
from typing import Any

from lark import Token

from monitors.mesh.times import SECOND
from monitors.rules.conditions.amounts import Amount, StatedTest, Unreadable, measured
from monitors.rules.conditions.read_expressions import ExpressionReader, Join, Quoted, percent_of, unquoted
from monitors.rules.conditions.sentence import Sentence
from monitors.rules.model.condition import (
    LOOK_BACK,
    Absence,
    Age,
    Aggregation,
    Change,
    Comparison,
    Condition,
    Expression,
    Input,
    Junction,
    JunctionOperator,
    Negation,
    Number,
    Occurrence,
    Operator,
    Range,
    TagFilter,
    TagOperator,
    Tags,
    Target,
    TextTest,
    Threshold,
)

_DOWNWARDS = re.compile(r"fall|drop|decrease|decline|shrink|lose|go(?:es)?\s+down", re.IGNORECASE)
_EITHER_WAY = re.compile(r"change|move", re.IGNORECASE)


class ConditionReader(ExpressionReader):
    """Conditions, their tests and clauses."""

    def start(self, parts: list[Any]) -> Sentence:
        condition, *clauses = [part for part in parts if not isinstance(part, Token)]
        return Sentence(
            condition,
            tuple(clause for clause in clauses if isinstance(clause, int)),
            tuple(clause for clause in clauses if isinstance(clause, StatedTest)),
        )

    def joined(self, parts: list[Any]) -> Condition:
        """A chain from left to right; what is joined in the same way on the same tags is one junction."""
        first, *rest = parts
        condition: Condition = first
        last: tuple[JunctionOperator, tuple[str, ...]] | None = None
        on: tuple[str, ...] = ()
        for part in rest:
            if isinstance(part, Token):
                operator, on = JunctionOperator[part.type], ()
            elif isinstance(part, Join):
                on = part.on
            else:
                same = last == (operator, on) and operator is not JunctionOperator.UNLESS
                before = condition.conditions if same and isinstance(condition, Junction) else (condition,)
                condition, last = Junction(operator, (*before, part), on), (operator, on)
        return condition

    def negated(self, parts: list[Any]) -> Negation:
        return Negation(parts[-1])

    def enclosed(self, parts: list[Any]) -> Condition:
        condition: Condition = parts[0]
        return condition

    def comparison(self, parts: list[Any]) -> Condition:
        left, stated, *rest = parts
        found = Comparison(*measured(left, stated))
        if rest:
            found = replace(found, **_occurrence(found.left, rest[0]))
        if stated.negated and rest:
            raise Unreadable("points that are counted can't be outside of a list; say `!=` for each text")
        return Negation(found) if stated.negated else found

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
                raise Unreadable("a change either way is compared strictly; say `changes by more than`, or which way")
            return Comparison(change, Range(-value, value, outside=True))
        downwards = _DOWNWARDS.match(how) is not None
        strictly = Operator.LESS if downwards else Operator.GREATER
        operator = Operator(f"{strictly}=") if inclusive else strictly
        return Comparison(change, Threshold(operator, Number(0.0 - value if downwards else value)))

    def older(self, parts: list[Any]) -> Comparison:
        return Comparison(Age(Input(parts[0])), Threshold(Operator.GREATER, Number(parts[-1] / SECOND)))

    def absence(self, parts: list[Any]) -> Absence:
        duration = next(part for part in parts if isinstance(part, int))
        target = next((part for part in parts if isinstance(part, Target)), None)
        return Absence(duration, target, next((part for part in parts if isinstance(part, tuple)), ()))

    def expected(self, parts: list[Any]) -> tuple[Tags, ...]:
        return tuple(part for part in parts if not isinstance(part, Token))

    def tag_set(self, parts: list[TagFilter]) -> Tags:
        if any(part.operator is not TagOperator.EQUAL for part in parts):
            raise Unreadable('the tags that are expected have one value each; say `expecting {host="a"}, {host="b"}`')
        return tuple(sorted((part.tag, part.value) for part in parts))

    def comparator(self, parts: list[Token]) -> Operator:
        return Operator[parts[0].type]

    def threshold(self, parts: list[Any]) -> StatedTest:
        operator, right, *tolerance = [part for part in parts if not isinstance(part, Token)]
        if isinstance(right, Amount):
            return StatedTest(Threshold(operator, Number(right.value), *tolerance), (right,))
        if operator in (Operator.EQUAL, Operator.NOT_EQUAL) and _is_text(right):
            if tolerance:
                raise Unreadable("text has no tolerance; leave `within` out")
            return StatedTest(TextTest(operator, (str(right.target.field),)))
        return StatedTest(Threshold(operator, right, *tolerance))

    def or_beyond(self, parts: list[Any]) -> StatedTest:
        said, value, which = parts
        if said is not Operator.EQUAL:
            raise Unreadable(f"`{said} … {which}` says two comparisons; say one, as `cpu >= 90`")
        operator = Operator.GREATER_OR_EQUAL if which.type == "OR_MORE" else Operator.LESS_OR_EQUAL
        return StatedTest(Threshold(operator, Number(value)))

    def inside(self, parts: list[Any]) -> StatedTest:
        low, high = parts[-1]
        return StatedTest(Range(low.value, high.value, outside=False), (low, high))

    def outside(self, parts: list[Any]) -> StatedTest:
        low, high = parts[-1]
        return StatedTest(Range(low.value, high.value, outside=True), (low, high))

    def one_of(self, parts: list[Any]) -> StatedTest:
        return StatedTest(TextTest(Operator.IN, parts[-1]))

    def none_of(self, parts: list[Any]) -> StatedTest:
        return StatedTest(TextTest(Operator.IN, parts[-1]), negated=True)

    def texts(self, parts: list[Token]) -> tuple[str, ...]:
        return tuple(map(unquoted, parts))

    def bounds(self, parts: list[Any]) -> tuple[Amount, Amount]:
        return parts[0], parts[-1]

    def amount(self, parts: list[Token]) -> Amount:
        (token,) = parts
        if token.type == "PERCENT":
            return Amount(percent_of(token), "%", token)
        if token.type == "DURATION":
            return Amount(self.duration(parts) / SECOND, "s", token)
        return Amount(self.number(parts))

    low = high = with_unit = by_amount = amount

    def for_clause(self, parts: list[Any]) -> int:
        return int(parts[-1])

    def recover_clause(self, parts: list[Any]) -> StatedTest:
        said = parts[-1]
        stated = StatedTest(TextTest(Operator.EQUAL, (unquoted(said),))) if isinstance(said, Token) else said
        if stated.negated:
            raise Unreadable("a recover clause can't say what it's not one of; say for example `recover == \"up\"`")
        return stated


@dataclass(frozen=True)
class _Counted:
    """How points are counted, and in which window if that was said along with it."""

    occurrence: Occurrence
    window: int | None = None


def _occurrence(left: Expression, counted: _Counted) -> dict[str, Any]:
    """What counting points changes of a comparison."""
    if counted.window is None:
        return {"occurrence": counted.occurrence}
    if not isinstance(left, Input) or left.aggregation is not Aggregation.LATEST or left.window != LOOK_BACK:
        raise Unreadable("points that are counted can't be aggregated as well; say `cpu > 90 in all points of 5m`")
    return {"occurrence": counted.occurrence, "left": replace(left, window=counted.window)}


def _counts(text: str) -> list[int]:
    counts = [int(digits) for digits in re.findall(r"\d+", text)]
    if 0 in counts:
        raise Unreadable("0 points can't be counted; say for example `cpu > 90 in 3 of the last 5 points`")
    return counts


def _is_text(right: Expression) -> bool:
    """Whether it's nothing but a text in quotes, which as a name would be a field's."""
    if not isinstance(right, Input) or not right.is_bare or right.target.filters:
        return False
    return isinstance(right.target.field, Quoted)
