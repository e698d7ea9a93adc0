"""From the contract's messages to the tools' answers. Text that people wrote is data: made one line, and trimmed."""

import re
from collections.abc import Mapping

from monitors.bridge import models
from monitors.bridge.backtest_models import Series
from monitors.bridge.output import Value
from monitors.bridge.values import SECOND, format_duration, from_duration, iso, measured
from monitors.v1 import alert_pb2, evaluator_service_pb2, monitor_pb2, rule_pb2

# How many bytes of a text, and how many labels or fields, a row may show; the rest would crowd out other rows.
TITLE_LIMIT = 80
# A title has 200 characters at most, of up to four bytes.
FULL_TITLE = 800
TEXT_LIMIT = 500
CONDITION_LIMIT = 60
# Of a value in a row: so many significant digits, and decimals of what isn't tiny.
ROW_DIGITS, ROW_DECIMALS, TINY = 8, 6, 0.001
LABEL_LIMIT = 12
FIELD_LIMIT = 30

RUNBOOK = "runbook_url"
# Controls, marks of writing direction, zero widths and tags aren't printable. These are, but can't be seen either, so
# that words could be hidden in them: variation selectors, fillers, the combining joiner.
_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """One line of visible characters, at most `limit` bytes of UTF-8."""
    visible = _HIDDEN.sub("", text)
    line = " ".join("".join(c if c.isprintable() else " " for c in visible).split())
    encoded = line.encode("utf-8", "replace")
    return line if len(encoded) <= limit else encoded[: limit - 3].decode("utf-8", "ignore") + "…"


def pairs_of(labels: Mapping[str, str]) -> dict[str, str] | None:
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
        id=rule.id or None,
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
            "title": clean(rule.title, FULL_TITLE),
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
        "key": bool(rule.key),
        "annotations": any(name != RUNBOOK for name in rule.annotations),
        "snooze_until": rule.HasField("snooze_until_time"),
    }
    return [name for name, is_changed in changed.items() if is_changed]


def monitor_row(monitor: monitor_pb2.Monitor, limit: int = FIELD_LIMIT) -> models.Monitor:
    """A monitor with its first fields, at most `limit`."""
    names = [field.field for field in monitor.fields]
    last = iso(monitor.last_time)
    return models.Monitor(
        id=clean(monitor.id, 256),
        fields=[_field(field, names.count(field.field) > 1, last) for field in monitor.fields[:limit]],
        fields_total=len(monitor.fields),
        last_time=last or None,
        rules=monitor.rule_count or None,
    )


def _field(field: monitor_pb2.MonitorField, ambiguous: bool, newest: str) -> models.MonitorField:
    last = iso(field.last_time)
    name = f"{field.measurement}.{field.field}" if ambiguous else field.field
    return models.MonitorField(
        name=clean(name, 200),
        type=_enum_word(monitor_pb2.FieldType.Name(field.type), "FIELD_TYPE_"),
        series=field.series_count if field.series_count > 1 else None,
        last_value=_last(field),
        last_time=last if last != newest else None,
    )


def series_row(series: evaluator_service_pb2.SeriesInfo) -> Series:
    """A series that a rule reads."""
    return Series(
        monitor=clean(series.key.monitor_id, 256),
        field=clean(f"{series.key.measurement}.{series.key.field}".lstrip("."), 200),
        tags=pairs_of(series.key.tags),
        last_value=_last(series),
        last_time=iso(series.last_time) or None,
    )


def _last(value: monitor_pb2.MonitorField | evaluator_service_pb2.SeriesInfo) -> Value | None:
    if value.HasField("last_value"):
        return measured(value.last_value)
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
        value=_short(alert.value) if alert.HasField("value") else None,
        group=pairs_of(alert.group),
        resolved=iso(alert.resolve_time) or None,
        acknowledged_by=clean(alert.acknowledgement.user, 100) or None if alert.HasField("acknowledgement") else None,
        condition=_shortened(alert.condition_text, CONDITION_LIMIT) or None,
    )


def _shortened(text: str, limit: int) -> str:
    """A condition at most `limit` characters long. Its end stays, where its threshold is."""
    line = clean(text)
    half = limit // 2
    return line if len(line) <= limit else f"{line[: half - 1]}…{line[-half:]}"


def _short(value: float) -> Value:
    return measured(value if abs(value) < TINY else round(value, ROW_DECIMALS), ROW_DIGITS)


def alert_detail(alert: alert_pb2.Alert) -> models.Alert:
    """An alert with everything about it."""
    return alert_row(alert).model_copy(
        update={
            "title": clean(alert.title, FULL_TITLE),
            "value": measured(alert.value) if alert.HasField("value") else None,
            "acknowledged": iso(alert.acknowledgement.time) or None,
            "acknowledge_note": clean(alert.acknowledgement.note) or None,
            "condition": clean(alert.condition_text),
            "true_since": iso(alert.active_time) or None,
            "resolve_reason": clean(alert.resolve_reason, 60) or None,
            "message_held": clean(alert.suppress_reason, 60) or None,
            "labels": pairs_of(alert.labels),
            "runbook_url": clean(alert.annotations.get(RUNBOOK, ""), 2_048) or None,
        }
    )


def event_row(event: alert_pb2.AlertEvent) -> models.Event:
    """Something that happened to an alert."""
    return models.Event(
        time=iso(event.time),
        kind=_event_word(event.kind),
        value=measured(event.value) if event.HasField("value") else None,
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
        group=pairs_of(instance.group),
        state=_enum_word(evaluator_service_pb2.InstanceState.Name(instance.state), "INSTANCE_STATE_"),
        value=measured(instance.value) if instance.HasField("value") else None,
        evaluated=iso(instance.evaluation_time) or None,
        since=iso(instance.since_time) or None,
        text=clean(instance.text) or None,
    )


def _event_word(kind: alert_pb2.AlertEventKind.ValueType) -> str:
    return _enum_word(alert_pb2.AlertEventKind.Name(kind), "ALERT_EVENT_KIND_")
