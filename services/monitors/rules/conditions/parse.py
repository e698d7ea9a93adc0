"""Reads a condition from text: what people and Claude write, or the first product's JSON object."""

import re
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import cast

from lark import Lark, UnexpectedCharacters, UnexpectedToken

from monitors.mesh.errors import InvalidCondition
from monitors.rules.conditions.amounts import StatedTest, Unreadable, measured
from monitors.rules.conditions.canonical import expression_text
from monitors.rules.conditions.explain import explain
from monitors.rules.conditions.first_product import read_json
from monitors.rules.conditions.read_conditions import ConditionReader
from monitors.rules.conditions.sentence import Sentence
from monitors.rules.conditions.stated import Stated
from monitors.rules.model.condition import Absence, Comparison, Condition, Expression
from monitors.rules.model.condition_parts import DEEPEST, check_depth, too_deep, with_targets
from monitors.rules.model.quantities import SINGLE_PATTERN, UNIT_PATTERN, WORD_PATTERN

LONGEST_CONDITION_TEXT = 4096
GRAMMAR = ("condition.lark", "terminals.lark")
# Every level may bring a pair, and its operands and functions theirs.
MOST_PARENTHESES = 2 * DEEPEST
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', re.DOTALL)


def parse_condition(text: str, path: str) -> Stated:
    """The condition that a text states. Raises InvalidCondition on `path` with the place, what was expected, and a
    corrected example."""
    if len(text) > LONGEST_CONDITION_TEXT:
        raise InvalidCondition(path, f"has {len(text):,} characters; at most {LONGEST_CONDITION_TEXT:,}")
    if not text.strip():
        raise InvalidCondition(path, "is empty; say when to fire, such as `avg(cpu_percent, 5m) > 90 for 30s`")
    if text.lstrip().startswith("{"):
        return read_json(text, path)
    _check_parentheses(text, path)
    try:
        sentence = cast("Sentence", parser().parse(text))
        check_depth(sentence.condition, path)
        return _stated(sentence)
    except (UnexpectedCharacters, UnexpectedToken) as error:
        description, position = explain(text, error)
        raise InvalidCondition(path, description, position=str(position)) from None
    except Unreadable as error:
        raise InvalidCondition(path, str(error)) from None


def parse_level(text: str, left: Expression, path: str) -> Comparison:
    """A level of a rule that looks at `left`: its bounds alone, as `> 95 recover < 90`, or a whole condition.

    Raises InvalidCondition on `path`.
    """
    if len(text) > LONGEST_CONDITION_TEXT:
        raise InvalidCondition(path, f"has {len(text):,} characters; at most {LONGEST_CONDITION_TEXT:,}")
    try:
        stated = parse_condition(f"{expression_text(left)} {text}", path)
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
def parser() -> Lark:
    """The parser of the condition language; with the transformer it answers a Sentence."""
    return Lark(
        grammar(),
        parser="lalr",
        transformer=ConditionReader(),
        g_regex_flags=re.IGNORECASE,
    )


def grammar() -> str:
    """The grammar with its terminals, units and spelt numbers."""
    folder = files("monitors.rules.conditions")
    text = "\n".join((folder / name).read_text(encoding="utf-8") for name in GRAMMAR)
    patterns = {"UNIT": UNIT_PATTERN, "WORD": WORD_PATTERN, "SINGLE": SINGLE_PATTERN}
    # nosemgrep: pattern-that-people-write (all of it is ours)
    return re.sub("|".join(patterns), lambda found: patterns[found[0]], text)


def _check_parentheses(text: str, path: str) -> None:
    depth = deepest = 0
    for character in _QUOTED.sub("", text):
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    if deepest > MOST_PARENTHESES:
        raise too_deep(path, f"{deepest:,} parentheses")


def _stated(sentence: Sentence) -> Stated:
    durations, recoveries = sentence.durations, sentence.recoveries
    for what, said in (("for how long", durations), ("when it recovers", recoveries)):
        if len(said) > 1:
            raise Unreadable(f"says {len(said)} times {what}; say it once")
    condition = _recovering(sentence.condition, recoveries[0]) if recoveries else sentence.condition
    # Whether a name was in quotes mattered to the grammar only.
    condition = with_targets(condition, lambda target: replace(target, field=str(target.field)))
    return Stated(condition, durations[0] if durations else None)


def _recovering(condition: Condition, recovery: StatedTest) -> Condition:
    if isinstance(condition, Absence):
        raise Unreadable("silence can't have a recover clause: it ends with the next point; leave it out")
    if not isinstance(condition, Comparison):
        raise Unreadable(
            "a recover clause tests the value of a single comparison, which a condition of several hasn't got; leave "
            "it out, or make a rule of one comparison, as `cpu > 90 recover < 75`"
        )
    left, test = measured(condition.left, recovery)
    if left != condition.left:
        raise Unreadable("the recover clause is in another unit than the condition; say both in the same one")
    return replace(condition, recover=test)
