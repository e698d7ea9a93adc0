"""`monitors inhibitions`: alerts of which nobody is told while others fire."""

from typing import Annotated

import typer

from monitors.cli.matchers import matchers_text, read_matcher
from monitors.cli.options import AsJson, Limit, PageToken
from monitors.cli.policies import View
from monitors.cli.policy_documents import inhibition_document
from monitors.v1 import notification_pb2
from monitors.v1 import notifier_service_pb2 as pb

app = typer.Typer(
    no_args_is_help=True,
    help="Alerts of which nobody is told while others fire. What still fires when those end is told then.",
)

Several = list[str] | None
InhibitionId = Annotated[str, typer.Argument(metavar="INHIBITION", help="The inhibition's name or id.")]
Sources = Annotated[
    Several, typer.Option("--while", metavar="MATCHER", help="While an alert fires for which this holds; repeatable.")
]
Targets = Annotated[
    Several, typer.Option("--mute", metavar="MATCHER", help="Tell nobody of those for which this holds; repeatable.")
]
Equal = Annotated[
    Several, typer.Option("--equal", metavar="NAME", help="If both are equal in this, such as monitor_id; repeatable.")
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How people call it.")],
    sources: Sources = None,
    targets: Targets = None,
    equal: Equal = None,
    as_json: AsJson = False,
) -> None:
    """Let nobody be told of some alerts while others fire."""
    VIEW.create(pb.CreateInhibitionRequest(inhibition=_inhibition(name, sources, targets, equal)), as_json=as_json)


@app.command("list")
def list_inhibitions(limit: Limit = 50, page_token: PageToken = "", as_json: AsJson = False) -> None:
    """Show the inhibitions, also the one that is built in."""
    VIEW.list(pb.ListInhibitionsRequest(page_size=limit, page_token=page_token), as_json=as_json)


@app.command()
def update(
    inhibition_id: InhibitionId,
    name: Annotated[str, typer.Option("--name", help="Another name.")] = "",
    sources: Sources = None,
    targets: Targets = None,
    equal: Equal = None,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Whether it inhibits.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change an inhibition, or turn it on or off. What it muted and still fires is told, unless it mutes it still."""
    if not (name or sources or targets or equal or enabled is not None):
        raise typer.BadParameter("say what to change: --name, --while, --mute, --equal, --on or --off")
    inhibition = _inhibition(name, sources, targets, equal)
    inhibition.id = inhibition_id
    if enabled is not None:
        inhibition.enabled = enabled
    VIEW.update(pb.UpdateInhibitionRequest(inhibition=inhibition), as_json=as_json)


@app.command()
def delete(inhibition_id: InhibitionId, as_json: AsJson = False) -> None:
    """Delete an inhibition. What it muted and still fires is told."""
    done = f"{inhibition_id} is gone; what still fires is told."
    VIEW.delete(pb.DeleteInhibitionRequest(inhibition_id=inhibition_id), done, as_json=as_json)


def _inhibition(name: str, sources: Several, targets: Several, equal: Several) -> notification_pb2.Inhibition:
    return notification_pb2.Inhibition(
        name=name,
        source_matchers=map(read_matcher, sources or ()),
        target_matchers=map(read_matcher, targets or ()),
        equal=equal,
    )


def _line(inhibition: notification_pb2.Inhibition) -> str:
    while_, mutes = (matchers_text(each, " and ") for each in (inhibition.source_matchers, inhibition.target_matchers))
    equal = f" with the same {' and '.join(inhibition.equal)}" if inhibition.equal else ""
    off = "" if inhibition.enabled else " (turned off)"
    return f"{inhibition.id}: while {while_} fires, nobody is told of {mutes}{equal}{off}"


def _row(inhibition: notification_pb2.Inhibition) -> tuple[str, ...]:
    while_, mutes = map(matchers_text, (inhibition.source_matchers, inhibition.target_matchers))
    is_on = "on" if inhibition.enabled else "off"
    return inhibition.id, inhibition.name, while_, mutes, ", ".join(inhibition.equal), is_on


VIEW = View(
    "Inhibition",
    "Inhibitions",
    inhibition_document,
    _line,
    ("ID", "NAME", "WHILE", "MUTES", "OF THE SAME", "IS"),
    _row,
    "There is no inhibition.",
)
