"""RuleService for evaluators: shards and their states, transitions, and what has been seen."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from monitors.mesh.collector import collector_paused
from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField
from monitors.mesh.tenancy import of_tenant
from monitors.mesh.times import from_timestamp, to_timestamp
from monitors.rules.model.alert import SHARDS
from monitors.rules.model.catalogue import Field, FieldType
from monitors.rules.model.episodes import Transition
from monitors.rules.model.leases import Call
from monitors.rules.model.rule import check_line
from monitors.rules.service.base import Part
from monitors.rules.service.outlets import Outlet
from monitors.rules.service.pump import give_back
from monitors.rules.service.recording import WORTH_A_THREAD, Batch, Recorded, record
from monitors.rules.store import alerts as alert_store
from monitors.rules.store import monitors, outbox, shards
from monitors.rules.store.paging import chunks
from monitors.rules.translate.alerts import check_time, episode_to_proto, results_to_proto, transition_from_proto
from monitors.rules.translate.leases import state_to_proto
from monitors.rules.translate.monitors import field_from_proto
from monitors.v1 import evaluator_service_pb2, mesh_pb2
from monitors.v1 import rule_service_pb2 as pb

EPISODES_A_MESSAGE = 1000
# Each may be megabytes; all of them at once would be a load.
STATES_A_READ = 16
MOST_TRANSITIONS = 10_000
MOST_SERIES = 10_000


class EvaluatorCalls(Part):
    """What evaluators need."""

    async def LeaseShards(self, request: pb.LeaseShardsRequest, context: Any) -> pb.LeaseShardsResponse:
        """Takes, keeps and gives back shards."""
        for name, text in (("evaluator_id", request.evaluator_id), ("address", request.address or "-")):
            for error in check_line(name, text, 256, "send a name that is unique per process"):
                raise error
        now = self.core.database.now()
        evaluated = from_timestamp(request.evaluated_time) if request.HasField("evaluated_time") else None
        if evaluated is not None:
            check_time("evaluated_time", evaluated)
        call = Call(request.evaluator_id, frozenset(request.released), request.exclusive, request.leaving, evaluated)
        leased = await self.core.database.write(
            lambda session: shards.lease_shards(session, call, request.address, now), repeatable=True
        )
        return pb.LeaseShardsResponse(
            leases=[mesh_pb2.ShardLease(shard=shard, epoch=epoch) for shard, epoch in leased.leases],
            expire_time=to_timestamp(leased.expire_time),
            server_time=to_timestamp(now),
            wanted_back=leased.wanted_back,
            share=leased.share,
            next_end_time=None if leased.next_end is None else to_timestamp(leased.next_end),
        )

    async def LoadShardStates(
        self, request: pb.LoadShardStatesRequest, context: Any
    ) -> AsyncIterator[pb.LoadShardStatesResponse]:
        """The saved states and open episodes of leased shards."""
        if len(request.leases) > SHARDS:
            raise InvalidField("leases", f"there are {len(request.leases):,}; at most {SHARDS}")
        leases = {(lease.shard, lease.epoch) for lease in request.leases}
        await self.core.database.read(lambda session: shards.check_leases(session, leases))
        numbers = sorted({shard for shard, _ in leases})
        for part in chunks(numbers, STATES_A_READ):
            for state in await self.core.database.read(lambda session: shards.load_states(session, part)):  # noqa: B023
                yield pb.LoadShardStatesResponse(states=[state_to_proto(state)])
        after = ("", "")
        while page := await self.core.database.read(
            lambda session: alert_store.open_episodes(session, numbers, after, EPISODES_A_MESSAGE)  # noqa: B023
        ):
            yield pb.LoadShardStatesResponse(open_episodes=map(episode_to_proto, page))
            after = (page[-1].tenant, page[-1].instance_key)

    async def SaveShardState(self, request: pb.SaveShardStateRequest, context: Any) -> pb.SaveShardStateResponse:
        """Saves the states of leased shards."""
        now = self.core.database.now()
        for each in request.states:
            if each.shard >= SHARDS:
                raise InvalidField("states.shard", f"{each.shard} isn't a shard; send 0 to {SHARDS - 1}")
        states = [shards.SavedState(each.shard, each.epoch, each.state, now) for each in request.states]
        await self.core.database.write(lambda session: shards.save_states(session, states), repeatable=True)
        return pb.SaveShardStateResponse()

    async def RecordTransitions(
        self, request: pb.RecordTransitionsRequest, context: Any
    ) -> pb.RecordTransitionsResponse:
        """Records what the evaluator decided."""
        if len(request.transitions) > MOST_TRANSITIONS:
            raise InvalidField("transitions", f"there are {len(request.transitions):,}; at most {MOST_TRANSITIONS:,}")
        with collector_paused():
            # All that was made on the way is gone again before the collector would look through it. Whoever called may
            # have gone by the commit: what was leased in it is sent all the same.
            return await asyncio.shield(self._record(request))

    async def _record(self, request: pb.RecordTransitionsRequest) -> pb.RecordTransitionsResponse:
        now = self.core.database.now()
        leases, transitions = await _read_transitions(request)
        outlet = self.core.outlets.choose()
        receiver = outbox.Receiver(outlet.token, now) if outlet else None
        recorded = await record(self.core, Batch(leases, transitions, now, receiver))
        await self._tell(recorded, outlet)
        return results_to_proto(recorded.results)

    async def _tell(self, recorded: Recorded, outlet: Outlet | None) -> None:
        """Wakes whoever waits for what was recorded: the notifier to which it was leased needs no look for it."""
        ledger, leased = recorded.ledger, recorded.saved.leased
        if ledger.events:
            self.core.alerts_changed.announce()
            for listen in self.core.on_recorded:
                listen(ledger.events)
        if outlet and leased and not self.core.outlets.give(outlet, leased):
            await give_back(self.core, outlet.token)
        if len(leased) < len(ledger.notifications):
            self.core.outbox_changed.announce()

    async def ReportSeries(self, request: pb.ReportSeriesRequest, context: Any) -> pb.ReportSeriesResponse:
        """Makes monitors, fields and types known."""
        for error in check_line("tenant_id", request.tenant_id, 40, "send the tenant that the series belong to"):
            raise error
        if len(request.series) > MOST_SERIES:
            raise InvalidField("series", f"there are {len(request.series):,}; at most {MOST_SERIES:,}")
        tenant, now = request.tenant_id, self.core.database.now()
        seen = _seen(request.series)
        names = [monitors.name_of(each) for each in seen]
        ids = {each.monitor_id for each in seen}
        # Most reports are about what is known already: a look spares a write that waits for the disk.

        def look(session: Session) -> dict[monitors.FieldName, FieldType]:
            with of_tenant(session, tenant):
                return monitors.types_of(session, tenant, ids)

        def remember(session: Session) -> dict[monitors.FieldName, FieldType]:
            with of_tenant(session, tenant):
                return monitors.remember(session, tenant, [], seen, now)

        known = await self.core.database.read(look)
        if not known.keys() >= set(names):
            known = await self.core.database.write(remember, repeatable=True)
        conflicts = [
            0 if known[name] is each.field.type else int(known[name]) for name, each in zip(names, seen, strict=True)
        ]
        return pb.ReportSeriesResponse(types=conflicts)  # type: ignore[arg-type]


async def _read_transitions(request: pb.RecordTransitionsRequest) -> tuple[set[tuple[int, int]], list[Transition]]:
    """The leases under which transitions were decided, as shards with their epochs, and the transitions.

    They are read before the transaction: meanwhile the database is at work on another call's.
    """

    def read() -> tuple[set[tuple[int, int]], list[Transition]]:
        leases = {(each.lease.shard, each.lease.epoch) for each in request.transitions if each.lease.epoch > 0}
        return leases, [transition_from_proto(each, number) for number, each in enumerate(request.transitions)]

    return read() if len(request.transitions) < WORTH_A_THREAD else await asyncio.to_thread(read)


def _seen(series: Iterable[evaluator_service_pb2.SeriesDefinition]) -> list[monitors.Seen]:
    # Thousands of monitors share a few fields: one object stands for all of the same name.
    fields: dict[tuple[str, str, int], Field] = {}
    seen = []
    for number, each in enumerate(series):
        key = each.key
        for error in check_line(f"series[{number}].key.monitor_id", key.monitor_id, 256, "send the monitor's id"):
            raise error
        name = key.measurement, key.field, each.type
        field = fields.get(name)
        if field is None:
            field = fields[name] = field_from_proto(*name, f"series[{number}].key")
        seen.append(monitors.Seen(key.monitor_id, field))
    return seen
