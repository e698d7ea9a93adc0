"""The command."""

import os
from typing import Annotated

import typer

from monitors.cli.client import connected
from monitors.cli.failures import ExitCode, Failure, failures_told
from monitors.cli.options import AsJson


def import_rules(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The first product's database. IDENTITY_DATABASE_URL if left out.")
    ] = "",
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Only what is this user's.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would become of each.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take over the rules and past alerts of the first product, each for the tenant of its user.

    It may be repeated: what is there already stays as it is. It needs MONITORS_SERVICE_TOKEN, the mesh's own token.
    """
    # Only this command reads a database, and every other one starts faster without.
    from monitors.cli.importing.report import tell_results
    from monitors.cli.importing.source import read_source
    from monitors.cli.importing.takeover import take_over

    with failures_told():
        source = read_source(_checked_url(url), user)
    with connected(as_service=True) as mesh:
        rules, alerts = take_over(mesh, source, dry_run=dry_run)
    if not tell_results(rules, alerts, dry_run=dry_run, as_json=as_json):
        raise typer.Exit(ExitCode.FAILED)


def _checked_url(url: str) -> str:
    from monitors.mesh.database_urls import check_database_url

    given = url or os.environ.get("IDENTITY_DATABASE_URL", "").strip()
    if not given:
        raise Failure("no database: give its URL, or set IDENTITY_DATABASE_URL", ExitCode.USAGE)
    try:
        check_database_url(given)
    except ValueError as error:
        raise Failure(f"the database's URL {error}", ExitCode.USAGE) from None
    return given
