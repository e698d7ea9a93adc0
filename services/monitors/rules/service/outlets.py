"""The notifiers that are connected to this process, and what is sent to them without a look into the outbox."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from monitors.mesh.events import Changes
from monitors.mesh.times import SECOND
from monitors.rules.store.outbox import LARGEST_BATCH, LEASE, Leased


@dataclass(eq=False)
class Outlet:
    """The stream to one notifier. `token` is that of its leases."""

    token: str
    is_behind: bool = True
    """Whether there may be more in the outbox than it has seen: what is new goes behind that."""
    arrived: Changes = field(default_factory=Changes)
    _waiting: list[tuple[float, list[Leased]]] = field(default_factory=list)
    """Since when, by the monotonic clock, and what."""

    @property
    def load(self) -> int:
        """How many notifications wait to be sent."""
        return sum(len(leased) for _, leased in self._waiting)

    def put(self, leased: list[Leased]) -> None:
        """Has notifications sent that are leased to it."""
        self._waiting.append((time.monotonic(), leased))
        self.arrived.wake()

    def take(self) -> list[list[Leased]]:
        """What is to be sent now. What has waited for half of its lease, as the notifier takes nothing, is left to its
        end: it mustn't come after what others were told meanwhile."""
        waiting, self._waiting = self._waiting, []
        since = time.monotonic() - LEASE / SECOND / 2
        return [leased for begun, leased in waiting if begun > since]


class Outlets:
    """All of them. To be used on the event loop."""

    def __init__(self) -> None:
        self._open: list[Outlet] = []

    @contextmanager
    def opened(self, token: str) -> Iterator[Outlet]:
        """A new one, for as long as the stream lasts."""
        outlet = Outlet(token)
        self._open.append(outlet)
        try:
            yield outlet
        finally:
            self.close(outlet)

    def close(self, outlet: Outlet) -> None:
        """Its stream has ended."""
        self._open.remove(outlet)

    def choose(self) -> Outlet | None:
        """The one that should take what is recorded next: one to which little is on its way, and each in its turn. None
        if all of them have their hands full."""
        ready = [each for each in self._open if not each.is_behind and each.load < LARGEST_BATCH]
        if not ready:
            return None
        chosen = min(ready, key=lambda outlet: outlet.load)
        self._open.remove(chosen)
        self._open.append(chosen)
        return chosen

    def give(self, outlet: Outlet, leased: list[Leased]) -> bool:
        """Sends what was leased to an outlet, once that is committed. False if its stream has ended meanwhile."""
        if outlet not in self._open:
            return False
        outlet.put(leased)
        return True
