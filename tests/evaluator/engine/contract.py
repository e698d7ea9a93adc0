"""A RuleService that plays the contract towards an evaluator, on a real server, and a history in memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np

from monitors.evaluator.engine import Engine
from monitors.evaluator.model.evaluation import AMPLE, Capacity
from monitors.evaluator.model.series import Batch, Series
from monitors.mesh.channels import open_channel
from monitors.mesh.errors import LeaseLost, RevisionTooOld, ServiceUnavailable, Unauthenticated
from monitors.mesh.identity import Principal, with_service_token
from monitors.mesh.server import MeshServer
from monitors.mesh.times import now_nanos
from monitors.v1 import alert_pb2, mesh_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer, RuleServiceStub, add_RuleServiceServicer_to_server

TOKEN = "mesh-token"


class MemoryHistory:
    """The stored points, in lists."""

    keeps_time, reported = False, None

    def __init__(self) -> None:
        self.known: list[Series] = []
        self.batches: list[Batch] = []
        self.read: list[Collection[int] | None] = []
        """Of which series windows were read."""

    async def series(self) -> list[Series]:
        return list(self.known)

    async def newest_batch(self) -> int:
        return len(self.batches)

    async def batches_after(self, number: int) -> AsyncIterator[Batch]:
        for batch in self.batches[number:]:
            yield batch

    async def read_window(
        self, oldest: int, newest_batch: int, series: Collection[int] | None = None
    ) -> AsyncIterator[Batch]:
        self.read.append(series)
        for batch in self.batches[:newest_batch]:
            wanted = batch.times >= oldest
            if series is not None:
                wanted &= np.isin(batch.series, list(series))
            yield Batch(
                batch.number, batch.accepted_at, batch.series[wanted], batch.times[wanted], batch.values[wanted]
            )

    def store(self, rows: Iterable[tuple[int, int, float]], accepted_at: int | None = None) -> Batch:
        """Appends a batch of (series, time, value)."""
        listed = list(rows)
        batch = Batch(
            len(self.batches) + 1,
            now_nanos() if accepted_at is None else accepted_at,
            np.array([row[0] for row in listed], dtype=np.int32),
            np.array([row[1] for row in listed], dtype=np.int64),
            np.array([row[2] for row in listed], dtype=np.float64),
        )
        self.batches.append(batch)
        return batch


class ContractRules(RuleServiceServicer):
    """Keeps rules, shard states, open episodes and transitions in memory; fails when it's told to."""

    def __init__(self) -> None:
        self.rules: dict[str, mesh_pb2.WatchedRule] = {}
        self.revision = 0
        self.log: list[tuple[int, mesh_pb2.WatchedRule | mesh_pb2.DeletedRule]] = []
        self.oldest_revision = 0
        self.changed = asyncio.Condition()
        self.closing = asyncio.Event()
        self.epoch = 1
        self.states: dict[int, mesh_pb2.ShardState] = {}
        self.open: dict[tuple[str, str, str], mesh_pb2.OpenEpisode] = {}
        self.known: set[tuple[str, str, str, int, int]] = set()
        self.recorded: list[mesh_pb2.Transition] = []
        self.outcomes: list[mesh_pb2.TransitionResult] = []
        self.refusals: deque[Exception] = deque()

    def add_to(self, server: grpc.aio.Server) -> str:
        add_RuleServiceServicer_to_server(self, server)
        return "monitors.v1.RuleService"

    async def put(self, rule: mesh_pb2.WatchedRule) -> None:
        """Makes or changes a rule."""
        async with self.changed:
            self.revision += 1
            rule.revision = self.revision
            self.rules[rule.rule.id] = rule
            self.log.append((self.revision, rule))
            self.changed.notify_all()

    async def delete(self, rule_id: str) -> None:
        """Deletes a rule."""
        async with self.changed:
            self.revision += 1
            rule = self.rules.pop(rule_id)
            self.log.append((self.revision, mesh_pb2.DeletedRule(tenant_id=rule.tenant_id, rule_id=rule_id)))
            self.changed.notify_all()

    async def wait_for(self, seen: Any) -> None:
        """Waits until `seen()` is true; looked at after everything that happens."""
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(seen)

    async def WatchRules(self, request: pb.WatchRulesRequest, context: Any) -> AsyncIterator[pb.WatchRulesResponse]:
        seen = request.start_revision
        if 0 < seen < self.oldest_revision:
            raise RevisionTooOld(seen)
        if not seen:
            seen = self.revision
            for rule in list(self.rules.values()):
                yield pb.WatchRulesResponse(rules=[rule])
            yield pb.WatchRulesResponse(revision=seen, snapshot_complete=True)
        while not self.closing.is_set():
            for revision, item in [entry for entry in self.log if entry[0] > seen]:
                seen = revision
                is_rule = isinstance(item, mesh_pb2.WatchedRule)
                yield pb.WatchRulesResponse(
                    revision=seen,
                    **({"rules": [item]} if is_rule else {"deleted": [item]}),  # type: ignore[arg-type]
                )
            async with self.changed:
                await self.changed.wait_for(lambda: self.revision > seen or self.closing.is_set())  # noqa: B023

    async def LeaseShards(self, request: pb.LeaseShardsRequest, context: Any) -> pb.LeaseShardsResponse:
        free = set(range(256)) - set(request.released)
        return pb.LeaseShardsResponse(
            leases=[mesh_pb2.ShardLease(shard=shard, epoch=self.epoch) for shard in sorted(free)]
        )

    async def LoadShardStates(
        self, request: pb.LoadShardStatesRequest, context: Any
    ) -> AsyncIterator[pb.LoadShardStatesResponse]:
        yield pb.LoadShardStatesResponse(states=self.states.values())
        yield pb.LoadShardStatesResponse(open_episodes=self.open.values())

    async def SaveShardState(self, request: pb.SaveShardStateRequest, context: Any) -> pb.SaveShardStateResponse:
        async with self.changed:
            for state in request.states:
                self._check(state.shard, state.epoch)
                self.states[state.shard] = state
            self.changed.notify_all()
        return pb.SaveShardStateResponse()

    def _check(self, shard: int, epoch: int) -> None:
        if epoch != self.epoch:
            raise LeaseLost(shard, epoch)

    async def RecordTransitions(
        self, request: pb.RecordTransitionsRequest, context: Any
    ) -> pb.RecordTransitionsResponse:
        if self.refusals:
            raise self.refusals.popleft()
        async with self.changed:
            for one in request.transitions:
                self._check(one.lease.shard, one.lease.epoch)
            results = [self._record(one) for one in request.transitions]
            self.changed.notify_all()
        return pb.RecordTransitionsResponse(results=results)

    def _record(self, one: mesh_pb2.Transition) -> mesh_pb2.TransitionResult:
        instance = (one.rule_id, one.monitor_id, str(sorted(one.group.items())))
        unique = (*instance, one.episode, int(one.kind))
        open_ = self.open.get(instance)
        result = mesh_pb2.TransitionResult(outcome=mesh_pb2.TRANSITION_OUTCOME_RECORDED)
        if unique in self.known:
            result.outcome = mesh_pb2.TRANSITION_OUTCOME_REPEATED
        elif one.kind == alert_pb2.ALERT_EVENT_KIND_FIRING and open_:
            result.outcome, result.episode = mesh_pb2.TRANSITION_OUTCOME_ADOPTED, open_.episode
        elif one.kind == alert_pb2.ALERT_EVENT_KIND_FIRING:
            self.open[instance] = mesh_pb2.OpenEpisode(
                tenant_id=one.tenant_id, rule_id=one.rule_id, monitor_id=one.monitor_id, group=dict(one.group),
                episode=one.episode, fire_time_nanos=one.time_nanos,
            )  # fmt: skip
        elif open_ and open_.episode == one.episode:
            del self.open[instance]
        else:
            result.outcome = mesh_pb2.TRANSITION_OUTCOME_IGNORED
        if result.outcome == mesh_pb2.TRANSITION_OUTCOME_RECORDED:
            self.known.add(unique)
            self.recorded.append(one)
        self.outcomes.append(result)
        return result


