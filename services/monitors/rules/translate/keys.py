"""API keys as the contract has them."""

from monitors.mesh.times import to_timestamp
from monitors.rules.store.keys import StoredKey
from monitors.v1 import key_pb2


def key_to_proto(key: StoredKey) -> key_pb2.Key:
    """What may be told of a key. The key itself isn't known."""
    message = key_pb2.Key(id=key.id, title=key.title, scopes=key.scopes, creator=key.creator)
    message.create_time.CopyFrom(to_timestamp(key.create_time))
    for field, time in (
        (message.expire_time, key.expire_time),
        (message.last_use_time, key.last_use_time),
        (message.revoke_time, key.revoke_time),
    ):
        if time is not None:
            field.CopyFrom(to_timestamp(time))
    return message
