"""From the contract's messages to the tools' answers. Text that people wrote is data: made one line, and trimmed."""

from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration

from monitors.bridge import models
from monitors.bridge.values import DAY, SECOND, format_duration, from_duration, iso
from monitors.v1 import alert_pb2, evaluator_service_pb2, monitor_pb2, rule_pb2

# How much of a text, and how many labels or fields, a row may show; the rest would crowd out other rows.
TITLE_LIMIT = 80
TEXT_LIMIT = 500
CONDITION_LIMIT = 60
LABEL_LIMIT = 12
FIELD_LIMIT = 30
SHOWN_INTERVALS = 10

RUNBOOK = "runbook_url"


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """One line without control characters, at most `limit` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _labels(labels: Mapping[str, str]) -> dict[str, str] | None:
    shown = {clean(name, 64): clean(value, 100) for name, value in sorted(labels.items())[:LABEL_LIMIT]}
    return shown or None


def _enum_word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()


def severity_word(severity: rule_pb2.Severity.ValueType) -> str:
    """low, medium, high or critical."""
    return _enum_word(rule_pb2.Severity.Name(severity), "SEVERITY_").replace("unspecified", "medium")


def policy_word(policy: rule_pb2.MissingPolicy.ValueType) -> str:
    """ok, alert, keep or resolve."""
    return _enum_word(rule_pb2.MissingPolicy.Name(policy), "MISSING_POLICY_").replace("unspecified", "keep")


def rule_row(rule: rule_pb2.Rule, now: int) -> models.Rule:
    """A concise rule."""
    snoozed = rule.snooze_until_time.seconds > now // SECOND
    state = "disabled" if not rule.enabled else "snoozed" if snoozed else "firing" if rule.open_alert_count else "idle"
    return models.Rule(
        id=rule.id,
        title=clean(rule.title, TITLE_LIMIT),
        monitor=clean(rule.monitor_id, 256),
        condition=clean(rule.condition_text),
        severity=severity_word(rule.severity),
        state=state,
        open_alerts=rule.open_alert_count or None,
        levels=_levels(rule) or None,
        snoozed_until=iso(rule.snooze_until_time) if snoozed else None,
    )


def _levels(rule: rule_pb2.Rule) -> dict[str, str]:
    """`{"critical": "> 95 recover < 90"}`."""
    return {severity_word(level.severity): clean(level.condition_text) for level in rule.levels}


def rule_detail(rule: rule_pb2.Rule, now: int) -> models.Rule:
    """A rule with everything that the tools can set."""
    return rule_row(rule, now).model_copy(
        update={
            "title": clean(rule.title, 200),
            "condition": clean(rule.condition_text, 4_096),
            "for_": format_duration(from_duration(rule.for_duration)),
            "cooldown": format_duration(from_duration(rule.cooldown)),
            "interval": format_duration(from_duration(rule.interval)),
            "no_data": policy_word(rule.no_data_policy),
            "notify": list(rule.notify),
            "labels": {clean(name, 64): clean(value, 256) for name, value in sorted(rule.labels.items())} or None,
            "runbook_url": clean(rule.annotations.get(RUNBOOK, ""), 2_048) or None,
            "enabled": rule.enabled,
            "created": iso(rule.create_time) or None,
            "created_by": clean(rule.creator, 100) or None,
            "updated": iso(rule.update_time) or None,
            "updated_by": clean(rule.updater, 100) or None,
            "version": rule.etag or None,
        }
    )


def restore_arguments(rule: rule_pb2.Rule) -> dict[str, object]:
    """Arguments with which create_alert_rule makes the rule again. The condition's text has the `for` clause in it."""
    arguments: dict[str, object] = {
        "monitor": rule.monitor_id,
        "title": rule.title,
        "condition": rule.condition_text,
        "for": format_duration(from_duration(rule.for_duration)),
        "severity": severity_word(rule.severity),
        "levels": {severity_word(level.severity): level.condition_text for level in rule.levels},
        "cooldown": format_duration(from_duration(rule.cooldown)),
        "interval": format_duration(from_duration(rule.interval)),
        "no_data": policy_word(rule.no_data_policy),
        "notify": list(rule.notify),
        "labels": dict(rule.labels),
        "runbook_url": rule.annotations.get(RUNBOOK, ""),
        "enabled": rule.enabled,
    }
    return {name: value for name, value in arguments.items() if value not in ("", [], {})}


