"""The state, saved through RuleService once everything that it contains is recorded there."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc

from monitors.evaluator.core import Core
from monitors.evaluator.leases import CALL_TIMEOUT, Leases
from monitors.evaluator.model.recovery import checkpoint, checkpoints
from monitors.evaluator.model.state import Checkpoint
from monitors.evaluator.parts import HEAD_SHARD, PART_BYTES, named_by, split
from monitors.evaluator.recorder import Recorder
from monitors.mesh.times import now_nanos, to_timestamp
from monitors.v1 import mesh_pb2
from monitors.v1 import rule_service_pb2 as pb

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

SAVE_INTERVAL = 8.0
"""A state that changes is promised to be saved every ten seconds; saving takes some of them."""
IDLE_SAVE_INTERVAL = 15.0
"""How often the state is saved if only time has passed: what passed unsaved counts as an outage after a crash."""


class Saver(ABC):
    """Saves the state again and again, with the number of the last batch that it contains."""

    parts = range(0)
    """The shards that hold parts of the state that was saved last."""

    def __init__(self, rules: "RuleServiceAsyncStub", core: Core, recorder: Recorder, leases: Leases) -> None:
        self.problem = ""
        self._rules, self._core, self._recorder, self._leases = rules, core, recorder, leases
        self._hurry = asyncio.Event()

    @property
    @abstractmethod
    def saved_batch(self) -> int:
        """No batch up to this one is ever evaluated again: the state after it has been saved. 0 if that isn't known."""

    async def run(self) -> None:
        """Saves for ever, if there is anything new."""
        saved_number, saved_count, saved_at = self._core.progress.batch_number, 0, time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(SAVE_INTERVAL):
                    await self._hurry.wait()
            number, count = self._core.progress.batch_number, self._recorder.added_count
            is_idle = (number, count) == (saved_number, saved_count) and not self._hurry.is_set()
            if is_idle and time.monotonic() - saved_at < IDLE_SAVE_INTERVAL:
                continue
            self._hurry.clear()
            if await self.save():
                saved_number, saved_count, saved_at = number, count, time.monotonic()

    def hurry(self) -> None:
        """Lets `run` save soon."""
        self._hurry.set()

    @abstractmethod
    async def save(self) -> bool:
        """Saves the state once everything that it contains is recorded; False if RuleService doesn't take it."""

    async def _send(self, states: list[mesh_pb2.ShardState]) -> bool:
        try:
            await self._rules.SaveShardState(pb.SaveShardStateRequest(states=states), timeout=CALL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            self.problem = f"RuleService doesn't save the state ({error.code().name}); trying again"
            log.warning("%s", self.problem)
            return False
        self.problem = ""
        return True


class WholeSaver(Saver):
    """Saves one state for all shards, which one evaluator holds."""

    _saved_batch = 0

    @property
    def saved_batch(self) -> int:
        """See Saver."""
        return self._saved_batch

    async def save(self) -> bool:
        """See Saver."""
        core = self._core
        state = await core.call(lambda evaluation: checkpoint(evaluation, core.progress.batch_number))
        await self._recorder.until_recorded(self._recorder.added_count)
        data = await asyncio.to_thread(state.to_bytes)
        try:
            parts, head = split(data, self.parts)
        except ValueError as error:
            self.problem = f"{error}; after a restart more is evaluated again. Have fewer rules that wait or cool down"
            return False
        for shard, part in parts.items():
            if not await self._send([self._message(shard, part)]):
                return False
        former, now = self.parts, named_by(head)
        unused = [self._message(shard, b"") for shard in former if shard not in now]
        saved = await self._send([self._message(HEAD_SHARD, head), *unused])
        if saved:
            self._saved_batch, self.parts = state.batch_number, now
        return saved

    def _message(self, shard: int, data: bytes) -> mesh_pb2.ShardState:
        return _message(shard, self._leases.held.get(shard, mesh_pb2.ShardLease()).epoch, data)


class ShardSaver(Saver):
    """Saves each shard's state by itself, for whoever takes it over next."""

    def __init__(self, rules: "RuleServiceAsyncStub", core: Core, recorder: Recorder, leases: Leases) -> None:
        super().__init__(rules, core, recorder, leases)
        self._saved: dict[int, tuple[int, Checkpoint, float]] = {}
        """By shard: under which epoch, what, and when."""
        self._batches: dict[int, int] = {}

    @property
    def saved_batch(self) -> int:
        """See Saver; that of the shard that is furthest behind."""
        return min((self._batches.get(shard, 0) for shard in self._leases.held), default=0)

    def note_loaded(self, batch_numbers: Mapping[int, int]) -> None:
        """Notes the numbers of the batches that the states contain with which shards were taken over."""
        self._batches.update(batch_numbers)

    def leases_of(self, shards: Collection[int]) -> dict[int, int]:
        """The epochs of those shards that may be written."""
        found = ((shard, self._leases.lease_of(shard)) for shard in shards)
        return {shard: lease.epoch for shard, lease in found if lease}

    async def save(self) -> bool:
        """See Saver."""
        core = self._core
        epochs = self.leases_of(list(self._leases.held))
        states = await core.call(
            lambda evaluation: checkpoints(evaluation, core.progress.batch_number, evaluation.plan.shards)
        )
        return await self.save_states(states, epochs)

    async def save_states(self, states: Mapping[int, Checkpoint], epochs: Mapping[int, int]) -> bool:
        """Saves states that were made while these epochs' leases were held, as far as they still are then."""
        await self._recorder.until_recorded_of(states.keys())
        now = time.monotonic()
        changed = {shard: state for shard, state in states.items() if self._is_news(shard, epochs.get(shard), state)}
        data = await asyncio.to_thread(lambda: {shard: state.to_bytes() for shard, state in changed.items()})
        # A shard that was lost meanwhile has moved on with somebody else, even if it is back.
        current = self.leases_of(data.keys())
        messages = [
            _message(shard, current[shard], one)
            for shard, one in data.items()
            if shard in current and current[shard] == epochs.get(shard)
        ]
        for some in _portions(messages):
            if not await self._send(some):
                return False
            for message in some:
                self._saved[message.shard] = (message.epoch, changed[message.shard], now)
        self._batches.update((shard, state.batch_number) for shard, state in states.items() if shard not in changed)
        self._batches.update((message.shard, changed[message.shard].batch_number) for message in messages)
        return True

    def _is_news(self, shard: int, epoch: int | None, state: Checkpoint) -> bool:
        if shard not in self._saved:
            return True
        saved_epoch, before, saved_at = self._saved[shard]
        if saved_epoch != epoch or time.monotonic() - saved_at >= IDLE_SAVE_INTERVAL:
            return True
        return before.batch_number != state.batch_number or replace(before, watermark=state.watermark) != state


def _message(shard: int, epoch: int, data: bytes) -> mesh_pb2.ShardState:
    return mesh_pb2.ShardState(shard=shard, epoch=epoch, state=data, save_time=to_timestamp(now_nanos()))


def _portions(states: list[mesh_pb2.ShardState]) -> Iterator[list[mesh_pb2.ShardState]]:
    some: list[mesh_pb2.ShardState] = []
    size = 0
    for one in states:
        if some and size + len(one.state) > PART_BYTES:
            yield some
            some, size = [], 0
        some.append(one)
        size += len(one.state)
    if some:
        yield some
