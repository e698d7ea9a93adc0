"""How what is to be done looks to a person, and as a document."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from monitors.cli.output import say
from monitors.cli.rule_files.fields import Value
from monitors.cli.rule_files.plan import Action, Change

MARKS = {Action.CREATE: "+", Action.CHANGE: "~", Action.ADOPT: "~", Action.DELETE: "-"}
STYLES = {Action.CREATE: "green", Action.CHANGE: "yellow", Action.ADOPT: "yellow", Action.DELETE: "red"}
MOST_NAMED = 3
VERBS = {Action.CREATE: "to make", Action.CHANGE: "to change", Action.ADOPT: "to adopt", Action.DELETE: "to delete"}


def show_changes(changes: Sequence[Change]) -> None:
    """Prints what is done, rule by rule, before and after."""
    for change in changes:
        if change.action is Action.NOTHING:
            continue
        rule = change.rule
        note = f" ({rule.id}, made by hand)" if change.action is Action.ADOPT else ""
        say(f"{MARKS[change.action]} {change.step.key}  {rule.title}{note}", STYLES[change.action])
        if change.action is Action.CREATE:
            say(f"    {rule.monitor_id}: {rule.condition_text}")
        elif change.action is Action.DELETE:
            count = change.result.resolved_alert_count
            say(f"    {rule.monitor_id}: {rule.condition_text}")
            if count:
                say(f"    resolves {count} open alert{'' if count == 1 else 's'}", "red")
        else:
            width = max(map(len, change.differences), default=0)
            for name, (before, after) in change.differences.items():
                say(f"    {name:<{width}}  {shown(before)} → {shown(after)}")


def summary(changes: Sequence[Change]) -> str:
    """`1 to make, 2 to change, 14 unchanged`."""
    counts = Counter(change.action for change in changes)
    parts = [f"{counts[action]} {verb}" for action, verb in VERBS.items() if counts[action]]
    return ", ".join([*parts, f"{counts[Action.NOTHING]} unchanged"])


def warnings(changes: Sequence[Change]) -> list[str]:
    """What looks wrong but is allowed, each thing once with the rules that it's about."""
    about: dict[str, list[str]] = {}
    for change in changes:
        for warning in change.result.warnings:
            about.setdefault(warning, []).append(change.step.key)
    return [f"{_listed(keys)}: {warning}" for warning, keys in about.items()]


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else ""
    return ", ".join(keys[:MOST_NAMED]) + more


def shown(value: Value | None) -> str:
    """A value as a file would say it, on one line."""
    match value:
        case None | "" | []:
            return "–"
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(value)
        case _:
            return str(value)


def document(changes: Sequence[Change], *, applied: bool) -> dict[str, Any]:
    """What is or was done, for scripts."""
    return {
        "changes": [_change(change) for change in changes if change.action is not Action.NOTHING],
        "unchanged_count": sum(change.action is Action.NOTHING for change in changes),
        "applied": applied,
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "key": change.step.key,
        "action": change.action,
        "id": change.rule.id,
        "title": change.rule.title,
        "file": change.step.place.file,
        "line": change.step.place.line,
        "differences": {name: {"before": pair[0], "after": pair[1]} for name, pair in change.differences.items()},
        "resolved_alert_count": change.result.resolved_alert_count,
        "warnings": list(change.result.warnings),
    }
