"""Words for several alerts in one message."""

from collections import Counter
from collections.abc import Sequence

from monitors.notifier.channels.text import (
    clean,
    escalation_words,
    format_tags,
    format_value,
    severity_words,
    shorten,
    verb,
)
from monitors.notifier.model.bundle import Bundle
from monitors.notifier.model.message import Message, Severity

MAX_COUNTS = 10
MAX_TITLE = 100
MAX_LINE = 480
LIST_COMMAND = "monitors alerts list --state firing"


def headline(bundle: Bundle) -> str:
    """What happened in one line: `12 FIRING, 3 RESOLVED (critical): CPU is hot and 2 other rules`."""
    worst = Severity(max(entry.severity for entry in bundle.entries)).name.lower()
    first, *others = dict.fromkeys((entry.rule_id or entry.title) for entry in bundle.entries)
    title = next(entry.title for entry in bundle.entries if (entry.rule_id or entry.title) == first)
    more = f" and {len(others)} other rule{'s' if len(others) > 1 else ''}" if others else ""
    digest = "DIGEST: " if bundle.is_digest else ""
    return f"{digest}{_happened(bundle.entries)} ({worst}): {shorten(clean(title), MAX_TITLE)}{more}"


def counts(bundle: Bundle) -> list[str]:
    """A line for each rule and severity, the worst first, none if there is only one: `3 FIRING (high): CPU is hot`."""
    found: dict[tuple[str, Severity], list[Message]] = {}
    for entry in bundle.entries:
        found.setdefault((entry.rule_id or entry.title, entry.severity), []).append(entry)
    if len(found) < 2:
        return []
    ranked = sorted(found.values(), key=lambda entries: (-entries[0].severity, -len(entries)))
    lines = [
        f"{_happened(entries)} ({entries[0].severity.name.lower()}): {shorten(clean(entries[0].title), MAX_TITLE)}"
        for entries in ranked[:MAX_COUNTS]
    ]
    left = len(ranked) - MAX_COUNTS
    return [*lines, *([f"… and {left} more pairs of rule and severity"] if left > 0 else [])]


def line(entry: Message) -> str:
    """An alert in one line of at most `MAX_LINE` characters, with the id by which it's acknowledged."""
    monitor = clean(entry.monitor_id) + format_tags(entry.group)
    value = "" if entry.value is None else f"value {format_value(entry.value)}"
    compared = ", ".join(filter(None, (shorten(clean(entry.condition), MAX_TITLE), value)))
    happened = f"{verb(entry)} {severity_words(entry)}".rstrip()
    happened += f" ({escalation_words(entry.escalation)})" if entry.escalation else ""
    parts = (happened, shorten(clean(entry.title), MAX_TITLE), shorten(monitor, MAX_TITLE), compared)
    # The id stands last and is never cut off.
    return shorten(" · ".join(filter(None, parts)), MAX_LINE - 80) + f" · {shorten(clean(entry.alert_id), 70)}"


def tail(left_out: int) -> str:
    """That there is more, and how to see it; empty if there isn't."""
    return f"{left_out:,} more: {LIST_COMMAND}" if left_out else ""


def _happened(entries: Sequence[Message]) -> str:
    return ", ".join(f"{count:,} {word}" for word, count in Counter(map(verb, entries)).items())
