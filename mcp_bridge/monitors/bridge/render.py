"""The answers as text. Whatever the structured answer says stands here too, for clients that show only one of them."""

from monitors.bridge.models import (
    Acknowledged,
    Alert,
    AlertList,
    CreatedRule,
    DeletedRule,
    Explanation,
    Instance,
    Monitor,
    MonitorField,
    Rule,
    RuleList,
    UpdatedRule,
)
from monitors.bridge.phrases import count, group, last, named, pairs, shown, when
from monitors.bridge.render_previews import backtest_lines, match_lines
from monitors.bridge.values import number


def created(output: CreatedRule, now: int) -> str:
    """create_alert_rule."""
    head = "Saved" if output.saved else "Not saved"
    lines = [f"{head}: {_rule(output.rule, now)}", *_meaning(output.meaning, output.warnings)]
    if output.matches_total is not None:
        lines += match_lines(output.matches or [], output.matches_total, now)
    if output.backtest is not None:
        lines += backtest_lines(output.backtest, now)
    return _text(lines, output.note)


def updated(output: UpdatedRule, now: int) -> str:
    """update_alert_rule."""
    head = "Saved" if output.saved else "Not saved"
    lines = [f"{head}: {_rule(output.rule, now)}"]
    lines += [f"- {change.parameter}: {change.before!r} → {change.after!r}" for change in output.changes]
    lines += _meaning(output.meaning, output.warnings)
    if output.backtest is not None:
        lines += backtest_lines(output.backtest, now)
    return _text(lines, output.note)


def deleted(output: DeletedRule, now: int) -> str:
    """delete_alert_rule."""
    head = "Deleted" if output.deleted else "Not deleted"
    lines = [f"{head}: {_rule(output.rule, now)}"]
    if output.resolved_alerts:
        lines.append(f"{count(output.resolved_alerts, 'open alert was', 'open alerts were')} resolved.")
    if output.restore is not None:
        lines.append(f"create_alert_rule makes it again with {output.restore!r}")
    return _text(lines, output.note)


def rules(output: RuleList, now: int) -> str:
    """list_alert_rules."""
    lines = [f"{shown(len(output.rules), output.total, 'rule')}:" if output.rules else "No rule matches."]
    lines += [f"- {_rule(rule, now)}" for rule in output.rules]
    if output.monitors_total is not None:
        monitors = output.monitors or []
        lines.append(f"{shown(len(monitors), output.monitors_total, 'monitor')} can be watched:")
        lines += [monitor_line(monitor, now) for monitor in monitors]
    return _text(lines, output.note, output.next_cursor)


def alerts(output: AlertList, now: int) -> str:
    """list_alerts."""
    how_many = shown(len(output.alerts), output.total, "alert", more=bool(output.total_is_capped))
    lines = [f"{how_many}:" if output.alerts else "No alert matches."]
    lines += [f"- {_alert(alert, now)}" for alert in output.alerts]
    for explanation in output.explanations or []:
        lines += _explanation(explanation, now)
    return _text(lines, output.note, output.next_cursor)


def acknowledged(output: Acknowledged, now: int) -> str:
    """acknowledge_alert."""
    ids = f": {', '.join(output.acknowledged)}" if output.acknowledged else ""
    lines = [f"Acknowledged {count(len(output.acknowledged), 'alert')}{ids}."]
    if output.already_acknowledged:
        lines.append(f"Acknowledged before, and left as they were: {', '.join(output.already_acknowledged)}.")
    return _text([*lines, *(f"- {_alert(alert, now)}" for alert in output.alerts or ())], output.note)


def monitor_line(monitor: Monitor, now: int) -> str:
    """A monitor with its fields and their last values."""
    fields = ", ".join(_field(field, now) for field in monitor.fields or ()) or "no fields yet"
    more = monitor.fields_total - len(monitor.fields or ())
    rest = f", and {count(more, 'more field')}" if more else ""
    newest = f", last point {when(monitor.last_time, now)}" if monitor.last_time else ""
    rules_text = f", {count(monitor.rules, 'rule')}" if monitor.rules else ""
    return f"- {named(monitor.id)}: {fields}{rest}{newest}{rules_text}"


def _field(field: MonitorField, now: int) -> str:
    told = [
        field.type if field.type != "float" else "",
        f"{field.series} series" if field.series else "",
        when(field.last_time, now) if field.last_time else "",
    ]
    more = ", ".join(part for part in told if part)
    return f"{named(field.name)}{last(field.last_value)}{f' ({more})' if more else ''}"