async def _nobody(credential: str) -> Principal:
    raise Unauthenticated("the credential isn't known")


def unavailable() -> Exception:
    """What RuleService answers while its database is away."""
    return ServiceUnavailable("rules")


class Stage:
    """One server with its rules, one history, and engines that come and go."""

    def __init__(self) -> None:
        self.history = MemoryHistory()
        self.rules = ContractRules()  # type: ignore[abstract]  # what an evaluator never calls isn't there
        self.address = ""
        self.running_engine: asyncio.Task[None] | None = None
        self._server: MeshServer | None = None

    async def open(self) -> None:
        """Starts the server, on the address that it had before."""
        self.rules.closing = asyncio.Event()
        self._server = MeshServer(with_service_token(TOKEN, _nobody), self.rules.closing, with_reflection=False)
        self._server.host(self.rules)
        (port,) = await self._server.start([self.address or "127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
        self.address = f"127.0.0.1:{port}"

    async def close(self) -> None:
        """Stops the server."""
        assert self._server
        self.rules.closing.set()
        async with self.rules.changed:
            self.rules.changed.notify_all()
        await self._server.stop()

    @asynccontextmanager
    async def engine(self, capacity: Capacity = AMPLE) -> AsyncIterator[Engine]:
        """An engine that is ready; it's closed as an operator would."""
        closing = asyncio.Event()
        async with self.running(closing, capacity) as engine:
            async with asyncio.timeout(20):
                await engine.ready.wait()
            yield engine
            closing.set()

    @asynccontextmanager
    async def running(self, closing: asyncio.Event, capacity: Capacity = AMPLE) -> AsyncIterator[Engine]:
        """An engine that starts; if `closing` isn't set in the end, it's cut off as a crash would."""
        channel = open_channel(self.address, TOKEN)
        engine = Engine(RuleServiceStub(channel), self.history, closing, "127.0.0.1:1", capacity=capacity)
        running = self.running_engine = asyncio.create_task(engine.run())
        try:
            yield engine
            if closing.is_set():
                await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await channel.close()


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A fresh stage."""
    made = Stage()
    await made.open()
    yield made
    await made.close()
