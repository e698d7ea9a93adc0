"""The audit: who changed what, when, through which program, and what it was before and after.

A service writes its events in the transaction of the change itself (see `audit_table`): what isn't there wasn't done,
and what was undone, refused or only repeated isn't there.
"""

import hashlib
import json
import logging
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from monitors.mesh.ids import new_id

log = logging.getLogger("monitors.audit")

CLIENT_KEY, MCP_CLIENT_KEY, TOOL_KEY = "x-monitors-client", "x-monitors-mcp-client", "x-monitors-tool"
"""The metadata in which a client says what it is: `name/version`, both percent-encoded where they aren't ASCII."""
LONGEST_NAME = 100
LONGEST_ID = 256
LONGEST_STATE = 16_000
"""Characters of a state before or after."""
MOST_IDS = 20
KINDS = (
    "rule", "alert", "monitor", "key", "tenant", "channel_link", "channel", "delivery", "silence", "mute_timing",
    "route", "escalation_policy", "inhibition",
)  # fmt: skip
FILTERS = ("user", "kind", "resource_id")
"""What a page may be filtered by; each has an index that gives its rows in the order of the page."""

Described = Message | Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Source:
    """The program that a call came through, as it calls itself: to be shown, never to be trusted."""

    client: str = ""
    version: str = ""
    mcp_client: str = ""
    """What an MCP bridge says of its own client."""
    tool: str = ""
    """The MCP tool."""


OURSELVES = Source(client="monitors")
"""What the mesh does by itself."""
BY_ITSELF = "mesh"
"""The user of what the mesh does by itself."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one resource. What it was before, or is after, is None where it doesn't exist."""

    kind: str
    id: str
    before: Described = None
    after: Described = None


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it's kept. `time` is nanoseconds since 1970; the states are JSON, of a change what differs alone."""

    tenant: str
    time: int
    id: str
    user: str
    method: str
    kind: str
    resource_id: str
    before: str
    after: str
    source: Source = field(default_factory=Source)


@dataclass(frozen=True)
class Query:
    """Which events. Times are nanoseconds since 1970, from `start` on and before `end`; 0 and "" for any."""

    start: int = 0
    end: int = 0
    kind: str = ""
    resource_id: str = ""
    user: str = ""


def source_of(metadata: Iterable[tuple[str, str | bytes]]) -> Source:
    """The source that a call's metadata names. A client that says nothing is known by its gRPC library."""
    given = {key: value for key, value in metadata if isinstance(value, str)}
    named = given.get(CLIENT_KEY) or given.get("user-agent", "").partition(" ")[0]
    client, _, version = named.partition("/")
    return _source(client, version, given.get(MCP_CLIENT_KEY, ""), given.get(TOOL_KEY, ""))


@lru_cache(maxsize=1024)
def _source(*names: str) -> Source:
    """A few clients make all calls, and every call names its own."""
    return Source(*(clean(unquote(name)) for name in names))


def clean(text: str, longest: int = LONGEST_NAME) -> str:
    """Foreign text on one line, without characters that would steer a terminal, and cut where it's too long."""
    plain = "".join("\ufffd" if unicodedata.category(each)[0] in "CZ" and each != " " else each for each in text)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def events_of(tenant: str, user: str, source: Source, method: str, now: int, changes: Iterable[Change]) -> list[Event]:
    """The events of a call's changes, in their order. A resource that stayed as it was has none."""
    events: list[Event] = []
    for change in changes:
        before, after = _document(change.before), _document(change.after)
        if before == after and before is not None:
            continue
        if before is not None and after is not None:
            before, after = _difference(before, after), _difference(after, before)
        events.append(
            Event(
                tenant=tenant,
                # Those of one call differ, so that a page can end between them.
                time=now + len(events),
                id=new_id("audit"),
                user=clean(user),
                method=method,
                kind=change.kind,
                resource_id=clean(change.id, LONGEST_ID),
                before=_text(before),
                after=_text(after),
                source=source,
            )
        )
    return events


def tell(events: Sequence[Event]) -> None:
    """Writes a line about a call's events into the log, once they are kept."""
    if events:
        first = events[0]
        ids = [event.resource_id for event in events]
        more = f" and {len(ids) - MOST_IDS} more" if len(ids) > MOST_IDS else ""
        # Quoted, since a user's name comes from outside and mustn't write lines of its own.
        log.info("%s %s%s tenant=%r user=%r", first.method, " ".join(ids[:MOST_IDS]), more, first.tenant, first.user)


def _document(state: Described) -> dict[str, Any] | None:
    if isinstance(state, Message):
        return MessageToDict(state)
    return None if state is None else dict(state)


def _difference(document: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The fields that `other` lacks or has with another value."""
    return {name: value for name, value in document.items() if name not in other or other[name] != value}


def _text(document: dict[str, Any] | None) -> str:
    """Canonical JSON. Of one that is too long the longest values are replaced by their size and digest."""
    if document is None:
        return ""
    text = _dump(document)
    if len(text) <= LONGEST_STATE:
        return text
    cut = dict(document)
    for name in sorted(document, key=lambda each: -len(_dump(document[each]))):
        value = _dump(document[name])
        cut[name] = f"… {len(value):,} characters, SHA-256 {hashlib.sha256(value.encode()).hexdigest()}"
        text = _dump(cut)
        if len(text) <= LONGEST_STATE:
            break
    return text


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
