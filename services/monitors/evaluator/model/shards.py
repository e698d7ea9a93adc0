"""The shards: the portions in which evaluators share the monitors out among them."""

import zlib

SHARD_COUNT = 256
ALL_SHARDS = frozenset(range(SHARD_COUNT))


def shard_of(tenant: str, monitor: str) -> int:
    """The shard that a monitor belongs to: crc32(tenant NUL monitor) mod 256."""
    return zlib.crc32(f"{tenant}\0{monitor}".encode()) % SHARD_COUNT
