"""`monitors mute-timings`: hours in which nobody is told of some alerts."""

from typing import Annotated

import typer

from monitors.cli import documents
from monitors.cli.client import connected, new_request_id
from monitors.cli.options import AsJson, Limit, PageToken
from monitors.cli.output import print_json, print_table, say, tell
from monitors.cli.silences import matcher_text, read_matcher
from monitors.v1 import notification_pb2
from monitors.v1 import notifier_service_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="Hours in which nobody is told of some alerts.")

COLUMNS = ("ID", "NAME", "OF", "TOLD", "WHEN")
Several = list[str] | None


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How people call it.")],
    matchers: Annotated[
        Several, typer.Option("--of", metavar="MATCHER", help="Only alerts for which this holds: severity!=critical.")
    ] = None,
    times: Annotated[Several, typer.Option("--times", metavar="RANGE", help="09:00-17:30; repeatable.")] = None,
    weekdays: Annotated[Several, typer.Option("--weekdays", metavar="RANGE", help="monday:friday; repeatable.")] = None,
    days: Annotated[
        Several, typer.Option("--days", metavar="RANGE", help="Days of the month: 1:5, or -3:-1 from its end.")
    ] = None,
    months: Annotated[Several, typer.Option("--months", metavar="RANGE", help="january:march; repeatable.")] = None,
    years: Annotated[Several, typer.Option("--years", metavar="RANGE", help="2026:2027; repeatable.")] = None,
    zone: Annotated[str, typer.Option("--zone", metavar="ZONE", help="Such as Europe/Berlin; UTC if left out.")] = "",
    active: Annotated[bool, typer.Option("--active", help="They are told only within these hours.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let nobody be told within some hours, or with --active outside of them; what still fires at their end is told."""
    window = notification_pb2.TimeWindow(
        times=times, weekdays=weekdays, days_of_month=days, months=months, years=years, time_zone=zone
    )
    timing = notification_pb2.MuteTiming(
        name=name, matchers=map(read_matcher, matchers or ()), windows=[window], active=active
    )
    with connected() as mesh:
        request = pb.CreateMuteTimingRequest(mute_timing=timing, request_id=new_request_id())
        made = mesh.call(mesh.notifier.CreateMuteTiming, request).mute_timing
    if as_json:
        print_json({"mute_timing": documents.mute_timing_document(made)})
    else:
        say(f"{made.id}: {_of(made)} told {_told(made)} {_windows(made)}")


@app.command("list")
def list_mute_timings(limit: Limit = 50, page_token: PageToken = "", as_json: AsJson = False) -> None:
    """Show the mute timings, by name."""
    with connected() as mesh:
        request = pb.ListMuteTimingsRequest(page_size=limit, page_token=page_token)
        response = mesh.call(mesh.notifier.ListMuteTimings, request)
    if as_json:
        items = [documents.mute_timing_document(timing) for timing in response.mute_timings]
        print_json({"mute_timings": items, "next_page_token": response.next_page_token})
        return
    if not response.mute_timings:
        tell("There is no mute timing.")
        return
    rows = [(one.id, one.name, _of(one), _told(one), _windows(one)) for one in response.mute_timings]
    print_table(COLUMNS, rows, whole=("ID", "NAME", "TOLD"))
    if response.next_page_token:
        tell(f"There are more: use a larger --limit, or --page-token {response.next_page_token}")


@app.command()
def delete(
    timing_id: Annotated[str, typer.Argument(metavar="ID", help="The mute timing's id, mute_….")],
    as_json: AsJson = False,
) -> None:
    """Delete a mute timing. What it muted and still fires is told."""
    with connected() as mesh:
        request = pb.DeleteMuteTimingRequest(mute_timing_id=timing_id, request_id=new_request_id())
        mesh.call(mesh.notifier.DeleteMuteTiming, request)
    if as_json:
        print_json({"id": timing_id})
    else:
        say(f"{timing_id} is gone; what still fires is told.")


def _of(timing: notification_pb2.MuteTiming) -> str:
    return ", ".join(map(matcher_text, timing.matchers)) or "all alerts"


def _told(timing: notification_pb2.MuteTiming) -> str:
    return "only" if timing.active else "not"


def _windows(timing: notification_pb2.MuteTiming) -> str:
    return "; ".join(map(_window, timing.windows))


def _window(window: notification_pb2.TimeWindow) -> str:
    parts = (window.times, window.weekdays, window.days_of_month, window.months, window.years)
    return " ".join([*(",".join(part) for part in parts if part), window.time_zone])
