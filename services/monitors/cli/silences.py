"""`monitors silences`: of what nobody is told for a while."""

from typing import Annotated

import typer

from monitors.cli.durations import format_age
from monitors.cli.matchers import matchers_text, read_matcher
from monitors.cli.options import AsJson, Limit, PageToken, read_duration, read_moment
from monitors.cli.policies import View
from monitors.cli.policy_documents import silence_document
from monitors.mesh.times import from_timestamp, now_nanos, to_timestamp
from monitors.v1 import notification_pb2
from monitors.v1 import notifier_service_pb2 as pb

app = typer.Typer(
    no_args_is_help=True, help="Of what nobody is told for a while. Alerts are opened and listed as ever."
)

Matchers = Annotated[
    list[str],
    typer.Argument(
        metavar="MATCHER...",
        help="What must hold of an alert: NAME=VALUE, or with !=, =~ and !~. A name is rule_id, monitor_id, severity, "
        "title, or a label or tag.",
    ),
]
For = Annotated[
    int | None, typer.Option("--for", parser=read_duration, metavar="DURATION", help="For how long, such as 2h.")
]
Until = Annotated[
    int | None, typer.Option("--until", parser=read_moment, metavar="TIME", help="Until when: 2026-03-01T08:00:00Z.")
]
Comment = Annotated[str, typer.Option("--comment", "-c", help="Why.")]
SilenceId = Annotated[str, typer.Argument(metavar="ID", help="The silence's id, sil_….")]


@app.command()
def create(
    matchers: Matchers,
    comment: Comment,
    duration: For = None,
    until: Until = None,
    start: Annotated[
        int | None, typer.Option("--from", parser=read_moment, metavar="TIME", help="From when; now if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let nobody be told of matching alerts for a while. What still fires at its end is told then."""
    begin = now_nanos() if start is None else start
    silence = notification_pb2.Silence(
        matchers=map(read_matcher, matchers),
        start_time=None if start is None else to_timestamp(start),
        end_time=to_timestamp(_end(begin, duration, until)),
        comment=comment,
    )
    VIEW.create(pb.CreateSilenceRequest(silence=silence), as_json=as_json)


@app.command("list")
def list_silences(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show the silences, newest first."""
    request = pb.ListSilencesRequest(include_expired=everything, page_size=limit, page_token=page_token)
    VIEW.list(request, as_json=as_json)


@app.command()
def change(
    silence_id: SilenceId,
    duration: For = None,
    until: Until = None,
    comment: Comment = "",
    as_json: AsJson = False,
) -> None:
    """Let a silence end at another time, from now with --for; or say another reason."""
    if duration is None and until is None and not comment:
        raise typer.BadParameter("say what to change: --for, --until or --comment")
    silence = notification_pb2.Silence(id=silence_id, comment=comment)
    if duration is not None or until is not None:
        silence.end_time.CopyFrom(to_timestamp(_end(now_nanos(), duration, until)))
    VIEW.update(pb.UpdateSilenceRequest(silence=silence), as_json=as_json)


@app.command()
def end(silence_id: SilenceId, as_json: AsJson = False) -> None:
    """End a silence now. What still fires is told."""
    request = pb.DeleteSilenceRequest(silence_id=silence_id)
    VIEW.delete(request, f"{silence_id} is over; what still fires is told.", as_json=as_json)


def _end(begin: int, duration: int | None, until: int | None) -> int:
    if (duration is None) == (until is None):
        raise typer.BadParameter("say until when: either --for DURATION or --until TIME")
    return until if duration is None else begin + duration  # type: ignore[return-value]


def _line(silence: notification_pb2.Silence) -> str:
    now = now_nanos()
    begins, ends = from_timestamp(silence.start_time), from_timestamp(silence.end_time)
    begin = f"from {format_age(begins, now)} " if begins > now else ""
    of = matchers_text(silence.matchers, " and ")
    return f"{silence.id}: nobody is told of {of} {begin}until it ends {format_age(ends, now)}"


def _row(silence: notification_pb2.Silence) -> tuple[str, ...]:
    now = now_nanos()
    begins, ends = (format_age(from_timestamp(time), now) for time in (silence.start_time, silence.end_time))
    return silence.id, matchers_text(silence.matchers), begins, ends, silence.comment, silence.creator


VIEW = View(
    "Silence",
    "Silences",
    silence_document,
    _line,
    ("ID", "OF", "BEGINS", "ENDS", "WHY", "BY"),
    _row,
    "Nothing is silenced.",
    whole=("ID", "BEGINS", "ENDS"),
)
