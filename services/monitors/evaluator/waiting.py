"""Who is served next: every tenant in turn, each in its own order, so that a flood of one delays nobody else."""

from collections import deque
from collections.abc import Sized
from typing import Generic, TypeVar

T = TypeVar("T", bound=Sized)


class _Queue(Generic[T]):
    """What waits of one tenant, and how many points it has."""

    def __init__(self) -> None:
        self.writes: deque[T] = deque()
        self.count = 0


class Line(Generic[T]):
    """Writes that wait, by tenant; a write's length is its number of points.

    At most `limit` points wait in all, but for the one write that everybody may have waiting. A tenant may have as many
    of them as are still left for the others, so that there is always room for one who comes new.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        # In the order of their turns.
        self._queues: dict[str, _Queue[T]] = {}

    def __len__(self) -> int:
        return self._count

    def count_of(self, tenant: str) -> int:
        """How many points of a tenant wait."""
        return self._queues[tenant].count if tenant in self._queues else 0

    def add(self, tenant: str, write: T) -> bool:
        """Takes a write to the end of the tenant's own; False if too much of it waits already."""
        own = self._queues.get(tenant)
        if own is None:
            own = self._queues[tenant] = _Queue()
        elif own.count + len(write) > self._limit - self._count:
            return False
        own.writes.append(write)
        own.count += len(write)
        self._count += len(write)
        return True

    def next_group(self, most: int, share: int) -> list[T]:
        """Takes out what is to be served together: at least one write if any waits, and at most `most` points unless
        that one has more. One write of each tenant, then another of each, until those of a tenant have `share` points;
        a tenant that is alone has no share.
        """
        group: list[T] = []
        count = 0
        if len(self._queues) == 1:
            share = most
        taken = dict.fromkeys(self._queues, 0)
        turns = list(self._queues)
        while turns:
            again = []
            for tenant in turns:
                own = self._queues[tenant]
                length = len(own.writes[0])
                if group and (count + length > most or (taken[tenant] and taken[tenant] + length > share)):
                    continue
                group.append(own.writes.popleft())
                own.count -= length
                count += length
                taken[tenant] += length
                if own.writes:
                    again.append(tenant)
            turns = again
        self._count -= count
        self._pass_turns([tenant for tenant, points in taken.items() if points])
        return group

    def _pass_turns(self, served: list[str]) -> None:
        """Whoever was served goes to the end, or away."""
        for tenant in served:
            own = self._queues.pop(tenant)
            if own.writes:
                self._queues[tenant] = own
