"""Stored rules as those who follow them get them, a million in seconds: bodies are passed on as they are stored."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from monitors.rules.store.watching import StoredBody
from monitors.v1.mesh_pb2 import WatchedRule
from monitors.v1.rule_service_pb2 import WatchRulesResponse

MESSAGE_SIZE = 1024 * 1024
"""Bytes. Larger messages gain nothing; a single rule may exceed it."""


def _tag(number: int, wire_type: int) -> bytes:
    return bytes([number << 3 | wire_type])


_NUMBER, _BYTES = 0, 2
_RULES = _tag(WatchRulesResponse.RULES_FIELD_NUMBER, _BYTES)
_TENANT = _tag(WatchedRule.TENANT_ID_FIELD_NUMBER, _BYTES)
_RULE = _tag(WatchedRule.RULE_FIELD_NUMBER, _BYTES)
_REVISION = _tag(WatchedRule.REVISION_FIELD_NUMBER, _NUMBER)


def encode_rules(bodies: Sequence[StoredBody]) -> Iterator[bytes]:
    """Serialised WatchRulesResponses with the rules, each of about a mebibyte at most.

    A body is a serialised Rule, which is just what the field `rule` holds on the wire
    (protobuf.dev/programming-guides/encoding); to parse it only to write it again would take most of the time.
    """
    parts: list[bytes] = []
    size = 0
    for tenant, body, revision in bodies:
        message = b"".join((_tenant(tenant), _RULE, _short_varint(len(body)), body, _REVISION, _varint(revision)))
        size += len(message)
        if parts and size > MESSAGE_SIZE:
            yield b"".join(parts)
            parts, size = [], len(message)
        parts += (_RULES, _short_varint(len(message)), message)
    if parts:
        yield b"".join(parts)


@lru_cache(maxsize=4096)
def _tenant(tenant: str) -> bytes:
    text = tenant.encode()
    return _TENANT + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    """A non-negative number, seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


# Lengths repeat; revisions don't.
_short_varint = lru_cache(maxsize=4096)(_varint)
