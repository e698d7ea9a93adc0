"""Words that all channels share. Foreign text is cleaned of control characters here and escaped by each channel."""

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

from monitors.mesh.times import MINUTE, SECOND
from monitors.notifier.model.message import Escalation, Kind, Message

DELAY_WORTH_TELLING = 15 * MINUTE
MOST_NAMED = 10
"""How many of the channels that were told before are named."""
TOO_LARGE = "the whole message was too large for this channel"
VERBS = {
    Kind.TEST: "TEST",
    Kind.FIRING: "FIRING",
    Kind.RESOLVED: "RESOLVED",
    Kind.ACKNOWLEDGED: "ACKNOWLEDGED",
    Kind.SNOOZED: "SNOOZED",
    Kind.SEVERITY_CHANGED: "ESCALATED",
    Kind.STILL_FIRING: "STILL FIRING",
    Kind.NOTICE: "NOTICE",
    Kind.HEARTBEAT: "ALIVE",
    Kind.ESCALATED: "UNACKNOWLEDGED",
}
ICONS = {
    Kind.TEST: "🔔",
    Kind.FIRING: "🔴",
    Kind.RESOLVED: "✅",
    Kind.ACKNOWLEDGED: "👀",
    Kind.SNOOZED: "💤",
    Kind.SEVERITY_CHANGED: "⏫",
    Kind.STILL_FIRING: "🔁",
    Kind.NOTICE: "⚠️",
    Kind.HEARTBEAT: "💓",
    Kind.ESCALATED: "📟",
}
_COLOURS = {
    **dict.fromkeys((Kind.FIRING, Kind.SEVERITY_CHANGED, Kind.STILL_FIRING, Kind.ESCALATED, Kind.NOTICE), "#b3261e"),
    Kind.RESOLVED: "#1e7b34",
}
# Characters that change what a reader sees without being seen themselves: controls, and direction overrides.
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def clean(text: str) -> str:
    """One line without control characters, escape sequences or direction overrides."""
    if text.isascii() and text.isprintable():
        return text
    spaced = (" " if character in "\t\r\n\v\f\u2028\u2029" else character for character in text)
    return "".join(character for character in spaced if unicodedata.category(character) not in _HIDDEN)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters as receivers count them, the last one an ellipsis if something was cut off."""
    if 2 * len(text) <= limit or length(text) <= limit:
        return text
    kept = text.encode("utf-16-le", "surrogatepass")[: 2 * max(0, limit - 1)]
    return kept.decode("utf-16-le", "ignore") + "…"


def length(text: str) -> int:
    """Characters as the most strict receivers count them: those beyond the basic plane, such as emoji, are two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def format_time(nanos: int, zone: tzinfo = UTC) -> str:
    """`2026-11-23 14:03:22 UTC`."""
    return datetime.fromtimestamp(nanos // SECOND, zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def format_rfc3339(nanos: int) -> str:
    """`2026-11-23T14:03:22.123456Z`."""
    seconds, rest = divmod(nanos, SECOND)
    return f"{_to_the_second(seconds)}.{rest // 1000:06}Z"


@lru_cache(maxsize=1024)
def _to_the_second(seconds: int) -> str:
    """Kept, as many times of many alerts lie within a few seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def format_duration(nanos: int) -> str:
    """`1 h 5 min`, `42 s`: the two greatest units."""
    seconds = max(0, nanos) // SECOND
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        amount, seconds = divmod(seconds, size)
        if amount:
            parts.append(f"{amount} {name}")
    return " ".join(parts[:2]) or "0 s"


def format_value(value: float) -> str:
    """At most six significant digits, without a tail of zeros."""
    return f"{value:.6g}"


def format_tags(tags: Mapping[str, str]) -> str:
    """`{cpu="0", host="a"}`; empty without tags."""
    inside = ", ".join(f'{clean(name)}="{clean(value)}"' for name, value in sorted(tags.items()))
    return f"{{{inside}}}" if inside else ""


def headline(message: Message) -> str:
    """What happened in one line: `FIRING (high): CPU is hot`, `ESCALATED high → critical: CPU is hot`,
    `STILL FIRING for 4 h 12 min (high): CPU is hot`, `UNACKNOWLEDGED for 15 min (high): CPU is hot`."""
    severity = severity_words(message)
    if message.kind is not Kind.SEVERITY_CHANGED and severity:
        severity = f"({severity})"
    if message.kind is Kind.STILL_FIRING:
        severity = f"for {format_duration(message.firing_duration)} {severity}"
    if message.escalation:
        severity = f"for {unacknowledged_words(message.escalation)} {severity}"
    return f"{verb(message)} {severity}".rstrip() + f": {clean(message.title)}"


def verb(message: Message) -> str:
    """What happened in a word."""
    if message.fired_too:
        return "FIRED AND RECOVERED"
    former = message.former_severity
    eased = message.kind is Kind.SEVERITY_CHANGED and former is not None and former > message.severity
    return "EASED" if eased else VERBS[message.kind]


def unacknowledged_words(escalation: Escalation) -> str:
    """For how long nobody has acknowledged it, in whole minutes: `15 min`, `1 h 30 min`."""
    return format_duration(escalation.unacknowledged // MINUTE * MINUTE)


def escalation_words(escalation: Escalation) -> str:
    """`not acknowledged for 15 min, step 2 of 3, told before: ops-slack`."""
    told, more = escalation.told_before[:MOST_NAMED], len(escalation.told_before) - MOST_NAMED
    names = ", ".join(map(clean, told)) + (f" and {more} more" if more > 0 else "")
    waited = unacknowledged_words(escalation)
    step = f"step {escalation.step} of {escalation.step_count}"
    return f"not acknowledged for {waited}, {step}, told before: {names or 'nobody'}"


def colour_of(message: Message) -> str:
    """The colour of its headline, as in HTML."""
    return _COLOURS.get(message.kind, "#333333")


def severity_words(message: Message) -> str:
    """How bad it is: `high`, or `high → critical` if it was something else before; empty if there's no alert."""
    if not message.is_about_alert:
        return ""
    now, former = message.severity.name.lower(), message.former_severity
    return f"{former.name.lower()} → {now}" if message.kind is Kind.SEVERITY_CHANGED and former else now


def facts(message: Message, now: int, zone: tzinfo = UTC) -> list[tuple[str, str]]:
    """The rest, as label and text, in the order in which a reader needs it. Texts are single clean lines."""
    if message.kind is Kind.TEST:
        return [("Note", "This is a test. Alerts that name this channel will arrive here.")]
    if not message.is_about_alert:
        return [("What", clean(message.note))]
    found = [("Escalation", escalation_words(message.escalation))] if message.escalation else []
    found += [("What", clean(message.summary)), ("Monitor", clean(message.monitor_id) + format_tags(message.group))]
    if message.condition:
        value = "" if message.value is None else f", value {format_value(message.value)}"
        # By now it's another one.
        value += " when it fired" if value and message.kind in (Kind.STILL_FIRING, Kind.ESCALATED) else ""
        found.append(("Condition", clean(message.condition) + value))
    if message.kind is Kind.RESOLVED:
        found.append(("Over since", format_time(message.resolve_time or message.event_time, zone)))
        if message.fire_time and message.resolve_time:
            found.append(("Lasted", format_duration(message.resolve_time - message.fire_time)))
        found.append(("Reason", clean(message.resolve_reason).replace("_", " ")))
    elif message.active_time or message.fire_time:
        found.append(("Since", format_time(message.active_time or message.fire_time, zone)))
    if message.kind is Kind.STILL_FIRING:
        found.append(("Firing for", format_duration(message.firing_duration)))
    if message.kind is Kind.ACKNOWLEDGED:
        found.append(("By", clean(message.user)))
        found.append(("Note", clean(message.note)))
    found += [("Labels", format_tags(message.labels)), ("Runbook", clean(message.runbook_url))]
    if message.create_time and now - message.create_time >= DELAY_WORTH_TELLING:
        found.append(("Delayed by", format_duration(now - message.create_time)))
    if message.is_minimal:
        found.append(("Shortened", f"{TOO_LARGE}: {show_command(message)}"))
    if message.fires:
        found.append(("Acknowledge", acknowledge_command(message)))
    return [(label, text) for label, text in found if text]


def show_command(message: Message) -> str:
    """How to see all of it."""
    return f"monitors alerts show {clean(message.alert_id)}"


def acknowledge_command(message: Message) -> str:
    """How to say that somebody takes care."""
    return f"monitors alerts ack {clean(message.alert_id)}"


def as_text(message: Message, now: int) -> str:
    """Headline and facts as plain text, one a line."""
    return "\n".join([headline(message), "", *(f"{label}: {text}" for label, text in facts(message, now))])
