"""What is told, free of any channel's form. All texts come from users and are to be escaped by whoever renders them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import urlsplit


class Kind(IntEnum):
    """What happened; the numbers are those of `AlertEventKind`, and 0 is a test of the channel."""

    TEST = 0
    FIRING = 1
    RESOLVED = 2
    ACKNOWLEDGED = 3
    SNOOZED = 4
    SEVERITY_CHANGED = 5
    STILL_FIRING = 6
    REPEAT_CHANGED = 7
    """How it's told again has changed; nobody is told of that."""
    NOTICE = 8
    HEARTBEAT = 9
    ESCALATED = 10
    """Nobody has acknowledged it for a while, so that others are told."""


class Severity(IntEnum):
    """How bad it is, as in `rule.proto`."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True)
class Escalation:
    """How far the escalation of an alert has come, as people are told."""

    policy: str
    step: int
    step_count: int
    unacknowledged: int
    """For how long nobody has acknowledged it, in nanoseconds."""
    told_before: tuple[str, ...] = ()
    """The names of the channels that were told before, in this order."""


ABOUT_NO_ALERT = frozenset({Kind.TEST, Kind.NOTICE, Kind.HEARTBEAT})
FIRING = frozenset({Kind.FIRING, Kind.SEVERITY_CHANGED, Kind.STILL_FIRING, Kind.ESCALATED})


@dataclass(frozen=True)
class Message:
    """One message to one channel. Times are nanoseconds since 1970, 0 where there is none.

    `id` stays the same over all attempts: it's the receiver's key to drop repeats, and has no dots.
    """

    id: str
    kind: Kind
    title: str
    severity: Severity = Severity.MEDIUM
    former_severity: Severity | None = None
    """With SEVERITY_CHANGED: how bad it was before."""
    notification_id: str = ""
    alert_id: str = ""
    rule_id: str = ""
    monitor_id: str = ""
    group: Mapping[str, str] = field(default_factory=dict)
    condition: str = ""
    value: float | None = None
    active_time: int = 0
    fire_time: int = 0
    resolve_time: int = 0
    resolve_reason: str = ""
    event_time: int = 0
    create_time: int = 0
    sequence: int = 0
    interval: int = 0
    """When it's told again, or with HEARTBEAT when the next one comes: nanoseconds from now, 0 for never."""
    repeat_number: int = 0
    """With STILL_FIRING: the how manieth time it's told again, from 1."""
    escalation: Escalation | None = None
    """With ESCALATED: how far that has come."""
    user: str = ""
    note: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    fired_too: bool = False
    """With RESOLVED: that it fired wasn't told before; this message tells both."""
    is_minimal: bool = False
    """Whether all but the essential was left out, since the receiver has refused the whole as too large."""

    traceparent: str = ""
    """The W3C `traceparent` of what caused it, if that trace is followed."""

    @property
    def is_about_alert(self) -> bool:
        """Whether there is an alert that it tells of."""
        return self.kind not in ABOUT_NO_ALERT

    @property
    def fires(self) -> bool:
        """Whether it asks somebody to take care."""
        return self.kind in FIRING

    @property
    def firing_duration(self) -> int:
        """With STILL_FIRING: for how long, in nanoseconds, as of when this was said; the same at every attempt."""
        return max(0, self.event_time - (self.fire_time or self.event_time))

    @property
    def summary(self) -> str:
        """What the rule's author wrote about it."""
        return self.annotations.get("summary", "")

    @property
    def runbook_url(self) -> str:
        """Where it says what to do; empty unless it's an http or https URL, so that no link can run anything."""
        url = self.annotations.get("runbook_url", "")
        return url if url.startswith(("https://", "http://")) and _is_link(url) else ""


def _is_link(url: str) -> bool:
    """Whether providers take it for a URL; some refuse a whole message for the sake of one that isn't."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return bool(host) and url.isprintable() and not set(url) & set(' "<>\\^`{|}')


def message_id(notification_id: str, channel_id: str) -> str:
    """The id of what tells one notification to one channel. It has no dots."""
    return f"{notification_id}_{channel_id}"


def message_of_test(identifier: str, channel_name: str, now: int) -> Message:
    """The message that TestChannel sends."""
    return Message(
        id=identifier,
        kind=Kind.TEST,
        title=f"Test of the channel {channel_name}",
        severity=Severity.LOW,
        event_time=now,
        create_time=now,
    )
