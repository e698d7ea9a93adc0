"""`monitors list`: what can be watched."""

from typing import Annotated

import typer

from monitors.cli import documents
from monitors.cli.choices import word_of
from monitors.cli.client import connected
from monitors.cli.durations import format_age
from monitors.cli.options import AsJson, Limit, PageToken
from monitors.cli.output import format_number, print_json, print_table, tell
from monitors.mesh.times import from_timestamp, now_nanos
from monitors.v1.monitor_pb2 import FieldType, Monitor, MonitorField
from monitors.v1.rule_service_pb2 import ListMonitorsRequest

FIELDS_SHOWN = 8
NO_MONITOR = (
    "No monitor yet: it comes with the first points that are written. `monitors up --check URL` also watches a URL."
)


def list_monitors(
    query: Annotated[str, typer.Argument(help="Only monitors whose id contains this.")] = "",
    fields: Annotated[bool, typer.Option("--fields", help="One line for each field, with its newest value.")] = False,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show what can be watched: monitors with their fields. A single match is shown field by field."""
    with connected() as mesh:
        request = ListMonitorsRequest(page_size=limit, page_token=page_token, query=query)
        response = mesh.call(mesh.rules.ListMonitors, request)
    if as_json:
        print_json(
            {
                "monitors": [documents.monitor_document(monitor) for monitor in response.monitors],
                "total_count": response.total_count,
                "next_page_token": response.next_page_token,
            }
        )
        return
    if not response.monitors:
        tell("No monitor matches." if query else NO_MONITOR)
        return
    now = now_nanos()
    if fields or len(response.monitors) == 1:
        rows = [field_row(monitor, field, now) for monitor in response.monitors for field in monitor.fields]
        print_table(("MONITOR", "MEASUREMENT", "FIELD", "TYPE", "SERIES", "VALUE", "SEEN"), rows, whole=("FIELD",))
    else:
        rows = [monitor_row(monitor, now) for monitor in response.monitors]
        print_table(("ID", "FIELDS", "RULES", "SEEN"), rows)
    tell_of_more(len(response.monitors), response.total_count, response.next_page_token)


def monitor_row(monitor: Monitor, now: int) -> tuple[str, ...]:
    """A line for one monitor."""
    names = list(dict.fromkeys(field.field for field in monitor.fields))
    shown = ", ".join(names[:FIELDS_SHOWN])
    if len(names) > FIELDS_SHOWN:
        shown += f" and {len(names) - FIELDS_SHOWN} more"
    seen = format_age(from_timestamp(monitor.last_time), now) if monitor.HasField("last_time") else ""
    return monitor.id, shown, str(monitor.rule_count), seen


def field_row(monitor: Monitor, field: MonitorField, now: int) -> tuple[str, ...]:
    """A line for one field of a monitor."""
    value = format_number(field.last_value) if field.HasField("last_value") else field.last_text
    seen = format_age(from_timestamp(field.last_time), now) if field.HasField("last_time") else ""
    kind = word_of(FieldType, field.type)
    return monitor.id, field.measurement, field.field, kind, str(field.series_count), value, seen


def tell_of_more(shown: int, total: int | str, next_page_token: str) -> None:
    """Says on stderr that a list goes on."""
    if next_page_token:
        tell(f"{shown} of {total}; see more with a larger --limit, or --page-token {next_page_token}")
