"""How a channel groups: what is told together, and how long it waits for more."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from monitors.mesh.errors import InvalidField
from monitors.mesh.times import DAY, MINUTE, SECOND

DEFAULT_WAIT = 10 * SECOND
DEFAULT_INTERVAL = MINUTE
DEFAULT_DIGEST_ABOVE = 20
LONGEST_WAIT = 10 * MINUTE
MOST_LABELS, LONGEST_LABEL = 10, 64
HIGHEST_DIGEST_ABOVE = 100_000
FOR_PEOPLE = frozenset({"email", "slack", "discord", "teams", "apprise"})
"""The kinds of channels that people read. The receivers of all others group by themselves."""


class GroupBy(StrEnum):
    """What the alerts of a group have in common."""

    ALONE = "alone"
    """Nothing: each is a group of its own, and goes at once."""
    RULE = "rule"
    MONITOR = "monitor"
    LABELS = "labels"


@dataclass(frozen=True)
class Grouping:
    """How a channel groups. `labels` are the names of labels or tags, for LABELS; times are nanoseconds."""

    by: GroupBy = GroupBy.ALONE
    labels: tuple[str, ...] = ()
    wait: int = DEFAULT_WAIT
    interval: int = DEFAULT_INTERVAL
    holds_urgent: bool = False
    """Whether ends and worsened severities wait as well. What is critical never does."""
    digest_above: int = 0
    """With more notifications in a minute than this there is a digest every minute instead; 0 is never."""


@cache
def default_grouping(kind: str) -> Grouping:
    """How a channel of a kind groups unless it's told otherwise."""
    return Grouping(GroupBy.RULE, digest_above=DEFAULT_DIGEST_ABOVE) if kind in FOR_PEOPLE else Grouping()


def check_grouping(grouping: Grouping) -> Grouping:
    """The grouping if it's valid. Raises InvalidField."""
    field = "channel.grouping"
    if not 0 <= grouping.wait <= LONGEST_WAIT:
        raise InvalidField(f"{field}.wait", f"{_seconds(grouping.wait)}; send 0 to 10 minutes, such as 10 seconds")
    if not SECOND <= grouping.interval <= DAY:
        shown = _seconds(grouping.interval)
        raise InvalidField(f"{field}.interval", f"{shown}; send 1 second to 24 hours, such as 1 minute")
    if grouping.digest_above > HIGHEST_DIGEST_ABOVE:
        raise InvalidField(f"{field}.digest_above", f"{grouping.digest_above}; send at most 100,000, or 0 for never")
    if grouping.by is not GroupBy.LABELS:
        if grouping.labels:
            raise InvalidField(
                f"{field}.labels", f"they mean nothing with {grouping.by}; leave them out, or group by labels"
            )
    elif not 1 <= len(grouping.labels) <= MOST_LABELS or len(set(grouping.labels)) < len(grouping.labels):
        raise InvalidField(
            f"{field}.labels", f"{len(grouping.labels)} names; send 1 to {MOST_LABELS} different ones, such as `team`"
        )
    elif not all(1 <= len(name) <= LONGEST_LABEL and name.isprintable() for name in grouping.labels):
        raise InvalidField(
            f"{field}.labels", f"send names of 1 to {LONGEST_LABEL} printable characters, such as `team`"
        )
    return grouping


def _seconds(nanos: int) -> str:
    return f"{nanos / SECOND:g} seconds"
