"""Alerts of another product that are over, and what becomes of them here: history that nobody is told of."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

from monitors.mesh.errors import InvalidField
from monitors.mesh.ids import ALPHABET
from monitors.rules.model.alert import IMPORTED, Alert, Event, EventKind, Instance
from monitors.rules.model.episodes import RuleFacts
from monitors.rules.model.quantities import shown
from monitors.rules.model.rule import Severity, check_line

LONGEST_KEY = 256
LONGEST_CONDITION = 4096
LONGEST_SAID = 2000
STILL_OPEN = "isn't set: only what is over is taken in; one that is open fires anew here if its condition holds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """That somebody took care of an alert."""

    user: str
    time: int | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAlert:
    """An alert as another product remembers it. Times are nanoseconds since 1970, None where there is none."""

    key: str
    """What it's called there."""
    rule_id: str
    monitor_id: str
    title: str = ""
    """The rule's if empty, as with the condition; and as with the severity, if that is None."""
    severity: Severity | None = None
    condition_text: str = ""
    value: float | None = None
    fire_time: int | None = None
    resolve_time: int | None = None
    acknowledged: Acknowledged | None = None
    detail: str = ""


def check_past(past: PastAlert, now: int) -> list[InvalidField]:
    """What is wrong with it, each with its fix."""
    return [
        *check_line("key", past.key, LONGEST_KEY, "send what the alert is called where it comes from"),
        *_check_monitor(past.monitor_id),
        *(check_line("title", past.title, 200, "") if past.title else ()),
        *_check_lengths(past),
        *_check_times(past, now),
    ]


def _check_monitor(monitor_id: str) -> Iterator[InvalidField]:
    yield from check_line("monitor_id", monitor_id, 256, "name the monitor that it was about, such as `mon_host`")
    if "*" in monitor_id:
        yield InvalidField("monitor_id", f"{shown(monitor_id)} has a `*`, which stands for several monitors; name one")


def _check_lengths(past: PastAlert) -> Iterator[InvalidField]:
    for name, text, most in (
        ("condition_text", past.condition_text, LONGEST_CONDITION),
        ("detail", past.detail, LONGEST_SAID),
        ("acknowledgement.note", past.acknowledged.note if past.acknowledged else "", LONGEST_SAID),
    ):
        if len(text) > most:
            yield InvalidField(name, f"has {len(text):,} characters; at most {most:,}")
    if past.value is not None and not math.isfinite(past.value):
        yield InvalidField("value", f"{past.value} isn't a finite number; leave it out if it isn't known")
    if past.acknowledged:
        yield from check_line("acknowledgement.user", past.acknowledged.user, 100, "say who took care of it")


def _check_times(past: PastAlert, now: int) -> Iterator[InvalidField]:
    fired = past.fire_time
    if fired is None:
        yield InvalidField("fire_time", "isn't set; send when it fired")
    elif not 0 <= fired <= now:
        yield InvalidField("fire_time", "is out of bounds; send a time from 1970 until now")
    if past.resolve_time is None:
        yield InvalidField("resolve_time", STILL_OPEN)
    elif not 0 <= past.resolve_time <= now:
        yield InvalidField("resolve_time", "is out of bounds; send a time from 1970 until now")
    elif fired is not None and past.resolve_time < fired:
        yield InvalidField("resolve_time", "is before fire_time; an alert can't be over before it fires")
    if past.acknowledged is None:
        return
    acknowledged = past.acknowledged.time
    if acknowledged is None or not max(0, fired or 0) <= acknowledged <= now:
        yield InvalidField("acknowledgement.time", "must be set, not before fire_time and not in the future")


def id_of_past(tenant: str, key: str) -> str:
    """The alert's id here. It's the same whenever the same is sent, so that nothing can be taken in twice."""
    digest = hashlib.sha256(f"{tenant}\0{key}".encode()).digest()
    return f"alert_{''.join(ALPHABET[byte % 32] for byte in digest[:12])}"


def episode_of(tenant: str, past: PastAlert, facts: RuleFacts, now: int) -> tuple[Alert, list[Event]]:
    """The alert and what happened to it, oldest first. `past` has been checked; `now` is when it's recorded."""
    fired, resolved = past.fire_time or 0, past.resolve_time or 0
    instance = Instance.of(tenant, past.rule_id, past.monitor_id, {})
    by = past.acknowledged
    alert = Alert(
        tenant=tenant,
        id=id_of_past(tenant, past.key),
        rule_id=past.rule_id,
        monitor_id=past.monitor_id,
        group={},
        instance_key=instance.key,
        episode=fired,
        title=past.title or facts.title,
        severity=past.severity or facts.severity,
        condition_text=past.condition_text or facts.condition_text,
        value=past.value,
        fire_time=fired,
        record_time=now,
        # What the rule has of these now isn't what anybody was told then.
        labels={},
        annotations={},
        channels=(),
        resolve_time=resolved,
        resolve_reason=IMPORTED,
        acknowledge_user=by.user if by else "",
        acknowledge_time=by.time if by else None,
        acknowledge_note=by.note if by else "",
    )
    happened = [
        (EventKind.FIRING, fired, past.value, "", past.detail),
        (EventKind.RESOLVED, resolved, None, "", IMPORTED),
        *([(EventKind.ACKNOWLEDGED, by.time or 0, None, by.user, by.note)] if by else ()),
    ]
    events = [
        Event(tenant, alert.id, kind, time, now, value, user, detail, f"{IMPORTED}{int(kind)}{alert.id}")
        # A firing that was over at once still comes first.
        for kind, time, value, user, detail in sorted(happened, key=lambda each: each[1])
    ]
    return alert, events
