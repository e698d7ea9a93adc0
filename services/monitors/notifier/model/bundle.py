"""Several alerts in one message."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from monitors.notifier.model.message import Kind, Message

WORST = 10
FEWEST = 3


@dataclass(frozen=True)
class Bundle:
    """One message about several alerts, the worst first. `id` stays the same for the same set of notifications."""

    id: str
    entries: tuple[Message, ...]
    is_digest: bool = False
    """Whether it stands for so many that only the worst are shown one by one."""
    is_minimal: bool = False
    """Whether hardly any is shown, since the receiver has refused the whole as too large."""
    traceparent: str = ""
    """The W3C `traceparent` of the attempt to send it, if that trace is followed."""

    @property
    def shown(self) -> tuple[Message, ...]:
        """What may be shown one by one, as far as there is room."""
        if self.is_minimal:
            return self.entries[:FEWEST]
        return self.entries[:WORST] if self.is_digest else self.entries

    @property
    def event_time(self) -> int:
        """When the newest of it happened."""
        return max(entry.event_time for entry in self.entries)


Content = Message | Bundle
"""What one message says."""


def bundle_id(delivery_ids: Iterable[str], channel_id: str) -> str:
    """The id of a message that tells several deliveries: the same for the same set. It has no dots."""
    told = hashlib.sha256("\0".join(sorted(delivery_ids)).encode()).hexdigest()
    return f"set_{told[:24]}_{channel_id}"


def put_together(identifier: str, news: Sequence[Message], *, is_digest: bool = False) -> Content:
    """One message that tells all of `news`, which stand in the order in which they happened."""
    entries: dict[tuple[str, int], Message] = {}
    for number, one in enumerate(news):
        key = (one.alert_id, 0)
        known = entries.get(key)
        both = _both(known, one) if known else one
        if both is None:
            # Of one alert, too, nothing is left out that the newer doesn't say.
            key, both = (one.alert_id, number), one
        entries[key] = both
    told = sorted(entries.values(), key=_rank)
    return replace(told[0], id=identifier) if len(told) == 1 else Bundle(identifier, tuple(told), is_digest)


def _both(earlier: Message, later: Message) -> Message | None:
    """What tells both of two pieces of news about an alert; None if they have to be told one by one."""
    if later.kind is Kind.RESOLVED and earlier.fires:
        return replace(later, fired_too=earlier.kind is Kind.FIRING, create_time=earlier.create_time)
    if later.kind is Kind.SEVERITY_CHANGED and earlier.kind is Kind.FIRING:
        # Whoever wasn't told that it fired needn't know how bad it was at first.
        return replace(later, kind=Kind.FIRING, former_severity=None, create_time=earlier.create_time)
    if later.kind is Kind.SEVERITY_CHANGED and earlier.kind is Kind.SEVERITY_CHANGED:
        return replace(later, former_severity=earlier.former_severity, create_time=earlier.create_time)
    return None


def _rank(entry: Message) -> tuple[int, bool, int]:
    return -entry.severity, not entry.fires, entry.sequence
