"""Repeats: an alert that was told is told again every so often, for as long as it fires and nobody has taken care.

They are counted from when it was told, for each channel: after an outage there is one, and not one for each that was
missed.
"""

from dataclasses import dataclass

from monitors.notifier.model.delivery import State
from monitors.notifier.model.message import Kind

NEVER = 2**63 - 1
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

    @property
    def due_at(self) -> int:
        """When it's told again, if it fires by then. What would come before `quiet_until` comes then."""
        if not self.interval or not self.told_at:
            return NEVER
        return max(self.told_at + self.interval, self.quiet_until)


def is_told(kind: Kind, state: State) -> bool:
    """Whether the next repeat is counted from a delivery that has come to this state. A firing that never arrived isn't
    told again; whatever else didn't arrive has its next turn."""
    return state in _ARRIVED or (state is State.DEAD and kind is not Kind.FIRING)
