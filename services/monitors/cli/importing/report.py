"""What became of each row, for people and for programs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from monitors.cli.importing.alert_takeover import AlertResult
from monitors.cli.importing.results import Outcome
from monitors.cli.importing.takeover import RuleResult
from monitors.cli.output import print_json, print_table, say, tell

OF_RULES = (Outcome.TAKEN_OVER, Outcome.THERE, Outcome.LEFT)


def tell_results(rules: Sequence[RuleResult], alerts: Sequence[AlertResult], *, dry_run: bool, as_json: bool) -> bool:
    """Tells what became of each row. Returns whether nothing was left."""
    if as_json:
        print_json(_document(rules, alerts, dry_run=dry_run))
    else:
        _show(rules, alerts, dry_run=dry_run)
    outcomes = {*(rule.outcome for rule in rules), *(alert.outcome for alert in alerts)}
    return Outcome.LEFT not in outcomes


def _show(rules: Sequence[RuleResult], alerts: Sequence[AlertResult], *, dry_run: bool) -> None:
    if rules:
        rows = [
            (each.old.id, _tenant(each), each.old.title, each.outcome, each.new_id or each.reason) for each in rules
        ]
        print_table(("ID", "TENANT", "TITLE", "OUTCOME", "RULE OR REASON"), rows)
    if alerts:
        told = [(each.old.id, each.old.rule_id, each.outcome, each.new_id or each.reason) for each in alerts]
        print_table(("ID", "ITS RULE THERE", "OUTCOME", "ALERT OR REASON"), told)
    say(f"{len(rules)} rules: {_listed(Counter(each.outcome for each in rules), OF_RULES)}.")
    say(f"{len(alerts)} alerts: {_listed(Counter(each.outcome for each in alerts), Outcome)}.")
    if dry_run:
        say("Nothing was changed: this was a dry run.")
    for rule in rules:
        for warning in rule.warnings:
            tell(f"warning: {rule.old.id}: {warning}")
    for alert in alerts:
        for warning in alert.warnings:
            tell(f"warning: alert {alert.old.id}: {warning}")


def _tenant(result: RuleResult) -> str:
    return result.old.tenant if result.old.user_id else ""


def _listed(counts: Counter[Outcome], outcomes: Iterable[Outcome]) -> str:
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in outcomes)


def _document(rules: Sequence[RuleResult], alerts: Sequence[AlertResult], *, dry_run: bool) -> dict[str, Any]:
    of_rules, of_alerts = Counter(each.outcome for each in rules), Counter(each.outcome for each in alerts)
    return {
        "dry_run": dry_run,
        "rules": [
            {
                "id": each.old.id,
                "user_id": each.old.user_id,
                "tenant": _tenant(each),
                "title": each.old.title,
                "key": each.old.key,
                "outcome": each.outcome.value,
                "rule_id": each.new_id,
                "reason": each.reason,
                "warnings": list(each.warnings),
            }
            for each in rules
        ],
        "counts": {outcome.value: of_rules[outcome] for outcome in OF_RULES},
        "alerts": [
            {
                "id": each.old.id,
                "old_rule_id": each.old.rule_id,
                "key": each.old.key,
                "outcome": each.outcome.value,
                "alert_id": each.new_id,
                "reason": each.reason,
                "warnings": list(each.warnings),
            }
            for each in alerts
        ],
        "alert_counts": {outcome.value: of_alerts[outcome] for outcome in Outcome},
    }
