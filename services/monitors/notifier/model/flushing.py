"""When a group's messages go.

The first alert of an idle group goes at once, further ones within the wait go together, and what comes afterwards goes
together every interval. A group is idle once its interval has passed without a message.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from monitors.notifier.model.delivery import Arrival
from monitors.notifier.model.grouping import GroupBy, Grouping
from monitors.notifier.model.message import Kind, Severity


@dataclass(frozen=True)
class Group:
    """When a group's newest message goes or went; `is_opening` if it's the one that went at once."""

    flush_at: int = 0
    is_opening: bool = False


def group_key(arrival: Arrival, channel_id: str, grouping: Grouping) -> str:
    """The group of a notification within a channel, of fixed length; empty if it goes alone, as does what is about no
    alert."""
    if not arrival.alert_id:
        return ""
    match grouping.by:
        case GroupBy.ALONE:
            return ""
        case GroupBy.RULE:
            parts: Mapping[str, str] = {"": arrival.rule_id}
        case GroupBy.MONITOR:
            parts = {"": arrival.monitor_id}
        case GroupBy.LABELS:
            parts = {name: arrival.labels.get(name, "") for name in grouping.labels}
    told = json.dumps([channel_id, grouping.by, *sorted(parts.items())])
    return hashlib.sha256(told.encode()).hexdigest()


def is_urgent(arrival: Arrival, grouping: Grouping) -> bool:
    """Whether it doesn't wait: what is critical, what has waited for too long already as nobody has acknowledged it,
    and, unless they are to be held, an end and what got worse."""
    if arrival.severity >= Severity.CRITICAL or arrival.kind is Kind.ESCALATED:
        return True
    worse = arrival.kind is Kind.SEVERITY_CHANGED and arrival.severity > arrival.former_severity
    return not grouping.holds_urgent and (worse or arrival.kind is Kind.RESOLVED)


def admit(group: Group, arrival: Arrival, grouping: Grouping, now: int) -> tuple[int, Group]:
    """When a notification that comes `now` goes, and how that leaves its group."""
    if is_urgent(arrival, grouping):
        opens = arrival.kind is not Kind.RESOLVED and _is_idle(group, grouping, now)
        return now, Group(now, is_opening=True) if opens else group
    if _is_idle(group, grouping, now):
        return now, Group(now, is_opening=True)
    if now < group.flush_at:
        return group.flush_at, group
    within_wait = group.is_opening and now < group.flush_at + grouping.wait
    pause = grouping.wait if within_wait else grouping.interval
    planned = Group(max(now, group.flush_at + pause))
    return planned.flush_at, planned


def _is_idle(group: Group, grouping: Grouping, now: int) -> bool:
    # A time that no message of the group can be planned for was told by another clock.
    longest = max(grouping.wait, grouping.interval)
    return now >= group.flush_at + longest or group.flush_at > now + longest
