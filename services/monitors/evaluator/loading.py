"""What RuleService has of leased shards: their saved states and open episodes."""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

from monitors.evaluator.model.state import Checkpoint, OpenEpisode
from monitors.evaluator.parts import HEAD_SHARD, joined, named_by
from monitors.evaluator.translate import to_open_episode
from monitors.v1 import mesh_pb2
from monitors.v1 import rule_service_pb2 as pb

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

PAUSE = 1.0


@dataclass
class Loaded:
    """Saved states by shard, of those that have a readable one, and all open episodes."""

    states: dict[int, Checkpoint] = field(default_factory=dict)
    episodes: list[OpenEpisode] = field(default_factory=list)
    parts: range = range(0)
    """The shards that hold parts of the first one's state."""


async def load(rules: "RuleServiceAsyncStub", leases: Callable[[], Collection[mesh_pb2.ShardLease]]) -> Loaded:
    """Loads them under the leases that there are then, and tries again until it succeeds or none is left."""
    while current := leases():
        try:
            loaded, saved = Loaded(), dict[int, bytes]()
            request = pb.LoadShardStatesRequest(leases=current)
            async for response in rules.LoadShardStates(request, wait_for_ready=True):
                saved |= {one.shard: one.state for one in response.states}
                loaded.episodes += map(to_open_episode, response.open_episodes)
            loaded.states, loaded.parts = _read(saved), named_by(saved.get(HEAD_SHARD, b""))
            return loaded
        except grpc.aio.AioRpcError as error:
            log.warning("the saved state can't be loaded yet (%s); trying again", error.code().name)
            await asyncio.sleep(PAUSE)
    return Loaded()


def _read(saved: dict[int, bytes]) -> dict[int, Checkpoint]:
    states: dict[int, Checkpoint] = {}
    try:
        whole = joined(saved)
    except ValueError as error:
        log.error("%s; going on from the open alerts alone", error)
        return states
    for shard, data in whole.items():
        try:
            states[shard] = Checkpoint.from_bytes(data)
        except ValueError as error:
            log.error("%s; going on from the open alerts alone", error)
    return states