def lost_on_restore(rule: rule_pb2.Rule) -> list[str]:
    """Settings of a rule that aren't the defaults and that create_alert_rule can't set."""
    changed = {
        "keep_firing_for": from_duration(rule.keep_firing_for) != 0,
        "repeat_interval": from_duration(rule.repeat_interval) != 4 * 3_600 * SECOND,
        "missing_series_policy": policy_word(rule.missing_series_policy) not in ("keep", "resolve"),
        "group_by": bool(rule.group_by),
        "evaluation_mode": rule.evaluation_mode == rule_pb2.EVALUATION_MODE_INTERVAL,
        "annotations": any(name != RUNBOOK for name in rule.annotations),
        "snooze_until": rule.HasField("snooze_until_time"),
    }
    return [name for name, is_changed in changed.items() if is_changed]


def monitor_row(monitor: monitor_pb2.Monitor) -> models.Monitor:
    """A monitor with its first fields."""
    names = [field.field for field in monitor.fields]
    return models.Monitor(
        id=clean(monitor.id, 256),
        fields=[_field(field, names.count(field.field) > 1) for field in monitor.fields[:FIELD_LIMIT]],
        fields_total=len(monitor.fields) if len(monitor.fields) > FIELD_LIMIT else None,
        last_time=iso(monitor.last_time) or None,
        rules=monitor.rule_count or None,
    )


def _field(field: monitor_pb2.MonitorField, ambiguous: bool) -> models.MonitorField:
    name = f"{field.measurement}.{field.field}" if ambiguous else field.field
    return models.MonitorField(
        name=clean(name, 200),
        type=_enum_word(monitor_pb2.FieldType.Name(field.type), "FIELD_TYPE_"),
        series=field.series_count if field.series_count > 1 else None,
        last_value=_last(field),
        last_time=iso(field.last_time) or None,
    )


def series_row(series: evaluator_service_pb2.SeriesInfo) -> models.Series:
    """A series that a rule reads."""
    return models.Series(
        monitor=clean(series.key.monitor_id, 256),
        field=clean(f"{series.key.measurement}.{series.key.field}".lstrip("."), 200),
        tags=_labels(series.key.tags),
        last_value=_last(series),
        last_time=iso(series.last_time) or None,
    )


def _last(value: monitor_pb2.MonitorField | evaluator_service_pb2.SeriesInfo) -> float | str | None:
    if value.HasField("last_value"):
        return value.last_value
    return clean(value.last_text, 60) if value.HasField("last_text") else None


def alert_row(alert: alert_pb2.Alert) -> models.Alert:
    """A concise alert."""
    return models.Alert(
        id=alert.id,
        rule_id=alert.rule_id,
        title=clean(alert.title, TITLE_LIMIT),
        monitor=clean(alert.monitor_id, 256),
        severity=severity_word(alert.severity),
        state=_enum_word(alert_pb2.AlertState.Name(alert.state), "ALERT_STATE_"),
        fired=iso(alert.fire_time),
        value=alert.value if alert.HasField("value") else None,
        group=_labels(alert.group),
        resolved=iso(alert.resolve_time) or None,
        acknowledged_by=clean(alert.acknowledgement.user, 100) or None if alert.HasField("acknowledgement") else None,
        condition=_shortened(alert.condition_text, CONDITION_LIMIT) or None,
    )


