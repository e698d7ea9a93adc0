"""Matchers: which alerts something is meant for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from monitors.mesh.errors import InvalidField
from monitors.mesh.patterns import InvalidPattern, check_pattern, matches_whole
from monitors.notifier.model.checks import shorten

MOST_MATCHERS = 20
LONGEST_NAME = 128
LONGEST_VALUE = 500
SEVERITIES = {1: "low", 2: "medium", 3: "high", 4: "critical"}
FACTS = ("rule_id", "monitor_id", "severity", "title")
"""What each alert has besides its labels and tags. A label of such a name isn't seen by matchers."""


class Operator(IntEnum):
    """How a matcher compares; the numbers are those of `MatchOperator`."""

    EQUAL = 1
    NOT_EQUAL = 2
    MATCH = 3
    NOT_MATCH = 4


@dataclass(frozen=True)
class Matcher:
    """What a fact of an alert must be. One that the alert hasn't got is empty."""

    name: str
    operator: Operator
    value: str

    def holds(self, facts: Mapping[str, str]) -> bool:
        """Whether it holds for an alert."""
        found = facts.get(self.name, "")
        if self.operator in (Operator.EQUAL, Operator.NOT_EQUAL):
            return (found == self.value) is (self.operator is Operator.EQUAL)
        return matches_whole(self.value, found) is (self.operator is Operator.MATCH)


def all_hold(matchers: Iterable[Matcher], facts: Mapping[str, str]) -> bool:
    """Whether all matchers hold for an alert."""
    return all(matcher.holds(facts) for matcher in matchers)


def facts_of(rule_id: str, monitor_id: str, title: str, severity: int, labels: Mapping[str, str]) -> dict[str, str]:
    """What matchers see of an alert; `labels` are those of its rule, and the tags of its instance."""
    own = {"rule_id": rule_id, "monitor_id": monitor_id, "title": title, "severity": SEVERITIES.get(severity, "")}
    return {**labels, **own}


def check_matchers(matchers: Sequence[Matcher], field: str) -> list[InvalidField]:
    """What is wrong with matchers. `field` names them."""
    if len(matchers) > MOST_MATCHERS:
        return [InvalidField(field, f"there are {len(matchers)}; send at most {MOST_MATCHERS}")]
    return [error for number, one in enumerate(matchers) for error in _check(one, f"{field}[{number}]")]


def _check(matcher: Matcher, place: str) -> Iterable[InvalidField]:
    name, value = matcher.name, matcher.value
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        yield InvalidField(
            f"{place}.name",
            f"{shorten(name)!r} can't name a fact; send one of {', '.join(FACTS)}, or the name of a label or tag of at "
            f"most {LONGEST_NAME} characters",
        )
    if len(value) > LONGEST_VALUE:
        yield InvalidField(f"{place}.value", f"it has {len(value):,} characters; send at most {LONGEST_VALUE}")
    elif matcher.operator in (Operator.MATCH, Operator.NOT_MATCH):
        try:
            check_pattern(value)
        except InvalidPattern as error:
            yield InvalidField(
                f"{place}.value", f"{shorten(value)!r} is no regular expression in RE2's syntax: {error}"
            )
    elif name == "severity" and value not in SEVERITIES.values():
        yield InvalidField(
            f"{place}.value", f"{shorten(value)!r} is no severity; send one of {', '.join(SEVERITIES.values())}"
        )
