"""The answers as text. Whatever the structured answer says stands here too, for clients that show only one of them."""

from monitors.bridge.models import (
    Acknowledged,
    Alert,
    AlertList,
    Backtest,
    CreatedRule,
    DeletedRule,
    Explanation,
    Monitor,
    Rule,
    RuleList,
    Series,
    UpdatedRule,
)
from monitors.bridge.values import ago, number


def created(output: CreatedRule, now: int) -> str:
    """create_alert_rule."""
    head = "Saved" if output.saved else "Not saved"
    lines = [f"{head}: {_rule(output.rule, now)}", *_meaning(output.meaning, output.warnings)]
    if output.matches is not None:
        some = f"{len(output.matches)} of " if output.matches_total else ""
        total = output.matches_total or len(output.matches)
        lines.append(f"Reads {some}{_count(total, 'series', 'series')} now:")
        lines += [_series(series, now) for series in output.matches]
    if output.backtest is not None:
        lines += _backtest(output.backtest, now)
    return _text(lines, output.note)


def updated(output: UpdatedRule, now: int) -> str:
    """update_alert_rule."""
    head = "Saved" if output.saved else "Not saved"
    lines = [f"{head}: {_rule(output.rule, now)}"]
    lines += [f"- {change.parameter}: {change.before!r} → {change.after!r}" for change in output.changes]
    return _text([*lines, *_meaning(output.meaning, output.warnings)], output.note)


def deleted(output: DeletedRule, now: int) -> str:
    """delete_alert_rule."""
    head = "Deleted" if output.deleted else "Not deleted"
    lines = [f"{head}: {_rule(output.rule, now)}"]
    if output.resolved_alerts:
        lines.append(f"{_count(output.resolved_alerts, 'open alert was', 'open alerts were')} resolved.")
    if output.restore is not None:
        lines.append(f"create_alert_rule makes it again with {output.restore!r}")
    return _text(lines, output.note)


def rules(output: RuleList, now: int) -> str:
    """list_alert_rules."""
    lines = [f"{_shown(len(output.rules), output.total, 'rule')}:" if output.rules else "No rule matches."]
    lines += [f"- {_rule(rule, now)}" for rule in output.rules]
    if output.monitors is not None:
        total = output.monitors_total or len(output.monitors)
        lines.append(f"{_shown(len(output.monitors), total, 'monitor')} can be watched:")
        lines += [monitor_line(monitor, now) for monitor in output.monitors]
    return _text(lines, output.note, output.next_cursor)


def alerts(output: AlertList, now: int) -> str:
    """list_alerts."""
    lines = [f"{_shown(len(output.alerts), output.total, 'alert')}:" if output.alerts else "No alert matches."]
    lines += [f"- {_alert(alert, now)}" for alert in output.alerts]
    for explanation in output.explanations or []:
        lines += _explanation(explanation, now)
    return _text(lines, output.note, output.next_cursor)


def acknowledged(output: Acknowledged, now: int) -> str:
    """acknowledge_alert."""
    lines = [f"Acknowledged {_count(len(output.acknowledged), 'alert')}."]
    if output.already_acknowledged:
        lines.append(f"Acknowledged before, and left as they were: {', '.join(output.already_acknowledged)}.")
    return _text([*lines, *(f"- {_alert(alert, now)}" for alert in output.alerts)], None)


def monitor_line(monitor: Monitor, now: int = 0) -> str:
    """A monitor with its fields and their last values."""
    fields = []
    for field in monitor.fields:
        value = field.last_value
        last = f" = {number(value) if isinstance(value, float) else repr(value)}" if value is not None else ""
        many = f", {field.series} series" if field.series else ""
        fields.append(
            f"{field.name}{last}" if field.type != "string" and not many else f"{field.name}{last} ({field.type}{many})"
        )
    rest = f", and {monitor.fields_total - len(monitor.fields)} more fields" if monitor.fields_total else ""
    when = f", last point {_when(monitor.last_time, now)}" if monitor.last_time else ""
    rules_text = f", {_count(monitor.rules, 'rule')}" if monitor.rules else ""
    return f"- {monitor.id}: {', '.join(fields) or 'no fields yet'}{rest}{when}{rules_text}"


def _rule(rule: Rule, now: int) -> str:
    state = f"{rule.state}, {_count(rule.open_alerts, 'open alert')}" if rule.open_alerts else rule.state
    severities = "".join(f", {severity} if {bounds}" for severity, bounds in (rule.levels or {}).items())
    text = f"{rule.id} {rule.title!r} on {rule.monitor}: {rule.condition} [{rule.severity}{severities}, {state}]"
    if rule.snoozed_until:
        text += f" snoozed until {_when(rule.snoozed_until, now)}"
    if rule.for_ is None:
        return text
    parts = [
        f"for {rule.for_}",
        f"cooldown {rule.cooldown}",
        f"interval {rule.interval}",
        f"no data: {rule.no_data}",
        f"tells {', '.join(rule.notify) if rule.notify else 'the default channels'}",
        f"labels {_pairs(rule.labels)}" if rule.labels else "",
        f"runbook {rule.runbook_url}" if rule.runbook_url else "",
        f"created {_when(rule.created, now)}" if rule.created else "",
        f"by {rule.created_by!r}" if rule.created_by else "",
        f"updated {_when(rule.updated, now)}" if rule.updated else "",
        f"by {rule.updated_by!r}" if rule.updated_by else "",
        "" if rule.enabled else "disabled",
        f"version {rule.version}" if rule.version else "",
    ]
    return f"{text}; {'; '.join(part for part in parts if part)}"


