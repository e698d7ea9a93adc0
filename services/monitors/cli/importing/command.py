"""The command, and its report."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from monitors.cli.client import connected
from monitors.cli.failures import ExitCode, Failure, failures_told
from monitors.cli.importing.source import Source, read_source
from monitors.cli.importing.takeover import Outcome, Result, take_over
from monitors.cli.options import AsJson
from monitors.cli.output import print_json, print_table, say, tell

ALERTS_STAY = (
    "alerts stay where they are: the mesh keeps only what it saw itself, and opens its own where a condition still "
    "holds"
)


def import_rules(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The first product's database. IDENTITY_DATABASE_URL if left out.")
    ] = "",
    user: Annotated[str, typer.Option("--user", metavar="ID", help="Only this user's rules.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would become of each rule.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take over the rules of the first product, each for the tenant of its user.

    It may be repeated: what is there already stays as it is. It needs MONITORS_SERVICE_TOKEN, the mesh's own token.
    """
    with failures_told():
        source = read_source(_checked_url(url), user)
    with connected(as_service=True) as mesh:
        results = list(take_over(mesh, source.rules, dry_run=dry_run))
    if as_json:
        print_json(_document(source, results, dry_run=dry_run))
    else:
        _show(source, results, dry_run=dry_run)
    if any(result.outcome is Outcome.LEFT for result in results):
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


def _show(source: Source, results: Sequence[Result], *, dry_run: bool) -> None:
    if results:
        rows = [
            (each.old.id, each.old.tenant if each.old.user_id else "", each.old.title, each.outcome, _told(each))
            for each in results
        ]
        print_table(("ID", "TENANT", "TITLE", "OUTCOME", "RULE OR REASON"), rows)
    counts = Counter(each.outcome for each in results)
    listed = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome)
    say(f"{len(results)} rules: {listed}." + (" Nothing was changed: this was a dry run." if dry_run else ""))
    if source.open_alerts or source.past_alerts:
        say(f"{source.open_alerts} open and {source.past_alerts} past {ALERTS_STAY}.")
    for each in results:
        for warning in each.warnings:
            tell(f"warning: {each.old.id}: {warning}")


def _told(result: Result) -> str:
    return result.rule_id or result.reason


def _document(source: Source, results: Sequence[Result], *, dry_run: bool) -> dict[str, Any]:
    counts = Counter(each.outcome for each in results)
    return {
        "dry_run": dry_run,
        "rules": [
            {
                "id": each.old.id,
                "user_id": each.old.user_id,
                "tenant": each.old.tenant if each.old.user_id else "",
                "title": each.old.title,
                "key": each.old.key,
                "outcome": each.outcome.value,
                "rule_id": each.rule_id,
                "reason": each.reason,
                "warnings": list(each.warnings),
            }
            for each in results
        ],
        "counts": {outcome.value: counts[outcome] for outcome in Outcome},
        "alerts": {"open": source.open_alerts, "past": source.past_alerts, "outcome": "left", "reason": ALERTS_STAY},
    }
