"""`monitors routes`: where alerts are told whose rules name no channel."""

from typing import Annotated

import typer

from monitors.cli import choices
from monitors.cli.client import connected
from monitors.cli.matchers import Of, matchers_text, read_matcher
from monitors.cli.options import AsJson, Limit, PageToken, read_pairs
from monitors.cli.output import print_facts, print_json
from monitors.cli.policies import View
from monitors.cli.policy_documents import route_document, routing_document
from monitors.v1 import notification_pb2
from monitors.v1 import notifier_service_pb2 as pb

app = typer.Typer(
    no_args_is_help=True,
    help="Where alerts are told whose rules name no channel: the first route that holds for one counts.",
)

Route = Annotated[str, typer.Argument(metavar="ROUTE", help="The route's name or id.")]
Channels = Annotated[list[str] | None, typer.Option("--to", metavar="CHANNEL", help="Tell this channel; repeatable.")]
Position = Annotated[
    int, typer.Option("--position", min=0, help="Its place, from 1; the others make room. The last one if left out.")
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How people call it.")],
    channels: Channels = None,
    matchers: Of = None,
    position: Position = 0,
    continues: Annotated[
        bool, typer.Option("--continue", help="Look at the routes behind it, too, where it holds.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let alerts whose rules name no channel be told to some channels."""
    route = notification_pb2.Route(
        name=name,
        position=position,
        matchers=map(read_matcher, matchers or ()),
        channels=channels,
        continues=continues,
    )
    VIEW.create(pb.CreateRouteRequest(route=route), as_json=as_json)


@app.command("list")
def list_routes(limit: Limit = 50, page_token: PageToken = "", as_json: AsJson = False) -> None:
    """Show the routes in the order in which they're looked at."""
    VIEW.list(pb.ListRoutesRequest(page_size=limit, page_token=page_token), as_json=as_json)


@app.command()
def update(
    route_id: Route,
    name: Annotated[str, typer.Option("--name", help="Another name.")] = "",
    channels: Channels = None,
    matchers: Of = None,
    of_all: Annotated[bool, typer.Option("--of-all", help="Let it hold for all alerts.")] = False,
    position: Position = 0,
    continues: Annotated[
        bool | None, typer.Option("--continue/--stop", help="Whether the routes behind it are looked at, too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a route, or its place. What was told stays with whom it was told."""
    changes = {
        "name": bool(name),
        "channels": bool(channels),
        "matchers": bool(matchers) or of_all,
        "position": bool(position),
        "continues": continues is not None,
    }
    if not any(changes.values()):
        raise typer.BadParameter("say what to change: --name, --to, --of, --of-all, --position, --continue or --stop")
    request = pb.UpdateRouteRequest(
        route=notification_pb2.Route(
            id=route_id,
            name=name,
            position=position,
            matchers=map(read_matcher, () if of_all else matchers or ()),
            channels=channels,
            continues=bool(continues),
        )
    )
    request.update_mask.paths.extend(path for path, is_changed in changes.items() if is_changed)
    VIEW.update(request, as_json=as_json)


@app.command()
def delete(route_id: Route, as_json: AsJson = False) -> None:
    """Delete a route. What was told by it stays with whom it was told."""
    VIEW.delete(pb.DeleteRouteRequest(route_id=route_id), f"{route_id} is gone.", as_json=as_json)


@app.command("test")
def try_routes(
    severity: Annotated[
        choices.Severity, typer.Option("--severity", help="How bad it would be.")
    ] = choices.Severity.MEDIUM,
    monitor: Annotated[str, typer.Option("--monitor", metavar="ID", help="Of which monitor.")] = "",
    title: Annotated[str, typer.Option("--title", help="The title of its rule.")] = "",
    rule: Annotated[str, typer.Option("--rule", metavar="ID", help="The id of its rule.")] = "",
    labels: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="A label or tag of it; repeatable.")
    ] = None,
    notify: Annotated[
        list[str] | None, typer.Option("--notify", metavar="CHANNEL", help="A channel that its rule names; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who would hear of an alert, if there were one now. Nobody is told."""
    request = pb.PreviewRoutingRequest(
        severity=severity.proto,
        monitor_id=monitor,
        title=title,
        rule_id=rule,
        labels=read_pairs(labels, "--label"),
        notify=notify,
    )
    with connected() as mesh:
        response = mesh.call(mesh.notifier.PreviewRouting, request)
    if as_json:
        print_json(routing_document(response))
        return
    by = ", ".join(route.name for route in response.routes)
    print_facts(
        {
            "told": ", ".join(response.channels) or "nobody",
            "by": f"the routes {by}" if by else "the rule" if notify else "no route: the default channels",
            "not told": "; ".join(response.problems),
            "but now": f"nobody, as it's {response.muted_reason}" if response.muted_reason else "",
        }
    )


def _line(route: notification_pb2.Route) -> str:
    more = ", and the routes behind it are looked at" if route.continues else ""
    to = ", ".join(route.channels)
    return f"{route.id}: {route.position}. {route.name}: {matchers_text(route.matchers)} told to {to}{more}"


def _row(route: notification_pb2.Route) -> tuple[str, ...]:
    behind = "looked at" if route.continues else ""
    of, to = matchers_text(route.matchers), ", ".join(route.channels)
    return f"{route.position}", route.id, route.name, of, to, behind


VIEW = View(
    "Route",
    "Routes",
    route_document,
    _line,
    ("#", "ID", "NAME", "OF", "TO", "BEHIND IT"),
    _row,
    "There is no route: what names no channel is told to the default channels.",
)
