"""The documents that `--json` prints.

They are an interface: snake_case names, times as RFC 3339 in UTC, durations as canonical text (`5m`), enumerations as
lower-case short names. What isn't there is null (one value), empty (text, list, object), never left out.
"""

import math
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from monitors.cli import choices, grouping
from monitors.cli.choices import word_of
from monitors.cli.durations import format_duration
from monitors.mesh.times import from_duration
from monitors.v1 import (
    alert_pb2,
    evaluator_service_pb2,
    key_pb2,
    monitor_pb2,
    notification_pb2,
    rule_pb2,
    rule_service_pb2,
)

Document = dict[str, Any]


def time_text(message: Message, field: str) -> str | None:
    """RFC 3339, or None if the field isn't set."""
    timestamp: Timestamp = getattr(message, field)
    return timestamp.ToJsonString() if message.HasField(field) else None


def duration_text(message: Message, field: str) -> str | None:
    """`5m`, or None if the field isn't set."""
    duration: Duration = getattr(message, field)
    return format_duration(from_duration(duration)) if message.HasField(field) else None


def optional(message: Message, field: str) -> Any:
    """The value of an optional field, or None; so is a number that JSON has no way to write."""
    value = getattr(message, field) if message.HasField(field) else None
    return None if isinstance(value, float) and not math.isfinite(value) else value


def rule_document(rule: rule_pb2.Rule) -> Document:
    """A rule."""
    return {
        "id": rule.id,
        "key": rule.key,
        "title": rule.title,
        "monitor": rule.monitor_id,
        "condition": rule.condition_text,
        "severity": word_of(rule_pb2.Severity, rule.severity),
        "levels": {word_of(rule_pb2.Severity, level.severity): level.condition_text for level in rule.levels},
        "state": choices.RuleState.FIRING if rule.open_alert_count else choices.RuleState.IDLE,
        "enabled": rule.enabled if rule.HasField("enabled") else True,
        "for": duration_text(rule, "for_duration"),
        "keep_firing_for": duration_text(rule, "keep_firing_for"),
        "cooldown": duration_text(rule, "cooldown"),
        "repeat": duration_text(rule, "repeat_interval"),
        "interval": duration_text(rule, "interval"),
        "no_data": word_of(rule_pb2.MissingPolicy, rule.no_data_policy),
        "missing": word_of(rule_pb2.MissingPolicy, rule.missing_series_policy),
        "group_by": list(rule.group_by),
        "notify": list(rule.notify),
        "labels": dict(rule.labels),
        "annotations": dict(rule.annotations),
        "snooze_until": time_text(rule, "snooze_until_time"),
        "evaluate": word_of(rule_pb2.EvaluationMode, rule.evaluation_mode),
        "open_alert_count": rule.open_alert_count,
        "create_time": time_text(rule, "create_time"),
        "update_time": time_text(rule, "update_time"),
        "creator": rule.creator,
        "updater": rule.updater,
        "etag": rule.etag,
    }


def alert_document(alert: alert_pb2.Alert) -> Document:
    """An alert."""
    acknowledgement = None
    if alert.HasField("acknowledgement"):
        acknowledgement = {
            "user": alert.acknowledgement.user,
            "time": time_text(alert.acknowledgement, "time"),
            "note": alert.acknowledgement.note,
        }
    return {
        "id": alert.id,
        "rule_id": alert.rule_id,
        "monitor": alert.monitor_id,
        "title": alert.title,
        "severity": word_of(rule_pb2.Severity, alert.severity),
        "state": word_of(alert_pb2.AlertState, alert.state),
        "group": dict(alert.group),
        "condition": alert.condition_text,
        "value": optional(alert, "value"),
        "active_time": time_text(alert, "active_time"),
        "fire_time": time_text(alert, "fire_time"),
        "resolve_time": time_text(alert, "resolve_time"),
        "resolve_reason": alert.resolve_reason,
        "acknowledged": acknowledgement is not None,
        "acknowledgement": acknowledgement,
        "suppress_reason": alert.suppress_reason,
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
    }


def event_document(event: alert_pb2.AlertEvent) -> Document:
    """Something that happened to an alert."""
    return {
        "time": time_text(event, "time"),
        "kind": word_of(alert_pb2.AlertEventKind, event.kind),
        "value": optional(event, "value"),
        "user": event.user,
        "detail": event.detail,
    }


def alert_delivery_document(delivery: alert_pb2.AlertDelivery) -> Document:
    """What became of one message about an alert."""
    return {
        "notification_id": delivery.notification_id,
        "channel": delivery.channel,
        "kind": word_of(alert_pb2.AlertEventKind, delivery.kind),
        "state": word_of(alert_pb2.DeliveryState, delivery.state),
        "attempt_count": delivery.attempt_count,
        "detail": delivery.detail,
        "time": time_text(delivery, "time"),
    }


def monitor_document(monitor: monitor_pb2.Monitor) -> Document:
    """A monitor with its fields."""
    return {
        "id": monitor.id,
        "rule_count": monitor.rule_count,
        "create_time": time_text(monitor, "create_time"),
        "last_time": time_text(monitor, "last_time"),
        "fields": [
            {
                "measurement": field.measurement,
                "field": field.field,
                "type": word_of(monitor_pb2.FieldType, field.type),
                "series_count": field.series_count,
                "last_value": optional(field, "last_value"),
                "last_text": optional(field, "last_text"),
                "last_time": time_text(field, "last_time"),
            }
            for field in monitor.fields
        ],
    }


