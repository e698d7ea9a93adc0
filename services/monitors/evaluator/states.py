"""The states of shards, as RuleService keeps them for whoever holds the shard next."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitors.evaluator.leases import CALL_TIMEOUT
from monitors.evaluator.model.state import OpenEpisode
from monitors.evaluator.translate import to_open_episode
from monitors.v1 import mesh_pb2
from monitors.v1 import rule_service_pb2 as pb

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

MESSAGE_SIZE = 3 * 1024 * 1024
"""Bytes. A server takes four mebibytes in one message."""


@dataclass
class LoadedStates:
    """What is known of shards."""

    states: dict[int, bytes] = field(default_factory=dict)
    """By shard; a shard that was never saved is left out."""
    episodes: list[OpenEpisode] = field(default_factory=list)
    """What is open of the shards' monitors."""


async def load_states(rules: "RuleServiceAsyncStub", leases: Collection[mesh_pb2.ShardLease]) -> LoadedStates:
    """The states and open episodes of shards. Raises AioRpcError: FAILED_PRECONDITION if one of the leases is lost."""
    loaded = LoadedStates()
    async for response in rules.LoadShardStates(pb.LoadShardStatesRequest(leases=leases), wait_for_ready=True):
        loaded.states |= {one.shard: one.state for one in response.states}
        loaded.episodes += [to_open_episode(one) for one in response.open_episodes]
    return loaded


async def save_states(
    rules: "RuleServiceAsyncStub", states: Mapping[int, bytes], leases: Mapping[int, mesh_pb2.ShardLease]
) -> None:
    """Saves states by shard, in as few calls as their sizes allow; each call saves all of its states or none.

    What isn't held isn't sent. Raises AioRpcError: FAILED_PRECONDITION if one of the leases is lost; what earlier calls
    saved stays saved.
    """
    held = [
        mesh_pb2.ShardState(shard=shard, epoch=leases[shard].epoch, state=state)
        for shard, state in states.items()
        if shard in leases
    ]
    for part in _fitting(held):
        await rules.SaveShardState(pb.SaveShardStateRequest(states=part), timeout=CALL_TIMEOUT)


def _fitting(states: Collection[mesh_pb2.ShardState]) -> Iterator[list[mesh_pb2.ShardState]]:
    """The states in lists that fit into a message each; a single one may be too large all the same."""
    part: list[mesh_pb2.ShardState] = []
    size = 0
    for state in states:
        size += state.ByteSize()
        if part and size > MESSAGE_SIZE:
            yield part
            part, size = [], state.ByteSize()
        part.append(state)
    if part:
        yield part
