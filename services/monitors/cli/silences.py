"""`monitors silences`: of what nobody is told for a while."""

import re
from typing import Annotated

import typer

from monitors.cli import documents
from monitors.cli.client import connected, new_request_id
from monitors.cli.durations import format_age
from monitors.cli.options import AsJson, Limit, PageToken, read_duration, read_moment
from monitors.cli.output import print_json, print_table, say, tell
from monitors.mesh.times import from_timestamp, now_nanos, to_timestamp
from monitors.v1 import notification_pb2
from monitors.v1 import notifier_service_pb2 as pb

app = typer.Typer(
    no_args_is_help=True, help="Of what nobody is told for a while. Alerts are opened and listed as ever."
)

OPERATORS = {
    "=": notification_pb2.MATCH_OPERATOR_EQUAL,
    "!=": notification_pb2.MATCH_OPERATOR_NOT_EQUAL,
    "=~": notification_pb2.MATCH_OPERATOR_MATCH,
    "!~": notification_pb2.MATCH_OPERATOR_NOT_MATCH,
}
_SYMBOLS = {number: symbol for symbol, number in OPERATORS.items()}
# A name has no operator in it, so the first one ends it.
_MATCHER = re.compile(r"\s*([^=!~]+?)\s*(=~|!~|!=|=)\s*(.*)", re.DOTALL)
COLUMNS = ("ID", "OF", "BEGINS", "ENDS", "WHY", "BY")


def read_matcher(text: str) -> notification_pb2.Matcher:
    """A matcher as people write it; a usage error if it's none."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is no matcher; write NAME=VALUE, NAME!=VALUE, NAME=~REGEX or NAME!~REGEX, such as "
            "monitor_id=checkout or 'severity=~low|medium'"
        )
    return notification_pb2.Matcher(name=match[1], operator=OPERATORS[match[2]], value=match[3])


def matcher_text(matcher: notification_pb2.Matcher) -> str:
    """A matcher as people write it."""
    return f"{matcher.name}{_SYMBOLS.get(matcher.operator, '?')}{matcher.value}"


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
    with connected() as mesh:
        request = pb.CreateSilenceRequest(silence=silence, request_id=new_request_id())
        made = mesh.call(mesh.notifier.CreateSilence, request).silence
    _show(made, as_json)


@app.command("list")
def list_silences(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show the silences, newest first."""
    request = pb.ListSilencesRequest(include_expired=everything, page_size=limit, page_token=page_token)
    with connected() as mesh:
        response = mesh.call(mesh.notifier.ListSilences, request)
    if as_json:
        items = [documents.silence_document(silence) for silence in response.silences]
        print_json({"silences": items, "next_page_token": response.next_page_token})
        return
    if not response.silences:
        tell("Nothing is silenced.")
        return
    now = now_nanos()
    print_table(COLUMNS, [_row(silence, now) for silence in response.silences], whole=("ID", "BEGINS", "ENDS"))
    if response.next_page_token:
        tell(f"There are more: use a larger --limit, or --page-token {response.next_page_token}")


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
    with connected() as mesh:
        request = pb.UpdateSilenceRequest(silence=silence, request_id=new_request_id())
        changed = mesh.call(mesh.notifier.UpdateSilence, request).silence
    _show(changed, as_json)


@app.command()
def end(silence_id: SilenceId, as_json: AsJson = False) -> None:
    """End a silence now. What still fires is told."""
    with connected() as mesh:
        request = pb.DeleteSilenceRequest(silence_id=silence_id, request_id=new_request_id())
        mesh.call(mesh.notifier.DeleteSilence, request)
    if as_json:
        print_json({"id": silence_id})
    else:
        say(f"{silence_id} is over; what still fires is told.")


def _end(begin: int, duration: int | None, until: int | None) -> int:
    if (duration is None) == (until is None):
        raise typer.BadParameter("say until when: either --for DURATION or --until TIME")
    return until if duration is None else begin + duration  # type: ignore[return-value]


def _show(silence: notification_pb2.Silence, as_json: bool) -> None:
    if as_json:
        print_json({"silence": documents.silence_document(silence)})
        return
    now = now_nanos()
    begins, ends = from_timestamp(silence.start_time), from_timestamp(silence.end_time)
    begin = f"from {format_age(begins, now)} " if begins > now else ""
    of = " and ".join(map(matcher_text, silence.matchers))
    say(f"{silence.id}: nobody is told of {of} {begin}until it ends {format_age(ends, now)}")


def _row(silence: notification_pb2.Silence, now: int) -> tuple[str, ...]:
    of = ", ".join(map(matcher_text, silence.matchers))
    begins, ends = (format_age(from_timestamp(time), now) for time in (silence.start_time, silence.end_time))
    return silence.id, of, begins, ends, silence.comment, silence.creator