def _rule(rule: Rule, now: int) -> str:
    state = f"{rule.state}, {count(rule.open_alerts, 'open alert')}" if rule.open_alerts else rule.state
    severities = "".join(f", {severity} if {bounds}" for severity, bounds in (rule.levels or {}).items())
    rule_id = f"{rule.id} " if rule.id else ""
    text = f"{rule_id}{rule.title!r} on {named(rule.monitor)}: {rule.condition} [{rule.severity}{severities}, {state}]"
    if rule.snoozed_until:
        text += f" snoozed until {when(rule.snoozed_until, now)}"
    if rule.for_ is None:
        return text
    parts = [
        f"for {rule.for_}",
        f"cooldown {rule.cooldown}",
        f"interval {rule.interval}",
        f"no data: {rule.no_data}",
        f"tells {', '.join(map(named, rule.notify)) if rule.notify else 'the default channels'}",
        f"labels {pairs(rule.labels)}" if rule.labels else "",
        f"runbook {named(rule.runbook_url)}" if rule.runbook_url else "",
        f"created {when(rule.created, now)}" if rule.created else "",
        f"by {rule.created_by!r}" if rule.created_by else "",
        f"updated {when(rule.updated, now)}" if rule.updated else "",
        f"by {rule.updated_by!r}" if rule.updated_by else "",
        "" if rule.enabled else "disabled",
        f"version {rule.version}" if rule.version else "",
    ]
    return f"{text}; {'; '.join(part for part in parts if part)}"


def _alert(alert: Alert, now: int) -> str:
    value = f", value {number(alert.value)}" if alert.value is not None else ""
    text = f"{alert.id} {alert.title!r} on {named(alert.monitor)}{group(alert.group)} [{alert.severity}, {alert.state}]"
    text += f" fired {when(alert.fired, now)}{value}, rule {alert.rule_id}"
    parts = [
        f"resolved {when(alert.resolved, now)}" if alert.resolved else "",
        f"({named(alert.resolve_reason)})" if alert.resolve_reason else "",
        f"acknowledged by {alert.acknowledged_by!r}" if alert.acknowledged_by else "",
        when(alert.acknowledged, now) if alert.acknowledged else "",
        f"note {alert.acknowledge_note!r}" if alert.acknowledge_note else "",
        f"condition {alert.condition}" if alert.condition else "",
        f"true since {when(alert.true_since, now)}" if alert.true_since else "",
        f"its message is held: {named(alert.message_held)}" if alert.message_held else "",
        f"labels {pairs(alert.labels)}" if alert.labels else "",
        f"runbook {named(alert.runbook_url)}" if alert.runbook_url else "",
    ]
    return "; ".join([text, *(part for part in parts if part)])


def _explanation(explanation: Explanation, now: int) -> list[str]:
    lines = [f"About {explanation.alert_id or explanation.rule_id}:"]
    lines += [_instance(instance, now) for instance in explanation.instances or []]
    if explanation.earlier_events:
        lines.append(f"- {count(explanation.earlier_events, 'event')} before these")
    for event in explanation.timeline or []:
        value = f", value {number(event.value)}" if event.value is not None else ""
        user = f" by {event.user!r}" if event.user else ""
        detail = f": {event.detail!r}" if event.detail else ""
        lines.append(f"- {event.kind}{user} {when(event.time, now)}{value}{detail}")
    if explanation.earlier_deliveries:
        lines.append(f"- {count(explanation.earlier_deliveries, 'message')} before these")
    for delivery in explanation.deliveries or []:
        sent = f" {when(delivery.time, now)}" if delivery.time else ""
        detail = f": {delivery.detail!r}" if delivery.detail else ""
        lines.append(
            f"- message ({delivery.kind}) to {named(delivery.channel)} {delivery.state}{sent}, "
            f"{count(delivery.attempts, 'attempt')}{detail}"
        )
    if explanation.deliveries == []:
        lines.append("- no message was sent about it")
    return lines


def _instance(instance: Instance, now: int) -> str:
    since = f" since {when(instance.since, now)}" if instance.since else ""
    value = f", value {number(instance.value)}" if instance.value is not None else ""
    evaluated = f", evaluated {when(instance.evaluated, now)}" if instance.evaluated else ""
    text = f" {instance.text}" if instance.text else ""
    return f"- {named(instance.monitor)}{group(instance.group)} is {instance.state}{since}{value}{evaluated}.{text}"


def _meaning(meaning: str | None, warnings: list[str] | None) -> list[str]:
    return [*([meaning] if meaning else []), *(f"Warning: {warning}" for warning in warnings or [])]


def _text(lines: list[str], note: str | None, cursor: str | None = None) -> str:
    more = [f"More: call again with cursor={cursor!r} and everything else unchanged."] if cursor else []
    return "\n".join([*lines, *([note] if note else []), *more])
