"""What is on its way, and how much more may join it: places, turns and tokens from one step of the loop to the next."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from monitors.mesh.limits import TokenBuckets
from monitors.notifier.model.rates import Endpoint, Rates, Tokens
from monitors.notifier.model.room import Room
from monitors.notifier.model.turns import Turns
from monitors.notifier.store.queue import Claim

MAX_SENDING = 64
# One dead endpoint, at which every attempt lasts until its deadline, must leave room for the others.
MAX_SENDING_PER_CHANNEL = 8
MOST_TENANTS = 10_000


@dataclass(frozen=True)
class Permit:
    """Tokens that were asked for together with those for other messages: of each bucket the number within them."""

    asked: tuple[tuple[Endpoint, int, asyncio.Task[tuple[int, float]]], ...] = ()


class Flow:
    """Decides with what this process knows. `shared` are the buckets of all notifiers if they have some: what this
    process would let through must have a token of them as well."""

    def __init__(self, rates: Rates, shared: TokenBuckets | None = None) -> None:
        self._rates = rates
        self._shared = shared
        self._tokens = Tokens()
        self._served: dict[str, int] = {}
        self._turn = 0

    def rooms(self, sending: Iterable[Claim], now: int) -> Callable[[], Room]:
        """Makes the room for a step that begins now; a new one each time that its transaction is tried."""
        places = Counter((claim.tenant, claim.channel.id) for claim in sending)
        tenants: Counter[str] = Counter()
        for (tenant, _), count in places.items():
            tenants[tenant] += count
        capacity = MAX_SENDING - places.total()

        def make() -> Room:
            turns = Turns(capacity, {}, tenants, self._served)
            return Room(turns, places, MAX_SENDING_PER_CHANNEL, self._rates, self._tokens, now)

        return make

    def begin(self, claims: Sequence[Claim], room: Room) -> list[Permit]:
        """Counts what was claimed in a room. Gives each claim's permit, to be asked for before it's sent."""
        self._turn += 1
        if len(self._served) > MOST_TENANTS:
            self._served.clear()
        self._served |= dict.fromkeys((claim.tenant for claim in claims), self._turn)
        needed = [room.endpoints(claim.channel) for claim in claims]
        counts = Counter(endpoint for endpoints in needed for endpoint in endpoints)
        for endpoint, count in counts.items():
            self._tokens.spend(endpoint, count, room.now)
        if self._shared is None:
            return [Permit()] * len(claims)
        asked = {
            endpoint: asyncio.create_task(self._shared.take_some(endpoint.key, endpoint.rate, endpoint.burst, count))
            for endpoint, count in counts.items()
        }
        numbers: Counter[Endpoint] = Counter()
        permits = []
        for endpoints in needed:
            permits.append(Permit(tuple([(endpoint, numbers[endpoint], asked[endpoint]) for endpoint in endpoints])))
            numbers.update(endpoints)
        return permits

    async def may_send(self, permit: Permit, now: int) -> bool:
        """Whether the other notifiers have left a token; else there is none here either for a while."""
        for endpoint, number, asked in permit.asked:
            taken, wait = await asyncio.shield(asked)
            if number >= taken:
                self._tokens.empty(endpoint, wait, now)
                return False
        return True
