"""How a rule looks to a person."""

from monitors.cli.choices import word_of
from monitors.cli.documents import duration_text, time_text
from monitors.cli.durations import format_age
from monitors.cli.output import format_pairs, print_facts
from monitors.mesh.times import from_timestamp, now_nanos
from monitors.v1.rule_pb2 import MissingPolicy, Rule, Severity


def state_of(rule: Rule) -> str:
    """`firing (2)`, `idle`, `snoozed` or `off`."""
    if rule.HasField("enabled") and not rule.enabled:
        return "off"
    if rule.HasField("snooze_until_time") and from_timestamp(rule.snooze_until_time) > now_nanos():
        return "snoozed"
    return f"firing ({rule.open_alert_count})" if rule.open_alert_count else "idle"


def rule_row(rule: Rule) -> tuple[str, ...]:
    """A line for one rule."""
    condition = rule.condition_text
    return rule.id, rule.title, rule.monitor_id, condition, severities_of(rule), state_of(rule)


def severities_of(rule: Rule) -> str:
    """`high`, or with levels all that its alerts may have: `low, high, critical`."""
    every = sorted({rule.severity, *(level.severity for level in rule.levels)})
    return ", ".join(word_of(Severity, severity) for severity in every)


def levels_text(rule: Rule) -> str:
    """`high: > 80; critical: > 95 recover < 90`."""
    return "; ".join(f"{word_of(Severity, level.severity)}: {level.condition_text}" for level in rule.levels)


def show_rule(rule: Rule, previous: Rule | None = None) -> None:
    """Prints a rule; with what it was before where that differs."""
    facts = rule_facts(rule)
    if previous is not None:
        before = rule_facts(previous)
        facts = {
            name: value if value == before[name] else f"{value or '–'}   (was {before[name] or '–'})"
            for name, value in facts.items()
        }
    print_facts(facts)


def rule_facts(rule: Rule) -> dict[str, str]:
    """What a person wants to know of a rule, empty where there is nothing to tell."""
    now = now_nanos()
    snoozed = rule.HasField("snooze_until_time") and from_timestamp(rule.snooze_until_time) > now
    was_changed = rule.updater and rule.update_time != rule.create_time
    return {
        "Rule": rule.id,
        "Key": rule.key,
        "Title": rule.title,
        "Monitor": rule.monitor_id,
        "Condition": rule.condition_text,
        "Severity": word_of(Severity, rule.severity),
        "Levels": levels_text(rule),
        "State": state_of(rule),
        "Snoozed until": (time_text(rule, "snooze_until_time") or "") if snoozed else "",
        "For": duration_text(rule, "for_duration") or "",
        "Keep firing for": duration_text(rule, "keep_firing_for") or "",
        "Cooldown": duration_text(rule, "cooldown") or "",
        "Repeat": ("never" if not rule.repeat_interval.ByteSize() else duration_text(rule, "repeat_interval")) or "",
        "Interval": duration_text(rule, "interval") or "",
        "No data": word_of(MissingPolicy, rule.no_data_policy),
        "Missing series": word_of(MissingPolicy, rule.missing_series_policy),
        "Group by": ", ".join(rule.group_by) or "all tags",
        "Notify": ", ".join(rule.notify) or "the default channels",
        "Labels": format_pairs(rule.labels),
        "Annotations": format_pairs(rule.annotations),
        "Made": f"{format_age(from_timestamp(rule.create_time), now)} by {rule.creator}" if rule.creator else "",
        "Changed": f"{format_age(from_timestamp(rule.update_time), now)} by {rule.updater}" if was_changed else "",
        "Etag": rule.etag,
    }
