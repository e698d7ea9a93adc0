"""What a rule says, in a few plain sentences."""

from collections.abc import Iterator

from monitors.rules.conditions.wording import condition_in_words, level_in_words
from monitors.rules.model.condition import Absence, Comparison
from monitors.rules.model.quantities import duration_in_words, listed
from monitors.rules.model.rule import MissingPolicy, Rule

_NO_DATA = {
    MissingPolicy.OK: "that counts as all right",
    MissingPolicy.ALERT: "it fires",
    MissingPolicy.KEEP: "it stays as it is",
}


def explain_rule(rule: Rule) -> str:
    """When the rule fires, how often it is told, and to whom."""
    where = f"any monitor that matches {rule.monitor_id!r}" if rule.is_pattern else f"the monitor {rule.monitor_id!r}"
    lasting = f", and that has lasted for {duration_in_words(rule.for_duration)}" if rule.for_duration else ""
    sentences = [f"Fires with severity {rule.severity.name.lower()} when, on {where}, "]
    sentences[0] += f"{condition_in_words(rule.condition)}{lasting}."
    sentences += [f"{words[0].upper()}{words[1:]}." for words in _levels(rule)]
    each = f"Each combination of {listed(list(rule.group_by))}" if rule.group_by else "Each series"
    holds = "neither the condition nor a level holds" if rule.levels else "the condition no longer holds"
    ends = f"{each} fires and is resolved by itself; it is resolved when {holds}"
    if rule.keep_firing_for:
        ends += f" for {duration_in_words(rule.keep_firing_for)}"
    sentences.append(f"{ends}.")
    # Of a rule that waits for silence it's the condition that says what no data means.
    if not isinstance(rule.condition, Absence):
        sentences.append(f"While no series has data, {_NO_DATA[rule.no_data_policy]}.")
    sentences.append(f"Tells {', '.join(rule.notify) if rule.notify else 'the default channels'}{_how_often(rule)}.")
    if not rule.enabled:
        sentences.append("It is turned off.")
    return " ".join(sentences)


def _levels(rule: Rule) -> Iterator[str]:
    if isinstance(rule.condition, Comparison):
        for level in reversed(rule.levels):
            words = level_in_words(rule.condition.left, level)
            yield f"the severity is {level.severity.name.lower()} when that is {words}"


def _how_often(rule: Rule) -> str:
    if not rule.cooldown:
        return ""
    return f", about the same series at most once in {duration_in_words(rule.cooldown)}"
