"""`monitors mute-timings`: hours in which nobody is told of some alerts."""

from typing import Annotated

import typer

from monitors.cli.matchers import Of, matchers_text, read_matcher
from monitors.cli.options import AsJson, Limit, PageToken
from monitors.cli.policies import View
from monitors.cli.policy_documents import mute_timing_document
from monitors.v1 import notification_pb2
from monitors.v1 import notifier_service_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="Hours in which nobody is told of some alerts.")

Several = list[str] | None


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How people call it.")],
    matchers: Of = None,
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
    VIEW.create(pb.CreateMuteTimingRequest(mute_timing=timing), as_json=as_json)


@app.command("list")
def list_mute_timings(limit: Limit = 50, page_token: PageToken = "", as_json: AsJson = False) -> None:
    """Show the mute timings, by name."""
    VIEW.list(pb.ListMuteTimingsRequest(page_size=limit, page_token=page_token), as_json=as_json)


@app.command()
def delete(
    timing_id: Annotated[str, typer.Argument(metavar="ID", help="The mute timing's id, mute_….")],
    as_json: AsJson = False,
) -> None:
    """Delete a mute timing. What it muted and still fires is told."""
    request = pb.DeleteMuteTimingRequest(mute_timing_id=timing_id)
    VIEW.delete(request, f"{timing_id} is gone; what still fires is told.", as_json=as_json)


def _line(timing: notification_pb2.MuteTiming) -> str:
    return f"{timing.id}: {matchers_text(timing.matchers)} told {_told(timing)} {_windows(timing)}"


def _row(timing: notification_pb2.MuteTiming) -> tuple[str, ...]:
    return timing.id, timing.name, matchers_text(timing.matchers), _told(timing), _windows(timing)


def _told(timing: notification_pb2.MuteTiming) -> str:
    return "only" if timing.active else "not"


def _windows(timing: notification_pb2.MuteTiming) -> str:
    return "; ".join(map(_window, timing.windows))


def _window(window: notification_pb2.TimeWindow) -> str:
    parts = (window.times, window.weekdays, window.days_of_month, window.months, window.years)
    return " ".join([*(",".join(part) for part in parts if part), window.time_zone])


VIEW = View(
    "MuteTiming",
    "MuteTimings",
    mute_timing_document,
    _line,
    ("ID", "NAME", "OF", "TOLD", "WHEN"),
    _row,
    "There is no mute timing.",
    whole=("ID", "NAME", "TOLD"),
)
