"""What is on its way, and how much more may join it: places, turns and tokens from one step of the loop to the next."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from monitors.mesh.limits import TokenBuckets
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.places import AT_ONCE, Attempt, Key, Places
from monitors.notifier.model.rates import Endpoint, Rates, Tokens
from monitors.notifier.model.room import Room
from monitors.notifier.model.targets import host_of
from monitors.notifier.model.turns import Turns
from monitors.notifier.store.claims import Claim

MOST_REMEMBERED = 100_000
ARRIVED = (OutcomeKind.OK, OutcomeKind.ACCEPTED)


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
        self._going_on: dict[int, Attempt] = {}
        """By the identity of the claim."""
        self._proven: set[Key] = set()

    def rooms(self, now: int, over: Collection[Claim] = ()) -> Callable[[], Room]:
        """Makes the room for a step that begins now; a new one each time that its transaction is tried. The claims
        `over` take none any more, whether or not `end` was called of them."""
        ended = {id(claim) for claim in over}
        going_on = [attempt for claim, attempt in self._going_on.items() if claim not in ended]
        places = Places(going_on, self._proven, now)

        def make() -> Room:
            turns = Turns(places.capacity, {}, places.begun, self._served)
            return Room(turns, places, self._rates, self._tokens, now)

        return make

    def is_busy(self, now: int) -> bool:
        """Whether so much has just begun that little of what comes now could go before some of that has ended."""
        return Places(self._going_on.values(), self._proven, now).capacity < AT_ONCE // 2

    def begin(self, claims: Sequence[Claim], room: Room) -> list[Permit]:
        """Counts what was claimed in a room, until it has ended. Gives each claim's permit, to be asked for before it's
        sent."""
        self._turn += 1
        if len(self._served) > MOST_REMEMBERED:
            self._served.clear()
        self._served |= dict.fromkeys((claim.tenant for claim in claims), self._turn)
        alike: dict[Key, Attempt] = {}
        for claim in claims:
            key = claim.channel.tenant, claim.channel.id
            if key not in alike:
                alike[key] = Attempt(key, host_of(claim.channel.target), room.now)
            self._going_on[id(claim)] = alike[key]
        needed = [room.endpoints(claim.channel, is_critical=claim.is_critical) for claim in claims]
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

    def end(self, claim: Claim, outcome: Outcome | None) -> None:
        """An attempt has ended with an outcome; None if it wasn't made to its end."""
        del self._going_on[id(claim)]
        key = claim.channel.tenant, claim.channel.id
        if outcome and outcome.kind in ARRIVED:
            if len(self._proven) > MOST_REMEMBERED:
                self._proven.clear()
            self._proven.add(key)
        elif outcome:
            self._proven.discard(key)

    async def may_send(self, permit: Permit, now: int) -> bool:
        """Whether the other notifiers have left a token; else there is none here either for a while."""
        for endpoint, number, asked in permit.asked:
            taken, wait = await asyncio.shield(asked)
            if number >= taken:
                self._tokens.empty(endpoint, wait, now)
                return False
        return True
