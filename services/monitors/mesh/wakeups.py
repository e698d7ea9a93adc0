"""Wake-ups between processes: what one has committed, another looks for at once.

A wake-up says only that there may be something new. One that is lost costs as long as it takes until the other looks by
itself, and nothing else.
"""

from typing import Protocol

from monitors.mesh.events import Changes

RULES, ALERTS, NOTIFICATIONS = "rules", "alerts", "notifications"


class Wakeups(Protocol):
    """Changes by topic."""

    def topic(self, name: str) -> Changes:
        """The changes of a topic, the same object for the same name."""
        ...


class LocalWakeups:
    """Wake-ups within this process."""

    def __init__(self) -> None:
        self._topics: dict[str, Changes] = {}

    def topic(self, name: str) -> Changes:
        """As Wakeups says."""
        return self._topics.setdefault(name, Changes())
