"""The shards that this evaluator holds: renewed, taken over, and given back as others come and go."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from monitors.evaluator.model.shards import SHARD_COUNT
from monitors.mesh.channels import evaluator_id, failure_of
from monitors.mesh.events import Changes
from monitors.mesh.times import SECOND, from_timestamp, now_nanos, to_timestamp
from monitors.v1 import mesh_pb2
from monitors.v1 import rule_service_pb2 as pb

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

HEARTBEAT = 3.0
IMPATIENT_HEARTBEAT = 0.5
"""While shards are missing, which somebody may give back at any time."""
PAUSE_AFTER_FAILURE = 1.0
CALL_TIMEOUT = 15.0
RENEW_TIMEOUT = 3.0
"""So short that a RuleService that stands still doesn't cost the leases: the next call goes to another one in time."""
MARGIN = 0.02
"""How much later than another's lease ends it's asked for: timers may be early."""
FAREWELL_TIMEOUT = 1.0
WITHOUT_SHARE = "it doesn't hold its share of the shards yet"


@dataclass(frozen=True)
class LeaseChange:
    """What has changed since the last one; to be followed in this order."""

    lost: frozenset[int]
    """Held by another evaluator now, or were meanwhile: what is known about them is out of date."""
    gained: frozenset[int]
    """To be taken over from their saved state. A shard that was lost and came back is in both."""
    wanted_back: frozenset[int]
    """To be given to `release` once their transitions are recorded and their state is saved. Held until then. Told
    again with every heartbeat until it's done."""


