"""`monitors rules`: what to watch, when to fire, and whom to tell."""

from typing import Annotated

import typer

from monitors.cli import documents
from monitors.cli import rule_options as given
from monitors.cli.choices import RuleState, Severity, word_of
from monitors.cli.client import Mesh, connected, new_request_id
from monitors.cli.failures import ExitCode, Failure
from monitors.cli.monitors import tell_of_more
from monitors.cli.options import (
    AsJson,
    Filter,
    Limit,
    PageToken,
    Yes,
    confirm,
    filter_of,
    flag_text,
    read_duration,
    read_pairs,
)
from monitors.cli.output import format_pairs, print_json, print_table, say, tell, warn
from monitors.cli.rule_views import rule_row, show_rule
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.evaluator_service_pb2 import InstanceState
from monitors.v1.rule_pb2 import Rule

app = typer.Typer(no_args_is_help=True, help="What to watch, when to fire, and whom to tell.")

RuleId = Annotated[str, typer.Argument(metavar="ID", help="The rule's id, rule_….")]


@app.command("list")
def list_rules(
    monitor: Annotated[str | None, typer.Option("--monitor", help="Only of this monitor.")] = None,
    severity: Annotated[Severity | None, typer.Option("--severity", case_sensitive=False)] = None,
    state: Annotated[RuleState | None, typer.Option("--state", case_sensitive=False)] = None,
    title: Annotated[str | None, typer.Option("--title", help="Only whose title contains this.")] = None,
    enabled: Annotated[bool | None, typer.Option("--enabled/--disabled", help="Only what is on, or off.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only of this key; web/* for all of a namespace.")] = None,
    more: Filter = "",
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show the rules, newest first."""
    with connected() as mesh:
        terms = {
            "monitor_id": monitor,
            "severity": severity,
            "state": state,
            "title": title,
            "enabled": flag_text(enabled),
            "key": key,
        }
        request = pb.ListRulesRequest(page_size=limit, page_token=page_token, filter=filter_of(terms, more))
        response = mesh.call(mesh.rules.ListRules, request)
    if as_json:
        print_json(
            {
                "rules": [documents.rule_document(rule) for rule in response.rules],
                "total_count": response.total_count,
                "next_page_token": response.next_page_token,
            }
        )
    elif not response.rules:
        tell("No rule matches." if request.filter else "No rule yet: make one with `monitors rules create`.")
    else:
        print_table(
            ("ID", "TITLE", "MONITOR", "CONDITION", "SEVERITY", "STATE"),
            [rule_row(rule) for rule in response.rules],
            whole=("ID", "SEVERITY"),
        )
        tell_of_more(len(response.rules), response.total_count, response.next_page_token)


@app.command()
def show(rule_id: RuleId, as_json: AsJson = False) -> None:
    """Show one rule."""
    with connected() as mesh:
        rule = mesh.call(mesh.rules.GetRule, pb.GetRuleRequest(rule_id=rule_id)).rule
    if as_json:
        print_json({"rule": documents.rule_document(rule)})
    else:
        show_rule(rule)


@app.command()
def explain(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="A rule's id, rule_…, or an alert's, alert_….")],
    as_json: AsJson = False,
) -> None:
    """Say why a rule, or the rule of an alert, is as it is, and what happens next."""
    is_alert = rule_id.startswith("alert_")
    request = pb.ExplainRuleRequest(alert_id=rule_id) if is_alert else pb.ExplainRuleRequest(rule_id=rule_id)
    with connected() as mesh:
        instances = mesh.call(mesh.rules.ExplainRule, request).instances
    if as_json:
        print_json({"instances": [documents.instance_document(instance) for instance in instances]})
    elif not instances:
        tell("Nothing is evaluated: the rule matches no series that has reported, or it's turned off.")
    else:
        for instance in instances:
            who = " ".join(filter(None, (instance.monitor_id, format_pairs(instance.group))))
            say(f"{who} is {word_of(InstanceState, instance.state)}: {instance.text}")


@app.command()
def create(
    monitor: Annotated[str, typer.Option("--monitor", help="The monitor's id, or a pattern: mon_check*.")],
    title: Annotated[str, typer.Option("--title", help="The human name.")],
    when: Annotated[str, typer.Option("--when", help='The condition: "avg(cpu_percent, 1m) > 90 for 30s".')],
    severity: given.SeverityOption = None,
    level: given.LevelOption = None,
    for_duration: given.For = None,
    keep_firing_for: given.KeepFiringFor = None,
    cooldown: given.Cooldown = None,
    repeat: given.Repeat = None,
    interval: given.Interval = None,
    no_data: given.NoDataOption = None,
    missing: given.MissingOption = None,
    group_by: given.GroupBy = None,
    notify: given.Notify = None,
    label: given.Label = None,
    annotation: given.Annotation = None,
    runbook: given.Runbook = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Don't evaluate it yet.")] = False,
    key: given.Key = None,
    as_json: AsJson = False,
) -> None:
    """Make a rule."""
    changes = given.Changes(
        monitor, title, when, severity, given.read_levels(level) or None, for_duration, keep_firing_for, cooldown,
        repeat, interval, no_data, missing,
        group_by=group_by or None,
        notify=notify or None,
        labels=read_pairs(label, "--label"),
        annotations=given.annotations_of(read_pairs(annotation, "--annotation"), runbook),
        enabled=False if disabled else None,
        key=key,
    )  # fmt: skip
    rule = Rule()
    given.apply(changes, rule)
    with connected() as mesh:
        request = pb.CreateRuleRequest(rule=rule, request_id=new_request_id())
        response = mesh.call(mesh.rules.CreateRule, request)
    warn(response.warnings)
    if as_json:
        print_json({"rule": documents.rule_document(response.rule), "warnings": list(response.warnings)})
    else:
        say(f"Made {response.rule.id} “{response.rule.title}”: {response.rule.condition_text}")


@app.command()
def update(
    rule_id: RuleId,
    monitor: Annotated[str | None, typer.Option("--monitor", help="Watch another monitor.")] = None,
    title: given.Title = None,
    when: given.When = None,
    severity: given.SeverityOption = None,
    level: given.LevelOption = None,
    for_duration: given.For = None,
    keep_firing_for: given.KeepFiringFor = None,
    cooldown: given.Cooldown = None,
    repeat: given.Repeat = None,
    interval: given.Interval = None,
    no_data: given.NoDataOption = None,
    missing: given.MissingOption = None,
    group_by: given.GroupBy = None,
    all_tags: Annotated[bool, typer.Option("--all-tags", help="Group by all tags.")] = False,
    notify: given.Notify = None,
    no_levels: Annotated[bool, typer.Option("--no-levels", help="Have the rule's own severity only.")] = False,
    default_channels: Annotated[bool, typer.Option("--default-channels", help="Tell the default channels.")] = False,
    label: given.Label = None,
    annotation: given.Annotation = None,
    runbook: given.Runbook = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Evaluate it, or don't.")] = None,
    snooze: Annotated[
        int | None,
        typer.Option("--snooze", parser=read_duration, metavar="DURATION", help="Tell nobody for this long."),
    ] = None,
    unsnooze: Annotated[bool, typer.Option("--unsnooze", help="Tell people again.")] = False,
    key: given.Key = None,
    etag: Annotated[str, typer.Option("--etag", help="Refuse if the rule isn't as it was when this was read.")] = "",
    as_json: AsJson = False,
) -> None:
    """Change what is given of a rule; the rest stays. --label and --annotation with an empty value remove one."""
    _not_both("--snooze", snooze is not None, "--unsnooze", unsnooze)
    _not_both("--level", bool(level), "--no-levels", no_levels)
    _not_both("--notify", bool(notify), "--default-channels", default_channels)
    _not_both("--group-by", bool(group_by), "--all-tags", all_tags)
    changes = given.Changes(
        monitor, title, when, severity, [] if no_levels else given.read_levels(level) or None, for_duration,
        keep_firing_for, cooldown, repeat, interval, no_data, missing,
        group_by=[] if all_tags else group_by or None,
        notify=[] if default_channels else notify or None,
        labels=read_pairs(label, "--label"),
        annotations=given.annotations_of(read_pairs(annotation, "--annotation"), runbook),
        enabled=enabled,
        snooze=snooze,
        unsnooze=unsnooze,
        key=key,
    )  # fmt: skip
    with connected() as mesh:
        response = _update(mesh, rule_id, etag, changes)
    warn(response.warnings)
    if as_json:
        rule, previous = documents.rule_document(response.rule), documents.rule_document(response.previous)
        print_json({"rule": rule, "previous": previous, "warnings": list(response.warnings)})
    else:
        show_rule(response.rule, response.previous)


def _not_both(option: str, given: bool, other: str, other_given: bool) -> None:
    if given and other_given:
        raise typer.BadParameter(f"give one of {option} and {other}", param_hint=option)


def _update(mesh: Mesh, rule_id: str, etag: str, changes: given.Changes) -> pb.UpdateRuleResponse:
    rule = Rule(id=rule_id, etag=etag)
    if changes.labels or changes.annotations:
        # They are replaced as a whole, so the others must go along, and nobody may have changed them meanwhile.
        current = mesh.call(mesh.rules.GetRule, pb.GetRuleRequest(rule_id=rule_id)).rule
        rule.labels.update(current.labels)
        rule.annotations.update(current.annotations)
        rule.etag = etag or current.etag
    paths = given.apply(changes, rule)
    if not paths:
        raise Failure("nothing to change; say what, for example --severity high", ExitCode.USAGE)
    request = pb.UpdateRuleRequest(rule=rule, request_id=new_request_id())
    request.update_mask.paths[:] = paths
    return mesh.call(mesh.rules.UpdateRule, request)


@app.command()
def delete(
    rule_id: RuleId,
    etag: Annotated[str, typer.Option("--etag", help="Refuse if the rule isn't as it was when this was read.")] = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete a rule and resolve its open alerts."""
    with connected() as mesh:
        if not yes:
            rule = mesh.call(mesh.rules.GetRule, pb.GetRuleRequest(rule_id=rule_id)).rule
            confirm(f"Delete {rule.id} “{rule.title}” and resolve its {rule.open_alert_count} open alerts?", yes=yes)
        request = pb.DeleteRuleRequest(rule_id=rule_id, etag=etag, request_id=new_request_id())
        response = mesh.call(mesh.rules.DeleteRule, request)
    if as_json:
        document = documents.rule_document(response.rule)
        print_json({"rule": document, "resolved_alert_count": response.resolved_alert_count})
    else:
        count = response.resolved_alert_count
        say(f"Deleted {response.rule.id} “{response.rule.title}”; {count} alert{'' if count == 1 else 's'} resolved")
