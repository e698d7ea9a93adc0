"""A message as the body of a Standard Webhooks 1.0 request. It's the same at every attempt, but for a minimal form that
follows what was refused as too large."""

import json
import math
from collections.abc import Mapping
from itertools import starmap
from typing import Any

import orjson

from monitors.mesh.times import SECOND
from monitors.notifier.channels.fitting import first_within
from monitors.notifier.channels.text import (
    MOST_NAMED,
    acknowledge_command,
    escalation_words,
    format_duration,
    format_rfc3339,
    shorten,
)
from monitors.notifier.model.message import Kind, Message, Severity

MAX_BODY = 20_000
TYPES = {
    Kind.TEST: "notification.test",
    Kind.FIRING: "alert.firing",
    Kind.RESOLVED: "alert.resolved",
    Kind.ACKNOWLEDGED: "alert.acknowledged",
    Kind.SNOOZED: "alert.snoozed",
    Kind.SEVERITY_CHANGED: "alert.severity_changed",
    Kind.STILL_FIRING: "alert.still_firing",
    Kind.NOTICE: "notifier.notice",
    Kind.HEARTBEAT: "notifier.heartbeat",
    Kind.ESCALATED: "alert.escalated",
}
_SEVERITIES = {severity: severity.name.lower() for severity in Severity}
# How much of each text and how many entries of each map are kept, tried in order until the body is small enough.
CUTS = ((4096, 64), (1024, 32), (256, 32), (100, 16), (50, 8))


def render(message: Message) -> bytes:
    """The JSON, at most 20,000 bytes; `data.truncated` says that texts were shortened to fit, or left out."""
    data = data_of(message)
    envelope = {"type": TYPES[message.kind], "timestamp": format_rfc3339(message.event_time)}
    whole = encode({**envelope, "data": data})
    text_limit, entry_limit = CUTS[0]
    maps = message.group, message.labels, message.annotations
    if len(whole) <= text_limit and max(map(len, maps)) <= entry_limit:
        return whole  # No text of it can be too long, as is so of nearly all messages.

    def body(text_limit: int, entry_limit: int) -> bytes:
        cut = cut_down(data, text_limit, entry_limit)
        if cut != data:
            cut["truncated"] = True
        return encode({**envelope, "data": cut})

    return first_within(starmap(body, CUTS), MAX_BODY)


def data_of(message: Message) -> dict[str, Any]:
    """What is told of an alert."""
    if message.kind is Kind.TEST:
        return {"title": message.title}
    if not message.is_about_alert:
        data = {"notification_id": message.notification_id, "title": message.title, "text": message.note}
        return data | ({"interval_seconds": message.interval // SECOND} if message.interval else {})
    finite = message.value is not None and math.isfinite(message.value)
    return {
        "notification_id": message.notification_id,
        "alert_id": message.alert_id,
        "rule_id": message.rule_id,
        "title": message.title,
        "severity": _SEVERITIES[message.severity],
        "former_severity": _SEVERITIES[message.former_severity] if message.former_severity else None,
        "state": "firing" if message.fires else message.kind.name.lower(),
        "monitor_id": message.monitor_id,
        "group": _sorted(message.group),
        "condition": message.condition,
        "value": message.value if finite else None,
        "active_time": _time(message.active_time),
        "fire_time": _time(message.fire_time),
        "resolve_time": _time(message.resolve_time),
        "resolve_reason": message.resolve_reason,
        "labels": _sorted(message.labels),
        "annotations": _sorted(message.annotations),
        # Grows within an alert's stream: a receiver may drop what is older than what it has. What tells again has that
        # of what it repeats, and counts up in `repeat`.
        "sequence": message.sequence,
        **_repeat(message),
        **_escalation(message),
        "acknowledge_command": acknowledge_command(message),
        **({"user": message.user, "note": message.note} if message.user or message.note else {}),
        # That it fired wasn't told before: this tells both.
        **({"fired_too": True} if message.fired_too else {}),
        **({"truncated": True} if message.is_minimal else {}),
    }


def _repeat(message: Message) -> dict[str, Any]:
    if message.kind is not Kind.STILL_FIRING:
        return {}
    duration = message.firing_duration
    return {
        "repeat": message.repeat_number,
        "firing_seconds": duration // SECOND,
        "text": f"still firing for {format_duration(duration)}",
    }


def _escalation(message: Message) -> dict[str, Any]:
    escalation = message.escalation
    if escalation is None:
        return {}
    return {
        "escalation_policy": escalation.policy,
        "escalation_step": escalation.step,
        "escalation_step_count": escalation.step_count,
        "unacknowledged_seconds": escalation.unacknowledged // SECOND,
        "told_before": list(escalation.told_before[:MOST_NAMED]),
        "text": escalation_words(escalation),
    }


def _sorted(texts: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(texts.items())) if texts else {}


def _time(nanos: int) -> str | None:
    return format_rfc3339(nanos) if nanos else None


def cut_down(data: Mapping[str, Any], text_limit: int, entry_limit: int) -> dict[str, Any]:
    """The data with texts of at most `text_limit` characters and maps and lists of at most `entry_limit` entries."""

    def shortened(value: Any) -> Any:
        if isinstance(value, str):
            return shorten(value, text_limit)
        if isinstance(value, list):
            return [shorten(text, text_limit) for text in value[:entry_limit]]
        if isinstance(value, dict):
            kept = sorted(value.items())[:entry_limit]
            return {shorten(name, text_limit): shorten(text, text_limit) for name, text in kept}
        return value

    return {name: shortened(value) for name, value in data.items()}


def encode(value: Mapping[str, Any]) -> bytes:
    """Compact JSON in UTF-8."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        # A lone surrogate can't come through protobuf, but must never stop an alert.
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(errors="replace")
