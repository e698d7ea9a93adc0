"""A message as events of PagerDuty's Events API v2: an alert's events have one dedup key, so that they're one incident.

https://developer.pagerduty.com/docs/send-alert-event
"""

import json
from collections.abc import Sequence
from typing import Any

from monitors.mesh.masking import Secret
from monitors.notifier.channels.text import clean, facts, format_rfc3339, format_tags, shorten, verb
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.message import Kind, Message, Severity

MAX_SUMMARY = 1024
MAX_KEY = 255
MAX_FIELD = 1024
# An event may have 512 KB: some twenty of these stay far below.
MAX_FACT = 4096
CLIENT = "Monitors"
SEVERITIES = {
    Severity.LOW: "info",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "critical",
}


def render(content: Content, routing_key: Secret, now: int, wording: Wording = USUAL) -> list[bytes]:
    """The events as JSON, in the order in which they have to go."""
    entries = sorted(content.entries, key=lambda entry: entry.sequence) if isinstance(content, Bundle) else (content,)
    return [
        json.dumps({"routing_key": routing_key.reveal(), **event}, ensure_ascii=False).encode(errors="replace")
        for entry in entries
        for event in _events(entry, now, wording if entry is content else USUAL)
    ]


def _events(message: Message, now: int, wording: Wording) -> Sequence[dict[str, Any]]:
    key = shorten(clean(message.alert_id or message.id), MAX_KEY)
    trigger = {"event_action": "trigger", "dedup_key": key, **_trigger(message, now, wording)}
    resolve = {"event_action": "resolve", "dedup_key": key}
    match message.kind:
        case Kind.TEST | Kind.HEARTBEAT:
            # Nobody is to be kept busy with it.
            return (trigger, resolve)
        case Kind.RESOLVED:
            # PagerDuty drops the end of what it doesn't know.
            return (trigger, resolve) if message.fired_too else (resolve,)
        case Kind.ACKNOWLEDGED | Kind.SNOOZED:
            return ({"event_action": "acknowledge", "dedup_key": key},)
        case _:
            return (trigger,)


def _trigger(message: Message, now: int, wording: Wording) -> dict[str, Any]:
    known = {label.lower().replace(" ", "_"): shorten(text, MAX_FACT) for label, text in facts(message, now)}
    if wording.lines is not None:
        known = {"text": shorten("\n".join(wording.lines), MAX_FACT)}
    payload = {
        "summary": shorten(wording.title or _summary(message), MAX_SUMMARY),
        "source": shorten(clean(message.monitor_id), MAX_FIELD) or CLIENT,
        "severity": SEVERITIES[message.severity],
        "timestamp": format_rfc3339(message.fire_time or message.event_time),
        "class": shorten(clean(message.title), MAX_FIELD),
        "group": shorten(format_tags(message.group), MAX_FIELD),
        "custom_details": {**known, "rule_id": message.rule_id, "sequence": message.sequence},
    }
    runbook = clean(message.runbook_url)
    links = [{"href": runbook, "text": "Runbook"}] if runbook and len(runbook) <= MAX_FIELD else []
    return {"client": CLIENT, "payload": payload, "links": links}


def _summary(message: Message) -> str:
    """What stands in lists of incidents, which say by themselves that something fires and how bad it is."""
    monitor = clean(message.monitor_id) + format_tags(message.group)
    happened = "" if message.kind is Kind.FIRING or not message.is_about_alert else verb(message)
    return " · ".join(filter(None, (happened, clean(message.title), monitor, clean(message.summary)))) or CLIENT
