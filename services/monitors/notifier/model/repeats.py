"""Repeats: an alert that was told is told again every so often, for as long as it fires and nobody has taken care.

They are counted from when it was told, for each channel: after an outage there is one, and not one for each that was
missed.
"""

from dataclasses import dataclass, replace

from monitors.mesh.times import MINUTE
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import NEVER, State
from monitors.notifier.model.message import Kind

BUSY = MINUTE
"""After how long it's looked whether a message that was on its way has ended."""
IS_OVER = "what it would tell again is over, acknowledged, snoozed or has changed"
COUNTS = (Kind.FIRING, Kind.SEVERITY_CHANGED, Kind.STILL_FIRING)
"""What the next repeat is counted from."""
_ARRIVED = (State.DELIVERED, State.ACCEPTED)


@dataclass(frozen=True)
class Timer:
    """When an alert is told again to a channel. Times are nanoseconds, 0 where there is none."""

    interval: int
    """0 is never."""
    told_at: int = 0
    quiet_until: int = 0
    muted_until: int = 0
    """Until when something keeps it from being told that should have been told since."""

    @property
    def due_at(self) -> int:
        """When it's told again, if it fires by then; what was muted, when that is over. What would come before
        `quiet_until` comes then."""
        if self.muted_until:
            return max(self.muted_until, self.quiet_until)
        if not self.interval or not self.told_at:
            return NEVER
        return max(self.told_at + self.interval, self.quiet_until)


def is_told(kind: Kind, state: State) -> bool:
    """Whether the next repeat is counted from a delivery that has come to this state. A firing that never arrived isn't
    told again; whatever else didn't arrive has its next turn."""
    return state in _ARRIVED or (state is State.DEAD and kind is not Kind.FIRING)


@dataclass(frozen=True)
class Turn:
    """What becomes of a timer that is due: whether a delivery is made, in which state, and when it's due next."""

    is_shown: bool
    state: State
    reason: str
    due_at: int
    muted_until: int = 0

    def muted(self, timer: Timer, until: int) -> "Turn":
        """The same while something mutes the alert. Of what is muted already nothing more is shown."""
        due_at = replace(timer, muted_until=until).due_at
        return replace(self, is_shown=self.is_shown and not timer.muted_until, due_at=due_at, muted_until=until)


def take_turn(timer: Timer, channel: Channel, now: int, *, is_busy: bool) -> Turn:
    """Tells what a timer that is due is for. If its channel is turned off, or the last message is still on its way,
    that is left to its next turn. What has none, as it was muted and isn't repeated, is suppressed, or waits."""
    following = now + timer.interval if timer.interval and timer.told_at else NEVER
    unusable = channel.unusable_reason
    if channel.waits and timer.muted_until:
        return Turn(False, State.PENDING, "", NEVER, NEVER)
    if unusable and following == NEVER:
        return Turn(True, State.SUPPRESSED, channel.suppression, NEVER)
    if is_busy and following == NEVER:
        return Turn(False, State.PENDING, "", now + BUSY, timer.muted_until)
    return Turn(not (unusable or is_busy), State.PENDING, "", following)