def _shortened(text: str, limit: int) -> str:
    """A condition at most `limit` characters long. Its end stays, where its threshold is."""
    line = clean(text)
    half = limit // 2
    return line if len(line) <= limit else f"{line[: half - 1]}…{line[-half:]}"


def alert_detail(alert: alert_pb2.Alert) -> models.Alert:
    """An alert with everything about it."""
    return alert_row(alert).model_copy(
        update={
            "title": clean(alert.title, 200),
            "acknowledged": iso(alert.acknowledgement.time) or None,
            "acknowledge_note": clean(alert.acknowledgement.note) or None,
            "condition": clean(alert.condition_text),
            "true_since": iso(alert.active_time) or None,
            "resolve_reason": clean(alert.resolve_reason, 60) or None,
            "message_held": clean(alert.suppress_reason, 60) or None,
            "labels": _labels(alert.labels),
            "runbook_url": clean(alert.annotations.get(RUNBOOK, ""), 2_048) or None,
        }
    )


def event_row(event: alert_pb2.AlertEvent) -> models.Event:
    """Something that happened to an alert."""
    return models.Event(
        time=iso(event.time),
        kind=_event_word(event.kind),
        value=event.value if event.HasField("value") else None,
        user=clean(event.user, 100) or None,
        detail=clean(event.detail) or None,
    )


def delivery_row(delivery: alert_pb2.AlertDelivery) -> models.Delivery:
    """A message about an alert."""
    return models.Delivery(
        channel=clean(delivery.channel, 64),
        kind=_event_word(delivery.kind),
        state=_enum_word(alert_pb2.DeliveryState.Name(delivery.state), "DELIVERY_STATE_"),
        attempts=delivery.attempt_count,
        time=iso(delivery.time) or None,
        detail=clean(delivery.detail, 200) or None,
    )


def instance_row(instance: evaluator_service_pb2.InstanceExplanation) -> models.Instance:
    """Where a rule stands for one group of series."""
    return models.Instance(
        monitor=clean(instance.monitor_id, 256),
        group=_labels(instance.group),
        state=_enum_word(evaluator_service_pb2.InstanceState.Name(instance.state), "INSTANCE_STATE_"),
        value=instance.value if instance.HasField("value") else None,
        evaluated=iso(instance.evaluation_time) or None,
        since=iso(instance.since_time) or None,
        text=clean(instance.text) or None,
    )


def backtest_detail(backtest: evaluator_service_pb2.BacktestResponse, window: int) -> models.Backtest:
    """What a rule would have done in the last `window` nanoseconds; of the intervals the latest ones."""
    suggestions = [
        models.ThresholdSuggestion(threshold=one.threshold, alerts_per_day=round(one.alerts_per_day, 2))
        for one in backtest.suggestions
    ]
    return models.Backtest(
        window=format_duration(window),
        alerts=backtest.count,
        alerts_per_day=round(backtest.count / (window / DAY), 2),
        firing_total=_measured(backtest.total),
        firing_longest=_measured(backtest.longest),
        value_now=backtest.current_value if backtest.HasField("current_value") else None,
        intervals=[_interval(one) for one in backtest.intervals[-SHOWN_INTERVALS:]],
        suggestions=suggestions or None,
        warnings=[clean(warning) for warning in backtest.warnings] or None,
    )


def _measured(duration: Duration) -> str:
    """To the second: what is measured in nanoseconds isn't read so."""
    return format_duration(round(from_duration(duration) / SECOND) * SECOND)


def _interval(interval: evaluator_service_pb2.FiringInterval) -> models.FiringInterval:
    return models.FiringInterval(
        monitor=clean(interval.monitor_id, 256),
        group=_labels(interval.group),
        fired=iso(interval.start_time),
        ended=iso(interval.end_time) or None,
        value=interval.value if interval.HasField("value") else None,
    )


def _event_word(kind: alert_pb2.AlertEventKind.ValueType) -> str:
    return _enum_word(alert_pb2.AlertEventKind.Name(kind), "ALERT_EVENT_KIND_")
