"""Whose turn it is: what is due waits in lanes, and what may be sent at once is shared out among them.

A lane is what is due for one channel at one severity. Whoever has least on its way comes first, so that a storm of one
tenant gives way to each single alert of the others; within a tenant its channels take turns likewise.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

Bound = tuple[str, str]
"""What a message uses up one of: a place on the way to a channel, a token of an endpoint."""


@dataclass(frozen=True, eq=False)
class Lane:
    """What is due for a channel at a severity, since when the first of it is, and what each message of it uses up."""

    tenant: str
    channel_id: str
    severity: int
    since: int
    bounds: tuple[Bound, ...] = ()


_Waiting = tuple[int, int, int, Lane]
"""A lane: how much of it goes already, since when it waits, and its place among all."""


class Turns:
    """Shares out `capacity` messages.

    `left` is how many each bound has room for, and those that aren't in it for any number. `busy` says how much of a
    tenant is on its way, and `served` when each had its last turn: the one whose turn is longest ago goes first among
    those that have as much on their way.
    """

    def __init__(
        self, capacity: int, left: Mapping[Bound, int], busy: Mapping[str, int], served: Mapping[str, int]
    ) -> None:
        self.capacity = capacity
        self._left = dict(left)
        self._busy = Counter(busy)
        self._served = served

    def limit(self, bound: Bound, count: int) -> None:
        """Says how much room a bound has, if that isn't known yet."""
        self._left.setdefault(bound, count)

    def share(self, lanes: Iterable[Lane]) -> list[tuple[Lane, int]]:
        """How many messages of each lane may go, of those that any may. They count as taken."""
        listed = list(lanes)
        if len(listed) == 1:
            return self._all_to(listed[0])
        by_tenant: defaultdict[str, list[_Waiting]] = defaultdict(list)
        for number, lane in enumerate(listed):
            by_tenant[lane.tenant].append((0, lane.since, number, lane))
        for of_tenant in by_tenant.values():
            heapify(of_tenant)
        waiting = [(self._busy[tenant], self._served.get(tenant, 0), tenant) for tenant in by_tenant]
        heapify(waiting)
        granted: Counter[Lane] = Counter()
        while waiting and self.capacity > 0:
            _, served, tenant = heappop(waiting)
            chosen = self._next(by_tenant[tenant])
            if chosen is not None:
                granted[chosen] += 1
                self.take(chosen)
                heappush(waiting, (self._busy[tenant], served, tenant))
        return list(granted.items())

    def _all_to(self, lane: Lane) -> list[tuple[Lane, int]]:
        """All that there is room for, at once, as nothing else waits."""
        count = min([self.capacity, *(self._left[bound] for bound in lane.bounds if bound in self._left)])
        if count <= 0:
            return []
        self.take(lane, count)
        return [(lane, count)]

    def _next(self, lanes: list[_Waiting]) -> Lane | None:
        """Of a tenant's lanes, which are in a heap. One that has no room is left out for good: it gets no more."""
        while lanes:
            count, since, number, lane = heappop(lanes)
            if self.has_room(lane):
                heappush(lanes, (count + 1, since, number, lane))
                return lane
        return None

    def has_room(self, lane: Lane) -> bool:
        """Whether another message of a lane may go."""
        return self.capacity > 0 and all(self._left.get(bound, 1) > 0 for bound in lane.bounds)

    def take(self, lane: Lane, count: int = 1) -> None:
        """Messages of a lane go."""
        self.capacity -= count
        self._busy[lane.tenant] += count
        for bound in lane.bounds:
            if bound in self._left:
                self._left[bound] -= count

    def give_back(self, lane: Lane, count: int) -> None:
        """So many of what was shared out aren't there to be sent."""
        self.take(lane, -count)
