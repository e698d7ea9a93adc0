"""Storms: a channel to which too much comes gets a digest every minute instead, until it has been quiet for a while."""

from dataclasses import dataclass, replace

from monitors.mesh.times import MINUTE
from monitors.notifier.model.delivery import Arrival
from monitors.notifier.model.flushing import Group
from monitors.notifier.model.grouping import Grouping
from monitors.notifier.model.message import Kind, Severity

WINDOW = MINUTE
QUIET = 5 * MINUTE
"""For how long no minute may have had too much before a storm is over."""
BURSTS = {"slack": 3, "discord": 5, "teams": 4, "apprise": 2, "email": 10}
"""How many first alerts that are critical are told one by one in a minute of a storm, by kind of channel."""
_DIGEST = "digest_"


@dataclass(frozen=True)
class Storm:
    """What has come to a channel within a minute. Times are nanoseconds since 1970, 0 where there is none."""

    window_start: int = 0
    counted: int = 0
    singles: int = 0
    """How many were told one by one although it storms."""
    until: int = 0

    def rages(self, now: int) -> bool:
        """Whether what comes `now` goes into the digest."""
        # No storm is foreseen for longer: that was told by another clock.
        return now < self.until <= now + WINDOW + QUIET


def after_arrivals(storm: Storm, count: int, above: int, now: int) -> Storm:
    """The storm after `count` more notifications have come, where more than `above` in a minute are too many."""
    if not 0 <= now - storm.window_start < WINDOW:
        storm = Storm(window_start=now, until=storm.until)
    counted = storm.counted + count
    until = storm.window_start + WINDOW + QUIET if counted > above else storm.until
    return replace(storm, counted=counted, until=until)


def goes_alone(storm: Storm, arrival: Arrival, channel_kind: str) -> bool:
    """Whether it's told at once though it storms: that something critical fires, as long as there aren't many."""
    is_first = arrival.kind is Kind.FIRING and arrival.severity >= Severity.CRITICAL
    return is_first and storm.singles < BURSTS.get(channel_kind, 0)


def admit_to_digest(group: Group, grouping: Grouping, now: int) -> tuple[int, Group]:
    """When a notification that comes `now` goes with the digest, and how that leaves it: the first goes after the wait,
    so that it tells of the whole storm, and the next ones a minute after each other."""
    if now < group.flush_at <= now + WINDOW:
        return group.flush_at, group
    earliest = group.flush_at + WINDOW if group.flush_at <= now else now
    planned = Group(max(now + min(grouping.wait, WINDOW), earliest))
    return planned.flush_at, planned


def digest_key(channel_id: str) -> str:
    """The group of a channel's digest."""
    return f"{_DIGEST}{channel_id}"


def is_digest(group_key: str) -> bool:
    """Whether a group is that of a digest."""
    return group_key.startswith(_DIGEST)