def channel_document(channel: notification_pb2.Channel) -> Document:
    """A channel; `kind` names the object that has its settings, secrets left out."""
    kind = channel.WhichOneof("kind") or ""
    settings: Document = {}
    if kind:
        message = getattr(channel, kind)
        for field in message.DESCRIPTOR.fields:
            value = getattr(message, field.name)
            if field.message_type is None:
                settings[field.name] = list(value) if field.is_repeated else value
        if message.DESCRIPTOR.name == "WebhookChannel":
            settings["former_secret_expire_time"] = time_text(message, "former_secret_expire_time")
        # Input only: a server never returns it.
        for secret in ("secret", "webhook_url", "workflow_url", "routing_key"):
            settings.pop(secret, None)
        if kind == "apprise":
            settings.pop("url")
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": kind,
        "settings": settings,
        "is_default": channel.is_default,
        "send_resolved": channel.send_resolved if channel.HasField("send_resolved") else True,
        "heartbeat_interval": duration_text(channel, "heartbeat_interval"),
        "grouping": grouping.document(channel.grouping),
        "title_template": channel.title_template,
        "body_template": channel.body_template,
        "disabled_reason": channel.disabled_reason,
        "create_time": time_text(channel, "create_time"),
        "etag": channel.etag,
    }


def key_document(key: key_pb2.Key) -> Document:
    """What is known of an API key."""
    return {
        "id": key.id,
        "title": key.title,
        "scopes": list(key.scopes),
        "creator": key.creator,
        "create_time": time_text(key, "create_time"),
        "expire_time": time_text(key, "expire_time"),
        "last_use_time": time_text(key, "last_use_time"),
        "revoke_time": time_text(key, "revoke_time"),
    }


def attempt_document(attempt: notification_pb2.DeliveryAttempt) -> Document:
    """One attempt to deliver; `status` is null where there was no HTTP status or SMTP code."""
    return {
        "start_time": time_text(attempt, "start_time"),
        "end_time": time_text(attempt, "end_time"),
        "outcome": word_of(notification_pb2.DeliveryOutcome, attempt.outcome),
        "status": attempt.status or None,
        "detail": attempt.detail,
    }


def delivery_document(delivery: notification_pb2.Delivery) -> Document:
    """One message to one channel."""
    return {
        "id": delivery.id,
        "notification_id": delivery.notification_id,
        "alert_id": delivery.alert_id,
        "channel": delivery.channel,
        "kind": word_of(alert_pb2.AlertEventKind, delivery.kind),
        "state": word_of(alert_pb2.DeliveryState, delivery.state),
        "attempt_count": delivery.attempt_count,
        "detail": delivery.detail,
        "message_id": delivery.message_id,
        "next_attempt_time": time_text(delivery, "next_attempt_time"),
        "create_time": time_text(delivery, "create_time"),
        "update_time": time_text(delivery, "update_time"),
        "attempts": [attempt_document(attempt) for attempt in delivery.attempts],
        "escalation": escalation_document(delivery.escalation) if delivery.HasField("escalation") else None,
    }


def escalation_document(escalation: notification_pb2.Escalation) -> Document:
    """How far the escalation of an alert had come."""
    return {
        "policy": escalation.policy,
        "step": escalation.step,
        "step_count": escalation.step_count,
        "unacknowledged": duration_text(escalation, "unacknowledged_duration"),
        "told_before": list(escalation.told_before),
    }


def series_document(series: evaluator_service_pb2.SeriesInfo) -> Document:
    """A series with its newest value."""
    return {
        **series_key_document(series.key),
        "type": word_of(monitor_pb2.FieldType, series.type),
        "last_value": optional(series, "last_value"),
        "last_text": optional(series, "last_text"),
        "last_time": time_text(series, "last_time"),
    }


def series_key_document(key: monitor_pb2.SeriesKey) -> Document:
    """What identifies a series."""
    return {"monitor": key.monitor_id, "measurement": key.measurement, "field": key.field, "tags": dict(key.tags)}


def backtest_document(backtest: evaluator_service_pb2.BacktestResponse) -> Document:
    """What a rule would have done."""
    return {
        "count": backtest.count,
        "total": duration_text(backtest, "total"),
        "longest": duration_text(backtest, "longest"),
        "current_value": optional(backtest, "current_value"),
        "intervals": [
            {
                "monitor": interval.monitor_id,
                "group": dict(interval.group),
                "start_time": time_text(interval, "start_time"),
                "end_time": time_text(interval, "end_time"),
                "value": optional(interval, "value"),
            }
            for interval in backtest.intervals
        ],
        "suggestions": [
            {"threshold": suggestion.threshold, "alerts_per_day": suggestion.alerts_per_day}
            for suggestion in backtest.suggestions
        ],
        "warnings": list(backtest.warnings),
    }


def instance_document(instance: evaluator_service_pb2.InstanceExplanation) -> Document:
    """Why an instance is in its state."""
    return {
        "monitor": instance.monitor_id,
        "group": dict(instance.group),
        "state": word_of(evaluator_service_pb2.InstanceState, instance.state),
        "severity": word_of(rule_pb2.Severity, instance.severity) if instance.severity else None,
        "value": optional(instance, "value"),
        "evaluation_time": time_text(instance, "evaluation_time"),
        "since_time": time_text(instance, "since_time"),
        "text": instance.text,
    }


def preview_document(preview: rule_service_pb2.PreviewRuleResponse) -> Document:
    """What a rule means and would have done; the chart goes to a file, not in here."""
    tried = preview.HasField("backtest")
    return {
        **(backtest_document(preview.backtest) if tried else {}),
        "rule": rule_document(preview.rule),
        "explanation": preview.explanation,
        "warnings": [*preview.warnings, *(preview.backtest.warnings if tried else ())],
        "matches": [series_document(series) for series in preview.matches],
    }
