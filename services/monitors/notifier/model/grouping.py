"""How a channel groups: what is told together, and how long it waits for more."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from monitors.mesh.times import MINUTE, SECOND

DEFAULT_WAIT = 10 * SECOND
DEFAULT_INTERVAL = MINUTE
DEFAULT_DIGEST_ABOVE = 20
FOR_PEOPLE = frozenset({"email", "slack"})
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
