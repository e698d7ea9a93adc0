"""An alert, what happened to it, and what people are told about it. Times are nanoseconds.

What every transition makes several of is a NamedTuple: as frozen as a frozen dataclass, made in a fifth of the time.
"""

import hashlib
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from monitors.rules.model.rule import Severity
from monitors.rules.model.texts import instance_json

SHARDS = 256
UNFINISHED = (1, 2)
"""The states of deliveries, as numbers of monitors.v1.DeliveryState, of which more is to come: pending, in flight."""
IMPORTED = "imported"
"""Why an alert of another product's history was resolved, and how its events' once keys begin."""


class EventKind(IntEnum):
    """What happened to an alert; the numbers are those of monitors.v1.AlertEventKind."""

    FIRING = 1
    RESOLVED = 2
    ACKNOWLEDGED = 3
    SNOOZED = 4
    SEVERITY_CHANGED = 5
    REPEAT_CHANGED = 7
    """Only told to the notifier: no timeline has it."""


class Instance(NamedTuple):
    """What fires: a rule on one series (or group) of one monitor. Made with `of`."""

    tenant: str
    rule_id: str
    monitor_id: str
    group: Mapping[str, str]
    key: str
    """The same for the same instance, 64 characters. An alert that is open holds it as its unique `open_key`."""

    @classmethod
    def of(cls, tenant: str, rule_id: str, monitor_id: str, group: Mapping[str, str]) -> "Instance":
        """The instance with its key."""
        text = instance_json(rule_id, monitor_id, group)
        return cls(tenant, rule_id, monitor_id, group, hashlib.sha256(text.encode()).hexdigest())


def once_key(instance_key: str, episode: int, kind: EventKind) -> str:
    """What makes a transition unique within its tenant: a repeat has the same. 64 characters.

    The time comes first, so that a database's index takes in one place what happens at a time, and not a page for each.
    """
    return _beginning(episode, int(kind)) + instance_key[:47]


# Most of a batch began at the same time.
@lru_cache(maxsize=256)
def _beginning(episode: int, kind: int) -> str:
    return f"{episode:016x}{kind}"


def once_key_of_change(instance_key: str, episode: int, time: int) -> str:
    """The same for a change of severity, of which an episode may have many: the time is a part of it."""
    return f"{time:016x}{int(EventKind.SEVERITY_CHANGED)}{instance_key[:31]}{episode:016x}"


def former_once_key(instance_key: str, episode: int, kind: EventKind) -> str:
    """The key that earlier versions recorded the same transition under."""
    return hashlib.sha256(f"{instance_key}/{episode}/{int(kind)}".encode()).hexdigest()


def shard_of(tenant: str, monitor_id: str) -> int:
    """Which shard a monitor belongs to, 0 to 255."""
    return crc32(f"{tenant}\0{monitor_id}".encode()) % SHARDS


def stream_of(rule_id: str, instance_key: str) -> str:
    """The stream in which an instance's messages are told in order."""
    return f"{rule_id}/{instance_key}"


class Alert(NamedTuple):
    """One episode of one instance."""

    tenant: str
    id: str
    rule_id: str
    monitor_id: str
    group: Mapping[str, str]
    instance_key: str
    episode: int
    """When the condition became true."""
    title: str
    severity: Severity
    condition_text: str
    value: float | None
    fire_time: int
    record_time: int
    """When it was recorded, by the server's clock."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    channels: tuple[str, ...]
    """The channels to tell, as the rule named them when it fired."""
    suppress_reason: str = ""
    """Why its message was held back at first: empty, `cooldown` or `snoozed`."""
    told_time: int | None = None
    """When its firing message is, or was, due; None if it never will be told."""
    resolve_time: int | None = None
    resolve_reason: str = ""
    acknowledge_user: str = ""
    acknowledge_time: int | None = None
    acknowledge_note: str = ""
    traceparent: str = ""
    severity_time: int | None = None
    """When its severity changed last, None if it never has."""

    def closed(self, time: int, reason: str, told_time: int | None) -> "Alert":
        """The same when it's over. As `_replace` does it, in a quarter of the time: every alert ends once."""
        return Alert._make((*self[:_TOLD], told_time, time, reason, *self[_TOLD + 3 :]))

    @property
    def is_open(self) -> bool:
        """Whether it still fires."""
        return self.resolve_time is None

    @property
    def stream_key(self) -> str:
        """The stream in which its messages are told in order: one for each instance."""
        return stream_of(self.rule_id, self.instance_key)

    @property
    def held(self) -> "Held":
        """Names it for what becomes of its messages."""
        return Held(self.tenant, self.stream_key, self.id)

    def suppressed_as(self, now: int) -> str:
        """Why its message is held at `now`, or was never sent; empty if it was released."""
        released = self.told_time is not None and self.told_time <= now
        return "" if released else self.suppress_reason


_TOLD = Alert._fields.index("told_time")
"""What follows is when and why it was resolved."""


class Held(NamedTuple):
    """An alert whose message is, or was, held back."""

    tenant: str
    stream_key: str
    alert_id: str


class Episode(NamedTuple):
    """What an evaluator needs to know of an alert that is open, or that somebody has resolved."""

    tenant: str
    rule_id: str
    alert_id: str
    monitor_id: str
    group: Mapping[str, str]
    instance_key: str
    episode: int
    fire_time: int
    severity: Severity
    severity_time: int | None


class Event(NamedTuple):
    """Something that happened to an alert."""

    tenant: str
    alert_id: str
    kind: EventKind
    time: int
    record_time: int
    value: float | None = None
    user: str = ""
    detail: str = ""
    once_key: str | None = None
    sequence: int = 0

    @property
    def is_imported(self) -> bool:
        """Whether it's of another product's history: it didn't happen when it was recorded."""
        return self.once_key is not None and self.once_key.startswith(IMPORTED)


class Notification(NamedTuple):
    """Something that people should be told, from `due_time` on. `alert` is as it was when it happened."""

    id: str
    event: Event
    alert: Alert
    due_time: int
    former_severity: Severity | None = None
    """How bad it was before, if that is what people should be told."""
    repeat_interval: int = 0
    """How long after it was told it's told again while it fires; 0 is never."""
    repeat_after: int | None = None
    """With REPEAT_CHANGED: nothing is told again before."""
    traceparent: str = ""
    """The W3C `traceparent` of what caused it, if that trace is followed."""


class Delivery(NamedTuple):
    """What became of one message to one channel; `kind` and `state` are the contract's numbers."""

    notification_id: str
    channel: str
    kind: int
    state: int
    attempt_count: int
    detail: str
    time: int
