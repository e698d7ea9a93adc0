"""Lease messages and the model's values."""

from monitors.mesh.times import to_timestamp
from monitors.rules.store.shards import SavedState
from monitors.v1 import mesh_pb2


def state_to_proto(state: SavedState) -> mesh_pb2.ShardState:
    """The message of a saved state."""
    return mesh_pb2.ShardState(
        shard=state.shard, epoch=state.epoch, state=state.state, save_time=to_timestamp(state.save_time)
    )
