"""Further severities of a rule: other tests of the value that its condition looks at."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from monitors.mesh.errors import InvalidCondition, InvalidField
from monitors.rules.conditions.canonical import level_text
from monitors.rules.conditions.parse import parse_level
from monitors.rules.model.condition import Comparison, Condition
from monitors.rules.model.condition_checks import check_condition
from monitors.rules.model.condition_parts import agree, is_of_numbers
from monitors.rules.model.quantities import listed
from monitors.rules.model.rule import Level, Rule, Severity

EXAMPLE = "`> 95 recover < 90`"


@dataclass(frozen=True, slots=True)
class StatedLevel:
    """A level as a client sent it: as a text, as conditions of their own, or both as they came from here."""

    severity: Severity
    text: str = ""
    condition: Condition | None = None
    reset: Condition | None = None


def read_level(stated: StatedLevel, condition: Condition, path: str) -> Level:
    """The level as tests of the value that the rule's condition looks at. Raises InvalidField."""
    if not isinstance(condition, Comparison):
        raise InvalidField(path, "the rule's condition has no value to compare; make one rule for each severity")
    said = _from_text(stated, condition, f"{path}.condition_text") if stated.text else None
    sent = _from_conditions(stated, condition, path) if stated.condition else None
    if said and sent and said != sent:
        raise InvalidCondition(
            f"{path}.condition_text",
            f"says `{level_text(condition.left, said)}` while condition and reset say "
            f"`{level_text(condition.left, sent)}`; send one of the two",
        )
    found = said or sent
    if found is None:
        raise InvalidCondition(f"{path}.condition_text", f"is missing; say when the level is entered, as {EXAMPLE}")
    return found


def _from_text(stated: StatedLevel, condition: Comparison, path: str) -> Level:
    return _level(stated.severity, parse_level(stated.text, condition.left, path), condition, path)


def _from_conditions(stated: StatedLevel, condition: Comparison, path: str) -> Level:
    found = _level(stated.severity, stated.condition, condition, f"{path}.condition")
    if not stated.reset:
        return found
    reset = _level(stated.severity, stated.reset, condition, f"{path}.reset")
    if found.reset or reset.reset:
        raise InvalidField(f"{path}.reset", "is said twice, by a recover clause too; say it once")
    return replace(found, reset=reset.test)


def _level(severity: Severity, stated: Condition | None, condition: Comparison, path: str) -> Level:
    """The level that a comparison with a recover clause says."""
    if not isinstance(stated, Comparison) or not _has_bounds(stated):
        raise InvalidCondition(
            path, f"must compare the rule's value with a number or a range; say for example {EXAMPLE}"
        )
    if not agree(_bare(stated), replace(_bare(condition), test=stated.test)):
        raise InvalidCondition(
            path, f"looks at something else than the rule's condition; say only the bounds, for example {EXAMPLE}"
        )
    return Level(severity, stated.test, stated.recover)


def _has_bounds(comparison: Comparison) -> bool:
    """Whether it compares one value with numbers, also on recovery."""
    tests = [comparison.test, *([comparison.recover] if comparison.recover else [])]
    return comparison.occurrence is None and all(map(is_of_numbers, tests))


def _bare(comparison: Comparison) -> Comparison:
    return replace(comparison, recover=None, occurrence=None)


def check_levels(rule: Rule) -> Iterator[InvalidField]:
    """What is wrong with a rule's levels, each with its fix."""
    condition = rule.condition
    if not rule.levels:
        return
    if not isinstance(condition, Comparison) or not _has_bounds(condition):
        yield InvalidField(
            "rule.levels",
            "need a condition that compares one value with a number or a range; make one rule for each severity",
        )
        return
    said = [rule.severity, *(level.severity for level in rule.levels)]
    for severity in sorted({one for one in said if said.count(one) > 1}):
        others = listed([one.name.lower() for one in Severity if one not in said])
        yield InvalidField(
            "rule.levels",
            f"the severity {severity.name.lower()} is said twice, and the rule's own counts too; say each once"
            + (f", {others} is free" if others else ""),
        )
    for number, level in enumerate(rule.levels):
        tested = replace(condition, test=level.test, recover=level.reset)
        yield from check_condition(tested, f"rule.levels[{number}].condition")


def severities_of(rule: Rule) -> frozenset[Severity]:
    """At which severities its alerts may be."""
    return frozenset({rule.severity, *(level.severity for level in rule.levels)})