class Leases:
    """The leases, renewed every three seconds by `run`, and when another evaluator's end. `held` is how they are now;
    `changes` tells one follower what has changed. An `exclusive` evaluator holds all shards or none. With each renewal
    goes up to when it has evaluated.

    A shard that this evaluator lost only because nobody renewed it in time, and that nobody else has had since, is
    held again under its next epoch, and that is no change: an epoch grows by one with each evaluator that gets it.

    How long the leases are good for is told by `clock`, in seconds, which goes on while the process stands still. They
    count from when they were asked for, so that they end here before they do for the others.
    """

    def __init__(
        self,
        rules: "RuleServiceAsyncStub",
        address: str,
        name: str | None = None,
        *,
        exclusive: bool = False,
        evaluated_to: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.held: dict[int, mesh_pb2.ShardLease] = {}
        self.share = SHARD_COUNT
        self.complete = asyncio.Event()
        """Set while all shards are held."""
        self.alone_since: int | None = None
        """Since when there has been no other evaluator, in nanoseconds; None while there is one."""
        self.renewed = Changes()
        """Announced after each answer of RuleService."""
        self.gained_count = self.lost_count = 0
        """Of shards, since the start; many of them over time mean that evaluators can't keep what they have."""
        self.problem = ""
        self._rules = rules
        self._name, self._address, self._exclusive = name or evaluator_id(), address, exclusive
        self._evaluated_to, self._clock = evaluated_to, clock
        self._good_until = -math.inf
        self._had_share = False
        """Whether it has ever held all that is its own."""
        self._one_at_a_time = asyncio.Lock()
        self._released: set[int] = set()
        self._lost: set[int] = set()
        self._gained: set[int] = set()
        self._unsettled: set[int] = set()
        """Lost, as the follower has been told, while it still has what it decided about them."""
        self._wanted_back: frozenset[int] = frozenset()
        self._next_end = math.inf
        """In how many seconds another evaluator is gone, by the last answer."""
        self._changed = asyncio.Event()

    @property
    def why_unknown(self) -> str:
        """Why other evaluators may not reckon with it: then one that thinks it's alone evaluates what is pushed to it
        before earlier points that were taken here. Empty if they do."""
        return "" if self._had_share else WITHOUT_SHARE

    async def run(self) -> None:
        """Renews for ever; what fails is tried again."""
        while True:
            try:
                await self.renew()
                pause = HEARTBEAT if len(self.held) >= self.share else IMPATIENT_HEARTBEAT
                await asyncio.sleep(min(pause, self._next_end))
            except grpc.aio.AioRpcError as error:
                self._tell_problem(f"RuleService doesn't renew the leases ({failure_of(error)}); trying again")
                await asyncio.sleep(PAUSE_AFTER_FAILURE)

    def _tell_problem(self, problem: str) -> None:
        # One line for as long as it's the same: it's tried again every second.
        if problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem

    async def changes(self) -> AsyncIterator[LeaseChange]:
        """Every change from now on, the shards that are held already first. For one follower."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            change = LeaseChange(frozenset(self._lost), frozenset(self._gained), self._wanted_back)
            self._unsettled |= self._lost
            self._lost, self._gained = set(), set()
            yield change

    def lease_of(self, shard: int) -> mesh_pb2.ShardLease | None:
        """The lease to write under, None if there is none. A shard that was lost and came back has none before `settle`
        was called for it: what was decided about it meanwhile isn't to be written under the new lease."""
        # An exclusive evaluator goes on from what it has, and nobody follows its changes.
        if not self._exclusive and (shard in self._lost or shard in self._unsettled):
            return None
        return self.held.get(shard)

    def settle(self, shards: Iterable[int]) -> None:
        """Notes that nothing is left of what was decided about shards before they were lost."""
        self._unsettled.difference_update(shards)

    async def renew(self) -> None:
        """Renews what is held and takes what is free. Raises AioRpcError."""
        # One after the other: an answer that is overtaken by a later one would bring back what was released.
        async with self._one_at_a_time:
            released = set(self._released)
            request = pb.LeaseShardsRequest(
                evaluator_id=self._name, address=self._address, released=released, exclusive=self._exclusive
            )
            if self._evaluated_to:
                request.evaluated_time.CopyFrom(to_timestamp(self._evaluated_to()))
            asked_at = self._clock()
            response = await self._rules.LeaseShards(request, timeout=RENEW_TIMEOUT, wait_for_ready=True)
            self._released -= released
            self._note_time(response, asked_at)
            self._take(response)

    async def release(self, shards: Iterable[int]) -> None:
        """Gives shards back; from the call on they aren't held. If RuleService can't be reached now, the next heartbeat
        tells it. Raises AioRpcError."""
        for shard in shards:
            if self.held.pop(shard, None) is not None:
                self._released.add(shard)
                self._gained.discard(shard)
        self._wanted_back -= self._released
        self.complete.clear()
        await self.renew()

    async def leave(self) -> None:
        """Gives everything back, so that the others needn't wait for the leases' end. Raises AioRpcError."""
        request = pb.LeaseShardsRequest(evaluator_id=self._name, address=self._address, leaving=True)
        async with self._one_at_a_time:
            self.held, self.alone_since = {}, None
            self._good_until, self._had_share = -math.inf, False
            self.complete.clear()
            await self._rules.LeaseShards(request, timeout=FAREWELL_TIMEOUT)

    def _note_time(self, response: pb.LeaseShardsResponse, asked_at: float) -> None:
        if self._clock() >= self._good_until:
            # Others may have come meanwhile, taken points and gone.
            self.alone_since = None
        length = from_timestamp(response.expire_time) - from_timestamp(response.server_time)
        self._good_until = asked_at + length / SECOND

    def _take(self, response: pb.LeaseShardsResponse) -> None:
        before, self.held = self.held, {
            lease.shard: lease for lease in response.leases if lease.shard not in self._released
        }  # fmt: skip
        # A RuleService of an earlier version knows no shares: one evaluator has all.
        self.share = response.share or SHARD_COUNT
        left = from_timestamp(response.next_end_time) - from_timestamp(response.server_time)
        self._next_end = left / SECOND + MARGIN if response.HasField("next_end_time") else math.inf
        missing = self.share - len(self.held)
        self.problem = f"{missing} of {self.share} shards are held by another evaluator" if missing > 0 else ""
        self._had_share = self._had_share or missing <= 0
        if len(self.held) == SHARD_COUNT:
            self.complete.set()
        else:
            self.complete.clear()
        if missing > 0 or self.share < SHARD_COUNT:
            self.alone_since = None
        elif self.alone_since is None:
            self.alone_since = now_nanos()
        self._note_changes(before, frozenset(response.wanted_back) - self._released)
        self.renewed.announce()

    def _note_changes(self, before: dict[int, mesh_pb2.ShardLease], wanted_back: frozenset[int]) -> None:
        had_others = {
            shard
            for shard, lease in before.items()
            if shard in self.held and self.held[shard].epoch not in (lease.epoch, lease.epoch + 1)
        }
        lost = (before.keys() - self.held.keys()) | had_others
        gained = (self.held.keys() - before.keys()) | had_others
        self.lost_count += len(lost)
        self.gained_count += len(gained)
        # What came and went unseen is nobody's business.
        self._lost |= lost - self._gained
        self._gained -= lost
        self._gained |= gained
        self._wanted_back = wanted_back
        if self._lost or self._gained or self._wanted_back:
            self._changed.set()
