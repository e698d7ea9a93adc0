"""What RuleService knows of channels, to and from the contract."""

from monitors.rules.model.channels import ChannelState, KnownChannel
from monitors.v1 import mesh_pb2

_STATES = {
    ChannelState.WORKS: mesh_pb2.CHANNEL_STATE_WORKS,
    ChannelState.UNVERIFIED: mesh_pb2.CHANNEL_STATE_UNVERIFIED,
    ChannelState.OFF: mesh_pb2.CHANNEL_STATE_OFF,
}
_READ = {said: state for state, said in _STATES.items()}


def channel_to_proto(channel: KnownChannel) -> mesh_pb2.ChannelName:
    """A channel as callers see it."""
    return mesh_pb2.ChannelName(
        name=channel.name, kind=channel.kind, is_default=channel.is_default, state=_STATES[channel.state]
    )


def state_from_proto(said: mesh_pb2.ChannelState.ValueType) -> ChannelState | None:
    """A channel's state as the notifier says it; None if it doesn't. A newer one may know more states than these."""
    return _READ.get(said, ChannelState.WORKS) if said else None
