"""A state that is too large for one message, in parts: saved one after the other, they count together or not at all.

The parts lie under other shards than the head, which names them and is saved last. Those that an older head names stay
until then, so there is a whole state at any moment.
"""

import hashlib
import struct
from collections.abc import Mapping

HEAD_SHARD = 0
PART_BYTES = 2 * 1024 * 1024
"""Half of what a server takes in one message."""
_HALVES = (range(1, 128), range(128, 255))
"""Where parts lie: in the half that the former head doesn't name."""
_HEAD_MAGIC, _PART_MAGIC = b"MEH1", b"MEP1"
_HEAD = struct.Struct("<4sHH32s")


def split(data: bytes, former: range, size: int = PART_BYTES) -> tuple[dict[int, bytes], bytes]:
    """The parts of a state by shard, none if it fits into one, and its head; see `named_by`.

    `former` are the shards that the last saved head names. Raises ValueError if the state is larger than all parts.
    """
    if len(data) <= size:
        return {}, data
    half = _HALVES[1] if former.start in _HALVES[0] else _HALVES[0]
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    if len(pieces) > len(half):
        raise ValueError(f"the state has {len(data):,} bytes; at most {len(half) * size:,} can be saved")
    head = _HEAD.pack(_HEAD_MAGIC, half.start, len(pieces), hashlib.sha256(data).digest())
    return {shard: _PART_MAGIC + piece for shard, piece in zip(half, pieces, strict=False)}, head


def named_by(head: bytes) -> range:
    """The shards under which the parts of a state are; none if the head is the state itself."""
    if not head.startswith(_HEAD_MAGIC) or len(head) != _HEAD.size:
        return range(0)
    _, first, count, _ = _HEAD.unpack(head)
    return range(first, first + count)


def joined(saved: Mapping[int, bytes]) -> dict[int, bytes]:
    """Saved states by shard, with parts put together under their head's. Raises ValueError if a part is missing."""
    states = {shard: data for shard, data in saved.items() if data and not data.startswith(_PART_MAGIC)}
    head = states.get(HEAD_SHARD, b"")
    parts = named_by(head)
    if parts:
        data = b"".join(saved.get(shard, b"").removeprefix(_PART_MAGIC) for shard in parts)
        if hashlib.sha256(data).digest() != head[-32:]:
            raise ValueError("the saved state is damaged: its parts don't belong together")
        states[HEAD_SHARD] = data
    return states
