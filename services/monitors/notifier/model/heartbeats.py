"""Heartbeats: a channel is told every so often that the mesh is alive. What it listens to is their silence.

They're told only while the whole path works: rules are evaluated, RuleService answers, and the queue moves, for they go
through it as all messages do.
"""

from dataclasses import replace

from monitors.mesh.errors import InvalidField
from monitors.mesh.times import DAY, SECOND
from monitors.notifier.model.delivery import Decision, State

SHORTEST = 30 * SECOND
LONGEST = DAY
KEPT = 3600 * SECOND
"""For how long the log has them; there may be thousands a day."""
MISSED = "it isn't tried again: the next heartbeat takes its place"


def without_retry(decision: Decision) -> Decision:
    """What follows for a heartbeat: one that didn't arrive isn't worth another attempt, nor anybody's attention."""
    is_lost = decision.state in (State.PENDING, State.DEAD)
    return replace(decision, state=State.SUPERSEDED, next_time=0) if is_lost else decision


def check_heartbeat(interval: int) -> int:
    """The interval in nanoseconds if it's valid; 0 is never. Raises InvalidField."""
    if interval and not SHORTEST <= interval <= LONGEST:
        raise InvalidField(
            "channel.heartbeat_interval",
            f"{interval / SECOND:g} s is out of bounds; send 0s (never) or 30s to 24h, such as 1m",
        )
    return interval