def _alert(alert: Alert, now: int) -> str:
    value = f", value {number(alert.value)}" if alert.value is not None else ""
    group = f" {_pairs(alert.group)}" if alert.group else ""
    text = f"{alert.id} {alert.title!r} on {alert.monitor}{group} [{alert.severity}, {alert.state}]"
    text += f" fired {_when(alert.fired, now)}{value}, rule {alert.rule_id}"
    parts = [
        f"resolved {_when(alert.resolved, now)}" if alert.resolved else "",
        f"({alert.resolve_reason})" if alert.resolve_reason else "",
        f"acknowledged by {alert.acknowledged_by!r}" if alert.acknowledged_by else "",
        _when(alert.acknowledged, now) if alert.acknowledged else "",
        f"note {alert.acknowledge_note!r}" if alert.acknowledge_note else "",
        f"condition {alert.condition}" if alert.condition else "",
        f"true since {_when(alert.true_since, now)}" if alert.true_since else "",
        f"its message is held: {alert.message_held}" if alert.message_held else "",
        f"labels {_pairs(alert.labels)}" if alert.labels else "",
        f"runbook {alert.runbook_url}" if alert.runbook_url else "",
    ]
    return "; ".join([text, *(part for part in parts if part)])


def _explanation(explanation: Explanation, now: int) -> list[str]:
    lines = [f"About {explanation.alert_id or explanation.rule_id}:"]
    for instance in explanation.instances or []:
        value = f", value {number(instance.value)}" if instance.value is not None else ""
        group = f" {_pairs(instance.group)}" if instance.group else ""
        since = f" since {_when(instance.since, now)}" if instance.since else ""
        evaluated = f", evaluated {_when(instance.evaluated, now)}" if instance.evaluated else ""
        lines.append(
            f"- {instance.monitor}{group} is {instance.state}{since}{value}{evaluated}. {instance.text or ''}".rstrip()
        )
    for event in explanation.timeline or []:
        value = f", value {number(event.value)}" if event.value is not None else ""
        user = f" by {event.user!r}" if event.user else ""
        detail = f": {event.detail!r}" if event.detail else ""
        lines.append(f"- {event.kind}{user} {_when(event.time, now)}{value}{detail}")
    for delivery in explanation.deliveries or []:
        when = f" {_when(delivery.time, now)}" if delivery.time else ""
        detail = f": {delivery.detail!r}" if delivery.detail else ""
        lines.append(
            f"- message ({delivery.kind}) to {delivery.channel} {delivery.state}{when}, "
            f"{_count(delivery.attempts, 'attempt')}{detail}"
        )
    if explanation.deliveries == []:
        lines.append("- no message was sent about it")
    return lines


def _backtest(backtest: Backtest, now: int) -> list[str]:
    often = f"{_count(backtest.alerts, 'time')} ({number(backtest.alerts_per_day)} a day)"
    lengths = f"for {backtest.firing_total} in all and {backtest.firing_longest} at the longest"
    lines = [f"In the last {backtest.window} it would have fired {often}, {lengths}."]
    if backtest.value_now is not None:
        lines.append(f"The value now: {number(backtest.value_now)}")
    for one in backtest.intervals:
        group = f" {_pairs(one.group)}" if one.group else ""
        value = f" at {number(one.value)}" if one.value is not None else ""
        lines.append(f"- {one.monitor}{group}{value} from {_when(one.fired, now)} until {one.ended or 'now'}")
    if len(backtest.intervals) < backtest.alerts:
        lines.append(f"These are the latest {len(backtest.intervals)}.")
    lines += [
        f"A threshold of {number(one.threshold)} would have given {number(one.alerts_per_day)} alerts a day."
        for one in backtest.suggestions or ()
    ]
    return [*lines, *(f"Warning: {warning}" for warning in backtest.warnings or ())]


def _series(series: Series, now: int) -> str:
    value = series.last_value
    last = f" = {number(value) if isinstance(value, float) else repr(value)}" if value is not None else ""
    when = f" {_when(series.last_time, now)}" if series.last_time else ""
    tags = f" {_pairs(series.tags)}" if series.tags else ""
    return f"- {series.monitor} {series.field}{tags}{last}{when}"


def _meaning(meaning: str | None, warnings: list[str] | None) -> list[str]:
    return [*([meaning] if meaning else []), *(f"Warning: {warning}" for warning in warnings or [])]


def _pairs(pairs: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}={value!r}" for name, value in pairs.items()) + "}"


def _when(moment: str, now: int) -> str:
    return f"{moment} ({ago(moment, now)})" if now else moment


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _shown(shown: int, total: int, one: str) -> str:
    return _count(total, one) if shown == total else f"{shown} of {_count(total, one)}"


def _text(lines: list[str], note: str | None, cursor: str | None = None) -> str:
    more = [f"More: call again with cursor={cursor!r} and everything else unchanged."] if cursor else []
    return "\n".join([*lines, *([note] if note else []), *more])
