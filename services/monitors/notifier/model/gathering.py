"""When a step of the delivery loop begins: it costs nearly as much for one message as for many."""

from collections.abc import Callable

from monitors.notifier.model.places import AT_ONCE

ENOUGH = AT_ONCE * 3 // 4
"""So many attempts that have ended are worth a step of their own."""
QUIET_SECONDS = 0.02
"""For so long what has ended waits for what comes, or ends, next: of messages that come one by one, each is recorded
along with the next one, in one commit instead of two."""
BUSY_SECONDS = 0.06
"""The same if much has just begun: it ends soon, or lingers and makes room."""


def patience(ended: int, sending: int, is_busy: Callable[[], bool], *, has_come: bool) -> float | None:
    """For how many seconds a step waits, and None if there is nothing for it to do. So many attempts have ended, so
    many go on; `has_come` says that there is something new. `is_busy` tells whether there is hardly room to send it."""
    if ended >= ENOUGH or (ended > 1 and not sending):
        return 0.0
    if not ended and not has_come:
        return None
    if not is_busy():
        return 0.0 if has_come else QUIET_SECONDS
    return BUSY_SECONDS
