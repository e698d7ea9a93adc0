"""What became of each row, for people and for programs."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from monitors.cli.importing.source import Source
from monitors.cli.importing.takeover import Outcome, Result
from monitors.cli.output import print_json, print_table, say, tell

ALERTS_STAY = (
    "alerts stay where they are: the mesh keeps only what it saw itself, and opens its own where a condition still "
    "holds"
)


def tell_results(source: Source, results: Sequence[Result], *, dry_run: bool, as_json: bool) -> bool:
    """Tells what became of each row. Returns whether nothing was left."""
    if as_json:
        print_json(_document(source, results, dry_run=dry_run))
    else:
        _show(source, results, dry_run=dry_run)
    return all(result.outcome is not Outcome.LEFT for result in results)


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
