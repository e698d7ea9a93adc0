"""`monitors keys`: credentials for people and programs."""

from typing import Annotated

import typer

from monitors.cli.client import connected
from monitors.cli.options import AsJson, read_duration
from monitors.cli.output import print_json, say, tell
from monitors.mesh.times import now_nanos, to_timestamp
from monitors.v1.rule_service_pb2 import CreateKeyRequest

app = typer.Typer(no_args_is_help=True, help="Credentials for people and programs.")


@app.command()
def create(
    title: Annotated[str, typer.Option("--title", help="What it's for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="What it may do, e.g. samples:write; repeatable. All but admin if left out."),
    ] = None,
    expires: Annotated[
        int | None,
        typer.Option("--expires", parser=read_duration, metavar="DURATION", help="When it ends: 90d. Never if absent."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, this once. It needs a key with the scope admin, as the local one has."""
    request = CreateKeyRequest(title=title, scopes=scope or [])
    if expires is not None:
        request.expire_time.CopyFrom(to_timestamp(now_nanos() + expires))
    with connected() as mesh:
        response = mesh.call(mesh.rules.CreateKey, request)
    if as_json:
        print_json({"key": response.key, "key_id": response.key_id})
    else:
        say(response.key)
        tell(f"This is {response.key_id}. Keep it now: it's shown this once.")
