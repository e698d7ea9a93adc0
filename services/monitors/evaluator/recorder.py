"""The transitions, kept until RuleService has recorded them."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import grpc

from monitors.evaluator.leases import CALL_TIMEOUT, Leases
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.shards import shard_of
from monitors.evaluator.model.spec import InstanceKey
from monitors.evaluator.translate import from_transition
from monitors.mesh.events import Changes, first_of
from monitors.v1 import mesh_pb2
from monitors.v1 import rule_service_pb2 as pb

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

BATCH_LIMIT = 2_000
# Half of what a server takes in one message.
BYTES_LIMIT = 2 * 1024 * 1024
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0

Adopted = Callable[[InstanceKey, int, int], None]
"""Called with an instance, its episode, and the open episode that it goes on with."""

Surroundings = Callable[[Sequence[Transition]], AbstractContextManager[Callable[[pb.RecordTransitionsResponse], None]]]


class Recorder:
    """Transitions in order, kept until RuleService has committed them."""

    def __init__(self, rules: "RuleServiceAsyncStub", leases: Leases, adopted: Adopted) -> None:
        self.problem = ""
        self.recorded_count = 0
        self.on_recorded: Callable[[float], None] | None = None
        """Called with how many seconds RuleService took to record some."""
        self.surroundings: Surroundings = _without
        """What a call is made in that records transitions; what it gives takes the answer."""
        self._rules = rules
        self._leases = leases
        self._adopted = adopted
        self._waiting: deque[Transition] = deque()
        self._sending = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._progress = Changes()
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
        if transitions:
            self._waiting.extend(transitions)
            self._arrived.set()

    async def drop(self, shards: Collection[int]) -> None:
        """Forgets what waits of shards that another evaluator has: it decides the same from their saved state. What
        `until_recorded` counts takes it as recorded."""
        async with self._sending:
            count = len(self._waiting)
            self._waiting = deque(one for one in self._waiting if _shard(one) not in shards)
            for known in [known for known in self._episodes if _shard_of_key(known[0]) in shards]:
                del self._episodes[known]
            self._leases.settle(shards)
            await self._note_recorded(count - len(self._waiting))

    async def until_recorded(self, count: int) -> None:
        """Waits until that many transitions in all have been recorded."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.recorded_count >= count)

    async def until_recorded_of(self, shards: Collection[int]) -> None:
        """Waits for what was added of these shards so far, unless another evaluator has them by now."""
        missing = [one for one in self._waiting if _shard(one) in shards]
        while missing:
            renewed, progress = self._leases.renewed.upcoming, self._progress.upcoming
            waiting = set(map(id, self._waiting))
            missing = [one for one in missing if id(one) in waiting and self._leases.lease_of(_shard(one))]
            if missing:
                await first_of(renewed, progress, within=LONGEST_PAUSE)

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
        renewed = self._leases.renewed.upcoming
        self._arrived.clear()
        async with self._sending:
            chunk, skipped = self._next_chunk()
            if chunk:
                request = pb.RecordTransitionsRequest(transitions=[message for _, message in chunk])
                started = time.perf_counter()
                with self.surroundings([transition for transition, _ in chunk]) as note:
                    response = await self._rules.RecordTransitions(request, timeout=CALL_TIMEOUT, wait_for_ready=True)
                    note(response)
                if self.on_recorded:
                    self.on_recorded(time.perf_counter() - started)
                await self._take_results(chunk, skipped, response)
                return
        # Held by another evaluator for now; a heartbeat takes the shards as soon as they are free.
        await first_of(renewed, self._arrived, within=LONGEST_PAUSE)

    async def _take_results(
        self,
        chunk: list[tuple[Transition, mesh_pb2.Transition]],
        skipped: list[Transition],
        response: pb.RecordTransitionsResponse,
    ) -> None:
        again = []
        for (transition, message), result in zip(chunk, response.results, strict=True):
            self._follow_episode(transition, result)
            renumbered = self._episodes.get((transition.key, transition.episode), message.episode) != message.episode
            if renumbered and result.outcome == mesh_pb2.TRANSITION_OUTCOME_IGNORED:
                # It resolves an episode that was adopted by the same request, and couldn't know the number.
                again.append(transition)
            else:
                self._forget_episode(transition)
        for _ in range(len(chunk) + len(skipped)):
            self._waiting.popleft()
        self._waiting.extendleft(reversed(skipped))
        self._waiting.extendleft(reversed(again))
        await self._note_recorded(len(chunk) - len(again))

    async def _note_recorded(self, count: int) -> None:
        async with self._changed:
            self.recorded_count += count
            self._changed.notify_all()
        self._progress.announce()

    def _next_chunk(self) -> tuple[list[tuple[Transition, mesh_pb2.Transition]], list[Transition]]:
        """The next transitions with their messages, and those among them whose shards aren't held."""
        chunk: list[tuple[Transition, mesh_pb2.Transition]] = []
        skipped: list[Transition] = []
        size = 0
        for transition in self._waiting:
            if len(chunk) == BATCH_LIMIT or size > BYTES_LIMIT:
                break
            lease = self._leases.lease_of(_shard(transition))
            if lease is None:
                # All later ones of its instance are of the same shard: none overtakes it.
                skipped.append(transition)
                continue
            message = from_transition(transition, lease)
            if self._episodes:
                message.episode = self._episodes.get((transition.key, transition.episode), transition.episode)
            size += message.ByteSize()
            chunk.append((transition, message))
        return chunk, skipped

    def _follow_episode(self, transition: Transition, result: mesh_pb2.TransitionResult) -> None:
        """Goes on with the episode that RuleService had open: its resolve must carry that number."""
        if result.outcome == mesh_pb2.TRANSITION_OUTCOME_ADOPTED:
            self._episodes[transition.key, transition.episode] = result.episode
            self._adopted(transition.key, transition.episode, result.episode)

    def _forget_episode(self, transition: Transition) -> None:
        if transition.kind is TransitionKind.RESOLVED:
            self._episodes.pop((transition.key, transition.episode), None)


def _shard(transition: Transition) -> int:
    return _shard_of_key(transition.key)


def _shard_of_key(key: InstanceKey) -> int:
    return shard_of(key.tenant, key.monitor)


def _without(_: Sequence[Transition]) -> AbstractContextManager[Callable[[pb.RecordTransitionsResponse], None]]:
    return nullcontext(lambda _: None)
