"""`monitors audit`: who changed what, when, and through which program."""

import heapq
import json
from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Annotated, Any

import typer

from monitors.cli.client import Mesh, connected
from monitors.cli.documents import Document, time_text
from monitors.cli.failures import NotServed
from monitors.cli.options import AsJson, Limit, read_moment
from monitors.cli.output import print_json, print_table, tell
from monitors.mesh.times import from_timestamp, to_timestamp
from monitors.v1.audit_pb2 import AuditEvent, AuditQuery
from monitors.v1.notifier_service_pb2 import ListNotifierAuditEventsRequest
from monitors.v1.rule_service_pb2 import ListAuditEventsRequest

PAGE_SIZE = 100
COLUMNS = ("TIME", "WHO", "CALL", "ID", "THROUGH", "CHANGED")
WHOLE = ("TIME", "CALL", "ID")


def audit(
    since: Annotated[
        int | None,
        typer.Option("--since", parser=read_moment, metavar="TIME", help="From then on: 7d (ago), or a time."),
    ] = None,
    until: Annotated[
        int | None, typer.Option("--until", parser=read_moment, metavar="TIME", help="Before then, likewise.")
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="rule, alert, monitor, key, channel, silence, …")
    ] = "",
    resource: Annotated[str, typer.Option("--id", metavar="ID", help="What was changed.")] = "",
    user: Annotated[str, typer.Option("--user", metavar="USER", help="Who changed it: a user, or a key's id.")] = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, newest first. It needs a key with the scope admin, as the local one has."""
    query = AuditQuery(kind=kind, resource_id=resource, user=user)
    if since is not None:
        query.start_time.CopyFrom(to_timestamp(since))
    if until is not None:
        query.end_time.CopyFrom(to_timestamp(until))
    with connected() as mesh:
        found = _newest(mesh, query)
        events = list(islice(found, limit))
        # What happened at the same moment isn't parted, so that the next page can begin before it.
        rest = iter(()) if not events else takewhile(lambda event: event.time == events[-1].time, found)
        last = len(events)
        events += rest
    is_more = last == limit
    end = time_text(events[-1], "time") if is_more else None
    if as_json:
        print_json({"events": [event_document(event) for event in events], "next_until": end})
        return
    if not events:
        tell("Nothing was changed." if not (kind or resource or user or since or until) else "No event matches.")
        return
    print_table(COLUMNS, [event_row(event) for event in events], whole=WHOLE)
    if end:
        tell(f"There may be more: use a larger --limit, or --until {end}")


def _newest(mesh: Mesh, query: AuditQuery) -> Iterator[AuditEvent]:
    """The events of both services that keep an audit. Raises Failure if neither is there."""
    streams = []
    missing: NotServed | None = None
    rules, notifier = ListAuditEventsRequest(query=query), ListNotifierAuditEventsRequest(query=query)
    for what, method, request in (
        ("rules, alerts, monitors and keys", mesh.rules.ListAuditEvents, rules),
        ("channels and deliveries", mesh.notifier.ListNotifierAuditEvents, notifier),
    ):
        try:
            streams.append(_pages(mesh, method, request))
        except NotServed as error:
            missing = error
            tell(f"without the audit of {what}: {error}")
    if missing and not streams:
        raise missing
    return heapq.merge(*streams, key=lambda event: -from_timestamp(event.time))


def _pages(mesh: Mesh, method: Any, request: Any) -> Iterator[AuditEvent]:
    """The events of a service; the first page is asked for at once, the others when they are needed."""
    request.page_size = PAGE_SIZE
    first = mesh.call(method, request)

    def follow() -> Iterator[AuditEvent]:
        response = first
        yield from response.events
        while response.next_page_token:
            request.page_token = response.next_page_token
            response = mesh.call(method, request)
            yield from response.events

    return follow()


def event_document(event: AuditEvent) -> Document:
    """An event as JSON."""
    return {
        "id": event.id,
        "time": time_text(event, "time"),
        "user": event.user,
        "method": event.method,
        "kind": event.kind,
        "resource_id": event.resource_id,
        "client": event.source.client,
        "client_version": event.source.client_version,
        "mcp_client": event.source.mcp_client,
        "tool": event.source.tool,
        "before": _state(event.before_json),
        "after": _state(event.after_json),
    }


def event_row(event: AuditEvent) -> tuple[str, ...]:
    """A line for one event."""
    source = event.source
    through = " ".join(part for part in (source.client, source.tool, source.mcp_client) if part)
    time = event.time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S")
    return time, event.user, event.method, event.resource_id, through, _changed(event)


def _changed(event: AuditEvent) -> str:
    before, after = _state(event.before_json), _state(event.after_json)
    if before is None or after is None:
        return "made" if before is None else "gone"
    return ", ".join(sorted({*before, *after} - {"etag", "updateTime", "updater"}))


def _state(text: str) -> Any:
    return json.loads(text) if text else None
