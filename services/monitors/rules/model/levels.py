"""Further severities of a rule: other tests of the value that its condition looks at."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from monitors.mesh.errors import InvalidCondition, InvalidField
from monitors.rules.conditions.canonical import level_text
from monitors.rules.conditions.parse import parse_level
from monitors.rules.model.condition import Comparison, Condition, Target, Test, targets_of, with_targets
from monitors.rules.model.condition_checks import check_condition
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
    tested = parse_level(stated.text, condition.left, path)
    return Level(stated.severity, _test_of(tested, condition, path), tested.recover)


def _from_conditions(stated: StatedLevel, condition: Comparison, path: str) -> Level:
    entered = stated.condition
    test = _test_of(entered, condition, f"{path}.condition")
    own = entered.recover if isinstance(entered, Comparison) else None
    if own and stated.reset:
        raise InvalidField(f"{path}.reset", "is said twice, by the condition's recover clause too; say it once")
    return Level(stated.severity, test, _test_of(stated.reset, condition, f"{path}.reset") if stated.reset else own)


def _test_of(stated: Condition | None, condition: Comparison, path: str) -> Test:
    if not isinstance(stated, Comparison) or stated.occurrence is not None:
        raise InvalidCondition(
            path, f"must compare the rule's value with a number or a range; say for example {EXAMPLE}"
        )
    if not _same_value(stated, condition):
        raise InvalidCondition(
            path, f"looks at something else than the rule's condition; say only the bounds, for example {EXAMPLE}"
        )
    return stated.test


def _same_value(one: Comparison, other: Comparison) -> bool:
    """Whether two comparisons look at the same; the measurement may be known in one of them only."""
    return _filled_in(one, other) == replace(other, test=one.test, recover=None, occurrence=None) or _filled_in(
        other, one
    ) == replace(one, test=other.test, recover=None, occurrence=None)


def _filled_in(one: Comparison, other: Comparison) -> Condition:
    (target,) = targets_of(other)

    def fill(given: Target) -> Target:
        same = given.field in (target.field, f"{target.measurement}.{target.field}")
        known = same and given.measurement in ("", target.measurement)
        return replace(given, field=target.field, measurement=target.measurement) if known else given

    return with_targets(replace(one, recover=None, occurrence=None), fill)


def check_levels(rule: Rule) -> Iterator[InvalidField]:
    """What is wrong with a rule's levels, each with its fix."""
    condition = rule.condition
    if not rule.levels:
        return
    if not isinstance(condition, Comparison) or condition.occurrence is not None:
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
