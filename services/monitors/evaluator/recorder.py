"""The evaluator's writes to RuleService: leases, and transitions that are kept until they are recorded."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import grpc

from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.shards import SHARD_COUNT, shard_of
from monitors.evaluator.model.spec import InstanceKey
from monitors.evaluator.translate import from_transition
from monitors.mesh.channels import evaluator_id
from monitors.v1 import mesh_pb2
from monitors.v1 import rule_service_pb2 as pb

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

HEARTBEAT = 3.0
CALL_TIMEOUT = 15.0
BATCH_LIMIT = 2_000
# Half of what a server takes in one message.
BYTES_LIMIT = 2 * 1024 * 1024
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0

Adopted = Callable[[InstanceKey, int, int], None]
"""Called with an instance, its episode, and the open episode that it goes on with."""


class Leases:
    """The shards that this evaluator holds, renewed every three seconds."""

    def __init__(self, rules: "RuleServiceAsyncStub", address: str) -> None:
        self.held: dict[int, mesh_pb2.ShardLease] = {}
        self.complete = asyncio.Event()
        self.problem = ""
        self._rules = rules
        self._request = pb.LeaseShardsRequest(evaluator_id=evaluator_id(), address=address)

    async def run(self) -> None:
        """Renews for ever; what fails is tried again."""
        while True:
            try:
                await self.renew()
                await asyncio.sleep(HEARTBEAT if self.complete.is_set() else HEARTBEAT / 6)
            except grpc.aio.AioRpcError as error:
                self.problem = f"RuleService doesn't renew the leases ({error.code().name}); trying again"
                await asyncio.sleep(LONGEST_PAUSE / 2)

    async def renew(self) -> None:
        """Renews what is held and takes what is free. Raises AioRpcError."""
        response = await self._rules.LeaseShards(self._request, timeout=CALL_TIMEOUT, wait_for_ready=True)
        self.held = {lease.shard: lease for lease in response.leases}
        missing = SHARD_COUNT - len(self.held)
        self.problem = f"{missing} of {SHARD_COUNT} shards are held by another evaluator" if missing else ""
        if missing:
            self.complete.clear()
        else:
            self.complete.set()

    async def release(self) -> None:
        """Gives everything back, so that another evaluator needn't wait for the leases' end."""
        request = pb.LeaseShardsRequest()
        request.CopyFrom(self._request)
        request.released.extend(self.held)
        await self._rules.LeaseShards(request, timeout=1.0)
        self.held = {}


class Recorder:
    """Transitions in order, kept until RuleService has committed them."""

    def __init__(self, rules: "RuleServiceAsyncStub", leases: Leases, adopted: Adopted) -> None:
        self.problem = ""
        self.recorded_count = 0
        self._rules = rules
        self._leases = leases
        self._adopted = adopted
        self._waiting: deque[Transition] = deque()
        self._changed = asyncio.Condition()
        self._arrived = asyncio.Event()
        self._episodes: dict[tuple[InstanceKey, int], int] = {}

    @property
    def waiting_count(self) -> int:
        """How many transitions aren't recorded yet."""
        return len(self._waiting)

    @property
    def added_count(self) -> int:
        """How many transitions were ever added."""
        return self.recorded_count + len(self._waiting)

    def add(self, transitions: Sequence[Transition]) -> None:
        """Takes transitions to be recorded after those before them."""
        self._waiting.extend(transitions)
        self._arrived.set()

    async def until_recorded(self, count: int) -> None:
        """Waits until that many transitions in all have been recorded."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.recorded_count >= count)

    async def run(self) -> None:
        """Records for ever; what fails is tried again, in the same order, until it succeeds."""
        pause = FIRST_PAUSE
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            try:
                await self._record_some()
                pause, self.problem = FIRST_PAUSE, ""
            except grpc.aio.AioRpcError as error:
                self.problem = (
                    f"RuleService doesn't record transitions ({error.code().name}); "
                    f"{self.waiting_count} wait and are sent again"
                )
                log.warning("%s", self.problem)
                await self._after_failure(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _after_failure(self, error: grpc.aio.AioRpcError) -> None:
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            return
        # The lease was lost, perhaps while we stood still; under a new one the same transitions are recorded once.
        try:
            await self._leases.renew()
        except grpc.aio.AioRpcError:
            log.warning("the lost leases can't be renewed yet")

    async def _record_some(self) -> None:
        chunk = self._next_chunk()
        if not chunk:
            # Held by another evaluator for now; the heartbeat takes the shards as soon as they are free.
            await self._leases.complete.wait()
            return
        request = pb.RecordTransitionsRequest(transitions=[message for _, message in chunk])
        response = await self._rules.RecordTransitions(request, timeout=CALL_TIMEOUT, wait_for_ready=True)
        again = []
        for (transition, message), result in zip(chunk, response.results, strict=True):
            self._waiting.popleft()
            self._follow_episode(transition, result)
            renumbered = self._episodes.get((transition.key, transition.episode), message.episode) != message.episode
            if renumbered and result.outcome == mesh_pb2.TRANSITION_OUTCOME_IGNORED:
                # It resolves an episode that was adopted by the same request, and couldn't know the number.
                again.append(transition)
            else:
                self.recorded_count += 1
                self._forget_episode(transition)
        self._waiting.extendleft(reversed(again))
        async with self._changed:
            self._changed.notify_all()

    def _next_chunk(self) -> list[tuple[Transition, mesh_pb2.Transition]]:
        chunk: list[tuple[Transition, mesh_pb2.Transition]] = []
        size = 0
        for transition in self._waiting:
            lease = self._leases.held.get(shard_of(transition.key.tenant, transition.key.monitor))
            if lease is None or len(chunk) == BATCH_LIMIT or size > BYTES_LIMIT:
                break
            message = from_transition(transition, lease)
            message.episode = self._episodes.get((transition.key, transition.episode), transition.episode)
            size += message.ByteSize()
            chunk.append((transition, message))
        return chunk

    def _follow_episode(self, transition: Transition, result: mesh_pb2.TransitionResult) -> None:
        """Goes on with the episode that RuleService had open: its resolve must carry that number."""
        if result.outcome == mesh_pb2.TRANSITION_OUTCOME_ADOPTED:
            self._episodes[transition.key, transition.episode] = result.episode
            self._adopted(transition.key, transition.episode, result.episode)

    def _forget_episode(self, transition: Transition) -> None:
        if transition.kind is TransitionKind.RESOLVED:
            self._episodes.pop((transition.key, transition.episode), None)
