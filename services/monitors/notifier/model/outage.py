"""Whether anything can be delivered at all: if nothing has arrived for some minutes though it was tried, nobody is told
of anything, and nobody would be told of that either."""

from monitors.mesh.quantities import format_duration
from monitors.mesh.times import MINUTE
from monitors.notifier.model.delivery import OutcomeKind

WORTH_TELLING = 5 * MINUTE
ARRIVED = frozenset({OutcomeKind.OK, OutcomeKind.ACCEPTED})


def nothing_since(before: int, outcome: OutcomeKind, ended_at: int) -> int:
    """Since when nothing has arrived, after an attempt; 0 if something has. `before` is the same before it."""
    return 0 if outcome in ARRIVED else before or ended_at


def outage(since: int, now: int) -> str:
    """What is wrong if nothing has arrived since then; empty if it's nothing, or not for long yet."""
    if not since or now - since < WORTH_TELLING:
        return ""
    minutes = format_duration((now - since) // MINUTE * MINUTE)
    return f"nothing could be delivered for {minutes}; `monitors deliveries list` shows why"


def overdue(oldest_due: int, now: int) -> str:
    """What is wrong if the oldest message that waits was due then; empty if it's nothing. 0 if none waits."""
    if not oldest_due or now - oldest_due < WORTH_TELLING:
        return ""
    return f"the oldest message that waits has been due for {format_duration((now - oldest_due) // MINUTE * MINUTE)}"
