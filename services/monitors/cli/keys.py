"""`monitors keys`: credentials for people and programs."""

from typing import Annotated

import typer

from monitors.cli import documents
from monitors.cli.client import Mesh, connected, new_request_id
from monitors.cli.durations import format_age
from monitors.cli.options import AsJson, Yes, confirm, read_duration
from monitors.cli.output import print_json, print_table, say, tell
from monitors.mesh.times import from_timestamp, now_nanos, to_timestamp
from monitors.v1.key_pb2 import Key
from monitors.v1.rule_service_pb2 import CreateKeyRequest, ListKeysRequest, RevokeKeyRequest

app = typer.Typer(no_args_is_help=True, help="Credentials for people and programs.")

PAGE_SIZE = 1000

Tenant = Annotated[
    str,
    typer.Option("--tenant", metavar="TENANT", help="Another tenant; needs the mesh's own MONITORS_SERVICE_TOKEN."),
]


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
    tenant: Tenant = "",
    as_json: AsJson = False,
) -> None:
    """Make an API key and print it, this once. It needs a key with the scope admin, as the local one has."""
    request = CreateKeyRequest(title=title, scopes=scope or [], tenant_id=tenant)
    if expires is not None:
        request.expire_time.CopyFrom(to_timestamp(now_nanos() + expires))
    with connected(as_service=bool(tenant)) as mesh:
        response = mesh.call(mesh.rules.CreateKey, request)
    if as_json:
        print_json({"key": response.key, "key_id": response.key_id})
    else:
        say(response.key)
        tell(f"This is {response.key_id}. Keep it now: it's shown this once.")


@app.command("list")
def list_keys(tenant: Tenant = "", as_json: AsJson = False) -> None:
    """Show the keys, newest first, with those that have ended. The keys themselves aren't known."""
    with connected(as_service=bool(tenant)) as mesh:
        found = _all_keys(mesh, tenant)
    if as_json:
        print_json({"keys": [documents.key_document(key) for key in found]})
    elif not found:
        tell("No key yet: make one with `monitors keys create`.")
    else:
        now = now_nanos()
        print_table(("ID", "TITLE", "SCOPES", "MADE", "LAST USE", "STATE"), [_row(key, now) for key in found])


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, `key_…`.")],
    tenant: Tenant = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """End a key for good. Within half a minute nobody takes it any more."""
    with connected(as_service=bool(tenant)) as mesh:
        confirm(f"Revoke {key_id}? Whoever uses it is refused from then on.", yes=yes)
        request = RevokeKeyRequest(key_id=key_id, tenant_id=tenant, request_id=new_request_id())
        key = mesh.call(mesh.rules.RevokeKey, request).key
    if as_json:
        print_json(documents.key_document(key))
    else:
        say(f"{key.id} ({key.title}) is revoked; within half a minute nobody takes it any more.")


def _all_keys(mesh: Mesh, tenant: str) -> list[Key]:
    found: list[Key] = []
    request = ListKeysRequest(page_size=PAGE_SIZE, tenant_id=tenant)
    while True:
        response = mesh.call(mesh.rules.ListKeys, request)
        found += response.keys
        if not response.next_page_token:
            return found
        request.page_token = response.next_page_token


def _row(key: Key, now: int) -> tuple[str, ...]:
    used = format_age(from_timestamp(key.last_use_time), now) if key.HasField("last_use_time") else "never"
    made = format_age(from_timestamp(key.create_time), now)
    return key.id, key.title, " ".join(key.scopes), made, used, _state(key, now)


def _state(key: Key, now: int) -> str:
    if key.HasField("revoke_time"):
        return f"revoked {format_age(from_timestamp(key.revoke_time), now)}"
    if not key.HasField("expire_time"):
        return "good"
    end = from_timestamp(key.expire_time)
    return f"ends {format_age(end, now)}" if end > now else f"ended {format_age(end, now)}"
