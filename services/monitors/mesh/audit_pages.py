"""The audit between the contract and its table, the same for each service that has one."""

from typing import Literal

from monitors.mesh.audit import KINDS, Event, Query
from monitors.mesh.errors import InvalidField
from monitors.mesh.times import from_timestamp, to_timestamp
from monitors.v1 import audit_pb2 as pb

DEFAULT_PAGE = 50
# So many of the largest events fit into a message.
LARGEST_PAGE = 100
LONGEST_TEXT = 256


def page_size(asked: int) -> int:
    """How many events a page has. Raises InvalidField if it's negative."""
    if asked < 0:
        raise InvalidField("page_size", f"is {asked}; send 1 to {LARGEST_PAGE}, or 0 for {DEFAULT_PAGE}")
    return min(asked or DEFAULT_PAGE, LARGEST_PAGE)


def read_query(sent: pb.AuditQuery) -> Query:
    """Which events are asked for. Raises InvalidField."""
    if sent.kind and sent.kind not in KINDS:
        raise InvalidField("query.kind", f"{sent.kind[:40]!r} isn't a kind; send one of {', '.join(KINDS)}, or none")
    for name in ("resource_id", "user"):
        if len(getattr(sent, name)) > LONGEST_TEXT:
            raise InvalidField(f"query.{name}", f"has more than {LONGEST_TEXT} characters; send it as events have it")
    return Query(
        start=_time(sent, "start_time"),
        end=_time(sent, "end_time"),
        kind=sent.kind,
        resource_id=sent.resource_id,
        user=sent.user,
    )


def _time(sent: pb.AuditQuery, name: Literal["start_time", "end_time"]) -> int:
    """Nanoseconds since 1970, 0 if the field isn't set. Raises InvalidField for a time that no event can have."""
    time = from_timestamp(getattr(sent, name)) if sent.HasField(name) else 0
    if not 0 <= time < 2**63:
        raise InvalidField(f"query.{name}", "is out of bounds; send a time from 1970 to 2262, or none")
    return time


def event_to_proto(event: Event) -> pb.AuditEvent:
    """The event as the contract has it."""
    source = event.source
    return pb.AuditEvent(
        id=event.id,
        time=to_timestamp(event.time),
        user=event.user,
        method=event.method,
        kind=event.kind,
        resource_id=event.resource_id,
        source=pb.AuditSource(
            client=source.client, client_version=source.version, mcp_client=source.mcp_client, tool=source.tool
        ),
        before_json=event.before,
        after_json=event.after,
    )
